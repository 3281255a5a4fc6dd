"""Whether the capture times and video times of a session can be right.

Only what no honest client sends counts as a fault: webcams of 0.1 to 120 frames per second, dropped frames, pauses,
seeks, playback at a quarter to four times the speed, and tabs in the background are all right.
`docs/attention-score.md` lists the limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Floats

MIN_READINGS = 10
"""With fewer readings, units, direction and standstill of a clock are not judged."""

SHORTEST_STEP_MS = 3.0
"""Frames closer together than this are in seconds: between 8.3 ms (120 Hz) and a frame per second (1 "ms")."""

LONGEST_STEP_MS = 10_000.0
"""Frame numbers further apart than this are in microseconds: between 0.1 Hz and 60 Hz (16,667 "ms")."""

RATE_LIMIT = 60.0
"""Video time passes this much faster or slower than capture time only in other units: between a playback rate of 4
(or of a quarter) and a factor of 1000."""

BACK_MS = 1000.0
"""Capture times that go back by more than this, and by more than two steps, are no jitter."""

LONGEST_GAP_MS = 300_000.0
"""Capture times that leap further than this are no gap: the session would have expired in between."""

MOST_RATE = 5.0
"""A gap in which the video goes on at up to this rate, or down to its inverse, is a gap."""

END_MS = 1000.0
END_SHARE = 0.02
"""Video times beyond the end by this much and this share of the video are no rounding: sound may outlast the images."""

LONGEST_VIDEO_MS = 1e11
"""Limit for a video of unknown duration: between three years and the Unix time of today."""

BACKWARDS_SHARE = 0.9
"""A clock runs backwards if at least this share of its steps go back: no seek follows another in nearly every frame."""

_LARGEST_MS = 1e30


class ClockFault(StrEnum):
    """What cannot be right; the values are part of the result's format."""

    CAPTURE_UNITS = "capture_clock_units"
    CAPTURE_JUMPS = "capture_clock_jumps"
    CAPTURE_STOPPED = "capture_clock_stopped"
    VIDEO_UNITS = "video_clock_units"
    VIDEO_STOPPED = "video_clock_stopped"
    VIDEO_BACKWARDS = "video_clock_backwards"
    VIDEO_OUTSIDE = "video_clock_outside"


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Times of the frames of a session in order of number; arrays of shape (n,).

    Attributes:
        numbers: Frame numbers, ascending.
        capture_ms: Capture times; NaN where unknown.
        video_ms: Positions in the video; NaN where unknown.
    """

    numbers: NDArray[np.int64]
    capture_ms: Floats
    video_ms: Floats


def find_clock_faults(readings: Readings, *, duration_ms: float | None = None) -> Mapping[ClockFault, int]:
    """Return what is wrong with the clocks of a session, and the number of frames that show it.

    Args:
        readings: Times of the frames.
        duration_ms: Duration of the video; None if unknown.
    """
    readings = Readings(readings.numbers, *(_limit(each) for each in (readings.capture_ms, readings.video_ms)))
    capture_ms, video_ms = readings.capture_ms, readings.video_ms
    found: dict[ClockFault, int] = {}
    capture_count, video_count = int(_is_known(capture_ms).sum()), int(_is_known(video_ms).sum())
    capture_stands, video_stands = _stands(capture_ms), _stands(video_ms)
    capture_units = not capture_stands and _has_odd_steps(readings.numbers, capture_ms)
    video_units = not video_stands and _has_odd_steps(readings.numbers, video_ms)
    if not (capture_units or video_units or capture_stands or video_stands):
        # Both are plausible alone, but not together. Capture times have no pauses and seeks, so they are believed.
        video_units = _has_odd_rate(readings)
    if capture_units:
        found[ClockFault.CAPTURE_UNITS] = capture_count
    elif not capture_stands:
        jumps = _count_backward_steps(capture_ms) or _count_jumps(readings)
        if jumps:
            found[ClockFault.CAPTURE_JUMPS] = jumps
    if capture_stands:
        found[ClockFault.CAPTURE_STOPPED] = capture_count
    if video_units:
        found[ClockFault.VIDEO_UNITS] = video_count
    if video_stands:
        found[ClockFault.VIDEO_STOPPED] = video_count
    backward_steps = _count_backward_steps(video_ms)
    if backward_steps:
        found[ClockFault.VIDEO_BACKWARDS] = backward_steps
    outside = _count_outside(video_ms, duration_ms)
    if outside:
        found[ClockFault.VIDEO_OUTSIDE] = outside
    return found


def _limit(times_ms: Floats) -> Floats:
    """Return times whose differences are finite."""
    return np.clip(times_ms, -_LARGEST_MS, _LARGEST_MS)


def _is_known(times_ms: Floats) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = ~np.isnan(times_ms)
    return known


def _stands(times_ms: Floats) -> bool:
    """Return whether every frame has the same time."""
    known_ms = times_ms[_is_known(times_ms)]
    return known_ms.size >= MIN_READINGS and float(np.ptp(known_ms)) == 0.0


def _has_odd_steps(numbers: NDArray[np.int64], times_ms: Floats) -> bool:
    """Return whether the usual step of a clock is far too short or too long; steps of zero and back do not count."""
    known = _is_known(times_ms)
    if known.sum() < MIN_READINGS:
        return False
    steps_ms, gaps = np.diff(times_ms[known]), np.diff(numbers[known])
    moves = steps_ms > 0
    if not moves.any():
        return False
    if float(np.median(steps_ms[moves])) < SHORTEST_STEP_MS:
        return True
    return moves.sum() >= MIN_READINGS and _small(steps_ms[moves] / gaps[moves]) > LONGEST_STEP_MS


def _has_odd_rate(readings: Readings) -> bool:
    """Return whether video time passes far too fast or too slowly against capture time."""
    known = _is_known(readings.capture_ms) & _is_known(readings.video_ms)
    if known.sum() < MIN_READINGS:
        return False
    video_ms, capture_ms = np.diff(readings.video_ms[known]), np.diff(readings.capture_ms[known])
    plays = (video_ms > 0) & (capture_ms > 0)
    if not plays.any():
        return False
    rates = video_ms[plays] / capture_ms[plays]
    # A coarse video clock moves rarely but far, so the whole session has to be too fast, too.
    whole = float(video_ms[plays].sum() / np.abs(capture_ms).sum())
    is_fast = plays.sum() >= MIN_READINGS and min(_small(rates), whole) > RATE_LIMIT
    return is_fast or float(np.median(rates)) < 1 / RATE_LIMIT


def _small(values: Floats) -> float:
    """Return the tenth percentile: seeks are large, but not nearly all steps are seeks."""
    return float(np.quantile(values, 0.1))


def _count_backward_steps(times_ms: Floats) -> int:
    """Return the number of backward steps of a clock that runs backwards; 0 for other clocks."""
    known_ms = times_ms[_is_known(times_ms)]
    steps_ms = np.diff(known_ms)
    back, moves = int((steps_ms < 0).sum()), int((steps_ms != 0).sum())
    return back if known_ms.size >= MIN_READINGS and back and back >= BACKWARDS_SHARE * moves else 0


def _count_jumps(readings: Readings) -> int:
    """Return how often capture time goes back, or leaps further than any gap while the video does not."""
    known = _is_known(readings.capture_ms)
    if known.sum() < 2:
        return 0
    steps_ms, gaps = np.diff(readings.capture_ms[known]), np.diff(readings.numbers[known])
    usual_ms = float(np.median(np.abs(steps_ms) / gaps))
    back = steps_ms < -max(BACK_MS, 2 * usual_ms)
    played_ms = np.abs(np.diff(readings.video_ms[known]))  # NaN where unknown
    leaps_ms = steps_ms - gaps * usual_ms
    plays_on = (played_ms >= steps_ms / MOST_RATE) & (played_ms <= steps_ms * MOST_RATE)
    return int(back.sum() + ((leaps_ms > LONGEST_GAP_MS) & ~plays_on).sum())


def _count_outside(video_ms: Floats, duration_ms: float | None) -> int:
    """Return the number of frames before the start or beyond the end of the video."""
    known_ms = video_ms[_is_known(video_ms)]
    end_ms = LONGEST_VIDEO_MS if duration_ms is None else duration_ms + max(END_MS, END_SHARE * duration_ms)
    return int(((known_ms < -END_MS) | (known_ms > end_ms)).sum())
