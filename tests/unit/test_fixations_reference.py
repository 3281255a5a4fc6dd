"""Fixations compared with pymovements, an independent implementation of I-DT.

One convention differs by a sample: our fixation ends with the last sample within the threshold. pymovements includes
the first sample beyond it, so the next fixation may start without that sample.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from gaze_core.fixations import find_fixations

MIN_DURATION_MS = 120
DISPERSION_DEG = 1.0

PLACES = [((0, 0), 400), ((6, 2), 240), ((6, -3), 320), ((-4, -3), 80), ((-4, 4), 600), ((1, 1), 160)]
"""Fixated direction in degrees and duration in ms; a saccade of 40 ms follows each."""


@dataclass(frozen=True)
class Recording:
    """A recording with 0.15 degrees of tremor, and the onsets and offsets in ms that pymovements finds in it."""

    interval_ms: int
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
        idt=[(0, 440), (480, 720), (760, 1080), (1200, 1840), (1880, 2000)],
    ),
    "webcam with a blink": Recording(
        interval_ms=40,
        lost_ms=((1360, 1520),),
        idt=[(0, 440), (480, 720), (760, 1080), (1200, 1320), (1520, 1800), (1880, 2000)],
    ),
    "tracker": Recording(
        interval_ms=4,
        idt=[(0, 408), (440, 688), (716, 1044), (1200, 1804), (1840, 2000)],
    ),
    "tracker with lost samples": Recording(
        interval_ms=4,
        lost_ms=((160, 180), (1400, 1500)),
        idt=[(0, 156), (180, 404), (440, 688), (716, 1044), (1200, 1396), (1500, 1800), (1840, 2000)],
    ),
}

every_recording = pytest.mark.parametrize("recording", RECORDINGS.values(), ids=RECORDINGS.keys())


def spans_ms(fixations):
    return [(round(1000 * f.onset_s), round(1000 * (f.onset_s + f.duration_s))) for f in fixations]


@every_recording
def test_fixations_agree_with_the_recorded_ones_within_a_sample(recording):
    times_ms, gaze = recording.samples()

    fixations = find_fixations(
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


@pytest.mark.slow  # pymovements takes seconds to import
@every_recording
def test_pymovements_finds_the_recorded_fixations(recording):
    from pymovements.events import idt

    times_ms, gaze = recording.samples()
    events = idt(
        gaze,
        timesteps=times_ms,
        minimum_duration=MIN_DURATION_MS + recording.interval_ms,
        dispersion_threshold=DISPERSION_DEG,
    )

    assert events.frame.select("onset", "offset").rows() == recording.idt
