"""Calibration of a viewer from the records of a session, and its description in the result."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from func.session.camera_mirroring import MirroringConflict, find_mirroring, find_mirroring_conflict
from func.session.frame_record import (
    TargetUse,
    read_calibration_session,
    read_camera,
    read_earlier_calibration,
    read_screen,
)
from func.session.gaze_track import Records, find_times_s, is_calibration, read_records
from func.session.other_viewer import suspect_other_viewer
from func.session.result import CalibrationCheck, CalibrationSummary, DriftSummary, MirroredImages, OtherViewer
from func.session.target_frames import find_target_frames, find_targets, make_target_frames
from gaze_core.calibration import Calibration, Fitted, WhyNot, calibrate, measure_accuracy
from gaze_core.correction import Correction
from gaze_core.drift import Drift, find_drift
from gaze_core.errors import SessionNotFoundError
from gaze_core.mirroring import MAX_SWAPPED_SHARE, Mirroring
from gaze_core.ports import GazeModel, Session, SessionReader
from gaze_core.refresh import refresh_calibration
from gaze_core.targets import TargetAccuracy, TargetFrames, is_same_place
from gaze_core.viewer_change import ViewerComparison

MOMENT_GAP_S = 5.0
"""A target that is shown again after this pause counts as shown a second time."""

MAX_MOMENTS = 300
"""Maximum number of times that validation targets are shown; later ones do not correct drift."""

DRIFT_FACTOR = 1.5

DRIFT_DEG = 1.0
"""A calibration has drifted when the error exceeds its own error by both this angle and `DRIFT_FACTOR`."""


@dataclass(frozen=True, slots=True)
class ViewerCalibration:
    """Calibration of a viewer during one viewing.

    Attributes:
        calibration: Calibration; None without a usable one.
        drift: Drift that validation targets of the viewing show; None without a calibration or such targets.
        summary: Description for the result; None if the session neither has targets nor selects a calibration.
        mirroring_conflict: Frames whose `camera.mirrored` is not that of the calibration; None without any.
    """

    calibration: Calibration | None = None
    drift: Drift | None = None
    summary: CalibrationSummary | None = None
    mirroring_conflict: MirroringConflict | None = None


def find_viewer_calibration(
    session: Session, records: Records, model: GazeModel, sessions: SessionReader
) -> ViewerCalibration:
    """Return the calibration to apply to a session.

    Args:
        session: Session to correct.
        records: Its records, by frame number.
        model: Uncalibrated model.
        sessions: Session API, for the calibration session.

    Raises:
        SessionReaderError: A calibration session could not be read; the last frame can be repeated.
    """
    name = read_calibration_session(session)
    uses = {record.target_use for record in records.values() if record is not None and record.target_use is not None}
    calibrating = is_calibration(records.values()) and TargetUse.FIT in uses
    source = session if calibrating else None
    why_not = "no_calibration_session"
    if source is None and name is not None:
        try:
            source = sessions.get_session(name)
        except SessionNotFoundError:
            why_not = "session_not_found"
    elif source is None and not uses:
        return ViewerCalibration()
    calibration, earlier, compared, conflict = None, None, None, None
    if source is not None:
        earlier = read_earlier(source, sessions)
        calibration = calibrate_session(source, model, earlier)
        known = earlier if calibrating else source
        compared = None if known is None else suspect_other_viewer(known, session, model)
        if calibration.why_not is not WhyNot.MIRRORED:  # its own warning says what to send instead
            conflict = _find_conflict(records, source, earlier, calibration)
    checked = validate_session(session, records, None if calibration is None else calibration.correction, model)
    drift = None
    if calibration is not None and not is_calibration(records.values()):
        drift = track_drift(session, records, calibration, model)
    is_refresh = source is not None and read_earlier_calibration(source) is not None
    summary = describe_calibration(
        calibration,
        why_not=why_not,
        checked=checked,
        drift=drift,
        is_refresh=is_refresh,
        compared=compared,
        mirrored=source is not None and bool(find_mirroring(read_records(source))),
    )
    return ViewerCalibration(calibration, drift, summary, conflict)


def _find_conflict(
    records: Records, source: Session, earlier: Session | None, found: Calibration
) -> MirroringConflict | None:
    """Return the frames whose mirroring is not that of their calibration, or of the one that it refreshes.

    Args:
        records: Frames of the session to correct.
        source: Calibration session; may be the session itself, whose frames then differ from most of them.
        earlier: Calibration session that it names; without a usable one, it is a calibration of its own.
        found: The calibration of both.
    """
    used = (source, None if found.refreshed_by_deg is None else earlier)
    conflicts = (find_mirroring_conflict(each, records) for each in used if each is not None)
    return next((each for each in conflicts if each is not None), None)


def calibrate_session(session: Session, model: GazeModel, earlier: Session | None = None) -> Calibration:
    """Return the calibration that a session yields; the same in every process.

    Args:
        session: Calibration session.
        model: Uncalibrated model.
        earlier: Calibration session that it refreshes, from `read_earlier`; None without one. That one's own earlier
            session does not count, so a refresh never depends on more than two sessions.
    """
    screen, camera = read_screen(session), read_camera(session)
    frames = find_target_frames(read_records(session), TargetUse.FIT, model, screen=screen, camera=camera)
    if earlier is None:
        return calibrate(frames, screen=screen, camera=camera)
    return refresh_calibration(calibrate_session(earlier, model), frames, screen=screen, camera=camera)


def read_earlier(session: Session, sessions: SessionReader) -> Session | None:
    """Return the calibration session that another one refreshes; None if it names none or that one is gone.

    Raises:
        SessionReaderError: The session API failed or timed out.
    """
    name = read_earlier_calibration(session)
    if name is None:
        return None
    try:
        return sessions.get_session(name)
    except SessionNotFoundError:
        return None


def validate_session(
    session: Session, records: Records, correction: Correction | None, model: GazeModel
) -> TargetAccuracy | None:
    """Return the errors of a correction on the validation targets of a session; None without targets."""
    screen, camera = read_screen(session), read_camera(session)
    frames = find_target_frames(records, TargetUse.VALIDATE, model, screen=screen, camera=camera)
    return measure_accuracy(correction, frames, screen=screen, camera=camera)


def track_drift(session: Session, records: Records, calibration: Calibration, model: GazeModel) -> Drift | None:
    """Return the drift of a calibration over the validation targets of a viewing; None without a usable one.

    Args:
        session: The viewing.
        records: Its records, by frame number.
        calibration: Calibration of the viewer.
        model: Uncalibrated model.
    """
    times_s = find_times_s(records)
    found = sorted(find_targets(records, TargetUse.VALIDATE), key=lambda each: (times_s[each.number], each.number))
    screen, camera = read_screen(session), read_camera(session)
    frames = make_target_frames(found, model, screen=screen, camera=camera)
    moments: list[int] = []
    shown_s: list[list[float]] = []
    for index, each in enumerate(found):
        last = found[index - 1] if index else None
        is_shown_again = last is None or times_s[each.number] > times_s[last.number] + MOMENT_GAP_S
        if is_shown_again or not _is_same_target(frames, index - 1, index):
            if len(shown_s) == MAX_MOMENTS:
                break
            shown_s.append([])
        shown_s[-1].append(times_s[each.number])
        moments.append(len(shown_s) - 1)
    frames = replace(frames.select(np.arange(len(moments))), moments=np.array(moments, dtype=np.int64))
    middles_s = np.array([np.median(each) for each in shown_s])
    return find_drift(calibration, frames, middles_s, screen=screen, camera=camera)


def _is_same_target(frames: TargetFrames, first: int, second: int) -> bool:
    """Return whether two frames show the same target, and screen and camera did not move it."""
    places_mm = frames.targets_mm
    is_moved = places_mm is not None and not is_same_place(places_mm[first], places_mm[second])
    return bool((frames.targets[first] == frames.targets[second]).all()) and not is_moved


def describe_calibration(
    calibration: Calibration | None,
    *,
    why_not: str | None = None,
    checked: TargetAccuracy | None = None,
    drift: Drift | None = None,
    is_refresh: bool = False,
    compared: ViewerComparison | None = None,
    mirrored: bool = False,
) -> CalibrationSummary:
    """Return the description of a calibration for the result.

    Args:
        calibration: Calibration; None without a usable one.
        why_not: Reason why there is none.
        checked: Errors on validation targets; None without such targets.
        drift: Drift over the validation targets; None without one.
        is_refresh: Whether the calibration session names an earlier one.
        compared: Comparison with the viewer of the calibration; None without one.
        mirrored: Whether the images of the calibration were declared as mirrored.
    """
    accuracy = None if calibration is None else calibration.accuracy
    if calibration is not None:
        why_not = None if calibration.why_not is None else str(calibration.why_not)
    validation = None
    # Absent without drift or an earlier calibration, so that old results stay the same byte for byte.
    drift_part: dict[str, Any] = {} if drift is None else {"drift": _describe_drift(drift)}
    if checked is not None:
        validation = CalibrationCheck(
            **_describe_accuracy(checked),
            shift_deg=[_round(angle) for angle in checked.shift_deg],
            drifted=None if accuracy is None else _has_drifted(accuracy, checked),
            **drift_part,
        )
    later_parts: dict[str, Any] = {}
    if is_refresh:
        moved_deg = None if calibration is None else calibration.refreshed_by_deg
        later_parts |= {
            "refreshed": moved_deg is not None,
            "refreshed_by_deg": None if moved_deg is None else [_round(angle) for angle in moved_deg],
        }
    if compared is not None:
        later_parts["other_viewer"] = _describe_comparison(compared)
    if calibration is not None and calibration.mirroring is not None:
        later_parts["mirrored"] = _describe_mirroring(calibration.mirroring, declared=mirrored)
    return CalibrationSummary(
        used=calibration is not None and calibration.correction is not None,
        reason=why_not,
        fitted=str(Fitted.NOTHING if calibration is None else calibration.fitted),
        **_describe_accuracy(accuracy),
        validation=validation,
        **later_parts,
    )


def _describe_comparison(compared: ViewerComparison) -> OtherViewer:
    return OtherViewer(
        suspected=compared.is_other_viewer,
        log_likelihood_ratio=round(compared.log_likelihood_ratio, 2),
        threshold=round(compared.threshold, 2),
        traits=compared.traits,
    )


def _describe_mirroring(found: Mirroring, *, declared: bool) -> MirroredImages:
    return MirroredImages(
        suspected=found.is_suspected,
        declared=declared,
        swapped_share=round(found.swapped_share, 3),
        threshold=round(MAX_SWAPPED_SHARE, 3),
        dots=found.targets,
    )


def _describe_drift(drift: Drift) -> DriftSummary:
    return DriftSummary(
        used=drift.is_used,
        moments=drift.moments,
        accuracy_deg=_round(drift.after.accuracy_deg),
        times_s=[round(time_s, 2) for time_s in drift.times_s.tolist()],
        right_deg=[round(right, 2) for right in drift.offsets_deg[:, 0].tolist()],
        up_deg=[round(up, 2) for up in drift.offsets_deg[:, 1].tolist()],
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
