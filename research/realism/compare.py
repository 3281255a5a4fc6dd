"""Holds what is measured on real faces against the same on rendered ones."""

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
    "difference_x": "left minus right iris, across / eye width",
    "difference_y": "left minus right iris, up / eye width",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity, real against rendered.

    Attributes:
        real: Over frames.
        rendered: Over pictures.
        towards_camera: Likewise, of those who look towards the camera; None without any.
        inside: Share of the real frames within the rendered middle 90 %.
        rank: Share of the rendered people whose median lies below that of the real frames, for each take.
    """

    real: Spread
    rendered: Spread
    towards_camera: Spread | None
    inside: float
    rank: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scatter:
    """How much the difference between both eyes varies, robust standard deviation, mm.

    Attributes:
        real: Within each clip.
        poses: Within a rendered person over poses and gazes.
        rest: Within one dot of a rendered person; None without a calibration table.
    """

    real: tuple[float, ...]
    poses: float
    rest: float | None


def compare(real: Sequence[Faces], rendered: Faces) -> dict[str, Comparison]:
    """Return how each quantity differs between real people and rendered ones, eyes open and faces frontal.

    Args:
        real: One for each take.
        rendered: Of many people.
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
    """Return how much the difference between both eyes varies, across and up, in mm of eyes with irises of 11.7 mm."""
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
