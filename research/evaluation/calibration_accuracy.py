"""Accuracy of calibration on people of the test group.

They fixate calibration targets, shift in the chair, and fixate validation targets. Every error is the angle at the true
position of the eyes between a validation target and the estimated point of gaze.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.calibration import Calibration, calibrate
from gaze_core.correction import Correction
from gaze_core.gaze import gaze_direction, point_of_gaze, screen_point_mm, visual_angle_deg
from gaze_core.targets import HEAD_ANGLES, TargetFrames
from research.dataset.plan import TARGET_COUNT
from research.dataset.table import LandmarkTable
from research.evaluation.ranges import find_in_range
from research.evaluation.statistics import bootstrap_interval, describe, round_number
from research.rendering.sampling import CALIBRATION_TARGETS
from research.training.cues import find_table_cues
from research.training.examples import Measurements, measure_table

Floats = NDArray[np.float64]
Predict = Callable[[Floats], Floats]

FIVE_TARGETS = (4, 0, 2, 6, 8)
"""The centre and the corners of the nine targets."""

POSITIONS = np.array([(target.x, target.y) for target in CALIBRATION_TARGETS])
"""Positions of the calibration targets on the screen, shape (9, 2)."""

CALIBRATIONS: dict[str, tuple[int, ...]] = {
    "uncalibrated": (),
    "5 targets": FIVE_TARGETS,
    "9 targets": tuple(range(TARGET_COUNT)),
}


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationTrial:
    """One person's errors at validation targets after a calibration.

    Attributes:
        identity: Number of the person.
        calibration: The calibration; None without targets.
        median_gaze_deg: Error of the median gaze of each validation target, shape (targets,).
        is_in_range: Whether most frames of each validation target lie within the ranges of `ranges`, shape (targets,).
        frames_deg: Error of each frame, shape (n,).
        rows: Rows of these frames in the table, shape (n,).
    """

    identity: int
    calibration: Calibration | None
    median_gaze_deg: Floats
    is_in_range: NDArray[np.bool_]
    frames_deg: Floats
    rows: NDArray[np.int64]


def try_calibrations(table: LandmarkTable, predict: Predict) -> dict[str, list[CalibrationTrial]]:
    """Return each person's errors for each of `CALIBRATIONS`.

    Args:
        table: Table of rendered calibrations.
        predict: Prediction of the model: features (n, 7) to gaze_x and gaze_y (n, 2).

    Raises:
        ValueError: The table has no validation target.
    """
    measured = measure_table(table)
    usable = np.flatnonzero(np.isfinite(measured.features).all(axis=1))
    uncalibrated_deg = np.full((len(table), 2), np.nan)
    if not (table.target_index[usable] >= TARGET_COUNT).any():
        raise ValueError("the table has no validation target")
    uncalibrated_deg[usable] = predict(measured.features[usable])
    people = np.unique(table.identity).tolist()
    return {
        name: [
            _try_calibration(table, measured, usable[table.identity[usable] == person], uncalibrated_deg, targets)
            for person in people
            if (table.target_index[usable[table.identity[usable] == person]] >= TARGET_COUNT).any()
        ]
        for name, targets in CALIBRATIONS.items()
    }


def _try_calibration(
    table: LandmarkTable,
    measured: Measurements,
    rows: NDArray[np.int64],
    uncalibrated_deg: Floats,
    targets: Sequence[int],
) -> CalibrationTrial:
    """Return one person's errors after a calibration with some of the targets.

    Args:
        table: Table of rendered calibrations.
        measured: Measurements of the table.
        rows: Usable rows of the person, shape (n,).
        uncalibrated_deg: Uncalibrated gaze of all rows of the table.
        targets: Indices of the targets to calibrate with.
    """
    validation = rows[table.target_index[rows] >= TARGET_COUNT]
    calibration = None
    if targets:
        calibration = calibrate(
            select_fixations(table, measured, rows[np.isin(table.target_index[rows], targets)], uncalibrated_deg),
            screen=table.screen_of(rows[0]),
            camera=table.camera_of(rows[0]),
        )
    correction = None if calibration is None else calibration.correction
    offsets_deg = _offsets_deg(
        table, measured, validation, _correct(correction, uncalibrated_deg, measured, validation)
    )
    in_range = find_in_range(table, validation)
    frames = [table.target_index[validation] == target for target in np.unique(table.target_index[validation])]
    return CalibrationTrial(
        identity=int(table.identity[rows[0]]),
        calibration=calibration,
        median_gaze_deg=np.array([np.linalg.norm(np.median(offsets_deg[own], axis=0)) for own in frames]),
        is_in_range=np.array([in_range[own].mean() > 0.5 for own in frames]),
        frames_deg=np.linalg.norm(offsets_deg, axis=1),
        rows=validation,
    )


def summarise_calibrations(
    tried: dict[str, list[CalibrationTrial]], table: LandmarkTable, *, seed: int = 0
) -> dict[str, Any]:
    """Return the calibration metrics of the card, from each person's mean error, so that all people count equally."""
    found: dict[str, Any] = {}
    uncalibrated_deg = {each.identity: each.median_gaze_deg.mean() for each in tried["uncalibrated"]}
    for name, trials in tried.items():
        people = np.array([each.identity for each in trials])
        medians_deg = np.array([each.median_gaze_deg.mean() for each in trials])
        frames_deg = np.array([each.frames_deg.mean() for each in trials])
        found[name] = {
            "people": len(trials),
            "validation_targets": sum(len(each.median_gaze_deg) for each in trials),
            "error_of_median_gaze_deg": describe(medians_deg)
            | {
                "mean_95_percent_interval": bootstrap_interval(medians_deg, people, seed=seed),
                "worst": round_number(medians_deg.max()),
            },
            "error_of_single_frames_deg": describe(frames_deg),
            "in_range": _describe_in_range(trials),
        }
        made = [each.calibration for each in trials if each.calibration is not None]
        if made:
            accuracy_deg = [each.accuracy.accuracy_deg for each in made if each.accuracy is not None]
            found[name]["used"] = sum(each.correction is not None for each in made)
            found[name]["worse_than_uncalibrated"] = sum(
                bool(each.median_gaze_deg.mean() > uncalibrated_deg[each.identity]) for each in trials
            )
            found[name]["reported_accuracy_deg"] = round_number(float(np.mean(accuracy_deg)))
    found["slices"] = {
        quantity: {
            part: {name: _describe_part(trials, table, mask) for name, trials in tried.items()}
            for part, mask in parts.items()
        }
        for quantity, parts in find_groups(table).items()
    }
    return found


def find_groups(table: LandmarkTable) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return groups of people by quantity and name, as masks of the table's rows."""
    near = table.distance_mm < 600
    small = table.screen_mm[:, 0] < 400
    wide = table.image_size_px[:, 0] > 640
    return {
        "distance": {"below 600 mm": near, "600 mm and above": ~near},
        "screen": {"15.6 inches and smaller": small, "larger": ~small},
        "image width": {"640 px": ~wide, "1280 px": wide},
        "glasses": {"worn": table.wears_glasses, "none": ~table.wears_glasses},
    }


def _describe_in_range(trials: Sequence[CalibrationTrial]) -> dict[str, Any]:
    """Return people's mean errors at validation targets in range."""
    means_deg = np.array([each.median_gaze_deg[each.is_in_range].mean() for each in trials if each.is_in_range.any()])
    targets = sum(int(each.is_in_range.sum()) for each in trials)
    return {"people": len(means_deg), "validation_targets": targets} | describe(means_deg)


def _describe_part(trials: Sequence[CalibrationTrial], table: LandmarkTable, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the errors of the people whose rows mostly lie in a group."""
    means_deg = np.array([each.median_gaze_deg.mean() for each in trials if mask[each.rows].mean() > 0.5])
    return {"people": len(means_deg)} | describe(means_deg)


def select_fixations(
    table: LandmarkTable, measured: Measurements, rows: NDArray[np.int64], uncalibrated_deg: Floats
) -> TargetFrames:
    """Return one person's frames at calibration targets.

    Args:
        table: Table of rendered calibrations.
        measured: Measurements of the table.
        rows: Usable rows of the person at targets, shape (n,).
        uncalibrated_deg: Uncalibrated gaze of all rows of the table.
    """
    return TargetFrames(
        targets=POSITIONS[table.target_index[rows]],
        uncalibrated_deg=uncalibrated_deg[rows],
        head_deg=measured.features[rows, HEAD_ANGLES],
        origin_mm=measured.origin_mm[rows],
        openness=measured.openness[rows],
        cues=find_table_cues(measured, rows),
    )


def _correct(
    correction: Correction | None, uncalibrated_deg: Floats, measured: Measurements, rows: NDArray[np.int64]
) -> Floats:
    if correction is None:
        return uncalibrated_deg[rows]
    cues = find_table_cues(measured, rows)
    return correction.apply(uncalibrated_deg[rows], measured.features[rows, HEAD_ANGLES], measured.openness[rows], cues)


def _offsets_deg(table: LandmarkTable, measured: Measurements, rows: NDArray[np.int64], gaze_deg: Floats) -> Floats:
    """Return the offset of the point of gaze to the right of and above the target, at the eyes, shape (n, 2)."""
    off_deg = np.empty((len(rows), 2))
    for number, (row, gaze) in enumerate(zip(rows.tolist(), gaze_deg.tolist(), strict=True)):
        screen, camera = table.screen_of(row), table.camera_of(row)
        estimated = np.array(gaze)
        point = point_of_gaze(estimated, measured.origin_mm[row], screen, camera)
        if point is not None:
            estimated = gaze_direction(screen_point_mm(point, screen, camera) - table.origin_mm[row])
        off_deg[number] = _split_angle_deg(estimated, table.gaze_deg[row])
    return off_deg


def _split_angle_deg(estimated: Floats, truth: Floats) -> tuple[float, float]:
    """Return the angle between two directions, split into its components right and up."""
    angle_deg = float(visual_angle_deg(estimated, truth))
    right = float((estimated[0] - truth[0]) * np.cos(np.radians(truth[1])))
    up = float(estimated[1] - truth[1])
    length = float(np.hypot(right, up))
    return (0.0, 0.0) if length == 0 else (angle_deg * right / length, angle_deg * up / length)
