"""A change of the viewer in the middle of a session, found in its stored frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from func.session.cues import stack_cues
from func.session.gaze_track import Records
from func.session.measured import Measured, stack_measured
from func.session.other_viewer import MAX_COMPARED
from gaze_core.ports import GazeModel
from gaze_core.types import Floats, Validity
from gaze_core.viewer_change import find_traits
from gaze_core.viewer_return import MAX_SPREAD_DEG, find_viewer_change, split_at_breaks

MIN_SEGMENT = 40
"""Minimum number of frames with a gaze before and after a change; 2 s at 20 Hz."""


@dataclass(frozen=True, slots=True)
class ChangedViewer:
    """Another viewer in the middle of a session.

    Attributes:
        first_frame: First frame with somebody else.
        frames: Number of frames with a gaze that seem to show somebody else.
        time_s: Time of the first one since the start of the session.
    """

    first_frame: int
    frames: int
    time_s: float


def find_changed_viewer(records: Records, times_s: Mapping[int, float], model: GazeModel) -> ChangedViewer | None:
    """Return where another viewer sits down; None if nobody does, or the records do not say so.

    Args:
        records: Records of the video frames, by frame number.
        times_s: Time of each of them.
        model: Uncalibrated model, for the estimates that it knows.
    """
    found = [
        (times_s[number], number, record.measured)
        for number, record in records.items()
        if record is not None and record.validity is Validity.OK and record.measured is not None
    ]
    found.sort(key=lambda each: each[:2])
    if len(found) < 2 * MIN_SEGMENT:
        return None
    times = np.array([time_s for time_s, _, _ in found])
    segments = split_at_breaks(times, np.array([measured.origin_mm for *_, measured in found]))
    if segments[-1] == 0:
        return None
    starts = np.searchsorted(segments, np.arange(segments[-1] + 2))
    parts = [found[start:end] for start, end in pairwise(starts)]
    change = find_viewer_change([_find_traits([measured for *_, measured in part], model) for part in parts])
    if change is None:
        return None
    time_s, number, _ = parts[change.first][0]
    return ChangedViewer(number, sum(len(parts[index]) for index in change.others), time_s)


def _find_traits(measured: list[Measured], model: GazeModel) -> Floats | None:
    """Return the traits of a segment; None with too few frames of which the eye network is sure."""
    if len(measured) > MAX_COMPARED:
        measured = [measured[index] for index in np.linspace(0, len(measured) - 1, MAX_COMPARED).astype(int).tolist()]
    if len(measured) < MIN_SEGMENT:
        return None
    cues = stack_cues(measured, model.estimates)
    if cues is None:
        return None
    is_sure = np.asarray((cues.spread_deg <= MAX_SPREAD_DEG).all(axis=1))
    if is_sure.sum() < MIN_SEGMENT:
        return None
    _, _, openness = stack_measured(measured, model.estimates)
    return find_traits(openness[is_sure], cues.select(is_sure), np.zeros((0, 2)))
