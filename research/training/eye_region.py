"""Fit the weights of the eye region and write them into `gaze_core.eye_region_weights`.

    python -m research.training.eye_region [--table …]

Ridge regression (Hoerl and Kennard, Technometrics 12, 1970) of the iris geometry's error, in the head frame, on the
landmarks of lids and brows and on the head pose; each column is scaled by its own scatter. Grouped cross-validation
over the training people chooses the penalty: the strongest one whose mean angular error is within 2.5 % of the best,
because real faces differ from rendered ones. The test group is not used.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from gaze_core.eye_region import PAIRS, EyeRegionModel, describe_pose, split_pairs
from gaze_core.features import FaceGeometry
from gaze_core.gaze import gaze_direction, gaze_vector
from models.atomic_file import replace_file
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, load_table
from research.training.examples import Examples, angular_errors_deg, measure_table, select_examples

Floats = NDArray[np.float64]

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
"""Candidates for the ridge penalty, in rows of the table."""

TOLERANCE = 0.025
"""Relative increase of the error that a stronger penalty may cost on rendered faces, in exchange for robustness on
real ones."""

WEIGHTS_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "eye_region_weights.py"


def fit_eye_region(geometries: Sequence[FaceGeometry], gaze_deg: Floats, *, strength: float) -> EyeRegionModel:
    """Return the ridge weights that best explain the error of the iris geometry.

    Args:
        geometries: Face geometries; those with a hidden or closed eye are ignored.
        gaze_deg: True gaze_x and gaze_y, camera frame, shape (n, 2).
        strength: Ridge penalty.

    Raises:
        ValueError: No face has both eyes open.
    """
    lacking: list[Floats] = []
    apart: list[Floats] = []
    common: list[Floats] = []
    sideways: list[Floats] = []
    upwards: list[Floats] = []
    for geometry, truth in zip(geometries, gaze_deg.tolist(), strict=True):
        if geometry.irises is None or geometry.eye_region_mm is None:
            continue
        pose = geometry.head_pose
        in_head = gaze_direction(pose.head_rotation.T @ gaze_vector(truth))
        irises = geometry.irises
        lacking.append(in_head - irises)
        head_deg = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
        for rows, values in zip(
            (sideways, upwards), describe_pose(irises, head_deg, geometry.distance_mm), strict=True
        ):
            rows.append(values)
        for rows, values in zip((apart, common), split_pairs(geometry.eye_region_mm), strict=True):
            rows.append(values.ravel())
    if not lacking:
        raise ValueError("no face has both eyes open")
    right_deg, up_deg = np.array(lacking).T
    # Mirrored faces would only repeat each row of the first system with the opposite sign, and of the second unchanged.
    across = _solve(np.column_stack([apart, sideways]), right_deg, strength)
    along = _solve(np.column_stack([common, np.array(upwards)[:, 1:]]), up_deg, strength, with_constant=True)
    width = 2 * len(PAIRS)
    return EyeRegionModel(
        sideways=across[:width].reshape(-1, 2),
        upwards=along[1 : 1 + width].reshape(-1, 2),
        sideways_terms=across[width:],
        upwards_terms=np.concatenate([along[:1], along[1 + width :]]),
        alone_sideways=_solve(np.array(sideways), right_deg, strength),
        alone_upwards=_solve(np.array(upwards)[:, 1:], up_deg, strength, with_constant=True),
    )


def _solve(columns: Floats, lacking_deg: Floats, strength: float, *, with_constant: bool = False) -> Floats:
    """Return the coefficients, the constant first; the penalty does not apply to it."""
    middle = columns.mean(axis=0) if with_constant else np.zeros(columns.shape[1])
    scatter = np.sqrt(((columns - middle) ** 2).mean(axis=0))
    scatter[scatter == 0] = 1.0  # a constant column explains nothing
    scaled = (columns - middle) / scatter
    mean = lacking_deg.mean() if with_constant else 0.0
    inverse = scaled.T @ scaled + strength * np.eye(scaled.shape[1])
    coefficients: Floats = np.linalg.solve(inverse, scaled.T @ (lacking_deg - mean)) / scatter
    if not with_constant:
        return coefficients
    return np.concatenate([[mean - middle @ coefficients], coefficients])


def choose_strength(examples: Examples, *, folds: int) -> tuple[float, dict[float, float]]:
    """Return the chosen penalty and the cross-validated mean angular error of each candidate, in degrees."""
    errors_deg = {}
    for strength in STRENGTHS:
        predicted = np.empty_like(examples.gaze_deg)
        for train, test in GroupKFold(folds).split(examples.gaze_deg, groups=examples.identity):
            learnt = examples.of(train)
            eye_region = fit_eye_region(learnt.geometries, learnt.gaze_deg, strength=strength)
            rays = examples.of(test).with_estimates((), eye_region).features[:, :3]
            predicted[test] = gaze_direction(rays)
        errors_deg[strength] = float(angular_errors_deg(predicted, examples.gaze_deg).mean())
    limit_deg = (1 + TOLERANCE) * min(errors_deg.values())
    return max(strength for strength, error_deg in errors_deg.items() if error_deg <= limit_deg), errors_deg


def render_weights(eye_region: EyeRegionModel, strength: float) -> str:
    """Return the source of `gaze_core.eye_region_weights`; five digits, so that CPUs agree."""

    def tuple_of(values: Floats) -> str:
        return f"({', '.join(f'{value:.5g}' for value in values.tolist())})"

    pairs = np.concatenate([eye_region.sideways, eye_region.upwards], axis=1)
    lines = [
        '"""Weights of `eye_region.EYE_REGION_MODEL`. Generated by fitting the training table; do not edit by hand."""',
        "",
        "# For each pair of points, degrees per mm: horizontal for x and y, vertical for x and y.",
        "PAIRS = (",
        *(f"    {tuple_of(row)}," for row in pairs),
        ")",
        f"SIDEWAYS = {tuple_of(eye_region.sideways_terms)}",
        f"UPWARDS = {tuple_of(eye_region.upwards_terms)}",
        f"ALONE_SIDEWAYS = {tuple_of(eye_region.alone_sideways)}",
        f"ALONE_UPWARDS = {tuple_of(eye_region.alone_upwards)}",
        "",
        "# Ridge penalty of the fit.",
        f"STRENGTH = {strength:g}",
        "",
    ]
    return "\n".join(lines)


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of the cross-validation."
)
def main(table: Path, folds: int) -> None:
    """Fit the weights of the eye region and write them into `gaze_core.eye_region_weights`."""
    loaded = load_table(table)
    examples = select_examples(loaded, measure_table(loaded), held_out=False)
    strength, errors_deg = choose_strength(examples, folds=folds)
    for each, error_deg in errors_deg.items():
        click.echo(f"  penalty {each:6g}: {error_deg:.3f} degrees{' <' if each == strength else ''}")
    eye_region = fit_eye_region(examples.geometries, examples.gaze_deg, strength=strength)
    replace_file(WEIGHTS_PATH, render_weights(eye_region, strength).encode())
    click.echo(f"wrote {WEIGHTS_PATH.name}", err=True)


if __name__ == "__main__":
    main()
