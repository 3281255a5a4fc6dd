"""Saccades: fast movements between fixations.

A saccade takes 20 to 80 ms, so it falls between two frames at 20 to 30 Hz, or nearly so. Here a saccade is therefore
the jump from one fixation to the next: its duration is an upper bound and its peak velocity a lower bound.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.fixations import MAX_GAP_S, Fixation
from gaze_core.gaze import visual_angle_deg
from gaze_core.samples import TOLERANCE_S, check_not_negative, check_positive, drop_lost
from gaze_core.types import GazeDirection

MIN_VELOCITY_DEG_PER_S = 30.0
"""Slowest peak velocity; Olsen, The Tobii I-VT Fixation Filter, 2012."""

MAX_SACCADE_S = 0.2
"""Longest saccade. 30 degrees take 0.09 s (21 ms + 2.2 ms per degree; Carpenter, Movements of the Eyes, 1988), and the
samples before and after may each be 50 ms away."""


@dataclass(frozen=True, slots=True)
class Saccade:
    """A jump of the gaze from one fixation to the next.

    Attributes:
        onset_s: Time of the last sample of the fixation before.
        duration_s: Time to the first sample of the fixation after; an upper bound.
        amplitude_deg: Visual angle between the two fixations.
        peak_velocity_deg_per_s: Highest velocity from sample to sample; a lower bound.
        start: Gaze direction of the fixation before.
        end: Gaze direction of the fixation after.
    """

    onset_s: float
    duration_s: float
    amplitude_deg: float
    peak_velocity_deg_per_s: float
    start: GazeDirection
    end: GazeDirection


def find_saccades(
    time_s: ArrayLike,
    gaze_deg: ArrayLike,
    fixations: Iterable[Fixation],
    *,
    min_velocity_deg_per_s: float = MIN_VELOCITY_DEG_PER_S,
    max_duration_s: float = MAX_SACCADE_S,
    max_gap_s: float = MAX_GAP_S,
) -> tuple[Saccade, ...]:
    """Return the short, fast and completely observed movements between consecutive fixations.

    Args:
        time_s: Sample times, strictly increasing, shape (n,).
        gaze_deg: Gaze directions in which the fixations were found, shape (n, 2); a row with a NaN is lost.
        fixations: Fixations in order of time.
        min_velocity_deg_per_s: Lowest peak velocity; excludes slow drifts that I-DT splits into fixations.
        max_duration_s: Longest saccade; excludes stretches of noise.
        max_gap_s: Longest time without a sample; during a longer one the movement is unknown.

    Raises:
        ValueError: A shape is wrong, the times are not strictly increasing, a direction is infinite, or a parameter is
            out of range.
    """
    check_positive("min_velocity_deg_per_s", min_velocity_deg_per_s)
    check_positive("max_duration_s", max_duration_s)
    check_not_negative("max_gap_s", max_gap_s)
    times, gazes = drop_lost(time_s, gaze_deg)
    if times.size < 2:
        return ()
    steps_s = np.diff(times)
    velocities = visual_angle_deg(gazes[:-1], gazes[1:]) / steps_s
    longest_step_s = float(np.median(steps_s)) + max_gap_s + TOLERANCE_S
    saccades = []
    for before, after in itertools.pairwise(fixations):
        onset_s, offset_s = before.onset_s + before.duration_s, after.onset_s
        if offset_s - onset_s > max_duration_s + TOLERANCE_S:
            continue
        first, last = np.searchsorted(times, [onset_s - TOLERANCE_S, offset_s - TOLERANCE_S])
        if first == last or steps_s[first:last].max() > longest_step_s:
            continue
        peak = float(velocities[first:last].max())
        if peak >= min_velocity_deg_per_s:
            amplitude_deg = float(visual_angle_deg(before.gaze, after.gaze))
            saccades.append(Saccade(onset_s, offset_s - onset_s, amplitude_deg, peak, before.gaze, after.gaze))
    return tuple(saccades)
