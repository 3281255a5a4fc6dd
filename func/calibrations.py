"""From the records of a session to its viewer's calibration, and what clients are told of it."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.records import DotUse, FrameRecord, read_camera, read_record, read_screen, stack_measured
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
from gaze_core.detector import locate_gaze, predict_directions
from gaze_core.ports import GazeModel, Session
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import GazePoint, Validity

MAX_LOOKS = 2000
"""So many frames of a session count for its calibration at most, those with the lowest numbers."""

NOMINAL_STEP_S = 0.05
"""Time between frames when their capture times are not known."""

DRIFT_FACTOR = 1.5
DRIFT_DEG = 1.0
"""A calibration has drifted when dots are missed by both this factor and so much more than when it was made."""

Records = Mapping[int, FrameRecord | None]


def is_calibration(records: Iterable[FrameRecord | None]) -> bool:
    """Return whether a session was made to calibrate, so that none of its frames is a frame of a video.

    It has more frames with a dot than without, and dots to fit; or every frame has one. A frame without a dot among
    many with one was sent by mistake; a few dots in the middle of a video ask whether the calibration still holds.
    """
    uses = [None if record is None else record.dot_use for record in records]
    with_dot = sum(use is not None for use in uses)
    without = len(uses) - with_dot
    return with_dot > without and (DotUse.FIT in uses or without == 0)


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


def read_records(session: Session) -> dict[int, FrameRecord | None]:
    """Return a session's frames; None for those that no version of the service wrote."""
    return {number: read_record(value) for number, value in session.frames.items()}


def find_video_frames(records: Records) -> dict[int, FrameRecord | None]:
    """Return the frames of a video: those without a dot, none of a session that was made to calibrate."""
    if is_calibration(records.values()):
        return {}
    return {number: record for number, record in records.items() if record is None or record.dot is None}


def find_gazes(
    session: Session, records: Records, model: GazeModel, *, calibration: Calibration | None, smoothing: str
) -> dict[int, GazePoint | None]:
    """Return the gaze that is scored for each frame that has one; None where a correction turns it off the screen.

    Without a calibration and smoothing it is the stored one. Else it comes from the model of today and what the frame
    measured; a record that does not hold that keeps the stored one.

    Args:
        session: For screen and camera.
        records: Of the frames of the video.
        model: The generic model.
        calibration: Of the viewer; None, or one without a correction, leaves the generic directions.
        smoothing: `none` or `zero_lag`.
    """
    gazes: dict[int, GazePoint | None] = {
        number: record.gaze
        for number, record in records.items()
        if record is not None and record.validity is Validity.OK and record.gaze is not None
    }
    if smoothing == "none" and (calibration is None or calibration.correction is None):
        return gazes
    measured = {
        number: record.measured
        for number, record in sorted(records.items())
        if number in gazes and record is not None and record.measured is not None
    }
    features, origin_mm, openness = stack_measured(measured.values())
    directions_deg = predict_directions(model, features, openness, calibration)
    if smoothing == "zero_lag":
        directions_deg = _smooth(records, list(measured), directions_deg)
    points = locate_gaze(directions_deg, origin_mm, screen=read_screen(session), camera=read_camera(session))
    return gazes | dict(zip(measured, points, strict=True))


def _smooth(records: Records, numbers: list[int], directions_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return directions smoothed in the order of their capture, or of their numbers at 20 Hz without such times."""
    stamps = [record.timestamp_ms for number in numbers if (record := records[number]) is not None]
    times_s = [stamp / 1000 for stamp in stamps if stamp is not None]
    if len(set(times_s)) < len(numbers):
        times_s = [number * NOMINAL_STEP_S for number in numbers]
    order = np.argsort(times_s)
    smoothed = np.empty_like(directions_deg)
    smoothed[order] = smooth_zero_lag(np.array(times_s)[order], directions_deg[order])
    return smoothed


def describe_calibration(
    calibration: Calibration | None, *, why_not: str | None = None, checked: Accuracy | None = None
) -> dict[str, Any]:
    """Return what a client is told about a calibration.

    Args:
        calibration: None when there is none to use.
        why_not: Then the reason.
        checked: How it does on dots that it was not made from; None without such dots.
    """
    accuracy = None if calibration is None else calibration.accuracy
    if calibration is not None:
        why_not = None if calibration.why_not is None else str(calibration.why_not)
    told: dict[str, Any] = {
        "used": calibration is not None and calibration.correction is not None,
        "reason": why_not,
        "fitted": str(Fitted.NOTHING if calibration is None else calibration.fitted),
        "dots": 0,
        "frames": 0,
        **dict.fromkeys(_ANGLES),
    }
    if accuracy is not None:
        told |= _describe_accuracy(accuracy)
    told["validation"] = None
    if checked is not None:
        told["validation"] = _describe_accuracy(checked) | {
            "shift_deg": [_round(angle) for angle in checked.shift_deg],
            "drifted": None if accuracy is None else _has_drifted(accuracy, checked),
        }
    return told


def _has_drifted(then: Accuracy, now: Accuracy) -> bool:
    return now.accuracy_deg > max(DRIFT_FACTOR * then.accuracy_deg, then.accuracy_deg + DRIFT_DEG)


_ANGLES = ("accuracy_deg", "frame_accuracy_deg", "precision_deg", "generic_accuracy_deg")


def _describe_accuracy(accuracy: Accuracy) -> dict[str, Any]:
    return {
        "dots": accuracy.dots,
        "frames": accuracy.frames,
        **{name: _round(getattr(accuracy, name)) for name in _ANGLES},
    }


def _round(angle_deg: float) -> float | None:
    return round(angle_deg, 2) if math.isfinite(angle_deg) else None
