"""The video frame on screen at a position."""

import numpy as np
import pytest

from gaze_core.video_times import VideoTimes

THREE_FRAMES = np.array([0.5, 1.0, 3.0])


def find(times, *positions_ms):
    return [times.find_frame(position_ms) for position_ms in positions_ms]


class TestConstantRate:
    def test_frame_n_starts_at_n_minus_1_frames(self):
        assert find(VideoTimes(fps=25.0), 0, 39, 40, 79, 80, 1000) == [1, 1, 2, 2, 3, 26]

    def test_a_position_rounded_down_by_half_a_millisecond_is_the_next_frame(self):
        assert find(VideoTimes(fps=30.0), 33.0, 32.8) == [2, 1]  # frame 2 starts at 33.33 ms

    def test_the_end_of_the_video_is_its_last_frame(self):
        assert find(VideoTimes(fps=25.0, frame_count=100), 3960, 4000, 4040, 4249) == [100, 100, 100, 100]

    @pytest.mark.parametrize(("position_ms", "number"), [(4250, 100), (4251, 107)])
    def test_250_ms_after_the_end_there_is_no_frame(self, position_ms, number):
        assert find(VideoTimes(fps=25.0, frame_count=100), position_ms) == [number]

    def test_the_last_frame_stays_until_the_stated_end(self):
        assert find(VideoTimes(fps=25.0, frame_count=100, duration_s=6.0), 5900, 6200, 6300) == [100, 100, 158]

    def test_without_a_frame_count_nothing_is_the_last_frame(self):
        assert find(VideoTimes(fps=25.0), 4000) == [101]

    def test_after_the_end_no_map_is_held(self):
        # Maps of frames up to 100 are held for 50 frames, so 107 would still have one.
        assert find(VideoTimes(fps=25.0, frame_count=100, duration_s=4.0, held_every=50), 4251) == [150]

    def test_without_a_stated_end_maps_are_held_as_long_as_they_say(self):
        # Facts without `duration_s` may end with the frame of the last map.
        assert find(VideoTimes(fps=25.0, frame_count=101, held_every=50), 5000) == [126]

    def test_before_the_start_there_is_no_frame(self):
        assert find(VideoTimes(fps=25.0), -1.0, -1e300) == [0, -999999999999999]

    def test_a_huge_position_is_a_number_of_64_bits(self):
        assert find(VideoTimes(fps=25.0), 1e300) == [10**15 + 1]


class TestListedTimes:
    def test_a_frame_is_on_screen_until_the_next_one_starts(self):
        times = VideoTimes(starts_s=THREE_FRAMES, duration_s=4.0)

        assert find(times, 500, 999, 1000, 2999, 3000, 4000) == [1, 1, 2, 2, 3, 3]

    def test_a_position_may_be_rounded_down_by_half_a_millisecond(self):
        assert find(VideoTimes(starts_s=np.array([0.0, 0.0334])), 33.0, 32.8) == [2, 1]

    def test_before_the_first_frame_starts_it_is_the_first_frame(self):
        assert find(VideoTimes(starts_s=THREE_FRAMES), 0, 499) == [1, 1]

    def test_before_0_there_is_no_frame(self):
        assert find(VideoTimes(starts_s=THREE_FRAMES), -1.0) == [0]

    @pytest.mark.parametrize(("position_ms", "number"), [(4250, 3), (4251, 4)])
    def test_250_ms_after_the_end_there_is_no_frame(self, position_ms, number):
        assert find(VideoTimes(starts_s=THREE_FRAMES, duration_s=4.0), position_ms) == [number]

    def test_after_the_end_no_map_is_held(self):
        assert find(VideoTimes(starts_s=THREE_FRAMES, duration_s=4.0, held_every=3), 5000) == [6]

    def test_without_a_stated_end_the_video_ends_with_the_start_of_its_last_frame(self):
        assert find(VideoTimes(starts_s=THREE_FRAMES), 3250, 3251) == [3, 4]

    def test_the_frame_rate_does_not_matter(self):
        assert find(VideoTimes(fps=1000.0, starts_s=THREE_FRAMES, duration_s=4.0), 999, 1000) == [1, 2]

    def test_of_frames_with_the_same_time_the_last_one_is_on_screen(self):
        assert find(VideoTimes(starts_s=np.array([0.0, 1.0, 1.0, 2.0])), 1000, 1500) == [3, 3]


def test_without_rate_and_times_no_frame_can_be_found():
    assert VideoTimes().is_known is False
    with pytest.raises(ValueError, match="unknown"):
        VideoTimes().find_frame(0.0)
