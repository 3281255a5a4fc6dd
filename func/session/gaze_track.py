"""Gaze of each frame of a session, from its stored records."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from func.session.cues import stack_cues
from func.session.frame_record import FrameRecord, TargetUse, read_camera, read_record, read_screen
from func.session.measured import stack_measured
from gaze_core.calibration import Calibration
from gaze_core.detector import locate_gaze, predict_directions
from gaze_core.drift import Drift
from gaze_core.gaze import direction_to
from gaze_core.ports import GazeModel, Session
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import Camera, GazePoint, Screen, Validity

NOMINAL_STEP_S = 0.05
"""Time between frames if their capture times are unknown."""

_SHORTEST_STEP_S = 1e-5
"""Time between frames that share a capture time: far shorter than any filter."""

Records = Mapping[int, FrameRecord | None]


def is_calibration(records: Iterable[FrameRecord | None]) -> bool:
    """Return whether a session is a calibration session, so that none of its frames counts as a video frame.

    Either all frames have a target, or most of them have one and some are calibration targets. In a calibration
    session, frames without a target were sent by mistake; in a video, a few targets validate the calibration.
    """
    uses = [None if record is None else record.target_use for record in records]
    with_target = sum(use is not None for use in uses)
    without = len(uses) - with_target
    return with_target > without and (TargetUse.FIT in uses or without == 0)


def read_records(session: Session) -> dict[int, FrameRecord | None]:
    """Return the frames of a session; None for records of an unknown format."""
    return {number: read_record(value) for number, value in session.frames.items()}


def find_video_frames(records: Records) -> dict[int, FrameRecord | None]:
    """Return the video frames: those without a target; none for a calibration session."""
    if is_calibration(records.values()):
        return {}
    return {number: record for number, record in records.items() if record is None or record.target is None}


def find_times_s(records: Records) -> dict[int, float]:
    """Return the time of each frame since the earliest one.

    These are the capture times if every frame has one and the clock runs, otherwise the frame numbers at 20 Hz. Frames
    may share a time: some browsers round it to 100 ms.
    """
    stamps = {number: None if record is None else record.timestamp_ms for number, record in records.items()}
    times_s = {number: stamp / 1000 for number, stamp in stamps.items() if stamp is not None}
    if not _are_usable(list(times_s.values()), len(records)):
        times_s = {number: number * NOMINAL_STEP_S for number in records}
    start_s = min(times_s.values(), default=0.0)
    return {number: time_s - start_s for number, time_s in times_s.items()}


def find_gazes(
    session: Session,
    records: Records,
    model: GazeModel,
    *,
    calibration: Calibration | None,
    smoothing: str,
    drift: Drift | None = None,
    times_s: Mapping[int, float] | None = None,
) -> dict[int, GazePoint | None]:
    """Return the point of gaze to score for each frame with a gaze; None if its corrected gaze misses the screen plane.

    Without calibration and smoothing this is the stored gaze, moved to the session's screen and camera if the frame had
    none of its own. Otherwise it is computed again with the current model from the stored measurements; incomplete
    records keep the stored gaze.

    Args:
        session: Session, for the screen and camera of frames without their own.
        records: Records of the video frames.
        model: Uncalibrated model.
        calibration: Calibration of the viewer; None, or one without a correction, leaves the directions uncalibrated.
        smoothing: `none` or `zero_lag`.
        drift: Drift of the calibration; None without one.
        times_s: Time of each frame on the clock of the drift; needed with it.
    """
    gazes: dict[int, GazePoint | None] = {
        number: record.gaze
        for number, record in records.items()
        if record is not None and record.validity is Validity.OK and record.gaze is not None
    }
    if smoothing == "none" and (calibration is None or calibration.correction is None):
        return gazes | move_to_setup(session, records)
    measured = {
        number: record.measured
        for number, record in sorted(records.items())
        if number in gazes and record is not None and record.measured is not None
    }
    features, origin_mm, openness = stack_measured(measured.values(), model.estimates)
    cues = stack_cues(measured.values(), model.estimates)
    offset_deg = np.zeros((len(measured), 2))
    if drift is not None and times_s is not None:
        offset_deg = drift.at(np.array([times_s[number] for number in measured]))
    directions_deg = predict_directions(model, features, openness, calibration, cues, offset_deg=offset_deg)
    if smoothing == "zero_lag":
        directions_deg = _smooth(records, list(measured), directions_deg)
    return gazes | _locate(session, records, list(measured), directions_deg, origin_mm)


def move_to_setup(session: Session, records: Records) -> dict[int, GazePoint | None]:
    """Return the stored gaze of frames without their own screen or camera, on the screen of the session.

    Its detector assumed the default screen and camera, because a frame does not know what others were sent with. What
    the camera's field of view and mirroring changed in the measurements cannot be changed any more.
    """
    screen, camera = read_screen(session), read_camera(session)
    moved: dict[int, GazePoint | None] = {}
    for number, record in records.items():
        if record is None or record.gaze is None or record.measured is None:
            continue
        assumed = (record.screen or Screen(), record.camera or Camera())
        meant = (record.screen or screen, record.camera or camera)
        if assumed != meant:
            direction = direction_to(record.gaze, record.measured.origin_mm, *assumed)
            origin_mm = np.array([record.measured.origin_mm])
            (moved[number],) = locate_gaze(direction[None], origin_mm, screen=meant[0], camera=meant[1])
    return moved


def _locate(
    session: Session,
    records: Records,
    numbers: list[int],
    directions_deg: NDArray[np.float64],
    origin_mm: NDArray[np.float64],
) -> dict[int, GazePoint | None]:
    """Return where the gaze of each frame meets the screen plane, for the screen and camera of that frame."""
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
    """Return directions smoothed in order of capture time; without capture times, in order of number at 20 Hz."""
    stamps = [record.timestamp_ms for number in numbers if (record := records[number]) is not None]
    times_s = [stamp / 1000 for stamp in stamps if stamp is not None]
    if not _are_usable(times_s, len(numbers)):
        times_s = [number * NOMINAL_STEP_S for number in numbers]
    order = np.argsort(times_s, kind="stable")
    smoothed = np.empty_like(directions_deg)
    smoothed[order] = smooth_zero_lag(_separate(np.array(times_s)[order]), directions_deg[order])
    return smoothed


def _are_usable(times_s: Sequence[float], frames: int) -> bool:
    """Return whether every frame has a time and the clock did not stand still all the time."""
    return len(times_s) == frames and (frames == 1 or len(set(times_s)) > 1)


def _separate(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ascending times with at least `_SHORTEST_STEP_S` between those that were equal."""
    if (np.diff(times_s) > 0).all():
        return times_s
    steps_s = np.arange(times_s.size) * _SHORTEST_STEP_S
    separate: NDArray[np.float64] = np.maximum.accumulate(times_s - steps_s) + steps_s
    return separate
