"""The timeline of a film: constant or variable rate, gaps."""

import numpy as np
import pytest

from gaze_tools.film_times import describe_rate, find_gaps, make_times

REGULAR_S = np.arange(100) / 25


def without(*numbers):
    return np.delete(REGULAR_S, numbers)


class TestRate:
    def test_times_rounded_to_milliseconds_have_a_constant_rate(self):
        times = make_times(np.round(np.arange(1000) / 29.97, 3), stated_fps=[29.97])

        assert (times.is_constant, times.fps) == (True, 29.97)

    def test_a_rate_that_no_file_states_is_found_in_rounded_times(self):
        # Rounded from 12.4708 to 12.471 s, the last frame lowers the mean rate to 23.9756, which is too far off.
        rounded_s = np.round(np.arange(300) * 1001 / 24000, 3)

        times = make_times(rounded_s, stated_fps=[25.0])

        assert (times.is_constant, times.fps) == (True, pytest.approx(23.976, abs=0.0005))

    def test_a_frame_that_is_2_ms_late_makes_the_rate_variable(self):
        late_s = REGULAR_S.copy()
        late_s[50] += 0.002

        assert make_times(late_s, stated_fps=[25.0]).is_constant is False

    def test_the_rate_that_explains_the_times_is_chosen(self):
        assert make_times(REGULAR_S, stated_fps=[1e6, 50.0, 25.0]).fps == 25.0

    def test_a_wrong_stated_rate_does_not_matter(self):
        times = make_times(REGULAR_S, stated_fps=[50.0])

        assert (times.is_constant, times.fps) == (True, pytest.approx(25.0))

    def test_a_single_frame_has_the_stated_rate(self):
        times = make_times(np.array([0.0]), stated_fps=[10.0])

        assert (times.fps, times.duration_s, times.is_constant) == (10.0, 0.1, True)

    def test_the_end_is_a_usual_step_after_the_last_frame(self):
        assert make_times(np.array([0, 0.1, 0.2, 0.7])).duration_s == pytest.approx(0.8)

    @pytest.mark.parametrize("starts_s", [[], [0, 2, 1], [-0.1, 0], [0, np.nan], [0, np.inf]])
    def test_times_that_fall_or_are_none_are_refused(self, starts_s):
        with pytest.raises(ValueError, match="times"):
            make_times(np.array(starts_s, dtype=np.float64))


class TestGaps:
    def test_missing_frames_are_counted_where_they_are_missing(self):
        (gap,) = find_gaps(without(10, 11, 12))

        assert gap == (pytest.approx(0.4), pytest.approx(0.52), 3)

    def test_a_step_of_1_4_is_none_and_one_of_1_6_is(self):
        shorter_s, longer_s = REGULAR_S.copy(), REGULAR_S.copy()
        shorter_s[50:] += 0.4 * 0.04
        longer_s[50:] += 0.6 * 0.04

        assert (len(find_gaps(shorter_s)), len(find_gaps(longer_s))) == (0, 1)

    @pytest.mark.parametrize(("gaps", "found"), [(4, 4), (6, 0)])
    def test_more_than_1_long_step_in_20_is_a_variable_rate(self, gaps, found):
        # Four gaps in 95 steps are 4.2 %, six in 93 steps 6.5 %.
        assert len(find_gaps(without(*range(5, 5 + 10 * gaps, 10)))) == found

    def test_a_damaged_film_has_gaps_however_many_they_are(self):
        assert len(find_gaps(without(*range(5, 65, 10)), is_damaged=True)) == 6

    def test_a_few_frames_are_too_few_to_tell(self):
        assert find_gaps(np.array([0, 0.1, 0.5, 0.6])) == ()

    def test_a_warning_lists_five_places(self):
        (warning,) = make_times(np.delete(np.arange(400) / 25, np.arange(10, 80, 10))).warnings

        assert warning.startswith("About 7 frames are missing at 0.40-0.44 s, 0.80-0.84 s, ")
        assert " and 2 more; all other maps keep their times." in warning


@pytest.mark.parametrize(
    ("fps", "starts_s", "words"),
    [
        (25.0, None, "25 frames/s"),
        (30000 / 1001, None, "29.97 frames/s"),
        (None, None, "unknown frame rate"),
        (25.0, REGULAR_S + 0.5, "25 frames/s, the first one at 0.500 s"),
        (24.0, without(10, 11), "25 frames/s with gaps"),
        (25.0, np.append(REGULAR_S, REGULAR_S[-1]), "25 frames/s with irregular steps"),
        (2.5, np.array([0, 0.1, 0.6, 0.7, 1.2]), "variable frame rate, 2 to 10 frames/s, mean 2.5"),
    ],
)
def test_the_rate_in_words(fps, starts_s, words):
    assert describe_rate(fps, starts_s) == words
