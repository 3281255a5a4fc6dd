"""Blinks from the eye aspect ratio (Soukupova and Cech, CVWW 2016), relative to the viewer's own open level."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.samples import TOLERANCE_S, check_not_negative, check_times
from gaze_core.types import Floats

MIN_BLINK_S, MAX_BLINK_S = 0.05, 0.5
"""Shortest and longest blink. Shorter events are landmark noise, longer ones closed eyes; Nystrom et al., What is a
blink? Classifying and characterizing blinks in eye openness signals, Behavior Research Methods 56, 2024."""

SHUT_SHARE = 0.5
"""Eyes are shut below this share of their open level. Open eyes have an aspect ratio of about 0.3, shut ones less than
0.15; eyes that look down lie in between and must not count."""

OPEN_QUANTILE = 0.75
"""Quantile of the eye openness that serves as open level; holds if the eyes are open at least a quarter of the time."""

MAX_GAP_S = 0.075
"""Longest time without a sample within a blink: one lost frame at 20 Hz (50 ms) or two at 30 Hz (67 ms)."""


@dataclass(frozen=True, slots=True)
class Blink:
    """A short closure of the eyes.

    Attributes:
        onset_s: Time at which the lids cross the threshold downwards, interpolated between samples.
        duration_s: Time until they cross it upwards.
    """

    onset_s: float
    duration_s: float


def find_blinks(
    time_s: ArrayLike,
    eye_openness: ArrayLike,
    *,
    shut_share: float = SHUT_SHARE,
    min_duration_s: float = MIN_BLINK_S,
    max_duration_s: float = MAX_BLINK_S,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[Blink, ...]:
    """Return the blinks of a recording in order of time.

    Below 20 Hz blinks are missed. At 30 Hz a closure of a single sample is too short to distinguish it from landmark
    noise.

    Args:
        time_s: Sample times, strictly increasing, shape (n,).
        eye_openness: Mean eye aspect ratio of both eyes, shape (n,); NaN where unknown.
        shut_share: Share of the open level below which the eyes are shut.
        min_duration_s: Shortest blink.
        max_duration_s: Longest blink; infinity also returns every longer closure.
        max_gap_s: Longest time without a sample within a blink; a longer one ends the blink.

    Raises:
        ValueError: A shape is wrong, the times are not strictly increasing, an openness is infinite or negative, or a
            parameter is out of range.
    """
    if not 0.0 < shut_share < 1.0:
        raise ValueError(f"shut_share must lie between 0 and 1, not {shut_share}")
    check_not_negative("min_duration_s", min_duration_s)
    if not max_duration_s > 0:
        raise ValueError(f"max_duration_s must be a positive number, not {max_duration_s}")
    check_not_negative("max_gap_s", max_gap_s)
    spans = _find_shut_spans(check_times(time_s), eye_openness, shut_share, max_gap_s)
    return tuple(
        Blink(onset_s, offset_s - onset_s)
        for onset_s, offset_s in spans
        if min_duration_s - TOLERANCE_S <= offset_s - onset_s <= max_duration_s + TOLERANCE_S
    )


def open_level(eye_openness: ArrayLike) -> float | None:
    """Return the openness of this viewer's open eyes; None if nothing was measured.

    Args:
        eye_openness: Eye aspect ratio, shape (n,); NaN where unknown.

    Raises:
        ValueError: The shape is wrong, or a value is infinite or negative.
    """
    openness = np.asarray(eye_openness, dtype=np.float64)
    if openness.ndim != 1 or np.isinf(openness).any() or (openness < 0).any():
        raise ValueError("eye_openness must have shape (n,) and values that are NaN or finite and not negative")
    measured = openness[~np.isnan(openness)]
    return float(np.quantile(measured, OPEN_QUANTILE)) if measured.size else None


def _find_shut_spans(
    times: Floats, eye_openness: ArrayLike, shut_share: float, max_gap_s: float
) -> Iterator[tuple[float, float]]:
    """Yield the times at which the eyes shut and open again."""
    level = open_level(eye_openness)
    openness = np.asarray(eye_openness, dtype=np.float64)
    if openness.shape != times.shape:
        raise ValueError(f"time_s and eye_openness must have the same shape, not {times.shape} and {openness.shape}")
    if level is None:
        return
    is_measured = ~np.isnan(openness)
    times, openness = times[is_measured], openness[is_measured]
    threshold = shut_share * level
    steps_s = np.diff(times)
    longest_step_s = (float(np.median(steps_s)) if steps_s.size else 0.0) + max_gap_s + TOLERANCE_S
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


def _crossing_s(times: Floats, values: Floats, index: int, threshold: float) -> float:
    """Return the time at which linear interpolation between samples `index` and `index + 1` crosses the threshold."""
    share = (threshold - values[index]) / (values[index + 1] - values[index])
    return float(times[index] + share * (times[index + 1] - times[index]))
