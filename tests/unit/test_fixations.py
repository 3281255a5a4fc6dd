"""Fixations in recordings with known events."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.fixations import Fixation, find_fixations
from gaze_core.smoothing import smooth_zero_lag
from tests.cpu_growth import cpu_growth
from tests.fakes.viewing import LOST, PLACES, clock, near, spans, watch

intervals = st.lists(st.integers(35, 65), min_size=60, max_size=60)
anything = arrays(
    np.float64, st.tuples(st.integers(0, 60), st.just(2)), elements=st.floats(-30, 30) | st.just(math.nan)
)


def test_a_resting_gaze_is_a_fixation():
    assert find_fixations(clock(24), PLACES) == (
        Fixation(0.0, approx(0.45), near(0, 0)),
        Fixation(0.5, approx(0.25), near(8, 0)),
        Fixation(0.8, approx(0.35), near(8, -6)),
    )


def test_a_sample_during_a_saccade_belongs_to_no_fixation():
    gaze = [[0, 0]] * 10 + [[4, 0]] + [[8, 0]] * 10

    assert spans(find_fixations(clock(21), gaze)) == [(0.0, 0.45), (0.55, 0.45)]


def test_a_rest_of_100_ms_is_a_fixation_and_a_shorter_one_is_not():
    gaze = [[0, 0]] * 10 + [[8, 0]] * 2 + [[0, 8]] * 3 + [[-8, 0]] * 10

    assert spans(find_fixations(clock(25), gaze)) == [(0.0, 0.45), (0.6, 0.1), (0.75, 0.45)]


def test_the_gaze_of_a_fixation_is_the_mean_of_its_samples():
    (fixation,) = find_fixations(clock(4), [[1, 0], [1.2, 0.4], [1, 0], [1.2, 0.4]])

    assert fixation.gaze == near(1.1, 0.2)


def test_one_lost_frame_at_20_hz_changes_nothing():
    gaze = [[0, 0]] * 5 + [LOST] + [[0, 0]] * 4

    assert spans(find_fixations(clock(10), gaze)) == [(0.0, 0.45)]


def test_two_lost_frames_at_30_hz_change_nothing():
    gaze = [[0, 0]] * 5 + [LOST] * 2 + [[0, 0]] * 6

    assert spans(find_fixations(clock(13, rate_hz=30), gaze)) == [(0.0, 0.4)]


def test_a_blink_ends_a_fixation_even_if_the_gaze_comes_back():
    gaze = [[0, 0]] * 5 + [LOST] * 4 + [[0, 0]] * 5

    assert spans(find_fixations(clock(14), gaze)) == [(0.0, 0.2), (0.45, 0.2)]


def test_a_saccade_during_a_lost_frame_separates_fixations():
    gaze = [[0, 0]] * 5 + [LOST] + [[2.5, 0]] * 5

    assert spans(find_fixations(clock(11), gaze)) == [(0.0, 0.2), (0.3, 0.2)]


def test_lost_samples_are_equivalent_to_missing_ones():
    time_s, gaze, _ = watch(20, 0.2)
    lost = np.random.default_rng(1).random(len(time_s)) < 0.2
    with_lost = np.where(lost[:, None], math.nan, gaze)

    assert find_fixations(time_s, with_lost) == find_fixations(time_s[~lost], gaze[~lost])


def test_a_single_outlier_does_not_split_a_fixation():
    gaze = [[0, 0]] * 6 + [[12, 9]] + [[0, 0]] * 6

    (fixation,) = find_fixations(clock(13), gaze)

    assert fixation == Fixation(0.0, approx(0.6), near(0, 0))


def test_the_longer_part_of_a_merged_fixation_weighs_more():
    (fixation,) = find_fixations(clock(13), [[0, 0]] * 8 + [[12, 9]] + [[0.9, 0]] * 4)

    assert fixation.gaze == near(0.3, 0)


def test_fixations_farther_apart_than_the_merge_angle_stay_separate():
    gaze = [[0, 0]] * 6 + [[12, 9]] + [[1.1, 0]] * 6

    assert len(find_fixations(clock(13), gaze)) == 2
    assert len(find_fixations(clock(13), gaze, merge_angle_deg=1.2)) == 1


@pytest.mark.parametrize("gaze", [[], [[0, 0]], [[0, 0]] * 2, [LOST] * 30, [[0, 0], LOST] + [LOST] * 30])
def test_a_recording_too_short_for_a_fixation_has_none(gaze):
    assert find_fixations(clock(len(gaze)), gaze) == ()


def test_a_gaze_that_never_rests_has_no_fixation():
    assert find_fixations(clock(40), [[10 * (-1) ** i, 3 * i % 7] for i in range(40)]) == ()


@pytest.mark.parametrize(
    ("rate_hz", "noise_deg", "share"), [(20, 0.3, 0.8), (30, 0.3, 0.9), (20, 0.7, 0.7), (30, 0.7, 0.8)]
)
def test_in_smoothed_noise_most_fixations_are_found(rate_hz, noise_deg, share):
    time_s, gaze, true_s = watch(rate_hz, noise_deg)

    found = find_fixations(time_s, smooth_zero_lag(time_s, gaze))

    overlaps_s = [
        max(min(end, f.onset_s + f.duration_s) - max(start, f.onset_s) for f in found) for start, end in true_s
    ]
    hits = np.array(overlaps_s) > 0.5 * (true_s[:, 1] - true_s[:, 0])
    assert hits.mean() >= share
    assert len(found) <= 1.1 * len(true_s)


@given(intervals, st.integers(-1000, 1000) | st.just(1_800_000_000))
def test_shifting_the_time_shifts_the_onsets_only(steps_ms, shift_s):
    time_s = np.cumsum(steps_ms)[:24] / 1000

    assert find_fixations(time_s + shift_s, PLACES) == tuple(
        Fixation(approx(f.onset_s + shift_s, abs=1e-6), approx(f.duration_s, abs=1e-6), f.gaze)
        for f in find_fixations(time_s, PLACES)
    )


@given(intervals)
def test_reversing_the_time_reverses_the_fixations(steps_ms):
    time_s = np.cumsum(steps_ms)[:24] / 1000

    backwards = find_fixations(-time_s[::-1], PLACES[::-1])

    assert [(-f.onset_s - f.duration_s, f.gaze) for f in reversed(backwards)] == [
        (approx(f.onset_s), f.gaze) for f in find_fixations(time_s, PLACES)
    ]


@given(anything, intervals)
def test_mirroring_the_gaze_mirrors_the_fixations(gaze, steps_ms):
    time_s = np.cumsum(steps_ms)[: len(gaze)] / 1000

    assert find_fixations(time_s, gaze * [-1, 1]) == tuple(
        Fixation(f.onset_s, f.duration_s, near(-f.gaze.gaze_x_deg, f.gaze.gaze_y_deg))
        for f in find_fixations(time_s, gaze)
    )


@given(anything, intervals)
def test_fixations_follow_each_other_and_last_at_least_100_ms(gaze, steps_ms):
    time_s = np.cumsum(steps_ms)[: len(gaze)] / 1000

    found = find_fixations(time_s, gaze)

    assert all(f.duration_s >= 0.1 - 1e-6 for f in found)
    assert all(a.onset_s + a.duration_s < b.onset_s for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("time_s", "gaze", "complaint"),
    [
        ([0, 1], [[0, 0]], "gaze_deg"),
        ([0, 1], [0, 0], "gaze_deg"),
        ([[0, 1]], [[0, 0]], "time_s"),
        ([0, 0], [[0, 0], [0, 0]], "increasing"),
        ([0, math.nan], [[0, 0], [0, 0]], "increasing"),
        ([0, 1], [[0, 0], [0, math.inf]], "NaN for a lost sample"),
    ],
)
def test_malformed_samples_are_misuse(time_s, gaze, complaint):
    with pytest.raises(ValueError, match=complaint):
        find_fixations(time_s, gaze)


@pytest.mark.parametrize("name", ["min_duration_s", "max_gap_s", "merge_angle_deg"])
def test_parameters_out_of_range_are_misuse(name):
    with pytest.raises(ValueError, match=name):
        find_fixations(clock(24), PLACES, **{name: -1})


def test_time_grows_linearly_with_the_recording():
    gaze = np.repeat(np.random.default_rng(0).uniform(-15, 15, (1334, 2)), 12, axis=0)
    gaze += np.random.default_rng(1).normal(0, 0.3, gaze.shape)

    assert len(find_fixations(clock(16_000, rate_hz=30), gaze[:16_000])) > 750
    assert cpu_growth(lambda count: find_fixations(clock(count, rate_hz=30), gaze[:count]), 4_000) < 9


def test_time_grows_linearly_with_a_fixation():
    (fixation,) = find_fixations(clock(108_000, rate_hz=30), np.zeros((108_000, 2)))

    assert fixation.duration_s == approx(3599.967, abs=0.001)
    assert cpu_growth(lambda count: find_fixations(clock(count, rate_hz=30), np.zeros((count, 2))), 4_000) < 9


@pytest.mark.parametrize(("step", "count"), [([2.0, 0.0], 1), ([1.0, 1.0], 1), ([1.0, 1.2], 2), ([-2.2, 0.0], 2)])
def test_the_threshold_applies_to_width_plus_height(step, count):
    gaze = [[0, 0]] * 9 + [step] * 9

    assert len(find_fixations(clock(18), gaze)) == count


def test_pursuit_is_split_into_fixations_as_wide_as_the_threshold():
    # 0.5 degrees a sample: five samples span 2 degrees.
    found = find_fixations(clock(15), np.outer(np.arange(15), [0.5, 0]))

    assert found == (
        Fixation(0.0, approx(0.2), near(1, 0)),
        Fixation(0.25, approx(0.2), near(3.5, 0)),
        Fixation(0.5, approx(0.2), near(6, 0)),
    )


@given(anything, intervals)
def test_swapping_the_axes_swaps_those_of_the_fixations(gaze, steps_ms):
    time_s = np.cumsum(steps_ms)[: len(gaze)] / 1000

    assert find_fixations(time_s, gaze[:, ::-1]) == tuple(
        Fixation(f.onset_s, f.duration_s, near(f.gaze.gaze_y_deg, f.gaze.gaze_x_deg))
        for f in find_fixations(time_s, gaze)
    )


@given(st.integers(-40, 40), st.integers(-40, 40), intervals)
def test_shifting_the_gaze_shifts_the_fixations_only(x_deg, y_deg, steps_ms):
    time_s = np.cumsum(steps_ms)[:24] / 1000

    assert find_fixations(time_s, np.add(PLACES, [x_deg, y_deg])) == tuple(
        Fixation(f.onset_s, f.duration_s, near(f.gaze.gaze_x_deg + x_deg, f.gaze.gaze_y_deg + y_deg))
        for f in find_fixations(time_s, PLACES)
    )


def test_the_threshold_must_be_positive():
    with pytest.raises(ValueError, match="dispersion_threshold_deg"):
        find_fixations(clock(24), PLACES, dispersion_threshold_deg=0)
