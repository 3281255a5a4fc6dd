"""Saccades in recordings with known events."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.fixations import Fixation, find_fixations
from gaze_core.saccades import Saccade, find_saccades
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import GazeDirection
from tests.fakes.viewing import LOST, PLACES, RATE_HZ, clock, near, watch


def saccades(gaze, *, rate_hz=RATE_HZ, **parameters):
    time_s = clock(len(gaze), rate_hz=rate_hz)
    return find_saccades(time_s, gaze, find_fixations(time_s, gaze), **parameters)


def test_the_gaze_jumps_from_fixation_to_fixation():
    assert saccades(PLACES) == (
        Saccade(approx(0.45), approx(0.05), approx(8), approx(160), near(0, 0), near(8, 0)),
        Saccade(approx(0.75), approx(0.05), approx(6), approx(120), near(8, 0), near(8, -6)),
    )


def test_samples_during_a_saccade_show_its_duration_and_peak_velocity():
    gaze = [[0, 0]] * 9 + [[3, 0]] + [[7, 0]] + [[10, 0]] * 9

    # At 60 Hz: 3, 4 and 3 degrees within a sixtieth of a second each.
    (saccade,) = saccades(gaze, rate_hz=60)

    assert (saccade.onset_s, saccade.duration_s) == approx((8 / 60, 3 / 60))
    assert (saccade.amplitude_deg, saccade.peak_velocity_deg_per_s) == approx((10, 240))


def test_a_movement_during_a_blink_is_not_a_saccade():
    assert saccades([[0, 0]] * 9 + [LOST] * 3 + [[8, 0]] * 9) == ()


def test_a_lost_frame_does_not_hide_a_saccade():
    (saccade,) = saccades([[0, 0]] * 9 + [LOST] + [[8, 0]] * 9)

    assert (saccade.duration_s, saccade.peak_velocity_deg_per_s) == (approx(0.1), approx(80))


def test_a_long_restless_stretch_is_not_a_saccade():
    gaze = [[0, 0]] * 9 + [[8, 0], [0, 8], [8, 0], [0, 8]] + [[8, 8]] * 9

    assert saccades(gaze) == ()
    assert len(saccades(gaze, max_duration_s=0.25)) == 1


def test_a_slow_drift_between_fixations_is_not_a_saccade():
    assert saccades(np.outer(np.arange(15), [0.5, 0])) == ()


@pytest.mark.parametrize("gaze", [[], [[0, 0]], [[0, 0]] * 2, [[0, 0]] * 20, [LOST] * 20])
def test_without_two_fixations_there_is_no_saccade(gaze):
    assert saccades(gaze) == ()


def test_fixations_of_another_recording_have_no_saccade():
    elsewhere = [Fixation(100.0, 0.2, GazeDirection(0, 0)), Fixation(100.25, 0.2, GazeDirection(8, 0))]

    assert find_saccades(clock(24), PLACES, elsewhere) == ()


@pytest.mark.parametrize("rate_hz", [20, 30])
def test_in_smoothed_noise_three_quarters_are_found_with_their_size(rate_hz):
    time_s, gaze, true_s = watch(rate_hz, 0.5)
    smoothed = smooth_zero_lag(time_s, gaze)

    found = find_saccades(time_s, smoothed, find_fixations(time_s, smoothed))

    middles_s = (true_s[:-1, 1] + true_s[1:, 0]) / 2
    seen = [any(s.onset_s - 0.03 <= m <= s.onset_s + s.duration_s + 0.03 for s in found) for m in middles_s]
    assert np.mean(seen) >= 0.75
    assert len(found) <= len(middles_s)


@pytest.mark.parametrize("parameters", [{"min_velocity_deg_per_s": 0}, {"max_duration_s": 0}, {"max_gap_s": -1}])
def test_parameters_out_of_range_are_misuse(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        find_saccades(clock(24), PLACES, [], **parameters)
