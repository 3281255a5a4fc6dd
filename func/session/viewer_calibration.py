"""Calibration of a viewer from the records of a session, and its description in the result."""

import math
from typing import Any

import numpy as np

from func.session.frame_record import TargetUse, read_camera, read_screen
from func.session.gaze_track import Records, read_records
from func.session.measured import stack_measured
from func.session.result import CalibrationCheck, CalibrationSummary
from gaze_core.calibration import (
    HEAD_ANGLES,
    Calibration,
    Fitted,
    TargetAccuracy,
    TargetFrames,
    calibrate,
    measure_accuracy,
)
from gaze_core.correction import Correction
from gaze_core.detector import predict_directions
from gaze_core.ports import GazeModel, Session
from gaze_core.types import Validity

MAX_TARGET_FRAMES = 2000
"""Maximum number of frames used for a calibration; those with the lowest frame numbers are used."""

DRIFT_FACTOR = 1.5

DRIFT_DEG = 1.0
"""A calibration has drifted when the error exceeds its own error by both this angle and `DRIFT_FACTOR`."""


def find_target_frames(records: Records, use: TargetUse, model: GazeModel) -> TargetFrames:
    """Return the frames in which the viewer looked at targets, with the directions of the current model.

    Args:
        records: Records of a session, by frame number.
        use: Calibration or validation targets.
        model: Uncalibrated model.
    """
    found = [
        (record.target, record.measured)
        for _, record in sorted(records.items())
        if record is not None and record.validity is Validity.OK and record.target_use is use
    ]
    usable = [(target, measured) for target, measured in found if target is not None and measured is not None]
    usable = usable[:MAX_TARGET_FRAMES]
    features, origin_mm, openness = stack_measured([measured for _, measured in usable], model.estimates)
    return TargetFrames(
        targets=np.array([(target.x, target.y) for target, _ in usable]).reshape(-1, 2),
        uncalibrated_deg=predict_directions(model, features, openness),
        head_deg=features[:, HEAD_ANGLES],
        origin_mm=origin_mm,
        openness=openness,
    )


def calibrate_session(session: Session, model: GazeModel) -> Calibration:
    """Return the calibration that a session yields; the same in every process."""
    frames = find_target_frames(read_records(session), TargetUse.FIT, model)
    return calibrate(frames, screen=read_screen(session), camera=read_camera(session))


def validate_session(
    session: Session, records: Records, correction: Correction | None, model: GazeModel
) -> TargetAccuracy | None:
    """Return the errors of a correction on the validation targets of a session; None without targets."""
    frames = find_target_frames(records, TargetUse.VALIDATE, model)
    return measure_accuracy(correction, frames, screen=read_screen(session), camera=read_camera(session))


def describe_calibration(
    calibration: Calibration | None, *, why_not: str | None = None, checked: TargetAccuracy | None = None
) -> CalibrationSummary:
    """Return the description of a calibration for the result.

    Args:
        calibration: Calibration; None without a usable one.
        why_not: Reason why there is none.
        checked: Errors on validation targets; None without such targets.
    """
    accuracy = None if calibration is None else calibration.accuracy
    if calibration is not None:
        why_not = None if calibration.why_not is None else str(calibration.why_not)
    validation = None
    if checked is not None:
        validation = CalibrationCheck(
            **_describe_accuracy(checked),
            shift_deg=[_round(angle) for angle in checked.shift_deg],
            drifted=None if accuracy is None else _has_drifted(accuracy, checked),
        )
    return CalibrationSummary(
        used=calibration is not None and calibration.correction is not None,
        reason=why_not,
        fitted=str(Fitted.NOTHING if calibration is None else calibration.fitted),
        **_describe_accuracy(accuracy),
        validation=validation,
    )


def _has_drifted(then: TargetAccuracy, now: TargetAccuracy) -> bool:
    return now.accuracy_deg > max(DRIFT_FACTOR * then.accuracy_deg, then.accuracy_deg + DRIFT_DEG)


_ANGLES = ("accuracy_deg", "frame_accuracy_deg", "precision_deg", "generic_accuracy_deg")


def _describe_accuracy(accuracy: TargetAccuracy | None) -> dict[str, Any]:
    """Return the fields of `CalibrationErrors`."""
    if accuracy is None:
        return {"dots": 0, "frames": 0, **dict.fromkeys(_ANGLES)}
    return {
        "dots": accuracy.targets,
        "frames": accuracy.frames,
        **{name: _round(getattr(accuracy, name)) for name in _ANGLES},
    }


def _round(angle_deg: float) -> float | None:
    return round(angle_deg, 2) if math.isfinite(angle_deg) else None
