"""A viewer's calibration from the records of a session, and what clients see of it."""

import math
from typing import Any

import numpy as np

from func.session.frame_record import DotUse, read_camera, read_screen, stack_measured
from func.session.gaze_track import Records, read_records
from func.session.result import CalibrationCheck, CalibrationSummary
from gaze_core.calibration import (
    HEAD_ANGLES,
    Accuracy,
    Calibration,
    Correction,
    Fitted,
    Looks,
    calibrate,
    measure_accuracy,
)
from gaze_core.detector import predict_directions
from gaze_core.ports import GazeModel, Session
from gaze_core.types import Validity

MAX_LOOKS = 2000
"""So many frames of a session count for its calibration at most, those with the lowest numbers."""

DRIFT_FACTOR = 1.5

DRIFT_DEG = 1.0
"""A calibration has drifted when dots are missed by both this factor and so much more than when it was made."""


def find_looks(records: Records, use: DotUse, model: GazeModel) -> Looks:
    """Return the frames in which the viewer looked at dots, as the model of today sees them.

    Args:
        records: Of a session, by frame number.
        use: Which dots.
        model: The generic model.
    """
    found = [
        (record.dot, record.measured)
        for _, record in sorted(records.items())
        if record is not None and record.validity is Validity.OK and record.dot_use is use
    ]
    usable = [(dot, measured) for dot, measured in found if dot is not None and measured is not None][:MAX_LOOKS]
    features, origin_mm, openness = stack_measured([measured for _, measured in usable])
    return Looks(
        dots=np.array([(dot.x, dot.y) for dot, _ in usable]).reshape(-1, 2),
        generic_deg=predict_directions(model, features, openness),
        head_deg=features[:, HEAD_ANGLES],
        origin_mm=origin_mm,
        openness=openness,
    )


def calibrate_session(session: Session, model: GazeModel) -> Calibration:
    """Return what a session's dots say about its viewer: the same in every process."""
    looks = find_looks(read_records(session), DotUse.FIT, model)
    return calibrate(looks, screen=read_screen(session), camera=read_camera(session))


def validate_session(
    session: Session, records: Records, correction: Correction | None, model: GazeModel
) -> Accuracy | None:
    """Return how well a correction does on a session's dots to validate; None when it has none."""
    looks = find_looks(records, DotUse.VALIDATE, model)
    return measure_accuracy(correction, looks, screen=read_screen(session), camera=read_camera(session))


def describe_calibration(
    calibration: Calibration | None, *, why_not: str | None = None, checked: Accuracy | None = None
) -> CalibrationSummary:
    """Return what the result says about a calibration.

    Args:
        calibration: None when there is none to use.
        why_not: The reason in that case.
        checked: Its errors on validation targets; None without such targets.
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


def _has_drifted(then: Accuracy, now: Accuracy) -> bool:
    return now.accuracy_deg > max(DRIFT_FACTOR * then.accuracy_deg, then.accuracy_deg + DRIFT_DEG)


_ANGLES = ("accuracy_deg", "frame_accuracy_deg", "precision_deg", "generic_accuracy_deg")


def _describe_accuracy(accuracy: Accuracy | None) -> dict[str, Any]:
    """Return the fields of `CalibrationErrors`."""
    if accuracy is None:
        return {"dots": 0, "frames": 0, **dict.fromkeys(_ANGLES)}
    return {
        "dots": accuracy.dots,
        "frames": accuracy.frames,
        **{name: _round(getattr(accuracy, name)) for name in _ANGLES},
    }


def _round(angle_deg: float) -> float | None:
    return round(angle_deg, 2) if math.isfinite(angle_deg) else None
