"""What the eyes do over time: fixations, saccades and blinks.

What a webcam can show. A saccade takes 20 to 80 ms, so between two pictures at 20 to 30 Hz it is over or nearly so:
here a saccade is a jump between two fixations, its duration is an upper bound and its peak velocity a lower one. A jump
is seen when it is larger than the velocity threshold times the interval between samples: 1.5 degrees at 20 Hz and 1 at
30 Hz with the default. Smooth pursuit slower than the threshold counts as fixation. Noise of 0.5 degrees a sample
already looks like 27 degrees per second at 30 Hz: smooth without lag first (`smoothing.smooth_zero_lag`). I-DT stands
noise better and is the one to take for webcams: on synthetic viewing with 0.7 degrees of noise, smoothed, it finds
more of the fixations (F1 0.93 at 20 Hz, 0.95 at 30 Hz) than I-VT does (0.80, 0.87).

Every event reaches from the time of one sample to that of another. So a fixation is on average one sampling interval
shorter than the eye's, which is what the saccades beside it are longer.

Times are in seconds, rising, shape (n,). Gaze is `gaze_x_deg`, `gaze_y_deg` of `GazeDirection`, shape (n, 2); a row
with a NaN is lost. Lost samples may as well be missing from the arrays: the result is the same. Angles and velocities
between samples are those on the sphere, at the eye.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.types import GazeDirection

Array = NDArray[np.float64]

VELOCITY_THRESHOLD_DEG_PER_S = 30.0
"""Between fixation and saccade; Olsen, The Tobii I-VT Fixation Filter, 2012. For gaze that has been smoothed: raw gaze
with 0.7 degrees of noise needs 50 at 20 Hz and 60 at 30 Hz."""

DISPERSION_THRESHOLD_DEG = 2.0
"""Width plus height of a fixation. Salvucci and Goldberg take 0.5 to 1 for quiet trackers; a webcam scatters more."""

MIN_FIXATION_S = 0.1
"""Salvucci and Goldberg: fixations rarely last less than 100 ms."""

MAX_GAP_S = 0.075
"""Olsen 2012: shorter than nearly every blink. What counts is the time without a sample: one lost frame at 20 Hz
(50 ms) and two at 30 Hz (67 ms) are bridged."""

MERGE_ANGLE_DEG = 1.0
"""Olsen 2012 takes 0.5 for quiet trackers; here between that and the width of a fixation's noise."""

MAX_SACCADE_S = 0.2
"""30 degrees take 0.09 s (21 ms + 2.2 ms a degree; Carpenter, Movements of the Eyes, 1988), and the samples before and
after may each be 50 ms away."""

MIN_BLINK_S = 0.05
MAX_BLINK_S = 0.5
"""What is shorter is a flaw of the landmarks, what is longer a rest; Nystrom et al., What is a blink? Classifying and
characterizing blinks in eye openness signals, Behavior Research Methods 56, 2024."""

SHUT_SHARE = 0.5
"""Of the viewer's own open level. Open eyes have an aspect ratio of about 0.3, shut ones less than 0.15; eyes that look
down lie in between and must not count."""

OPEN_QUANTILE = 0.75
"""Of all eye openness: the open level, as long as the eyes are open a quarter of the time."""

_TOLERANCE_S = 1e-6
"""So that 0.3 s - 0.2 s is not less than 0.1 s, even in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Fixation:
    """The gaze rests on a place.

    Attributes:
        onset_s: Time of its first sample.
        duration_s: Up to its last one.
        gaze: Mean of its samples.
    """

    onset_s: float
    duration_s: float
    gaze: GazeDirection


@dataclass(frozen=True, slots=True)
class Saccade:
    """The gaze jumps from one fixation to the next.

    Attributes:
        onset_s: Time of the last sample of the fixation before.
        duration_s: Up to the first sample of the fixation after; an upper bound.
        amplitude_deg: Visual angle between both fixations.
        peak_velocity_deg_per_s: Of the gaze from sample to sample; a lower bound.
        start: Gaze of the fixation before.
        end: Gaze of the fixation after.
    """

    onset_s: float
    duration_s: float
    amplitude_deg: float
    peak_velocity_deg_per_s: float
    start: GazeDirection
    end: GazeDirection


@dataclass(frozen=True, slots=True)
class Blink:
    """The eyes shut and open again.

    Attributes:
        onset_s: When the lids passed half of their open level downwards, interpolated between samples.
        duration_s: Until they passed it upwards.
    """

    onset_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Closure:
    """The eyes stay shut for longer than a blink; the times are those of a `Blink`."""

    onset_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Rest:
    """Samples first..last that belong together, before short ones are sorted out."""

    first: int
    last: int
    count: int
    gaze_sum_deg: tuple[float, float]

    @property
    def gaze(self) -> GazeDirection:
        return GazeDirection(self.gaze_sum_deg[0] / self.count, self.gaze_sum_deg[1] / self.count)


def angular_velocity(time_s: ArrayLike, gaze_deg: ArrayLike) -> Array:
    """Return how fast the gaze turns between each sample and the next, in degrees per second, shape (max(n - 1, 0),).

    Args:
        time_s: See the module.
        gaze_deg: Likewise; a velocity beside a lost sample is NaN.

    Raises:
        ValueError: The shapes do not fit, the time does not rise, or a gaze is infinite.
    """
    times, gazes = _check(time_s, gaze_deg)
    return _angles_deg(gazes[:-1], gazes[1:]) / np.diff(times)


def find_fixations_by_velocity(
    time_s: ArrayLike,
    gaze_deg: ArrayLike,
    *,
    velocity_threshold_deg_per_s: float = VELOCITY_THRESHOLD_DEG_PER_S,
    min_duration_s: float = MIN_FIXATION_S,
    max_gap_s: float = MAX_GAP_S,
    merge_angle_deg: float = MERGE_ANGLE_DEG,
) -> tuple[Fixation, ...]:
    """Return the fixations by I-VT: samples between which the gaze turns slowly.

    The threshold judges the step between two samples, not a sample, so a jump between two pictures costs neither
    fixation a sample. Over lost samples a step counts as if it had taken one sampling interval, since a jump may hide
    there. Fixations near each other in time and place become one, then short ones are dropped.

    Args:
        time_s: See the module.
        gaze_deg: Likewise.
        velocity_threshold_deg_per_s: A faster step ends a fixation.
        min_duration_s: Shorter fixations are dropped.
        max_gap_s: Time without a sample, or between two fixations, that a fixation may span.
        merge_angle_deg: Fixations farther apart are never merged.

    Raises:
        ValueError: The shapes do not fit, the time does not rise, a gaze is infinite, or a parameter is out of range.

    Sources: Salvucci and Goldberg, Identifying Fixations and Saccades in Eye-Tracking Protocols, ETRA 2000; merging:
    Olsen, The Tobii I-VT Fixation Filter, 2012.
    """
    _check_positive("velocity_threshold_deg_per_s", velocity_threshold_deg_per_s)
    _check_fixation_parameters(min_duration_s, max_gap_s, merge_angle_deg)
    times, gazes = _without_lost(*_check(time_s, gaze_deg))
    if times.size < 2:
        return ()
    steps_s = np.diff(times)
    interval_s = float(np.median(steps_s))
    judged_s = np.where(steps_s > 1.5 * interval_s, interval_s, steps_s)
    is_rest = _angles_deg(gazes[:-1], gazes[1:]) < velocity_threshold_deg_per_s * judged_s
    is_rest &= steps_s - interval_s <= max_gap_s + _TOLERANCE_S
    return _merge(
        times,
        _rests(gazes, _runs(is_rest)),
        interval_s=interval_s,
        min_duration_s=min_duration_s,
        max_gap_s=max_gap_s,
        merge_angle_deg=merge_angle_deg,
    )


def find_fixations_by_dispersion(
    time_s: ArrayLike,
    gaze_deg: ArrayLike,
    *,
    dispersion_threshold_deg: float = DISPERSION_THRESHOLD_DEG,
    min_duration_s: float = MIN_FIXATION_S,
    max_gap_s: float = MAX_GAP_S,
    merge_angle_deg: float = MERGE_ANGLE_DEG,
) -> tuple[Fixation, ...]:
    """Return the fixations by I-DT: samples that lie within a small box for long enough.

    A window that spans `min_duration_s` starts at the first sample and moves on until its width plus its height is
    within the threshold; then it takes in sample after sample as long as it stays so. The angles are taken as they are:
    at 25 degrees above or below the camera a width counts 10 % too much.

    Args:
        time_s: See the module.
        gaze_deg: Likewise.
        dispersion_threshold_deg: Largest width plus height.
        min_duration_s: Shortest fixation.
        max_gap_s: Time without a sample, or between two fixations, that a fixation may span.
        merge_angle_deg: Fixations farther apart are never merged.

    Raises:
        ValueError: The shapes do not fit, the time does not rise, a gaze is infinite, or a parameter is out of range.

    Sources: those of `find_fixations_by_velocity`.
    """
    _check_positive("dispersion_threshold_deg", dispersion_threshold_deg)
    _check_fixation_parameters(min_duration_s, max_gap_s, merge_angle_deg)
    times, gazes = _without_lost(*_check(time_s, gaze_deg))
    if times.size < 2:
        return ()
    steps_s = np.diff(times)
    interval_s = float(np.median(steps_s))
    is_bridged = steps_s - interval_s <= max_gap_s + _TOLERANCE_S
    windows = [
        (first + start, first + end)
        for first, last in _runs(is_bridged)
        for start, end in _still_windows(
            times[first : last + 1], gazes[first : last + 1], dispersion_threshold_deg, min_duration_s
        )
    ]
    return _merge(
        times,
        _rests(gazes, windows),
        interval_s=interval_s,
        min_duration_s=min_duration_s,
        max_gap_s=max_gap_s,
        merge_angle_deg=merge_angle_deg,
    )


def find_saccades(
    time_s: ArrayLike,
    gaze_deg: ArrayLike,
    fixations: Iterable[Fixation],
    *,
    min_velocity_deg_per_s: float = VELOCITY_THRESHOLD_DEG_PER_S,
    max_duration_s: float = MAX_SACCADE_S,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[Saccade, ...]:
    """Return the saccades: what lies between fixations, where it is one short, fast and unbroken movement.

    Args:
        time_s: See the module.
        gaze_deg: Likewise; the samples that the fixations were found in.
        fixations: In the order of time.
        min_velocity_deg_per_s: What never gets so fast is no saccade, such as a drift that I-DT has cut in two.
        max_duration_s: What takes longer is no saccade, such as a stretch of noise.
        max_gap_s: Where samples are lost for longer, nobody has seen how the gaze moved.

    Raises:
        ValueError: The shapes do not fit, the time does not rise, a gaze is infinite, or a parameter is out of range.
    """
    _check_positive("min_velocity_deg_per_s", min_velocity_deg_per_s)
    _check_positive("max_duration_s", max_duration_s)
    _check_not_negative("max_gap_s", max_gap_s)
    times, gazes = _without_lost(*_check(time_s, gaze_deg))
    ordered = list(fixations)
    if times.size < 2:
        return ()
    steps_s = np.diff(times)
    velocities = _angles_deg(gazes[:-1], gazes[1:]) / steps_s
    longest_step_s = float(np.median(steps_s)) + max_gap_s + _TOLERANCE_S
    saccades = []
    for before, after in itertools.pairwise(ordered):
        onset_s, offset_s = before.onset_s + before.duration_s, after.onset_s
        if offset_s - onset_s > max_duration_s + _TOLERANCE_S:
            continue
        first, last = np.searchsorted(times, [onset_s - _TOLERANCE_S, offset_s - _TOLERANCE_S])
        if first == last or steps_s[first:last].max() > longest_step_s:
            continue
        peak = float(velocities[first:last].max())
        if peak >= min_velocity_deg_per_s:
            amplitude_deg = float(_angles_deg(_row(before.gaze), _row(after.gaze))[0])
            saccades.append(Saccade(onset_s, offset_s - onset_s, amplitude_deg, peak, before.gaze, after.gaze))
    return tuple(saccades)


def open_level(eye_openness: ArrayLike) -> float | None:
    """Return how open this viewer's eyes are when they are open; None when nothing was measured.

    Args:
        eye_openness: Eye aspect ratio, shape (n,); NaN where there is none.

    Raises:
        ValueError: Another shape, an infinite or a negative value.
    """
    openness = np.asarray(eye_openness, dtype=np.float64)
    if openness.ndim != 1 or np.isinf(openness).any() or (openness < 0).any():
        raise ValueError("eye_openness must have shape (n,) and values that are not negative, or NaN")
    measured = openness[~np.isnan(openness)]
    return float(np.quantile(measured, OPEN_QUANTILE)) if measured.size else None


def find_blinks(
    time_s: ArrayLike,
    eye_openness: ArrayLike,
    *,
    shut_share: float = SHUT_SHARE,
    min_duration_s: float = MIN_BLINK_S,
    max_duration_s: float = MAX_BLINK_S,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[Blink, ...]:
    """Return the blinks: for a moment the eyes are less open than a share of this viewer's own open level.

    Below 20 Hz blinks are missed; a single sample at 30 Hz is too short to be told from a flaw of the landmarks.

    Args:
        time_s: See the module.
        eye_openness: Eye aspect ratio, mean of both eyes, shape (n,); NaN where there is none.
        shut_share: Of the open level.
        min_duration_s: Shorter ones are dropped.
        max_duration_s: Longer ones are no blink but a `Closure`.
        max_gap_s: Time without a sample that a blink may span; a longer one cuts it short.

    Raises:
        ValueError: The shapes do not fit, the time does not rise, an openness is infinite or negative, or a parameter
            is out of range.

    Sources: eye aspect ratio: Soukupova and Cech, CVWW 2016; durations: see `MAX_BLINK_S`.
    """
    _check_not_negative("min_duration_s", min_duration_s)
    _check_positive("max_duration_s", max_duration_s)
    return tuple(
        Blink(onset_s, offset_s - onset_s)
        for onset_s, offset_s in _shut_spans(time_s, eye_openness, shut_share, max_gap_s)
        if min_duration_s - _TOLERANCE_S <= offset_s - onset_s <= max_duration_s + _TOLERANCE_S
    )


def find_closures(
    time_s: ArrayLike,
    eye_openness: ArrayLike,
    *,
    shut_share: float = SHUT_SHARE,
    min_duration_s: float = MAX_BLINK_S,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[Closure, ...]:
    """Return when the eyes stay shut for longer than `min_duration_s`; otherwise like `find_blinks`."""
    _check_not_negative("min_duration_s", min_duration_s)
    return tuple(
        Closure(onset_s, offset_s - onset_s)
        for onset_s, offset_s in _shut_spans(time_s, eye_openness, shut_share, max_gap_s)
        if offset_s - onset_s > min_duration_s + _TOLERANCE_S
    )


def _shut_spans(
    time_s: ArrayLike, eye_openness: ArrayLike, shut_share: float, max_gap_s: float
) -> Iterator[tuple[float, float]]:
    """Yield when the eyes shut and when they open again, in seconds."""
    if not 0.0 < shut_share < 1.0:
        raise ValueError("shut_share must lie between 0 and 1")
    _check_not_negative("max_gap_s", max_gap_s)
    level = open_level(eye_openness)
    times, openness = _check_time(time_s), np.asarray(eye_openness, dtype=np.float64)
    if openness.shape != times.shape:
        raise ValueError(f"time_s and eye_openness must have the same shape: {times.shape}, {openness.shape}")
    if level is None:
        return
    is_measured = ~np.isnan(openness)
    times, openness = times[is_measured], openness[is_measured]
    threshold = shut_share * level
    steps_s = np.diff(times)
    longest_step_s = (float(np.median(steps_s)) if steps_s.size else 0.0) + max_gap_s + _TOLERANCE_S
    is_shut = openness < threshold
    shut = np.flatnonzero(is_shut)
    if not shut.size:
        return
    is_cut = (np.diff(shut) > 1) | (np.diff(times[shut]) > longest_step_s)
    for first, last in zip(shut[np.r_[True, is_cut]], shut[np.r_[is_cut, True]], strict=True):
        onset_s, offset_s = float(times[first]), float(times[last])
        if first > 0 and not is_shut[first - 1] and steps_s[first - 1] <= longest_step_s:
            onset_s = _crossing_s(times, openness, int(first) - 1, threshold)
        if last < times.size - 1 and not is_shut[last + 1] and steps_s[last] <= longest_step_s:
            offset_s = _crossing_s(times, openness, int(last), threshold)
        yield onset_s, offset_s


def _crossing_s(times: Array, values: Array, index: int, threshold: float) -> float:
    """Return when the straight line from sample `index` to the next one meets the threshold between them."""
    share = (threshold - values[index]) / (values[index + 1] - values[index])
    return float(times[index] + share * (times[index + 1] - times[index]))


def _runs(is_joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last sample of every run of two or more samples joined by steps that are true.

    Args:
        is_joined: Whether sample i belongs together with sample i + 1, shape (n - 1,).
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_joined.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _still_windows(
    times: Array, gazes: Array, threshold_deg: float, min_duration_s: float
) -> Iterator[tuple[int, int]]:
    """Yield first and last sample of the windows of I-DT.

    Monotonic queues hold the candidates for the window's least and largest angles, so that each sample is looked at
    a constant number of times.
    """
    clock = times.tolist()
    least_s = min_duration_s - _TOLERANCE_S
    signed = [line.tolist() for axis in (gazes[:, 0], gazes[:, 1]) for line in (axis, -axis)]
    peaks: list[deque[int]] = [deque() for _ in signed]
    start = 0
    for end in range(len(clock)):
        for line, peak in zip(signed, peaks, strict=True):
            while peak and line[peak[-1]] <= line[end]:
                peak.pop()
            peak.append(end)
        # The largest of each line and of its negative: width plus height.
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


def _rests(gazes: Array, runs: Iterable[tuple[int, int]]) -> list[_Rest]:
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(gazes, axis=0)]).tolist()
    return [
        _Rest(
            first,
            last,
            last - first + 1,
            (sums[last + 1][0] - sums[first][0], sums[last + 1][1] - sums[first][1]),
        )
        for first, last in runs
    ]


def _merge(
    times: Array,
    rests: list[_Rest],
    *,
    interval_s: float,
    min_duration_s: float,
    max_gap_s: float,
    merge_angle_deg: float,
) -> tuple[Fixation, ...]:
    """Return the fixations that rests make once neighbours near each other are merged and short ones dropped."""
    merged: list[_Rest] = []
    for rest in rests:
        before = merged[-1] if merged else rest
        gap_s = float(times[rest.first] - times[before.last]) - interval_s
        is_near = gap_s <= max_gap_s + _TOLERANCE_S and _angle_deg(before.gaze, rest.gaze) <= merge_angle_deg
        if merged and is_near:
            (x, y), (more_x, more_y) = before.gaze_sum_deg, rest.gaze_sum_deg
            merged[-1] = _Rest(before.first, rest.last, before.count + rest.count, (x + more_x, y + more_y))
        else:
            merged.append(rest)
    durations_s = [float(times[rest.last] - times[rest.first]) for rest in merged]
    return tuple(
        Fixation(float(times[rest.first]), duration_s, rest.gaze)
        for rest, duration_s in zip(merged, durations_s, strict=True)
        if duration_s >= min_duration_s - _TOLERANCE_S
    )


def _angle_deg(first: GazeDirection, second: GazeDirection) -> float:
    return float(_angles_deg(_row(first), _row(second))[0])


def _row(gaze: GazeDirection) -> Array:
    return np.array([[gaze.gaze_x_deg, gaze.gaze_y_deg]])


def _angles_deg(first: Array, second: Array) -> Array:
    """Return the visual angles between gaze directions, shape (n, 2) each, shape (n,), by the haversine formula."""
    a, b = np.radians(first), np.radians(second)
    half = np.sin((b - a) / 2) ** 2
    haversine = half[:, 1] + np.cos(a[:, 1]) * np.cos(b[:, 1]) * half[:, 0]
    angles: Array = np.degrees(2 * np.arcsin(np.sqrt(np.minimum(haversine, 1.0))))
    return angles


def _check(time_s: ArrayLike, gaze_deg: ArrayLike) -> tuple[Array, Array]:
    times = _check_time(time_s)
    gazes = np.asarray(gaze_deg, dtype=np.float64)
    if gazes.size == 0:
        gazes = gazes.reshape(-1, 2)
    if gazes.shape != (times.size, 2):
        raise ValueError(f"gaze_deg must have shape ({times.size}, 2), not {gazes.shape}")
    if np.isinf(gazes).any():
        raise ValueError("gaze_deg must be finite, or NaN where there is none")
    return times, gazes


def _check_time(time_s: ArrayLike) -> Array:
    times = np.asarray(time_s, dtype=np.float64)
    if times.ndim != 1:
        raise ValueError(f"time_s must have shape (n,), not {times.shape}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("time_s must be finite and rise")
    return times


def _without_lost(times: Array, gazes: Array) -> tuple[Array, Array]:
    is_present = ~np.isnan(gazes).any(axis=1)
    return times[is_present], gazes[is_present]


def _check_fixation_parameters(min_duration_s: float, max_gap_s: float, merge_angle_deg: float) -> None:
    _check_positive("min_duration_s", min_duration_s)
    _check_not_negative("max_gap_s", max_gap_s)
    _check_not_negative("merge_angle_deg", merge_angle_deg)


def _check_positive(name: str, number: float) -> None:
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a positive number")


def _check_not_negative(name: str, number: float) -> None:
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must not be negative")
