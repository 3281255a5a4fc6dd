"""Compare ways to fuse the estimates of the eyes' direction.

    python -m research.evaluation.fusion [--table …] [--looking-at-camera DIR]

Prints Markdown tables: maps from blendshapes to a direction, and the errors of single estimates, pairs and all three.
Each combination is weighted in several ways: equally, by inverse variance, by the best linear unbiased weights, and by
the same scaled with the network's predicted spread, as in the service. Their covariances come from rendered training
people, the errors from the rendered test people. With portraits, the same weights are tried on real people, and also
those whose covariances come from the other half of the portraits' people. Nothing is written.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from sklearn.model_selection import GroupKFold

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.fusion import ESTIMATES, SHAPE_MODEL, FusionModel, fuse_directions
from gaze_core.types import Camera, Floats
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, load_table
from research.evaluation.portraits import LANDMARKER_WAIT_S, Portrait, measure_portraits
from research.evaluation.statistics import resample_people
from research.markdown import make_table
from research.training.examples import angular_errors_deg, measure_table
from research.training.fusion import (
    EyeDirections,
    RenderedEyes,
    cross_estimate,
    describe_fusion,
    fit_fusion,
    select_rendered,
    stack_directions,
)
from research.training.shapes import RENDERED_SHAPE_MODEL

VERTICAL_SHAPES = {
    "rendered: look up, look down": ("look_up", "look_down"),
    "rendered: and blink": ("look_up", "look_down", "blink"),
    "rendered: and squint, wide": ("look_up", "look_down", "blink", "squint", "wide"),
}
"""Maps from blendshapes that are fitted to rendered people, with the blendshapes that have a vertical weight."""

SUBSETS = tuple(subset for count in range(1, len(ESTIMATES) + 1) for subset in itertools.combinations(ESTIMATES, count))
"""All combinations of estimates."""

EQUAL, BY_VARIANCE, BEST, BEST_BY_FRAME = "equal", "inverse variance", "best", "best, by predicted spread"
OTHER_HALF = "best, other half of the portraits"


def make_variants(model: FusionModel) -> dict[str, tuple[FusionModel, bool]]:
    """Return the ways to weigh estimates, each with whether the network's predicted spread counts.

    Args:
        model: Covariances of the errors of the estimates.
    """
    alone = np.array([np.diag(np.diag(covariance)) for covariance in model.covariances_deg2])
    same = np.tile(np.eye(len(ESTIMATES)), (2, 1, 1))
    return {
        EQUAL: (replace(model, covariances_deg2=same), False),
        BY_VARIANCE: (replace(model, covariances_deg2=alone), False),
        BEST: (model, False),
        BEST_BY_FRAME: (model, True),
    }


def combine(directions: EyeDirections, subset: Sequence[str], model: FusionModel, *, by_spread: bool) -> Floats:
    """Return the fused directions from some of the estimates, head frame, shape (n, 2).

    Args:
        directions: Images with all estimates.
        subset: Names of the estimates to use.
        model: Covariances of their errors.
        by_spread: Whether the network's weight follows its predicted spread.
    """
    unused = [index for index, name in enumerate(ESTIMATES) if name not in subset]
    estimates_deg = directions.estimates_deg.copy()
    estimates_deg[:, unused] = np.nan
    usual_deg = np.broadcast_to(model.network_spread_deg, (len(directions), 2))
    return fuse_directions(estimates_deg, directions.network_spread_deg if by_spread else usual_deg, model=model)


def combine_by_halves(directions: EyeDirections, subset: Sequence[str]) -> Floats:
    """Return the fused directions of each half of the people with the covariances of the other half, shape (n, 2)."""
    people = np.unique(directions.person)
    is_first = np.isin(directions.person, people[::2])
    fused = np.empty((len(directions), 2))
    for rows in (is_first, ~is_first):
        fused[rows] = combine(directions.of(rows), subset, fit_fusion(directions.of(~rows)), by_spread=False)
    return fused


def compare_weights(directions: EyeDirections, model: FusionModel, *, by_halves: bool = False) -> str:
    """Return the Markdown table of all combinations of estimates and ways to weigh them.

    Args:
        directions: Images with all estimates.
        model: Covariances from other people.
        by_halves: Whether to add the weights from the other half of these people.
    """
    rows = []
    for subset in SUBSETS:
        for name, fused_deg in _weigh(directions, subset, model, by_halves=by_halves):
            rows.append((", ".join(subset), name, *_describe(directions, fused_deg)))
    header = ("estimates", "weights", "mean error", "95 % interval", "bias right", "bias up", "SD right", "SD up")
    return make_table(header, rows)


def compare_maps(rendered: RenderedEyes, portraits: Sequence[Portrait], *, folds: int) -> str:
    """Return the Markdown table of maps from blendshapes, on rendered people and on portraits.

    Args:
        rendered: Training people, on whom the maps are fitted and, cross-validated, measured.
        portraits: Portraits; may be empty.
        folds: Folds of the cross-validation.
    """
    real = [each for each in portraits if each.estimates is not None and each.estimates.eye_shapes is not None]
    stacked = stack_portraits(real)
    shapes = np.array([each.estimates.eye_shapes for each in real if each.estimates is not None]).reshape(-1, 2, 7)
    known = rendered.of(np.flatnonzero(np.isfinite(rendered.eye_shapes).all(axis=(1, 2))))
    true = known.estimate(EYE_REGION_MODEL, SHAPE_MODEL)
    rows = []
    for name, upwards in {**VERTICAL_SHAPES, "look up − look down, 40°": None}.items():
        fitted, predicted_deg = SHAPE_MODEL, SHAPE_MODEL.predict(known.eye_shapes)
        if upwards is not None:
            fitted = known.fit_shapes(upwards=upwards)
            for train, test in GroupKFold(folds).split(known.person, groups=known.person):
                learnt = known.of(train).fit_shapes(upwards=upwards)
                predicted_deg[test] = learnt.predict(known.eye_shapes[test])
        cells = [*_describe(true, predicted_deg)]
        if real:
            cells += _describe(stacked, fitted.predict(shapes))
        rows.append((name, *cells))
    header = ("mean error", "95 % interval", "bias right", "bias up", "SD right", "SD up")
    of_real = tuple(f"portraits: {name}" for name in header) if real else ()
    return make_table(("map", *header, *of_real), rows)


def stack_portraits(portraits: Sequence[Portrait]) -> EyeDirections:
    """Return the estimates of the portraits with a gaze."""
    people = sorted({portrait.person for portrait in portraits})
    kept = [
        (each.estimates, each.true_deg, people.index(each.person))
        for each in portraits
        if each.estimates is not None and each.true_deg is not None
    ]
    return stack_directions(
        [estimates.geometry for estimates, _, _ in kept],
        [estimates.eyes for estimates, _, _ in kept],
        np.array([true_deg for _, true_deg, _ in kept]).reshape(-1, 2),
        np.array([person for _, _, person in kept], dtype=np.int64),
    )


def _weigh(
    directions: EyeDirections, subset: Sequence[str], model: FusionModel, *, by_halves: bool
) -> Iterator[tuple[str, Floats]]:
    """Yield the name of each way to weigh estimates, and the fused directions."""
    variants = make_variants(model)
    if len(subset) == 1:
        yield "–", combine(directions, subset, model, by_spread=False)
        return
    for name, (weights, by_spread) in variants.items():
        yield name, combine(directions, subset, weights, by_spread=by_spread)
    if by_halves:
        yield OTHER_HALF, combine_by_halves(directions, subset)


def _describe(directions: EyeDirections, fused_deg: Floats) -> tuple[str, ...]:
    """Return mean error, its interval over people, bias and standard deviation, in degrees."""
    errors_deg = angular_errors_deg(fused_deg, directions.true_deg)
    low, high = resample_people(errors_deg, directions.person)
    offsets_deg = fused_deg - directions.true_deg
    numbers = (*offsets_deg.mean(axis=0).tolist(), *offsets_deg.std(axis=0).tolist())
    return f"{errors_deg.mean():.2f}", f"{low:.2f} to {high:.2f}", *(f"{number:.2f}" for number in numbers)


def _measure_portraits(folder: Path, vertical_fov_deg: float, network: OpencvEyeNetwork) -> list[Portrait]:
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
    camera = Camera(vertical_fov_deg=vertical_fov_deg)
    try:
        return measure_portraits(folder, landmarker, load_gaze_model(GAZE_MODEL_PATH), camera, network=network)
    finally:
        landmarker.close()


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--looking-at-camera", type=click.Path(path_type=Path), metavar="DIR", help="Portraits for the comparison."
)
@click.option("--vertical-fov-deg", default=20.0, show_default=True, help="Vertical field of view of the portraits.")
@click.option(
    "--network",
    "network_path",
    type=click.Path(path_type=Path),
    default=EYE_NETWORK_PATH,
    help="Eye network for the portraits; the table has the answers of its own.",
)
@click.option("--folds", default=5, show_default=True, help="Folds of the cross-validation.")
def main(
    *, table: Path, looking_at_camera: Path | None, vertical_fov_deg: float, network_path: Path, folds: int
) -> None:
    """Compare ways to fuse the estimates of the eyes' direction, on rendered people and on portraits."""
    loaded = load_table(table)
    measured = measure_table(loaded, estimates=ESTIMATES)
    portraits = []
    if looking_at_camera is not None:
        portraits = _measure_portraits(looking_at_camera, vertical_fov_deg, OpencvEyeNetwork(network_path))
    training = select_rendered(loaded, measured, held_out=False)
    click.echo(compare_maps(training, portraits, folds=folds))
    learnt = cross_estimate(training, folds=folds)
    model = fit_fusion(learnt)
    test = select_rendered(loaded, measured, held_out=True).estimate(EYE_REGION_MODEL, RENDERED_SHAPE_MODEL)
    _report("rendered training people", learnt)
    _report("rendered test people", test)
    click.echo(compare_weights(test.of(test.is_complete), model))
    if portraits:
        real = stack_portraits(portraits)
        _report("portraits", real)
        click.echo(compare_weights(real.of(real.is_complete), model, by_halves=True))


def _report(name: str, directions: EyeDirections) -> None:
    complete = directions.of(directions.is_complete)
    click.echo(f"{name}: {len(complete)} images with all estimates, {len(np.unique(complete.person))} people")
    for line in describe_fusion(fit_fusion(directions)):
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
