"""Comparison of measurements on real and on rendered faces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from research.realism.faces import Faces, measure_open, width_mm
from research.realism.measures import Integers, find_open, measure_ratios, scatter
from research.realism.spread import Spread, spread_of

QUANTITIES = {
    "iris_diameter": "iris diameter / eye width",
    "lid_aperture": "lid aperture / eye width, open eyes",
    "inner_corners": "inner corners / outer corners",
    "iris_to_iris": "iris to iris / outer corners",
    "brow_height": "brow above the corners / eye width",
    "iris_height": "iris above the corners / eye width",
    "iris_between_lids": "iris between the lids, 0 lower, 1 upper",
    "difference_x": "left minus right iris, horizontal / eye width",
    "difference_y": "left minus right iris, vertical / eye width",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Distribution of one quantity on real and rendered faces.

    Attributes:
        real: Distribution over real frames.
        rendered: Distribution over rendered images.
        towards_camera: Distribution over rendered images with a gaze towards the camera; None without any.
        inside: Share of the real frames within the rendered middle 90 %.
        rank: For each take, share of the rendered people with a median below that of the real frames.
    """

    real: Spread
    rendered: Spread
    towards_camera: Spread | None
    inside: float
    rank: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Scatter of the difference between both eyes, robust standard deviation, mm.

    Attributes:
        real: Within each clip.
        poses: Within a rendered person, over poses and gaze directions.
        rest: Within one fixation of a rendered person; None without a calibration table.
    """

    real: tuple[float, ...]
    poses: float
    rest: float | None


def compare(real: Sequence[Faces], rendered: Faces) -> dict[str, Comparison]:
    """Return the comparison of each quantity on frontal faces with open eyes.

    Args:
        real: Faces of each take.
        rendered: Faces of many rendered people.
    """
    takes = [measure_open(faces) for faces in real]
    values, rows = measure_open(rendered)
    person = rendered.person[rows]
    near = None if rendered.looks_at_camera is None else rendered.looks_at_camera[rows]
    comparisons = {}
    for name in QUANTITIES:
        frames = np.concatenate([measured[name] for measured, _ in takes])
        spread = spread_of(values[name])
        medians = np.array([np.median(values[name][person == number]) for number in np.unique(person)])
        comparisons[name] = Comparison(
            real=spread_of(frames),
            rendered=spread,
            towards_camera=None if near is None or not near.any() else spread_of(values[name][near]),
            inside=float(((frames >= spread.low) & (frames <= spread.high)).mean()),
            rank=tuple(float((medians < np.median(measured[name])).mean()) for measured, _ in takes),
        )
    return comparisons


def compare_scatter(real: Sequence[Faces], rendered: Faces, resting: Faces | None) -> dict[str, Scatter]:
    """Return the horizontal and vertical scatter of the difference between both eyes, in mm for irises of 11.7 mm."""
    scatters = {}
    for name in ("difference_x", "difference_y"):
        scatters[name] = Scatter(
            real=tuple(_scatter_mm(faces, name, faces.person) for faces in real),
            poses=_scatter_mm(rendered, name, rendered.person),
            rest=None if resting is None else _scatter_mm(resting, name, resting.sequence),
        )
    return scatters


def _scatter_mm(faces: Faces, name: str, group: Integers) -> float:
    measured = measure_ratios(faces.points_px)
    rows = faces.is_frontal & find_open(measured["lid_aperture"], group)
    return scatter(measured[name][rows], group[rows]) * width_mm(faces)
