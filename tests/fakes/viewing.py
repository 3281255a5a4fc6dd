"""Synthetic viewing with known fixations, and what to compare events with."""

import math

import numpy as np
from pytest import approx

from gaze_core.types import GazeDirection

RATE_HZ = 20
LOST = [math.nan, math.nan]
PLACES = [[0, 0]] * 10 + [[8, 0]] * 6 + [[8, -6]] * 8
"""At 20 Hz: 0.45 s ahead, 0.25 s to the right, 0.35 s below that; each saccade falls between two samples."""


def clock(count, *, rate_hz=RATE_HZ):
    return np.arange(count) / rate_hz


def watch(rate_hz, noise_deg, *, seed=0):
    """Return times and noisy gaze of 40 fixations of 0.2 to 0.5 s, 3 to 12 degrees apart, and their time spans."""
    random = np.random.default_rng(seed)
    place, now_s, clock_s, knots = np.zeros(2), 0.0, [], []
    for _ in range(40):
        end_s = now_s + random.uniform(0.2, 0.5)
        clock_s += [now_s, end_s]
        knots += [place, place]
        angle, amplitude_deg = random.uniform(0, 2 * math.pi), random.uniform(3, 12)
        place = 0.7 * place + amplitude_deg * np.array([math.cos(angle), math.sin(angle)])
        now_s = end_s + 0.021 + 0.0022 * amplitude_deg
    time_s = np.arange(0, clock_s[-1], 1 / rate_hz) + random.uniform(-0.004, 0.004, math.ceil(clock_s[-1] * rate_hz))
    gaze = np.column_stack([np.interp(time_s, clock_s, np.array(knots)[:, axis]) for axis in (0, 1)])
    return time_s, gaze + random.normal(0, noise_deg, gaze.shape), np.reshape(clock_s, (-1, 2))


def spans(events):
    return [(approx(event.onset_s), approx(event.duration_s)) for event in events]


def near(x_deg, y_deg):
    return GazeDirection(approx(x_deg, abs=1e-6), approx(y_deg, abs=1e-6))
