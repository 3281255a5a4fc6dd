"""How well calibration does on people of the test group, who look at dots, move, and look elsewhere.

Every number is an angle at the eyes between a place on the screen and where the gaze is said to meet the screen; the
truth comes from the renderer, never from a measurement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.calibration import HEAD_ANGLES, Calibration, TargetFrames, calibrate
from gaze_core.correction import Correction
from gaze_core.gaze import gaze_direction, point_of_gaze, screen_point_mm, visual_angle_deg
from research.dataset.plan import DOTS
from research.dataset.table import Table
from research.evaluation.ranges import find_in_range
from research.evaluation.statistics import bootstrap_interval, describe, round_number
from research.rendering.sampling import DOTS as PLACES
from research.training.examples import Measurements, measure_table

Floats = NDArray[np.float64]
Predict = Callable[[Floats], Floats]

FIVE_DOTS = (4, 0, 2, 6, 8)
"""The middle and the corners of the nine."""

CALIBRATIONS = {"none": (), "5 dots": FIVE_DOTS, "9 dots": tuple(range(DOTS))}


@dataclass(frozen=True, slots=True, eq=False)
class Sitting:
    """What one person's calibration was worth.

    Attributes:
        identity: Who.
        calibration: What their dots said; None without dots.
        places_deg: For each place looked at afterwards, the error of the median of its frames, shape (places,).
        is_in_range: Which places were mostly looked at within the ranges of `ranges`, shape (places,).
        frames_deg: Error of each frame there, shape (n,).
        rows: Rows of the table that those frames are, shape (n,).
    """

    identity: int
    calibration: Calibration | None
    places_deg: Floats
    is_in_range: NDArray[np.bool_]
    frames_deg: Floats
    rows: NDArray[np.int64]


def try_calibrations(table: Table, predict: Predict) -> dict[str, list[Sitting]]:
    """Return what each number of dots is worth to each person, by the names of `CALIBRATIONS`.

    Args:
        table: Of calibrations.
        predict: The generic model: features, shape (n, 7), to gaze_x and gaze_y, shape (n, 2).

    Raises:
        ValueError: The table has no calibration in it.
    """
    measured = measure_table(table)
    usable = np.flatnonzero(np.isfinite(measured.features).all(axis=1))
    generic_deg = np.full((len(table), 2), np.nan)
    if not (table.dot[usable] >= DOTS).any():
        raise ValueError("the table has no place to try a calibration on")
    generic_deg[usable] = predict(measured.features[usable])
    people = np.unique(table.identity).tolist()
    tried: dict[str, list[Sitting]] = {}
    for name, dots in CALIBRATIONS.items():
        tried[name] = []
        for person in people:
            own = usable[table.identity[usable] == person]
            places = own[table.dot[own] >= DOTS]
            looks = own[np.isin(table.dot[own], dots)]
            in_range = find_in_range(table, places)
            if len(places) == 0:
                continue
            calibration = None
            if dots:
                calibration = calibrate(
                    _looks(table, measured, looks, generic_deg),
                    screen=table.screen_of(own[0]),
                    camera=table.camera_of(own[0]),
                )
            correction = None if calibration is None else calibration.correction
            off_deg = _offsets_deg(table, measured, places, _correct(correction, generic_deg, measured, places))
            tried[name].append(
                Sitting(
                    identity=person,
                    calibration=calibration,
                    places_deg=np.array(
                        [
                            np.linalg.norm(np.median(off_deg[table.dot[places] == place], axis=0))
                            for place in np.unique(table.dot[places])
                        ]
                    ),
                    is_in_range=np.array(
                        [in_range[table.dot[places] == place].mean() > 0.5 for place in np.unique(table.dot[places])]
                    ),
                    frames_deg=np.linalg.norm(off_deg, axis=1),
                    rows=places,
                )
            )
    return tried


def summarise_calibrations(tried: dict[str, list[Sitting]], table: Table, *, seed: int = 0) -> dict[str, Any]:
    """Return the card's numbers about calibration: of each person's mean error, so that everybody counts alike."""
    found: dict[str, Any] = {}
    without_deg = {each.identity: each.places_deg.mean() for each in tried["none"]}
    for name, sittings in tried.items():
        people = np.array([each.identity for each in sittings])
        medians_deg = np.array([each.places_deg.mean() for each in sittings])
        frames_deg = np.array([each.frames_deg.mean() for each in sittings])
        found[name] = {
            "people": len(sittings),
            "places": sum(len(each.places_deg) for each in sittings),
            "median_of_frames_deg": describe(medians_deg)
            | {
                "mean_95_percent_interval": bootstrap_interval(medians_deg, people, seed=seed),
                "worst": round_number(medians_deg.max()),
            },
            "single_frame_deg": describe(frames_deg),
            "in_range": _describe_in_range(sittings),
        }
        told = [each.calibration for each in sittings if each.calibration is not None]
        if told:
            accuracy_deg = [each.accuracy.accuracy_deg for each in told if each.accuracy is not None]
            found[name]["used"] = sum(each.correction is not None for each in told)
            found[name]["worse_than_without"] = sum(
                bool(each.places_deg.mean() > without_deg[each.identity]) for each in sittings
            )
            found[name]["told_accuracy_deg"] = round_number(float(np.mean(accuracy_deg)))
    found["slices"] = {
        quantity: {
            part: {name: _describe_part(sittings, table, mask) for name, sittings in tried.items()}
            for part, mask in parts.items()
        }
        for quantity, parts in find_people(table).items()
    }
    return found


def find_people(table: Table) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return the groups of people for whom errors are given separately, as masks of the table's rows."""
    near = table.distance_mm < 600
    small = table.screen_mm[:, 0] < 400
    wide = table.image_size_px[:, 0] > 640
    return {
        "distance": {"below 600 mm": near, "600 mm and more": ~near},
        "screen": {"15.6 inches and smaller": small, "larger": ~small},
        "picture width": {"640 px": ~wide, "1280 px": wide},
        "glasses": {"worn": table.wears_glasses, "none": ~table.wears_glasses},
    }


def _describe_in_range(sittings: Sequence[Sitting]) -> dict[str, Any]:
    """Return people's mean errors at places looked at within the ranges that accuracy is stated for."""
    means_deg = np.array([each.places_deg[each.is_in_range].mean() for each in sittings if each.is_in_range.any()])
    places = sum(int(each.is_in_range.sum()) for each in sittings)
    return {"people": len(means_deg), "places": places} | describe(means_deg)


def _describe_part(sittings: Sequence[Sitting], table: Table, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the errors of those who mostly belong to a part."""
    means_deg = np.array([each.places_deg.mean() for each in sittings if mask[each.rows].mean() > 0.5])
    return {"people": len(means_deg)} | describe(means_deg)


def _looks(table: Table, measured: Measurements, rows: NDArray[np.int64], generic_deg: Floats) -> TargetFrames:
    return TargetFrames(
        targets=np.array([(PLACES[dot].x, PLACES[dot].y) for dot in table.dot[rows].tolist()]).reshape(-1, 2),
        uncalibrated_deg=generic_deg[rows],
        head_deg=measured.features[rows, HEAD_ANGLES],
        origin_mm=measured.origin_mm[rows],
        openness=measured.openness[rows],
    )


def _correct(
    correction: Correction | None, generic_deg: Floats, measured: Measurements, rows: NDArray[np.int64]
) -> Floats:
    if correction is None:
        return generic_deg[rows]
    return correction.apply(generic_deg[rows], measured.features[rows, HEAD_ANGLES], measured.openness[rows])


def _offsets_deg(table: Table, measured: Measurements, rows: NDArray[np.int64], gaze_deg: Floats) -> Floats:
    """Return how far right of and above the place the gaze meets the screen, seen from the eyes, shape (n, 2)."""
    off_deg = np.empty((len(rows), 2))
    for number, (row, gaze) in enumerate(zip(rows.tolist(), gaze_deg.tolist(), strict=True)):
        screen, camera = table.screen_of(row), table.camera_of(row)
        seen = np.array(gaze)
        point = point_of_gaze(seen, measured.origin_mm[row], screen, camera)
        if point is not None:
            seen = gaze_direction(screen_point_mm(point, screen, camera) - table.origin_mm[row])
        off_deg[number] = _between_deg(seen, table.gaze_deg[row])
    return off_deg


def _between_deg(seen: Floats, truth: Floats) -> tuple[float, float]:
    """Return the angle from one direction to another, split into right and up."""
    angle_deg = float(visual_angle_deg(seen, truth))
    right = float((seen[0] - truth[0]) * np.cos(np.radians(truth[1])))
    up = float(seen[1] - truth[1])
    length = float(np.hypot(right, up))
    return (0.0, 0.0) if length == 0 else (angle_deg * right / length, angle_deg * up / length)
