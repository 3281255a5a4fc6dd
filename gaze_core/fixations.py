"""Fixations by the dispersion-threshold algorithm (I-DT).

I-DT tolerates the noise of a webcam better than velocity thresholds: on synthetic viewing with 0.7 degrees of noise,
smoothed without lag (`smoothing.smooth_zero_lag`), it reaches F1 scores of 0.93 at 20 Hz and 0.95 at 30 Hz, against
0.80 and 0.87 for I-VT. Slow smooth pursuit counts as a series of fixations.

A fixation extends from the time of its first sample to that of its last one. On average it is therefore one sampling
interval too short, and the saccades around it are as much too long.

Source: Salvucci and Goldberg, Identifying Fixations and Saccades in Eye-Tracking Protocols, ETRA 2000. Merging: Olsen,
The Tobii I-VT Fixation Filter, 2012.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.gaze import visual_angle_deg
from gaze_core.samples import TOLERANCE_S, check_not_negative, check_positive, drop_lost
from gaze_core.types import Floats, GazeDirection

DISPERSION_THRESHOLD_DEG = 2.0
"""Largest width plus height of a fixation. Salvucci and Goldberg use 0.5 to 1 for precise trackers."""

MIN_FIXATION_S = 0.1
"""Shortest fixation; Salvucci and Goldberg: fixations rarely last less than 100 ms."""

MAX_GAP_S = 0.075
"""Longest time without a sample that is bridged: one lost frame at 20 Hz (50 ms) or two at 30 Hz (67 ms). Olsen 2012:
shorter than nearly every blink."""

MERGE_ANGLE_DEG = 1.0
"""Largest angle between fixations that are merged. Olsen 2012 uses 0.5 for precise trackers."""


@dataclass(frozen=True, slots=True)
class Fixation:
    """A period in which the gaze rests.

    Attributes:
        onset_s: Time of the first sample.
        duration_s: Time from the first to the last sample.
        gaze: Mean gaze direction of the samples.
    """

    onset_s: float
    duration_s: float
    gaze: GazeDirection


@dataclass(frozen=True, slots=True)
class _Rest:
    """Samples first..last within one window, before merging."""

    first: int
    last: int
    count: int
    gaze_sum_deg: tuple[float, float]

    @property
    def gaze(self) -> GazeDirection:
        return GazeDirection(self.gaze_sum_deg[0] / self.count, self.gaze_sum_deg[1] / self.count)


def find_fixations(
    time_s: ArrayLike,
    gaze_deg: ArrayLike,
    *,
    dispersion_threshold_deg: float = DISPERSION_THRESHOLD_DEG,
    min_duration_s: float = MIN_FIXATION_S,
    max_gap_s: float = MAX_GAP_S,
    merge_angle_deg: float = MERGE_ANGLE_DEG,
) -> tuple[Fixation, ...]:
    """Return the fixations of a recording in order of time.

    A window that spans `min_duration_s` moves forward until its width plus height is within the threshold, and then
    grows as long as it stays within. Fixations close in time and direction are merged, then short ones are dropped.
    Width and height are in degrees of azimuth and elevation; at 25 degrees above or below the camera widths count 10 %
    too much.

    Args:
        time_s: Sample times, strictly increasing, shape (n,).
        gaze_deg: Gaze directions, shape (n, 2); a row with a NaN is lost, which is the same as leaving it out.
        dispersion_threshold_deg: Largest width plus height of a fixation.
        min_duration_s: Shortest fixation.
        max_gap_s: Longest time without a sample, or between two merged fixations.
        merge_angle_deg: Largest angle between merged fixations.

    Raises:
        ValueError: A shape is wrong, the times are not strictly increasing, a direction is infinite, or a parameter is
            out of range.
    """
    check_positive("dispersion_threshold_deg", dispersion_threshold_deg)
    check_not_negative("min_duration_s", min_duration_s)
    check_not_negative("max_gap_s", max_gap_s)
    check_not_negative("merge_angle_deg", merge_angle_deg)
    times, gazes = drop_lost(time_s, gaze_deg)
    if times.size < 2:
        return ()
    steps_s = np.diff(times)
    interval_s = float(np.median(steps_s))
    is_bridged = steps_s - interval_s <= max_gap_s + TOLERANCE_S
    windows = [
        (first + start, first + end)
        for first, last in _find_runs(is_bridged)
        for start, end in _find_windows(
            times[first : last + 1], gazes[first : last + 1], dispersion_threshold_deg, min_duration_s
        )
    ]
    merged = _merge(times, _make_rests(gazes, windows), interval_s + max_gap_s, merge_angle_deg)
    found = [Fixation(float(times[r.first]), float(times[r.last] - times[r.first]), r.gaze) for r in merged]
    return tuple(fixation for fixation in found if fixation.duration_s >= min_duration_s - TOLERANCE_S)


def _find_runs(is_joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first and last sample of every run of two or more samples.

    Args:
        is_joined: Whether samples i and i + 1 belong to the same run, shape (n - 1,).
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_joined.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _find_windows(
    times: Floats, gazes: Floats, threshold_deg: float, min_duration_s: float
) -> Iterator[tuple[int, int]]:
    """Yield the first and last sample of each I-DT window.

    Monotonic queues hold the candidates for the smallest and largest angles of the window, so the cost per sample is
    constant.
    """
    clock = times.tolist()
    least_s = min_duration_s - TOLERANCE_S
    signed = [line.tolist() for axis in (gazes[:, 0], gazes[:, 1]) for line in (axis, -axis)]
    peaks: list[deque[int]] = [deque() for _ in signed]
    start = 0
    for end in range(len(clock)):
        for line, peak in zip(signed, peaks, strict=True):
            while peak and line[peak[-1]] <= line[end]:
                peak.pop()
            peak.append(end)
        # The maxima of each axis and of its negative add up to width plus height.
        while sum(line[peak[0]] for line, peak in zip(signed, peaks, strict=True)) > threshold_deg:
            if clock[end - 1] - clock[start] >= least_s:
                yield start, end - 1
                start = end
            else:
                start += 1
            for peak in peaks:
                while peak[0] < start:
                    peak.popleft()
    if clock[-1] - clock[start] >= least_s:
        yield start, len(clock) - 1


def _make_rests(gazes: Floats, windows: Iterable[tuple[int, int]]) -> list[_Rest]:
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(gazes, axis=0)]).tolist()
    return [
        _Rest(
            first,
            last,
            last - first + 1,
            (sums[last + 1][0] - sums[first][0], sums[last + 1][1] - sums[first][1]),
        )
        for first, last in windows
    ]


def _merge(times: Floats, rests: list[_Rest], max_step_s: float, merge_angle_deg: float) -> list[_Rest]:
    """Merge neighbouring rests that are close in time and direction."""
    merged: list[_Rest] = []
    for rest in rests:
        before = merged[-1] if merged else rest
        is_near = (
            float(times[rest.first] - times[before.last]) <= max_step_s + TOLERANCE_S
            and visual_angle_deg(before.gaze, rest.gaze) <= merge_angle_deg
        )
        if merged and is_near:
            (x, y), (more_x, more_y) = before.gaze_sum_deg, rest.gaze_sum_deg
            merged[-1] = _Rest(before.first, rest.last, before.count + rest.count, (x + more_x, y + more_y))
        else:
            merged.append(rest)
    return merged
