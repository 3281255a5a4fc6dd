"""Doubt that two sessions show the same viewer, from their stored frames."""

import numpy as np

from func.session.cues import stack_cues
from func.session.frame_record import TargetUse, read_camera, read_screen
from func.session.gaze_track import Records, read_records
from func.session.measured import Measured, stack_measured
from func.session.target_frames import find_target_frames
from gaze_core.ports import GazeModel, Session
from gaze_core.targets import drop_blinks, measure_targets
from gaze_core.types import Floats, Validity
from gaze_core.viewer_change import ViewerComparison, compare_viewers, find_traits

MIN_COMPARED = 20
"""Minimum number of frames with a gaze in either session for a comparison."""

MAX_COMPARED = 500
"""Maximum number of frames of a session that are compared, evenly spaced."""


def suspect_other_viewer(first: Session, second: Session, model: GazeModel) -> ViewerComparison | None:
    """Compare the viewers of two sessions; None if one of them has too few frames.

    Args:
        first: Calibration session.
        second: Session that uses it.
        model: Uncalibrated model.
    """
    before, now = (_find_session_traits(session, model) for session in (first, second))
    return None if before is None or now is None else compare_viewers(before, now)


def _find_session_traits(session: Session, model: GazeModel) -> Floats | None:
    records = read_records(session)
    measured = _choose_measured(records)
    if len(measured) < MIN_COMPARED:
        return None
    _, _, openness = stack_measured(measured, model.estimates)
    return find_traits(openness, stack_cues(measured, model.estimates), _find_missing_deg(session, records, model))


def _choose_measured(records: Records) -> list[Measured]:
    """Return the measurements of some frames with a gaze."""
    found = [
        record.measured
        for _, record in sorted(records.items())
        if record is not None and record.validity is Validity.OK and record.measured is not None
    ]
    if len(found) <= MAX_COMPARED:
        return found
    return [found[index] for index in np.linspace(0, len(found) - 1, MAX_COMPARED).astype(int).tolist()]


def _find_missing_deg(session: Session, records: Records, model: GazeModel) -> Floats:
    """Return the medians of true minus uncalibrated direction at all targets, head frame, shape (m, 2)."""
    screen, camera = read_screen(session), read_camera(session)
    missing_deg = [np.zeros((0, 2))]
    for use in TargetUse:
        frames = drop_blinks(find_target_frames(records, use, model, screen=screen, camera=camera))
        if len(frames):
            missing_deg.append(measure_targets(frames, screen, camera).medians.missing_deg)
    return np.concatenate(missing_deg)
