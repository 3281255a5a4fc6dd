"""Causal and zero-lag smoothing of gaze."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from pytest import approx

from gaze_core.smoothing import OneEuroFilter, smooth_zero_lag
from tests.cpu_growth import cpu_growth

RATE_HZ = 30
LOST = [math.nan, math.nan]

gazes = arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(-30, 30))
intervals = st.lists(st.floats(0.01, 0.12), min_size=40, max_size=40)
filters = pytest.mark.parametrize("smooth", [OneEuroFilter().smooth, smooth_zero_lag], ids=["one-euro", "zero-lag"])


def clock(count, *, rate_hz=RATE_HZ):
    return np.arange(count) / rate_hz


def turned(values, angle_deg):
    angle = math.radians(angle_deg)
    return values @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def noise(count, *, seed=0):
    return np.random.default_rng(seed).normal(0, 0.7, (count, 2))


@filters
class TestBoth:
    def test_a_gaze_at_rest_stays_where_it_is(self, smooth):
        still = np.full((60, 2), [3.1, -7.3])

        assert_array_equal(smooth(clock(60), still), still)

    def test_lost_samples_stay_lost_and_the_others_do_not(self, smooth):
        gaze = np.array([[1, 2], LOST, [1, 2], [1, math.nan], [1, 2]])

        assert_array_equal(np.isnan(smooth(clock(5), gaze)), [[False] * 2, [True] * 2] * 2 + [[False] * 2])

    def test_lost_samples_are_equivalent_to_missing_ones(self, smooth):
        gaze = noise(60)
        lost = np.arange(60) % 7 == 3
        with_lost = np.where(lost[:, None], math.nan, gaze)

        assert_array_equal(smooth(clock(60), with_lost)[~lost], smooth(clock(60)[~lost], gaze[~lost]))

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_very_short_recordings_keep_their_length(self, smooth, count):
        assert smooth(clock(count), np.zeros((count, 2))).shape == (count, 2)

    def test_a_recording_without_gaze_stays_without(self, smooth):
        assert np.isnan(smooth(clock(9), np.full((9, 2), math.nan))).all()

    def test_one_channel_keeps_its_shape(self, smooth):
        assert smooth(clock(9), np.arange(9.0)).shape == (9,)

    @given(gaze=gazes, steps=intervals, shift_s=st.floats(-1000, 1000) | st.just(1.8e9))
    def test_shifting_the_time_changes_nothing(self, smooth, gaze, steps, shift_s):
        time_s = np.cumsum(np.round(steps, 3))[: len(gaze)]

        assert_allclose(smooth(time_s + shift_s, gaze), smooth(time_s, gaze), atol=0.01)

    @given(gaze=gazes, steps=intervals, x=st.floats(-20, 20), y=st.floats(-20, 20))
    def test_shifting_the_gaze_shifts_the_result(self, smooth, gaze, steps, x, y):
        time_s = np.cumsum(steps)[: len(gaze)]
        # On a grid, so that no two distances are equal by rounding alone.
        gaze, shift = np.round(gaze), np.round([x, y])

        assert_allclose(smooth(time_s, gaze + shift), smooth(time_s, gaze) + shift, atol=1e-9)

    @pytest.mark.parametrize("angle_deg", [30, 90, 200])
    def test_turning_the_gaze_turns_the_result(self, smooth, angle_deg):
        gaze = noise(90) + np.repeat([[0, 0], [8, 2], [3, -5]], 30, axis=0)

        assert_allclose(smooth(clock(90), turned(gaze, angle_deg)), turned(smooth(clock(90), gaze), angle_deg))

    @given(gaze=gazes, steps=intervals)
    def test_mirroring_the_gaze_mirrors_the_result(self, smooth, gaze, steps):
        time_s = np.cumsum(steps)[: len(gaze)]

        assert_array_equal(smooth(time_s, gaze * [-1, 1]), smooth(time_s, gaze) * [-1, 1])

    @pytest.mark.parametrize(
        ("time_s", "values", "complaint"),
        [
            ([0, 1], [[0, 0]], "shape"),
            ([[0, 1]], [[0, 0]], "shape"),
            ([0, 1], 3, "shape"),
            ([0, 0], [1, 1], "increasing"),
            ([1, 0], [1, 1], "increasing"),
            ([0, math.nan], [1, 1], "increasing"),
            ([0, 1], [1, math.inf], "NaN for a lost sample"),
        ],
    )
    def test_malformed_samples_are_misuse(self, smooth, time_s, values, complaint):
        with pytest.raises(ValueError, match=complaint):
            smooth(time_s, values)

    @pytest.mark.parametrize("interval_s", [1 / 30, 1e-6])
    def test_time_grows_linearly_with_the_recording(self, smooth, interval_s):
        gaze = noise(108_000)

        assert cpu_growth(lambda count: smooth(np.arange(count) * interval_s, gaze[:count]), 4_000) < 9


class TestOneEuro:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (OneEuroFilter(1.0, 0.3, 1.0), [0.0, 0.152928, 0.01646, 6.342145, 7.900804, 7.977552]),
            (OneEuroFilter(0.5, 0.05, 2.0), [0.0, 0.075627, 0.016193, 4.204568, 6.210444, 7.176943]),
        ],
    )
    def test_one_channel_matches_the_authors_implementation(self, settings, expected):
        # PyPI OneEuroFilter 0.2.1, by the filter's authors:
        # f = OneEuroFilter(freq=30, mincutoff=1.0, beta=0.3, dcutoff=1.0); [f(value, t) for t, value in zip(...)]
        time_s, values = [1.0, 1.04, 1.07, 1.12, 1.15, 1.2], [0.0, 0.5, -0.5, 8.0, 8.5, 8.0]

        assert settings.smooth(time_s, values) == approx(expected, abs=1e-6)

    @given(gazes, intervals, st.integers(1, 40))
    def test_later_samples_change_nothing(self, gaze, steps, count):
        time_s = np.cumsum(steps)[: len(gaze)]

        assert_array_equal(
            OneEuroFilter().smooth(time_s[:count], gaze[:count]), OneEuroFilter().smooth(time_s, gaze)[:count]
        )

    def test_single_steps_give_the_same_result(self):
        gaze, state, shown = noise(30), None, []
        for now_s, (x, y) in zip(clock(30), gaze, strict=True):
            state = OneEuroFilter().step(state, now_s, (x, y))
            shown.append(state.value)

        assert_array_equal(shown, OneEuroFilter().smooth(clock(30), gaze))

    def test_it_reduces_the_noise_of_a_resting_gaze(self):
        trembling = noise(600)

        steps, calmer = np.diff(trembling, axis=0), np.diff(OneEuroFilter().smooth(clock(600), trembling), axis=0)

        assert calmer.std() < 0.7 * steps.std()

    def test_it_follows_a_jump_of_10_degrees_within_four_frames(self):
        gaze = np.repeat([0.0, 10.0], 30)

        assert OneEuroFilter().smooth(clock(60), gaze)[33] > 9

    def test_it_restarts_after_a_blink(self):
        gaze = [0.0] * 10 + [math.nan] * 6 + [8.0] * 4

        assert_array_equal(OneEuroFilter().smooth(clock(20), gaze)[16:], [8, 8, 8, 8])

    def test_it_continues_after_a_lost_frame(self):
        gaze = [0.0] * 10 + [math.nan] + [8.0] * 4

        assert 0 < OneEuroFilter().smooth(clock(15), gaze)[11] < 8

    @pytest.mark.parametrize(
        "parameters",
        [{"min_cutoff_hz": 0}, {"beta": -1}, {"derivative_cutoff_hz": math.nan}, {"max_gap_s": math.inf}],
    )
    def test_settings_out_of_range_are_misuse(self, parameters):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            OneEuroFilter(**parameters)

    @pytest.mark.parametrize(
        ("time_s", "value", "complaint"),
        [(1.0, (0, 0), "later"), (2.0, (0,), "channels"), (2.0, (0, math.nan), "finite"), (math.inf, (0, 0), "finite")],
    )
    def test_a_step_that_does_not_follow_is_misuse(self, time_s, value, complaint):
        state = OneEuroFilter().step(None, 1.0, (0, 0))

        with pytest.raises(ValueError, match=complaint):
            OneEuroFilter().step(state, time_s, value)


class TestZeroLag:
    @given(gazes, intervals)
    def test_running_time_backwards_gives_the_same(self, gaze, steps):
        time_s = np.cumsum(steps)[: len(gaze)]

        assert_allclose(smooth_zero_lag(-time_s[::-1], gaze[::-1])[::-1], smooth_zero_lag(time_s, gaze), atol=1e-9)

    @given(gazes, intervals)
    def test_a_symmetric_signal_stays_symmetric(self, gaze, steps):
        half_s = np.cumsum(steps)[: len(gaze)]
        time_s, there_and_back = np.r_[-half_s[::-1], 0, half_s], np.r_[gaze[::-1], [[0, 0]], gaze]

        smoothed = smooth_zero_lag(time_s, there_and_back)

        assert_allclose(smoothed, smoothed[::-1], atol=1e-9)

    def test_a_ramp_stays_a_ramp(self):
        ramp = np.outer(clock(60), [10.0, -5.0])

        assert_allclose(smooth_zero_lag(clock(60), ramp)[8:-8], ramp[8:-8], atol=1e-9)

    def test_a_ramp_at_irregular_times_has_no_lag(self):
        time_s = clock(600) + np.random.default_rng(1).uniform(-0.008, 0.008, 600)

        error = smooth_zero_lag(time_s, 10 * time_s) - 10 * time_s

        assert error[8:-8].mean() == approx(0, abs=0.002)
        assert np.abs(error[8:-8]).max() < 0.1

    @pytest.mark.parametrize("height", [0.5, 2.0, 10.0])
    def test_the_middle_of_a_step_stays_where_it_is(self, height):
        smoothed = smooth_zero_lag(clock(40), np.repeat([0.0, height], 20))

        assert smoothed[19] < height / 2 < smoothed[20]
        assert smoothed[19] + smoothed[20] == approx(height)

    def test_a_saccade_stays_sharp(self):
        smoothed = smooth_zero_lag(clock(40), np.repeat([0.0, 10.0], 20))

        assert smoothed[19] == approx(0, abs=0.001)
        assert smoothed[20] == approx(10, abs=0.001)

    def test_a_single_outlier_vanishes(self):
        gaze = np.zeros((21, 2))
        gaze[10] = [9, -6]

        assert_array_equal(smooth_zero_lag(clock(21), gaze), np.zeros((21, 2)))

    def test_an_outlier_equally_far_from_both_neighbours_becomes_their_mean(self):
        gaze = np.column_stack([np.arange(-10.0, 11) / 10, np.zeros(21)])
        gaze[10] = [0, 9]

        assert smooth_zero_lag(clock(21), gaze)[10] == approx([0, 0], abs=1e-9)

    def test_samples_before_a_blink_do_not_make_outliers_of_samples_after_it(self):
        gaze = np.r_[np.zeros(10), np.full(6, math.nan), 9, np.zeros(9)]

        assert smooth_zero_lag(clock(26), gaze)[16] == approx(9, abs=0.01)

    def test_two_samples_elsewhere_are_no_outlier(self):
        gaze = np.zeros(21)
        gaze[10:12] = 9

        assert smooth_zero_lag(clock(21), gaze)[10:12] == approx([9, 9], abs=0.001)

    @pytest.mark.parametrize("rate_hz", [20, 30])
    def test_it_removes_40_percent_of_the_noise(self, rate_hz):
        # Fixations of a third of a second, 4 to 12 degrees apart.
        places = np.array([[0, 0], [8, 2], [3, -5], [-6, -2], [-2, 4], [6, 5]] * 10)
        truth = np.repeat(places, rate_hz // 3, axis=0)
        noisy = truth + noise(len(truth))

        error = smooth_zero_lag(clock(len(truth), rate_hz=rate_hz), noisy) - truth

        assert np.sqrt((error**2).mean()) < 0.6 * 0.7

    def test_samples_before_a_blink_do_not_influence_samples_after_it(self):
        gaze = np.r_[np.zeros(10), np.full(6, math.nan), np.ones(10)]

        assert_array_equal(smooth_zero_lag(clock(26), gaze), gaze)

    def test_samples_before_a_lost_frame_influence_samples_after_it(self):
        gaze = np.r_[np.zeros(10), math.nan, np.ones(10)]

        smoothed = smooth_zero_lag(clock(21), gaze)

        assert 0 < smoothed[9] < smoothed[11] < 1

    @pytest.mark.parametrize("parameters", [{"width_s": 0}, {"edge": -1}, {"max_gap_s": math.nan}])
    def test_parameters_out_of_range_are_misuse(self, parameters):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            smooth_zero_lag([0, 1], [0, 1], **parameters)
