"""Fixations, saccades and blinks of a session."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from func.session.frame_record import FrameRecord
from func.session.measured import read_numbers
from gaze_core.blinks import Blink, find_blinks
from gaze_core.fixations import find_fixations
from gaze_core.gaze import direction_to
from gaze_core.ports import Session
from gaze_core.saccades import Saccade, find_saccades
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.report.trace import TraceRow

REWIND_S = 0.2
"""A video that goes back further is watched again; less is the rounding of positions."""

_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True)
class ScreenFixation:
    """A fixation, at the mean of its points of gaze.

    Attributes:
        onset_s: Position in the video.
        duration_s: Time from its first to its last sample.
        x: Horizontal position, normalised to the screen.
        y: Vertical position, normalised to the screen.
        video_x: Horizontal position, normalised to the video.
        video_y: Vertical position, normalised to the video.
        dispersion_deg: Width plus height of its smoothed gaze directions, as I-DT measures it.
        samples: Number of its frames.
    """

    onset_s: float
    duration_s: float
    x: float
    y: float
    video_x: float
    video_y: float
    dispersion_deg: float
    samples: int


@dataclass(frozen=True, slots=True)
class EyeEvents:
    """Eye events in the order in which they happened, each None if the records lack what it needs.

    Attributes:
        fixations: Fixations; need the position of the eyes.
        saccades: Saccades between these fixations.
        blinks: Blinks; need the eye openness.
    """

    fixations: tuple[ScreenFixation, ...] | None = None
    saccades: tuple[Saccade, ...] | None = None
    blinks: tuple[Blink, ...] | None = None


def find_events(
    rows: Sequence[TraceRow],
    session: Session,
    records: Mapping[int, FrameRecord | None],
    *,
    screen: Screen,
    camera: Camera,
) -> tuple[list[TraceRow], EyeEvents]:
    """Return the rows with the numbers of their events, and the events.

    A part of the video that was watched again has events of its own, after those before.

    Args:
        rows: Rows of the trace.
        session: Session with the stored frames.
        records: Parsed records by frame number.
        screen: Screen of the session, for frames without their own.
        camera: Camera of the session, for frames without their own.
    """
    numbered = list(rows)
    fixations: list[ScreenFixation] = []
    saccades: list[Saccade] = []
    blinks: list[Blink] = []
    has_directions = has_openness = False
    for part in _split_at_rewinds(rows):
        samples = _find_directions(numbered, part, session, records, (screen, camera))
        if samples:
            has_directions = True
            found = _find_gaze_events(numbered, samples, fixations_before=len(fixations), saccades_before=len(saccades))
            fixations += found[0]
            saccades += found[1]
        found_blinks = _find_blinks(numbered, part, session, len(blinks))
        if found_blinks is not None:
            has_openness = True
            blinks += found_blinks
    return numbered, EyeEvents(
        tuple(fixations) if has_directions else None,
        tuple(saccades) if has_directions else None,
        tuple(blinks) if has_openness else None,
    )


def _split_at_rewinds(rows: Sequence[TraceRow]) -> list[range]:
    """Return the indices of the rows of each part in which the video does not go back."""
    times_s = np.array([row.time_s for row in rows])
    starts = [0, *(np.flatnonzero(np.diff(times_s) < -REWIND_S) + 1).tolist(), len(rows)]
    return [range(first, last) for first, last in itertools.pairwise(starts)]


def _find_directions(
    rows: Sequence[TraceRow],
    part: range,
    session: Session,
    records: Mapping[int, FrameRecord | None],
    setup: tuple[Screen, Camera],
) -> dict[float, tuple[int, tuple[float, float]]]:
    """Return the index and the gaze direction, in degrees, of each row of a part that has one, by time."""
    samples: dict[float, tuple[int, tuple[float, float]]] = {}
    for index in part:
        row = rows[index]
        origin_mm = _stored_numbers(session, row.frame_number, "origin_mm", 3)
        record = records.get(row.frame_number)
        if row.screen_x is None or row.screen_y is None or origin_mm is None or record is None:
            continue
        gaze = GazePoint(row.screen_x, row.screen_y)
        direction = direction_to(gaze, origin_mm, record.screen or setup[0], record.camera or setup[1])
        samples.setdefault(row.time_s, (index, (float(direction[0]), float(direction[1]))))
    return samples


def _find_gaze_events(
    rows: list[TraceRow],
    samples: Mapping[float, tuple[int, tuple[float, float]]],
    *,
    fixations_before: int,
    saccades_before: int,
) -> tuple[list[ScreenFixation], tuple[Saccade, ...]]:
    """Number the rows of each fixation and saccade of a part, and return them.

    Args:
        rows: Rows of the trace.
        samples: Index and direction of the rows of the part, from `_find_directions`.
        fixations_before: Number of fixations in the parts before.
        saccades_before: Number of saccades in the parts before.
    """
    times = np.array(sorted(samples))
    indices = [samples[time_s][0] for time_s in times.tolist()]
    gaze_deg = smooth_zero_lag(times, np.array([samples[time_s][1] for time_s in times.tolist()]))
    fixations = find_fixations(times, gaze_deg)
    saccades = find_saccades(times, gaze_deg, fixations)
    on_screen = []
    for number, fixation in enumerate(fixations, start=fixations_before + 1):
        places = _within(times, fixation.onset_s, fixation.duration_s)
        members = [indices[place] for place in places]
        dispersion_deg = float(np.ptp(gaze_deg[places.start : places.stop], axis=0).sum())
        x, y, video_x, video_y = np.mean([_positions(rows[index]) for index in members], axis=0).tolist()
        on_screen.append(
            ScreenFixation(fixation.onset_s, fixation.duration_s, x, y, video_x, video_y, dispersion_deg, len(members))
        )
        for index in members:
            rows[index] = replace(rows[index], fixation=number)
    for number, saccade in enumerate(saccades, start=saccades_before + 1):
        last = indices[_within(times, saccade.onset_s, saccade.duration_s)[-1]]
        rows[last] = replace(rows[last], saccade=number)
    return on_screen, saccades


def _find_blinks(rows: list[TraceRow], part: range, session: Session, blinks_before: int) -> tuple[Blink, ...] | None:
    """Number the rows of each blink of a part, and return the blinks."""
    samples: dict[float, tuple[int, float]] = {}
    for index in part:
        row = rows[index]
        openness = _stored_numbers(session, row.frame_number, "eye_openness", 2)
        if openness is not None:
            samples.setdefault(row.time_s, (index, sum(openness) / 2))
    if not samples:
        return None
    times = np.array(sorted(samples))
    blinks = find_blinks(times, [samples[time_s][1] for time_s in times.tolist()])
    for number, blink in enumerate(blinks, start=blinks_before + 1):
        for place in _within(times, blink.onset_s, blink.duration_s):
            index = samples[float(times[place])][0]
            rows[index] = replace(rows[index], blink=number)
    return blinks


def _positions(row: TraceRow) -> list[float]:
    return [value or 0.0 for value in (row.screen_x, row.screen_y, row.video_x, row.video_y)]


def _within(times: NDArray[np.float64], onset_s: float, duration_s: float) -> range:
    """Return the indices of the samples from the onset to the end of an event, both included."""
    first = int(np.searchsorted(times, onset_s - _TOLERANCE_S))
    return range(first, int(np.searchsorted(times, onset_s + duration_s + _TOLERANCE_S)))


def _stored_numbers(session: Session, frame_number: int, name: str, count: int) -> tuple[float, ...] | None:
    """Return a stored list of finite numbers; None if the frame has none of this name and length."""
    value = session.frames.get(frame_number)
    return read_numbers(value.get(name), count) if isinstance(value, Mapping) else None
