"""Fixations against pymovements 0.28.0, an independent implementation of I-VT and I-DT.

It brings half a gigabyte of packages that this project has no other use for, so its answers stand here as numbers.
Where it is installed, the last tests ask it for them again:

    pip install pymovements==0.28.0 && pytest tests/unit/test_events_reference.py

Two conventions differ, by one sample each. Our I-VT judges the steps between samples and keeps the sample that a slow
step starts from; pymovements judges samples by the step that leads to them and leaves it out. Our I-DT ends a fixation
with the last sample that fits; pymovements counts the one that no longer fits to the old fixation, and then the next
fixation may start without it.
"""

import importlib.util
import math
from dataclasses import dataclass

import numpy as np
import pytest

from gaze_core.events import find_fixations_by_dispersion, find_fixations_by_velocity

MIN_DURATION_MS = 120
DISPERSION_DEG = 1.0

PLACES = [((0, 0), 400), ((6, 2), 240), ((6, -3), 320), ((-4, -3), 80), ((-4, 4), 600), ((1, 1), 160)]
"""Where the gaze rests, in degrees, and for how many ms; 40 ms of saccade follow."""


@dataclass(frozen=True)
class Recording:
    """A viewer whose eyes tremble by 0.15 degrees and what pymovements says about them: onsets and offsets in ms."""

    interval_ms: int
    velocity_deg_per_s: float
    ivt: list[tuple[int, int]]
    idt: list[tuple[int, int]]
    lost_ms: tuple[tuple[int, int], ...] = ()

    def samples(self):
        clock, knots, end = [], [], 0
        for place, duration_ms in PLACES:
            clock += [end, end + duration_ms]
            knots += [place, place]
            end += duration_ms + 40
        times_ms = np.arange(0, clock[-1] + 1, self.interval_ms)
        count = np.arange(len(times_ms))
        tremor = 0.15 * np.column_stack([np.sin(2.4 * count + 0.9 * np.sin(count)), np.cos(1.7 * count)])
        gaze = tremor + np.column_stack([np.interp(times_ms, clock, np.array(knots)[:, axis]) for axis in (0, 1)])
        for start_ms, stop_ms in self.lost_ms:
            gaze[(times_ms >= start_ms) & (times_ms < stop_ms)] = math.nan
        return times_ms, gaze


RECORDINGS = {
    "webcam": Recording(
        interval_ms=40,
        velocity_deg_per_s=30,
        ivt=[(40, 400), (480, 680), (760, 1040), (1240, 1800), (1880, 2000)],
        idt=[(0, 440), (480, 720), (760, 1080), (1200, 1840), (1880, 2000)],
    ),
    "webcam with a blink": Recording(
        interval_ms=40,
        velocity_deg_per_s=30,
        lost_ms=((1360, 1520),),
        ivt=[(40, 400), (480, 680), (760, 1040), (1240, 1320), (1560, 1800), (1880, 2000)],
        idt=[(0, 440), (480, 720), (760, 1080), (1200, 1320), (1520, 1800), (1880, 2000)],
    ),
    "tracker": Recording(
        interval_ms=4,
        velocity_deg_per_s=100,
        ivt=[(4, 404), (444, 680), (724, 1040), (1204, 1800), (1844, 2000)],
        idt=[(0, 408), (440, 688), (716, 1044), (1200, 1804), (1840, 2000)],
    ),
    "tracker with lost samples": Recording(
        interval_ms=4,
        velocity_deg_per_s=100,
        lost_ms=((160, 180), (1400, 1500)),
        ivt=[(4, 156), (184, 404), (444, 680), (724, 1040), (1204, 1396), (1504, 1800), (1844, 2000)],
        idt=[(0, 156), (180, 404), (440, 688), (716, 1044), (1200, 1396), (1500, 1800), (1840, 2000)],
    ),
}

every_recording = pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS.keys())
needs_pymovements = pytest.mark.skipif(
    importlib.util.find_spec("pymovements") is None, reason="pymovements is installed by hand"
)


def spans_ms(fixations):
    return [(round(1000 * f.onset_s), round(1000 * (f.onset_s + f.duration_s))) for f in fixations]


@every_recording
def test_fixations_by_velocity_are_those_of_pymovements(recording):
    times_ms, gaze = recording.samples()

    fixations = find_fixations_by_velocity(
        times_ms / 1000,
        gaze,
        velocity_threshold_deg_per_s=recording.velocity_deg_per_s,
        min_duration_s=MIN_DURATION_MS / 1000,
        max_gap_s=0,
        merge_angle_deg=0,
    )

    assert [(onset + recording.interval_ms, offset) for onset, offset in spans_ms(fixations)] == recording.ivt


@every_recording
def test_fixations_by_dispersion_are_those_of_pymovements_within_a_sample(recording):
    times_ms, gaze = recording.samples()

    fixations = find_fixations_by_dispersion(
        times_ms / 1000,
        gaze,
        dispersion_threshold_deg=DISPERSION_DEG,
        min_duration_s=MIN_DURATION_MS / 1000,
        max_gap_s=0,
        merge_angle_deg=0,
    )

    found, expected = np.array(spans_ms(fixations)), np.array(recording.idt)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= recording.interval_ms


@needs_pymovements
@every_recording
def test_pymovements_still_says_so_about_velocity(recording):
    from pymovements.events import ivt

    times_ms, gaze = recording.samples()
    velocities = np.vstack([[math.nan, math.nan], np.diff(gaze, axis=0) / (recording.interval_ms / 1000)])
    events = ivt(
        velocities,
        timesteps=times_ms,
        minimum_duration=MIN_DURATION_MS - recording.interval_ms,
        velocity_threshold=recording.velocity_deg_per_s,
    )

    assert events.frame.select("onset", "offset").rows() == recording.ivt


@needs_pymovements
@every_recording
def test_pymovements_still_says_so_about_dispersion(recording):
    from pymovements.events import idt

    times_ms, gaze = recording.samples()
    events = idt(
        gaze,
        timesteps=times_ms,
        minimum_duration=MIN_DURATION_MS + recording.interval_ms,
        dispersion_threshold=DISPERSION_DEG,
    )

    assert events.frame.select("onset", "offset").rows() == recording.idt
