"""Checks shared by the modules that take sampled signals.

Times are in seconds, strictly increasing, shape (n,). Gaze directions are in degrees, shape (n, 2); a row with a NaN
is a lost sample.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.types import Floats

TOLERANCE_S = 1e-6
"""Tolerance for comparing times, so that 0.3 s - 0.2 s is not less than 0.1 s, even in seconds since 1970."""


def check_times(time_s: ArrayLike) -> Floats:
    """Return sample times as an array, shape (n,).

    Raises:
        ValueError: The shape is wrong, or the times are not finite or not strictly increasing.
    """
    times = np.asarray(time_s, dtype=np.float64)
    if times.ndim != 1:
        raise ValueError(f"time_s must have shape (n,), not {times.shape}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("time_s must be finite and strictly increasing")
    return times


def drop_lost(time_s: ArrayLike, gaze_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Return the times and gaze directions of the samples that are not lost, shapes (m,) and (m, 2).

    Raises:
        ValueError: A shape is wrong, the times are not strictly increasing, or a direction is infinite.
    """
    times = check_times(time_s)
    gazes = np.asarray(gaze_deg, dtype=np.float64)
    if gazes.size == 0:
        gazes = gazes.reshape(-1, 2)
    if gazes.shape != (times.size, 2):
        raise ValueError(f"gaze_deg must have shape ({times.size}, 2), not {gazes.shape}")
    if np.isinf(gazes).any():
        raise ValueError("gaze_deg must be finite, or NaN for a lost sample")
    is_present = ~np.isnan(gazes).any(axis=1)
    return times[is_present], gazes[is_present]


def check_positive(name: str, number: float) -> None:
    """Raise ValueError unless the number is finite and above zero."""
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a positive number, not {number}")


def check_not_negative(name: str, number: float) -> None:
    """Raise ValueError unless the number is finite and not below zero."""
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and not negative, not {number}")
