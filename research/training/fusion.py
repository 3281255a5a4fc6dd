"""Fit how the estimates of the eyes' direction are fused, and write `gaze_core.fusion_weights` and `shape_weights`.

    python -m research.training.fusion [--table …] [--folds 5]

Two things are fitted to the training people: the map from blendshapes to a direction for rendered people, by least
squares, and the covariances of the errors of landmarks, eye network and blendshapes, in the head frame. The errors are
those for people who were left out: the weights of the eye region and of the blendshapes come from the other folds, and
the eye network must have been trained on other people than those of the table. Every person counts the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from gaze_core import eye_region_weights
from gaze_core.eye_region import EyeRegionModel
from gaze_core.features import FaceGeometry, estimate_from_landmarks, find_usable_eyes
from gaze_core.fusion import ESTIMATES, NETWORK, SPREAD_LIMITS, FusionModel, ShapeModel
from gaze_core.gaze import rotate_directions
from gaze_core.one_eye import leave_out_hidden_eye
from gaze_core.types import EyeEstimates, Floats
from models.atomic_file import replace_file
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.training.examples import Measurements, measure_table
from research.training.eye_region import fit_eye_region
from research.training.shapes import fit_shapes, weigh_people

WEIGHTS_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "fusion_weights.py"
SHAPE_WEIGHTS_PATH = Path(__file__).resolve().with_name("shape_weights.py")


@dataclass(frozen=True, slots=True, eq=False)
class EyeDirections:
    """Estimates of the eyes' direction in some images, and the true one, head frame, degrees.

    Attributes:
        estimates_deg: In the order of `gaze_core.fusion.ESTIMATES`, NaN for a missing one, shape (n, 3, 2).
        network_spread_deg: Spread predicted by the network, NaN without its estimate, shape (n, 2).
        true_deg: True direction from the midpoint between the eyes, shape (n, 2).
        person: Number of the person, shape (n,).
    """

    estimates_deg: Floats
    network_spread_deg: Floats
    true_deg: Floats
    person: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.person)

    def of(self, rows: NDArray[Any]) -> "EyeDirections":
        """Return a selection of the images."""
        return EyeDirections(
            self.estimates_deg[rows], self.network_spread_deg[rows], self.true_deg[rows], self.person[rows]
        )

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Whether an image has all estimates, shape (n,)."""
        return np.asarray(np.isfinite(self.estimates_deg).all(axis=(1, 2)))


def fit_fusion(directions: EyeDirections) -> FusionModel:
    """Return the covariances of the errors of images with all estimates.

    The network's errors are first divided by the ratio of its predicted to its usual spread, as `FusionModel` assumes.

    Raises:
        ValueError: No image has all estimates.
    """
    complete = directions.of(directions.is_complete)
    if not len(complete):
        raise ValueError("no image has all estimates: landmarks, network and blendshapes")
    weights = weigh_people(complete.person)
    usual_deg = np.sqrt(weights @ complete.network_spread_deg**2)
    errors_deg = complete.estimates_deg - complete.true_deg[:, None]
    errors_deg[:, NETWORK] /= np.clip(complete.network_spread_deg / usual_deg, *SPREAD_LIMITS)
    errors_deg -= np.einsum("n,nij->ij", weights, errors_deg)
    return FusionModel(np.einsum("n,nia,nja->aij", weights, errors_deg, errors_deg), usual_deg)


def stack_directions(
    geometries: Sequence[FaceGeometry], eyes: Sequence[EyeEstimates], gaze_deg: Floats, person: NDArray[np.int64]
) -> EyeDirections:
    """Return the estimates of some images as arrays; those of a hidden eye are left out as in the service.

    Args:
        geometries: Face geometries.
        eyes: Estimates of the eyes' direction, head frame.
        gaze_deg: True gaze directions, camera frame, shape (n, 2).
        person: Number of the person, shape (n,).
    """
    estimates_deg = np.full((len(eyes), len(ESTIMATES), 2), np.nan)
    spread_deg = np.full((len(eyes), 2), np.nan)
    for row, (geometry, each) in enumerate(zip(geometries, eyes, strict=True)):
        network = each.network
        if network is not None:
            usable = find_usable_eyes(geometry.eye_openness, geometry.head_pose.yaw_deg)
            network = leave_out_hidden_eye(network, usable, geometry.distance_mm)
            spread_deg[row] = network.both_spread_deg
        found = (each.landmarks, None if network is None else network.both_deg, each.blendshapes)
        estimates_deg[row] = [(np.nan, np.nan) if one is None else one for one in found]
    to_head = np.array([geometry.head_pose.head_rotation.T for geometry in geometries]).reshape(-1, 3, 3)
    return EyeDirections(estimates_deg, spread_deg, rotate_directions(gaze_deg, to_head), person)


@dataclass(frozen=True, slots=True, eq=False)
class RenderedEyes:
    """What the fusion is fitted to: the usable images of some people of a table.

    Attributes:
        geometries: Face geometries.
        eyes: Estimates of the eyes' direction; those of landmarks and blendshapes are computed anew.
        eye_shapes: Blendshapes, shape (n, 2, 7).
        gaze_deg: True gaze_x and gaze_y, camera frame, shape (n, 2).
        person: Number of the person, shape (n,).
    """

    geometries: tuple[FaceGeometry, ...]
    eyes: tuple[EyeEstimates, ...]
    eye_shapes: Floats
    gaze_deg: Floats
    person: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.person)

    def of(self, rows: NDArray[Any]) -> "RenderedEyes":
        """Return a selection of the images."""
        numbers = np.arange(len(self))[rows].tolist()
        return RenderedEyes(
            tuple(self.geometries[number] for number in numbers),
            tuple(self.eyes[number] for number in numbers),
            self.eye_shapes[rows],
            self.gaze_deg[rows],
            self.person[rows],
        )

    def estimate(self, eye_region: EyeRegionModel, shapes: ShapeModel) -> EyeDirections:
        """Return the directions with other weights of the eye region and of the blendshapes."""
        stacked = stack_directions(self.geometries, self.eyes, self.gaze_deg, self.person)
        landmarks = [estimate_from_landmarks(geometry, eye_region) for geometry in self.geometries]
        stacked.estimates_deg[:, 0] = [(np.nan, np.nan) if each is None else each for each in landmarks]
        stacked.estimates_deg[:, 2] = shapes.predict(self.eye_shapes)
        return stacked

    def fit_shapes(self, *, upwards: Sequence[str] = ("look_up", "look_down")) -> ShapeModel:
        """Return the map from the blendshapes of these people, with vertical weights of some of them."""
        known = np.isfinite(self.eye_shapes).all(axis=(1, 2))
        to_head = np.array([geometry.head_pose.head_rotation.T for geometry in self.geometries])
        true_deg = rotate_directions(self.gaze_deg, to_head)
        return fit_shapes(self.eye_shapes[known], true_deg[known], self.person[known], upwards=upwards)


def select_rendered(table: LandmarkTable, measured: Measurements, *, held_out: bool) -> RenderedEyes:
    """Return the usable images of the test group or of the training people."""
    rows = np.flatnonzero(measured.is_usable & (table.is_held_out == held_out)).tolist()
    pairs = [(measured.geometries[row], measured.eyes[row]) for row in rows]
    return RenderedEyes(
        tuple(geometry for geometry, _ in pairs if geometry is not None),
        tuple(eyes for _, eyes in pairs if eyes is not None),
        table.eye_shapes[rows],
        table.gaze_deg[rows],
        table.identity[rows],
    )


def cross_estimate(rendered: RenderedEyes, *, folds: int) -> EyeDirections:
    """Return directions whose weights of eye region and blendshapes were fitted to the other folds' people.

    Args:
        rendered: Images of training people.
        folds: Number of folds; no person is in two of them.
    """
    parts, places = [], []
    for train, test in GroupKFold(folds).split(rendered.person, groups=rendered.person):
        learnt = rendered.of(train)
        eye_region = fit_eye_region(learnt.geometries, learnt.gaze_deg, strength=eye_region_weights.STRENGTH)
        parts.append(rendered.of(test).estimate(eye_region, learnt.fit_shapes()))
        places.append(test)
    order = np.argsort(np.concatenate(places))
    return EyeDirections(
        np.concatenate([part.estimates_deg for part in parts])[order],
        np.concatenate([part.network_spread_deg for part in parts])[order],
        np.concatenate([part.true_deg for part in parts])[order],
        np.concatenate([part.person for part in parts])[order],
    )


def render_weights(fusion: FusionModel) -> str:
    """Return the source of `gaze_core.fusion_weights`; five digits, so that CPUs agree."""
    right, up = (f"({', '.join(_render(row) for row in matrix)})" for matrix in fusion.covariances_deg2)
    lines = [
        '"""Weights of `fusion.FUSION_MODEL`. Generated by fitting the training table; do not edit by hand."""',
        "",
        "# Covariances of the errors of landmarks, network and blendshapes, degrees², horizontal and vertical.",
        f"COVARIANCE_RIGHT = {right}",
        f"COVARIANCE_UP = {up}",
        "",
        "# Spread predicted by the network at which these hold, degrees.",
        f"NETWORK_SPREAD = {_render(fusion.network_spread_deg)}",
        "",
    ]
    return "\n".join(lines)


def render_shape_weights(shapes: ShapeModel) -> str:
    """Return the source of `research.training.shape_weights`; five digits, so that CPUs agree."""
    lines = [
        '"""Weights of `shapes.RENDERED_SHAPE_MODEL`. Generated by fitting the training table; do not edit by hand."""',
        "",
        "# Degrees for each of `gaze_core.landmarks.EYE_SHAPES`, and constants.",
        f"SIDEWAYS = {_render(shapes.sideways_deg)}",
        f"STRAIGHT = {shapes.straight_deg:.5g}",
        f"UPWARDS = {_render(shapes.upwards_deg)}",
        f"LEVEL = {shapes.level_deg:.5g}",
        "",
    ]
    return "\n".join(lines)


def _render(values: Floats) -> str:
    return f"({', '.join(f'{value:.5g}' for value in values.tolist())})"


def describe_fusion(fusion: FusionModel) -> list[str]:
    """Return lines with standard deviations, correlations and weights of the estimates."""
    lines = []
    for axis, covariance in zip(("horizontal", "vertical"), fusion.covariances_deg2, strict=True):
        spread = np.sqrt(np.diag(covariance))
        shared = covariance / np.outer(spread, spread)
        index = ("horizontal", "vertical").index(axis)
        weights = fusion.weigh(np.ones(len(ESTIMATES), dtype=np.bool_), fusion.network_spread_deg)[:, index]
        lines.append(
            f"{axis}: "
            + ", ".join(f"{name} SD {sd:.2f}" for name, sd in zip(ESTIMATES, spread.tolist(), strict=True))
            + f"; correlations {shared[0, 1]:.2f}, {shared[0, 2]:.2f}, {shared[1, 2]:.2f}; weights "
            + ", ".join(f"{weight:.2f}" for weight in weights.tolist())
        )
    return lines


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of the cross-validation."
)
def main(table: Path, folds: int) -> None:
    """Fit how the estimates are fused, and write `gaze_core.fusion_weights` and `research.training.shape_weights`."""
    loaded = load_table(table)
    rendered = select_rendered(loaded, measure_table(loaded, estimates=ESTIMATES), held_out=False)
    fusion, shapes = fit_fusion(cross_estimate(rendered, folds=folds)), rendered.fit_shapes()
    for line in describe_fusion(fusion):
        click.echo(line)
    replace_file(WEIGHTS_PATH, render_weights(fusion).encode())
    replace_file(SHAPE_WEIGHTS_PATH, render_shape_weights(shapes).encode())
    click.echo(f"wrote {WEIGHTS_PATH.name} and {SHAPE_WEIGHTS_PATH.name}", err=True)


if __name__ == "__main__":
    main()
