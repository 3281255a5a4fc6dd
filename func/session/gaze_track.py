"""The gaze of a session frame by frame, from its stored records."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from func.session.frame_record import FrameRecord, TargetUse, read_camera, read_record, read_screen, stack_measured
from gaze_core.calibration import (
    Calibration,
)
from gaze_core.detector import locate_gaze, predict_directions
from gaze_core.ports import GazeModel, Session
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import Camera, GazePoint, Screen, Validity

NOMINAL_STEP_S = 0.05
"""Time between frames when their capture times are not known."""

Records = Mapping[int, FrameRecord | None]


def is_calibration(records: Iterable[FrameRecord | None]) -> bool:
    """Return whether a session was made to calibrate, so that none of its frames is a frame of a video.

    It has more frames with a target than without, and calibration targets; or every frame has a target. A frame without
    a target among many with one was sent by mistake; a few targets within a video validate the calibration.
    """
    uses = [None if record is None else record.target_use for record in records]
    with_target = sum(use is not None for use in uses)
    without = len(uses) - with_target
    return with_target > without and (TargetUse.FIT in uses or without == 0)


def read_records(session: Session) -> dict[int, FrameRecord | None]:
    """Return a session's frames; None for those that no version of the service wrote."""
    return {number: read_record(value) for number, value in session.frames.items()}


def find_video_frames(records: Records) -> dict[int, FrameRecord | None]:
    """Return the frames of a video: those without a target, none of a session that was made to calibrate."""
    if is_calibration(records.values()):
        return {}
    return {number: record for number, record in records.items() if record is None or record.target is None}


def find_gazes(
    session: Session, records: Records, model: GazeModel, *, calibration: Calibration | None, smoothing: str
) -> dict[int, GazePoint | None]:
    """Return the gaze that is scored for each frame that has one; None where a correction turns it off the screen.

    Without a calibration and smoothing it is the stored one. Else it comes from the model of today and what the frame
    measured; a record that does not hold that keeps the stored one.

    Args:
        session: For screen and camera of the frames that do not describe their own.
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
    return gazes | _locate(session, records, list(measured), directions_deg, origin_mm)


def _locate(
    session: Session,
    records: Records,
    numbers: list[int],
    directions_deg: NDArray[np.float64],
    origin_mm: NDArray[np.float64],
) -> dict[int, GazePoint | None]:
    """Return where each frame's gaze meets the screen, on the screen and from the camera of that frame."""
    screen, camera = read_screen(session), read_camera(session)
    rows_by_setup: dict[tuple[Screen, Camera], list[int]] = defaultdict(list)
    for row, number in enumerate(numbers):
        record = records[number]
        own = (None, None) if record is None else (record.screen, record.camera)
        rows_by_setup[own[0] or screen, own[1] or camera].append(row)
    points: dict[int, GazePoint | None] = {}
    for setup, rows in rows_by_setup.items():
        found = locate_gaze(directions_deg[rows], origin_mm[rows], screen=setup[0], camera=setup[1])
        points |= {numbers[row]: point for row, point in zip(rows, found, strict=True)}
    return points


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
