"""Fixations, saccades and blinks in recordings whose events are known."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from pytest import approx

from gaze_core.events import (
    Blink,
    Closure,
    Fixation,
    Saccade,
    angular_velocity,
    find_blinks,
    find_closures,
    find_fixations_by_dispersion,
    find_fixations_by_velocity,
    find_saccades,
    open_level,
)
from gaze_core.gaze import gaze_direction, gaze_vector
from gaze_core.head_pose import rotation_matrix
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import GazeDirection

RATE_HZ = 20
LOST = [math.nan, math.nan]
PLACES = [[0, 0]] * 10 + [[8, 0]] * 6 + [[8, -6]] * 8
"""At 20 Hz: 0.45 s ahead, 0.25 s to the right, 0.35 s below it; each saccade falls between two samples."""

methods = pytest.mark.parametrize("find_fixations", [find_fixations_by_velocity, find_fixations_by_dispersion])
intervals = st.lists(st.integers(35, 65), min_size=60, max_size=60)
anything = arrays(
    np.float64, st.tuples(st.integers(0, 60), st.just(2)), elements=st.floats(-30, 30) | st.just(math.nan)
)


def clock(count, *, rate_hz=RATE_HZ):
    return np.arange(count) / rate_hz


def spans(events):
    return [(approx(event.onset_s), approx(event.duration_s)) for event in events]


def near(x_deg, y_deg):
    return GazeDirection(approx(x_deg, abs=1e-6), approx(y_deg, abs=1e-6))


def turned(gaze, rotation):
    directions = [gaze_direction(rotation @ gaze_vector(GazeDirection(x, y))) for x, y in gaze]
    return np.array([[direction.gaze_x_deg, direction.gaze_y_deg] for direction in directions])


def watch(rate_hz, noise_deg, *, seed=0):
    """Return times and noisy gaze of 40 fixations, 0.2 to 0.5 s long and 3 to 12 degrees apart, and when they are."""
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


class TestVelocity:
    def test_10_degrees_in_50_ms_are_200_degrees_per_second(self):
        assert angular_velocity([0, 0.05, 0.1], [[0, 0], [10, 0], [10, 0]]) == approx([200, 0])

    def test_up_and_sideways_add_like_the_sides_of_a_triangle(self):
        assert angular_velocity([0, 1], [[0, 0], [0.3, 0.4]]) == approx([0.5], abs=1e-5)

    def test_far_above_the_camera_the_same_azimuths_are_nearer_to_each_other(self):
        # cos 60 degrees is one half.
        assert angular_velocity([0, 1], [[0, 60], [0.1, 60]]) == approx([0.05], abs=1e-5)

    def test_beside_a_lost_sample_there_is_none(self):
        assert_array_equal(np.isnan(angular_velocity([0, 1, 2, 3], [[0, 0], [0, 0], LOST, [0, 0]])), [0, 1, 1])


@methods
class TestFixations:
    def test_resting_places_are_fixations(self, find_fixations):
        assert find_fixations(clock(24), PLACES) == (
            Fixation(0.0, approx(0.45), near(0, 0)),
            Fixation(0.5, approx(0.25), near(8, 0)),
            Fixation(0.8, approx(0.35), near(8, -6)),
        )

    def test_a_sample_caught_in_flight_belongs_to_none(self, find_fixations):
        gaze = [[0, 0]] * 10 + [[4, 0]] + [[8, 0]] * 10

        assert spans(find_fixations(clock(21), gaze)) == [(0.0, 0.45), (0.55, 0.45)]

    def test_a_rest_of_100_ms_is_one_and_a_shorter_one_is_not(self, find_fixations):
        gaze = [[0, 0]] * 10 + [[8, 0]] * 2 + [[0, 8]] * 3 + [[-8, 0]] * 10

        assert spans(find_fixations(clock(25), gaze)) == [(0.0, 0.45), (0.6, 0.1), (0.75, 0.45)]

    def test_their_gaze_is_the_mean_of_their_samples(self, find_fixations):
        (fixation,) = find_fixations(clock(4), [[1, 0], [1.2, 0.4], [1, 0], [1.2, 0.4]])

        assert fixation.gaze == near(1.1, 0.2)

    def test_one_lost_frame_at_20_hz_changes_nothing(self, find_fixations):
        gaze = [[0, 0]] * 5 + [LOST] + [[0, 0]] * 4

        assert spans(find_fixations(clock(10), gaze)) == [(0.0, 0.45)]

    def test_two_lost_frames_at_30_hz_change_nothing(self, find_fixations):
        gaze = [[0, 0]] * 5 + [LOST] * 2 + [[0, 0]] * 6

        assert spans(find_fixations(clock(13, rate_hz=30), gaze)) == [(0.0, 0.4)]

    def test_a_blink_ends_a_fixation_even_if_the_gaze_comes_back(self, find_fixations):
        gaze = [[0, 0]] * 5 + [LOST] * 4 + [[0, 0]] * 5

        assert spans(find_fixations(clock(14), gaze)) == [(0.0, 0.2), (0.45, 0.2)]

    def test_a_jump_may_hide_in_a_lost_frame(self, find_fixations):
        # 2.5 degrees in 100 ms would be slow; the eyes take less than 50 ms.
        gaze = [[0, 0]] * 5 + [LOST] + [[2.5, 0]] * 5

        assert spans(find_fixations(clock(11), gaze)) == [(0.0, 0.2), (0.3, 0.2)]

    def test_lost_frames_may_as_well_be_missing(self, find_fixations):
        time_s, gaze, _ = watch(20, 0.2)
        lost = np.random.default_rng(1).random(len(time_s)) < 0.2
        with_lost = np.where(lost[:, None], math.nan, gaze)

        assert find_fixations(time_s, with_lost) == find_fixations(time_s[~lost], gaze[~lost])

    def test_a_flaw_of_one_sample_does_not_cut_a_fixation(self, find_fixations):
        gaze = [[0, 0]] * 6 + [[12, 9]] + [[0, 0]] * 6

        (fixation,) = find_fixations(clock(13), gaze)

        assert fixation == Fixation(0.0, approx(0.6), near(0, 0))

    def test_the_longer_part_of_a_merged_fixation_weighs_more(self, find_fixations):
        (fixation,) = find_fixations(clock(13), [[0, 0]] * 8 + [[12, 9]] + [[0.9, 0]] * 4)

        assert fixation.gaze == near(0.3, 0)

    def test_places_farther_apart_than_the_merge_angle_stay_two(self, find_fixations):
        gaze = [[0, 0]] * 6 + [[12, 9]] + [[1.1, 0]] * 6

        assert len(find_fixations(clock(13), gaze)) == 2
        assert len(find_fixations(clock(13), gaze, merge_angle_deg=1.2)) == 1

    @pytest.mark.parametrize("gaze", [[], [[0, 0]], [[0, 0]] * 2, [LOST] * 30, [[0, 0], LOST] + [LOST] * 30])
    def test_a_recording_too_short_for_a_fixation_has_none(self, find_fixations, gaze):
        assert find_fixations(clock(len(gaze)), gaze) == ()

    def test_a_gaze_that_never_rests_has_no_fixation(self, find_fixations):
        assert find_fixations(clock(40), [[10 * (-1) ** i, 3 * i % 7] for i in range(40)]) == ()

    @pytest.mark.parametrize(
        ("rate_hz", "noise_deg", "share"), [(20, 0.3, 0.8), (30, 0.3, 0.9), (20, 0.7, 0.7), (30, 0.7, 0.8)]
    )
    def test_in_smoothed_noise_most_fixations_are_found(self, find_fixations, rate_hz, noise_deg, share):
        time_s, gaze, true_s = watch(rate_hz, noise_deg)

        found = find_fixations(time_s, smooth_zero_lag(time_s, gaze))

        overlaps_s = [
            max(min(end, f.onset_s + f.duration_s) - max(start, f.onset_s) for f in found) for start, end in true_s
        ]
        hits = np.array(overlaps_s) > 0.5 * (true_s[:, 1] - true_s[:, 0])
        assert hits.mean() >= share
        assert len(found) <= 1.1 * len(true_s)

    @given(intervals, st.integers(-1000, 1000) | st.just(1_800_000_000))
    def test_when_it_happens_changes_nothing_else(self, find_fixations, steps_ms, shift_s):
        time_s = np.cumsum(steps_ms)[:24] / 1000

        assert find_fixations(time_s + shift_s, PLACES) == tuple(
            Fixation(approx(f.onset_s + shift_s, abs=1e-6), approx(f.duration_s, abs=1e-6), f.gaze)
            for f in find_fixations(time_s, PLACES)
        )

    @given(intervals)
    def test_running_time_backwards_an_unambiguous_recording_gives_the_same(self, find_fixations, steps_ms):
        time_s = np.cumsum(steps_ms)[:24] / 1000

        backwards = find_fixations(-time_s[::-1], PLACES[::-1])

        assert [(-f.onset_s - f.duration_s, f.gaze) for f in reversed(backwards)] == [
            (approx(f.onset_s), f.gaze) for f in find_fixations(time_s, PLACES)
        ]

    @given(anything, intervals)
    def test_mirroring_the_gaze_mirrors_the_fixations(self, find_fixations, gaze, steps_ms):
        time_s = np.cumsum(steps_ms)[: len(gaze)] / 1000

        assert find_fixations(time_s, gaze * [-1, 1]) == tuple(
            Fixation(f.onset_s, f.duration_s, near(-f.gaze.gaze_x_deg, f.gaze.gaze_y_deg))
            for f in find_fixations(time_s, gaze)
        )

    @given(anything, intervals)
    def test_fixations_follow_each_other_and_last_at_least_100_ms(self, find_fixations, gaze, steps_ms):
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
            ([0, 0], [[0, 0], [0, 0]], "rise"),
            ([0, math.nan], [[0, 0], [0, 0]], "rise"),
            ([0, 1], [[0, 0], [0, math.inf]], "NaN where there is none"),
        ],
    )
    def test_samples_that_cannot_be_a_recording_are_misuse(self, find_fixations, time_s, gaze, complaint):
        with pytest.raises(ValueError, match=complaint):
            find_fixations(time_s, gaze)

    @pytest.mark.parametrize("name", ["min_duration_s", "max_gap_s", "merge_angle_deg"])
    def test_parameters_out_of_range_are_misuse(self, find_fixations, name):
        with pytest.raises(ValueError, match=name):
            find_fixations(clock(24), PLACES, **{name: -1})

    def test_an_hour_takes_less_than_two_seconds(self, find_fixations):
        gaze = np.repeat(np.random.default_rng(0).uniform(-15, 15, (9000, 2)), 12, axis=0)
        gaze += np.random.default_rng(1).normal(0, 0.3, gaze.shape)

        start = time.process_time()
        found = find_fixations(clock(108_000, rate_hz=30), gaze)

        assert time.process_time() - start < 2
        assert len(found) > 5000

    def test_a_viewer_who_never_moves_takes_no_longer(self, find_fixations):
        start = time.process_time()
        (fixation,) = find_fixations(clock(108_000, rate_hz=30), np.zeros((108_000, 2)))

        assert time.process_time() - start < 2
        assert fixation.duration_s == approx(3599.967, abs=0.001)


class TestFixationsByVelocity:
    @pytest.mark.parametrize(("rate_hz", "smallest_deg"), [(20, 1.5), (30, 1.0)])
    def test_the_smallest_jump_is_the_threshold_times_the_interval(self, rate_hz, smallest_deg):
        below, above = ([[0, 0]] * 9 + [[size, 0]] * 9 for size in (0.95 * smallest_deg, 1.1 * smallest_deg))
        time_s = clock(18, rate_hz=rate_hz)

        assert len(find_fixations_by_velocity(time_s, below)) == 1
        assert len(find_fixations_by_velocity(time_s, above)) == 2

    def test_slow_pursuit_is_one_long_fixation(self):
        assert spans(find_fixations_by_velocity(clock(41), np.outer(clock(41), [10, 0]))) == [(0.0, 2.0)]

    @given(st.floats(-60, 60), st.floats(-60, 60), st.floats(-180, 180), intervals)
    def test_turning_the_sphere_of_gazes_changes_no_onset_and_no_duration(self, pitch, yaw, roll, steps_ms):
        time_s = np.cumsum(steps_ms)[:24] / 1000
        gaze = np.array(PLACES) + 0.2 * np.sin(np.arange(48)).reshape(24, 2)

        found = find_fixations_by_velocity(time_s, turned(gaze, rotation_matrix(pitch, yaw, roll)))

        assert spans(found) == [(f.onset_s, f.duration_s) for f in find_fixations_by_velocity(time_s, gaze)]

    @given(st.floats(-60, 60), intervals)
    def test_turning_the_viewer_turns_the_fixations(self, angle_deg, steps_ms):
        time_s = np.cumsum(steps_ms)[:24] / 1000

        found = find_fixations_by_velocity(time_s, np.add(PLACES, [angle_deg, 0]))

        assert found == tuple(
            Fixation(f.onset_s, f.duration_s, near(f.gaze.gaze_x_deg + angle_deg, f.gaze.gaze_y_deg))
            for f in find_fixations_by_velocity(time_s, PLACES)
        )

    def test_the_threshold_must_be_positive(self):
        with pytest.raises(ValueError, match="velocity_threshold_deg_per_s"):
            find_fixations_by_velocity(clock(24), PLACES, velocity_threshold_deg_per_s=0)


class TestFixationsByDispersion:
    @pytest.mark.parametrize(("step", "count"), [([2.0, 0.0], 1), ([1.0, 1.0], 1), ([1.0, 1.2], 2), ([-2.2, 0.0], 2)])
    def test_width_plus_height_counts(self, step, count):
        gaze = [[0, 0]] * 9 + [step] * 9

        assert len(find_fixations_by_dispersion(clock(18), gaze)) == count

    def test_pursuit_is_cut_into_windows_as_wide_as_the_threshold(self):
        # 0.5 degrees a sample: five samples span 2 degrees.
        found = find_fixations_by_dispersion(clock(15), np.outer(np.arange(15), [0.5, 0]))

        assert found == (
            Fixation(0.0, approx(0.2), near(1, 0)),
            Fixation(0.25, approx(0.2), near(3.5, 0)),
            Fixation(0.5, approx(0.2), near(6, 0)),
        )

    @given(anything, intervals)
    def test_exchanging_the_axes_exchanges_those_of_the_fixations(self, gaze, steps_ms):
        time_s = np.cumsum(steps_ms)[: len(gaze)] / 1000

        assert find_fixations_by_dispersion(time_s, gaze[:, ::-1]) == tuple(
            Fixation(f.onset_s, f.duration_s, near(f.gaze.gaze_y_deg, f.gaze.gaze_x_deg))
            for f in find_fixations_by_dispersion(time_s, gaze)
        )

    @given(st.integers(-40, 40), st.integers(-40, 40), intervals)
    def test_where_it_happens_changes_nothing_else(self, x_deg, y_deg, steps_ms):
        time_s = np.cumsum(steps_ms)[:24] / 1000

        assert find_fixations_by_dispersion(time_s, np.add(PLACES, [x_deg, y_deg])) == tuple(
            Fixation(f.onset_s, f.duration_s, near(f.gaze.gaze_x_deg + x_deg, f.gaze.gaze_y_deg + y_deg))
            for f in find_fixations_by_dispersion(time_s, PLACES)
        )

    def test_the_threshold_must_be_positive(self):
        with pytest.raises(ValueError, match="dispersion_threshold_deg"):
            find_fixations_by_dispersion(clock(24), PLACES, dispersion_threshold_deg=0)


def saccades(gaze, *, rate_hz=RATE_HZ, find_fixations=find_fixations_by_velocity, **parameters):
    time_s = clock(len(gaze), rate_hz=rate_hz)
    return find_saccades(time_s, gaze, find_fixations(time_s, gaze), **parameters)


class TestSaccades:
    @methods
    def test_the_gaze_jumps_from_fixation_to_fixation(self, find_fixations):
        assert saccades(PLACES, find_fixations=find_fixations) == (
            Saccade(approx(0.45), approx(0.05), approx(8), approx(160), near(0, 0), near(8, 0)),
            Saccade(approx(0.75), approx(0.05), approx(6), approx(120), near(8, 0), near(8, -6)),
        )

    def test_samples_caught_in_flight_make_it_longer_and_show_its_peak(self):
        gaze = [[0, 0]] * 9 + [[3, 0]] + [[9, 0]] + [[10, 0]] * 9

        # At 60 Hz: 3, 6 and 1 degrees within a sixtieth of a second each.
        (saccade,) = saccades(gaze, rate_hz=60)

        assert (saccade.onset_s, saccade.duration_s) == approx((8 / 60, 3 / 60))
        assert (saccade.amplitude_deg, saccade.peak_velocity_deg_per_s) == approx((10, 360))

    def test_what_happens_during_a_blink_is_unknown(self):
        assert saccades([[0, 0]] * 9 + [LOST] * 3 + [[8, 0]] * 9) == ()

    def test_a_lost_frame_is_no_blink(self):
        (saccade,) = saccades([[0, 0]] * 9 + [LOST] + [[8, 0]] * 9)

        assert (saccade.duration_s, saccade.peak_velocity_deg_per_s) == (approx(0.1), approx(80))

    def test_a_long_restless_stretch_is_no_saccade(self):
        gaze = [[0, 0]] * 9 + [[8, 0], [0, 8], [8, 0], [0, 8]] + [[8, 8]] * 9

        assert saccades(gaze) == ()
        assert len(saccades(gaze, max_duration_s=0.25)) == 1

    def test_a_slow_drift_that_dispersion_cuts_is_no_saccade(self):
        assert saccades(np.outer(np.arange(15), [0.5, 0]), find_fixations=find_fixations_by_dispersion) == ()

    @pytest.mark.parametrize("gaze", [[], [[0, 0]], [[0, 0]] * 2, [[0, 0]] * 20, [LOST] * 20])
    def test_without_two_fixations_there_is_none(self, gaze):
        assert saccades(gaze) == ()

    def test_fixations_of_another_recording_have_none(self):
        elsewhere = [Fixation(100.0, 0.2, GazeDirection(0, 0)), Fixation(100.25, 0.2, GazeDirection(8, 0))]

        assert find_saccades(clock(24), PLACES, elsewhere) == ()

    @pytest.mark.parametrize("rate_hz", [20, 30])
    def test_in_smoothed_noise_three_quarters_are_found_with_their_size(self, rate_hz):
        time_s, gaze, true_s = watch(rate_hz, 0.5)
        smoothed = smooth_zero_lag(time_s, gaze)

        found = find_saccades(time_s, smoothed, find_fixations_by_dispersion(time_s, smoothed))

        middles_s = (true_s[:-1, 1] + true_s[1:, 0]) / 2
        seen = [any(s.onset_s - 0.03 <= m <= s.onset_s + s.duration_s + 0.03 for s in found) for m in middles_s]
        assert np.mean(seen) >= 0.75
        assert len(found) <= len(middles_s)

    @pytest.mark.parametrize("parameters", [{"min_velocity_deg_per_s": 0}, {"max_duration_s": 0}, {"max_gap_s": -1}])
    def test_parameters_out_of_range_are_misuse(self, parameters):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            find_saccades(clock(24), PLACES, [], **parameters)


OPEN, SHUT = [0.3], [0.05]


def blinks(openness, *, rate_hz=RATE_HZ, **parameters):
    return find_blinks(clock(len(openness), rate_hz=rate_hz), openness, **parameters)


def closures(openness, **parameters):
    return find_closures(clock(len(openness)), openness, **parameters)


class TestBlinks:
    def test_the_eyes_shut_and_open_again(self):
        # Half of the open level, 0.15, is three fifths of the way from 0.3 to 0.05: 30 of 50 ms.
        assert blinks(OPEN * 10 + SHUT * 3 + OPEN * 10) == (Blink(approx(0.48), approx(0.14)),)

    def test_every_blink_is_one(self):
        found = blinks((OPEN * 10 + [0.15, 0.05, 0.1, 0.2]) * 4 + OPEN * 10)

        assert [blink.onset_s for blink in found] == approx([0.5, 1.2, 1.9, 2.6])

    @pytest.mark.parametrize("level", [0.15, 0.3, 0.5])
    def test_what_is_open_depends_on_the_viewer(self, level):
        assert len(blinks([level] * 20 + [0.2 * level] * 3 + [level] * 20)) == 1

    def test_looking_down_is_no_blink(self):
        assert blinks(OPEN * 20 + [0.2] * 5 + OPEN * 20) == ()

    def test_a_flaw_of_one_frame_at_30_hz_is_no_blink(self):
        assert blinks(OPEN * 20 + SHUT + OPEN * 20, rate_hz=30) == ()

    def test_more_than_half_a_second_is_no_blink_but_a_closure(self):
        openness = OPEN * 40 + SHUT * 11 + OPEN * 40

        assert blinks(openness) == ()
        assert closures(openness) == (Closure(approx(1.98), approx(0.54)),)

    def test_half_a_second_is_a_blink_and_no_closure(self):
        # The lids cross 0.15 exactly on the samples at 1.95 and 2.45 s.
        openness = OPEN * 39 + [0.15] + SHUT * 9 + [0.15] + OPEN * 40

        assert spans(blinks(openness)) == [(1.95, 0.5)]
        assert closures(openness) == ()

    def test_a_lost_frame_within_a_blink_is_bridged(self):
        openness = OPEN * 10 + SHUT + [math.nan] + SHUT + OPEN * 10

        assert blinks(openness) == (Blink(approx(0.48), approx(0.14)),)

    def test_a_face_that_is_gone_cuts_a_blink_short(self):
        openness = OPEN * 10 + SHUT * 3 + [math.nan] * 10 + OPEN * 10

        assert blinks(openness) == (Blink(approx(0.48), approx(0.12)),)

    def test_a_face_that_is_gone_in_between_parts_two_blinks(self):
        openness = OPEN * 10 + SHUT * 3 + [math.nan] * 4 + SHUT * 3 + OPEN * 10

        assert spans(blinks(openness)) == [(0.48, 0.12), (0.85, 0.12)]

    def test_eyes_shut_at_both_ends_of_the_recording_count_from_there(self):
        assert spans(blinks(SHUT * 4 + OPEN * 30 + SHUT * 4)) == [(0.0, 0.17), (1.68, 0.17)]

    @pytest.mark.parametrize("openness", [[], OPEN, OPEN * 2, OPEN * 30, [math.nan] * 30, [0.0] * 30])
    def test_eyes_that_never_shut_never_blink(self, openness):
        assert blinks(openness) == ()
        assert closures(openness) == ()

    @given(arrays(np.float64, 60, elements=st.floats(0, 0.5) | st.just(math.nan)), intervals)
    def test_blinks_follow_each_other_and_last_50_to_500_ms(self, openness, steps_ms):
        found = find_blinks(np.cumsum(steps_ms) / 1000, openness)

        assert all(0.05 - 1e-6 <= blink.duration_s <= 0.5 + 1e-6 for blink in found)
        assert all(a.onset_s + a.duration_s <= b.onset_s + 1e-9 for a, b in itertools.pairwise(found))

    @given(st.floats(0.1, 10), st.integers(-1000, 1000))
    def test_neither_the_scale_of_openness_nor_the_time_of_day_matter(self, gain, shift_s):
        openness = np.array(OPEN * 10 + SHUT * 3 + OPEN * 10)

        assert find_blinks(clock(23) + shift_s, gain * openness) == (Blink(approx(shift_s + 0.48), approx(0.14)),)

    @pytest.mark.parametrize("rate_hz", [20, 30])
    def test_noise_adds_and_hides_none(self, rate_hz):
        # Six blinks of 0.25 s from the first movement of the lids to the last.
        time_s = clock(20 * rate_hz, rate_hz=rate_hz)
        lids = [np.interp(time_s, [m - 0.1, m - 0.02, m + 0.02, m + 0.15], [1, 0.2, 0.2, 1]) for m in range(3, 20, 3)]
        openness = 0.3 * np.min(lids, axis=0) + np.random.default_rng(0).normal(0, 0.015, len(time_s))

        found = find_blinks(time_s, openness)

        assert [blink.onset_s for blink in found] == approx([2.95, 5.95, 8.95, 11.95, 14.95, 17.95], abs=0.03)
        assert [blink.duration_s for blink in found] == approx([0.12] * 6, abs=0.04)

    def test_an_hour_takes_less_than_two_seconds(self):
        openness = np.tile(OPEN * 50 + SHUT * 4, 2000)

        start = time.process_time()
        found = find_blinks(clock(108_000, rate_hz=30), openness)

        assert time.process_time() - start < 2
        assert len(found) == 2000

    @pytest.mark.parametrize(
        ("time_s", "openness", "complaint"),
        [
            ([0, 1], [0.3], "same shape"),
            ([0, 1], [[0.3, 0.3]], "shape"),
            ([0, 0], [0.3, 0.3], "rise"),
            ([0, 1], [0.3, -0.1], "negative"),
            ([0, 1], [0.3, math.inf], "NaN"),
        ],
    )
    def test_samples_that_cannot_be_a_recording_are_misuse(self, time_s, openness, complaint):
        with pytest.raises(ValueError, match=complaint):
            find_blinks(time_s, openness)

    @pytest.mark.parametrize(
        "parameters", [{"shut_share": 1}, {"min_duration_s": -1}, {"max_duration_s": 0}, {"max_gap_s": -1}]
    )
    def test_parameters_out_of_range_are_misuse(self, parameters):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            blinks(OPEN * 10, **parameters)


class TestOpenLevel:
    def test_shut_eyes_do_not_count_as_long_as_they_are_open_a_third_of_the_time(self):
        assert open_level(OPEN * 10 + SHUT * 20 + [math.nan]) == 0.3

    def test_unmeasured_eyes_have_none(self):
        assert open_level([math.nan, math.nan]) is None
