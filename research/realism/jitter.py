"""Jitter of landmarks from frame to frame, on real and rendered people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaze_core.head_pose import rotation_matrix
from research.dataset.table import LandmarkTable
from research.realism.faces import Clip, Faces, common_frames, faces_of, in_sequence
from research.realism.measures import (
    Floats,
    find_open,
    iris_size_px,
    jitter,
    measure_ratios,
    movements,
    robust_deviation,
    second_differences,
    track,
)
from research.realism.spread import Spread, spread_of
from research.rendering.eye import fick_angles_deg

SAME_SIZE = 0.3
"""Relative difference up to which iris diameters in pixels count as equal."""

TRACKED = {
    "iris_x": "iris, horizontal",
    "iris_y": "iris, vertical",
    "corners_x": "midpoint of an eye's corners, horizontal",
    "corners_y": "midpoint of an eye's corners, vertical",
    "both_irises_x": "irises relative to their corners, mean of both eyes, horizontal",
    "both_irises_y": "irises relative to their corners, mean of both eyes, vertical",
    "difference_x": "left minus right iris, horizontal",
    "difference_y": "left minus right iris, vertical",
    "lid_aperture": "lid aperture",
    "iris_diameter": "iris diameter",
}
"""Tracked quantities; the first four are relative to the aligned face."""

IN_DEGREES = tuple(name for name in TRACKED if name.endswith(("_x", "_y")))


@dataclass(frozen=True, slots=True)
class Jitter:
    """Jitter of one quantity, standard deviation in thousandths of the eye's width.

    Attributes:
        real: Jitter of each clip between consecutive frames.
        moved: Jitter of each clip between frames at the lag of `match_lags`; None without a calibration table.
        rendered: Distribution over rendered people; None without a calibration table.
        same_size: The same for fixations whose irises are as large in the image as those of the first clip.
        encoding: Difference between the first clip and another encoding of the same take, shared equally by both; None
            without another encoding.
    """

    real: tuple[float, ...]
    moved: tuple[float | None, ...]
    rendered: Spread | None
    same_size: Spread | None
    encoding: float | None


def match_lags(clips: Sequence[Clip], resting: Faces | None) -> tuple[int | None, ...]:
    """Return the lag, in frames, at which each clip's head has moved as far as a rendered head between two frames.

    The lag is at most a quarter of the clip; None without a calibration table.
    """
    if resting is None:
        return (None,) * len(clips)
    moved = []
    for number in np.unique(resting.sequence):
        rows = resting.sequence == number
        moved.append(movements(resting.points_px[rows], resting.frame[rows]))
    wanted = float(np.median(np.concatenate(moved)))
    lags = []
    for faces in (clip.faces for clip in clips):
        longest = max((int(faces.frame[-1] - faces.frame[0]) + 1) // 4, 1)
        reached = (
            lag for lag in range(1, longest) if np.median(movements(faces.points_px, faces.frame, lag)) >= wanted
        )
        lags.append(next(reached, longest))
    return tuple(lags)


def compare_jitter(
    clips: Sequence[Clip], takes: Sequence[int], lags: Sequence[int | None], resting: Faces | None
) -> dict[str, Jitter]:
    """Return the jitter of each tracked quantity.

    Args:
        clips: Clips of real people.
        takes: Take of each clip, from `find_takes`.
        lags: Lag of each clip, from `match_lags`.
        resting: Faces of rendered people; each fixation is a sequence.
    """
    real = [_differences(clip.faces)[0] for clip in clips]
    moved = [None if lag is None else _differences(clip.faces, lag)[0] for clip, lag in zip(clips, lags, strict=True)]
    twin = next((number for number in range(1, len(clips)) if takes[number] == takes[0]), None)
    rendered = None if resting is None else _differences(resting)
    wanted_px = float(np.median(iris_size_px(clips[0].faces.points_px)))
    jitters = {}
    for name in TRACKED:
        spreads: list[Spread | None] = [None, None]
        if rendered is not None:
            spreads = [
                _spread_over_people(name, [each for each in rendered if abs(each.iris_px / wanted_px - 1) <= reach])
                for reach in (np.inf, SAME_SIZE)
            ]
        jitters[name] = Jitter(
            real=tuple(1000 * jitter(each.second[name]) for each in real),
            moved=tuple(None if each is None else 1000 * jitter(each.second[name]) for each in moved),
            rendered=spreads[0],
            same_size=spreads[1],
            encoding=None if twin is None else 1000 * _encoding(clips[0].faces, clips[twin].faces, name),
        )
    return jitters


@dataclass(frozen=True, slots=True, eq=False)
class _Differences:
    """Second differences of one sequence by the names of `TRACKED`, its person and its iris diameter."""

    second: dict[str, Floats]
    person: int
    iris_px: float


def _differences(faces: Faces, lag: int = 1) -> list[_Differences]:
    found = []
    for number in np.unique(faces.sequence):
        rows = np.flatnonzero(faces.sequence == number)
        points_px = faces.points_px[rows]
        aperture = measure_ratios(points_px)["lid_aperture"]
        usable = find_open(aperture, np.zeros(len(rows), dtype=np.int64))
        second = {
            name: second_differences(values, faces.frame[rows], usable, lag)
            for name, values in track(points_px).items()
        }
        found.append(_Differences(second, int(faces.person[rows[0]]), float(np.median(iris_size_px(points_px)))))
    return found


def _spread_over_people(name: str, sequences: Sequence[_Differences]) -> Spread | None:
    people = sorted({each.person for each in sequences})
    values = [
        1000 * jitter(np.concatenate([each.second[name].ravel() for each in sequences if each.person == person]))
        for person in people
    ]
    kept = np.array([value for value in values if np.isfinite(value)])
    return spread_of(kept) if len(kept) else None


def _encoding(first: Faces, second: Faces, name: str) -> float:
    """Return the standard deviation per clip that explains the difference of two clips of the same take."""
    mine, theirs = common_frames(first, second)
    difference = track(first.points_px[mine])[name] - track(second.points_px[theirs])[name]
    usable = find_open(measure_ratios(first.points_px[mine])["lid_aperture"], np.zeros(len(mine), dtype=np.int64))
    return robust_deviation((difference - np.median(difference, axis=0))[usable].ravel()) / 2**0.5


def measure_rotation_deg(table: LandmarkTable) -> tuple[float, float]:
    """Return the true horizontal and vertical rotation of the eyes in the head between frames of a fixation.

    The head sways while the eyes stay on the target. Computed like the jitter, median over people.
    """
    faces, order = faces_of(table), in_sequence(table)
    directions = [
        rotation_matrix(*pose).T @ towards
        for pose, towards in zip(table.pose_deg[order], (table.target_mm - table.origin_mm)[order], strict=True)
    ]
    turned_deg = fick_angles_deg(np.array(directions))
    by_person: dict[int, list[Floats]] = {}
    for number in np.unique(faces.sequence):
        rows = np.flatnonzero(faces.sequence == number)
        second = second_differences(turned_deg[rows], faces.frame[rows], np.ones(len(rows), dtype=np.bool_))
        by_person.setdefault(int(faces.person[rows[0]]), []).append(second)
    jitters = [[jitter(column) for column in np.concatenate(parts).T] for parts in by_person.values()]
    across, up = np.nanmedian(np.array(jitters), axis=0).tolist()
    return across, up
