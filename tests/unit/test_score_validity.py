"""Sessions that say nothing, and warnings in the result."""

import numpy as np
import pytest

from tests.fakes.completion import HIT, LEFT_HALF, CompletionWorld, record

FRAMES = 60


@pytest.fixture
def long_world():
    """Return a world whose video has a map for each of 100 frames, at 20 frames per second."""
    world = CompletionWorld()
    world.maps.by_video["contents1"] = dict.fromkeys(range(1, 101), LEFT_HALF)
    world.maps.fps, world.maps.duration_s = 20.0, 5.0
    return world


def at(number, gaze=HIT, **more):
    """Return the record of a frame with honest times."""
    time_ms = 50.0 * (number - 1)
    return record(gaze, timestamp_ms=1.7e12 + time_ms, video_time_ms=time_ms, video_id="contents1", **more)


def validity(result):
    return result["score_valid"], result["score_invalid_reason"]


def codes(result):
    return {each["code"]: each["frames"] for each in result.get("warnings", [])}


class TestValidity:
    @pytest.mark.parametrize(
        ("scored", "expected"),
        [(10, (False, "too_few_frames")), (19, (False, "too_few_frames")), (20, (True, None)), (40, (True, None))],
    )
    def test_a_valid_score_needs_20_frames(self, long_world, scored, expected):
        long_world.store(*[at(number) for number in range(1, scored + 1)])

        result = long_world.complete(scored + 1)

        assert (validity(result), result["final_score"]) == (expected, 100.0)

    def test_3_of_95_frames_say_nothing(self, long_world):
        gazes = {10, 50, 90}
        long_world.store(*[at(number) if number in gazes else record(validity="no_face") for number in range(1, 96)])

        result = long_world.complete(96)

        assert validity(result) == (False, "too_few_frames")
        assert (result["lost"]["no_face"], result["coverage"]) == (92, 0.0316)

    @pytest.mark.parametrize(
        ("total", "expected"),
        [(50, (True, None)), (99, (True, None)), (102, (False, "low_coverage")), (200, (False, "low_coverage"))],
    )
    def test_30_frames_are_valid_if_they_are_30_percent(self, long_world, total, expected):
        long_world.store(*[at(number) for number in range(1, 31)])

        assert validity(long_world.complete(31, total_frames=total)) == expected

    def test_few_maps_are_no_low_coverage(self, long_world):
        long_world.maps.by_video["contents1"] = dict.fromkeys(range(1, 101, 5), LEFT_HALF)
        long_world.store(*[at(number) for number in range(1, 101)])

        result = long_world.complete(101)

        assert (validity(result), result["coverage"]) == ((True, None), 0.2)

    @pytest.mark.parametrize(
        ("flat", "expected"),
        [
            (0, (True, None)),
            (35, (True, None)),
            (69, (True, None)),
            (71, (False, "flat_maps")),
            (85, (False, "flat_maps")),
            (100, (False, "flat_maps")),
        ],
    )
    def test_flat_maps_are_counted_and_invalid_from_70_percent(self, long_world, flat, expected):
        maps = long_world.maps.by_video["contents1"]
        maps |= dict.fromkeys(range(1, flat + 1), np.full((4, 10), 0.5))
        long_world.store(*[at(number) for number in range(1, 101)])

        result = long_world.complete(101)

        assert (validity(result), result["frames"]["flat_map"], result["final_score"]) == (expected, flat, 100.0 - flat)
        assert codes(result) == ({"flat_maps": flat} if flat else {})

    def test_a_map_that_no_gaze_can_hit_is_flat(self, long_world):
        # Nine tenths of the pixels share the highest value: 10 % + 45 % are below or equal, not 70 %.
        almost_white = np.repeat([[0.0] + [1.0] * 9], 4, axis=0)
        long_world.maps.by_video["contents1"] = dict.fromkeys(range(1, 101), almost_white)
        long_world.store(*[at(number) for number in range(1, 31)])

        result = long_world.complete(31)

        assert (validity(result), result["chance_level"]) == ((False, "flat_maps"), 0.0)


class TestWarnings:
    def complete(self, world, **changes):
        """Complete a session of 60 frames, with functions of number and value that change its records."""
        records = []
        for number in range(1, FRAMES + 1):
            each = at(number)
            records.append(each | {name: change(number, each[name]) for name, change in changes.items()})
        world.store(*records)
        return world.complete(FRAMES + 1)

    def test_an_honest_session_has_none(self, long_world):
        assert "warnings" not in self.complete(long_world)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda _, value: value / 1000, "capture_clock_units"),
            (lambda _, value: value * 1000, "capture_clock_units"),
            (lambda _, value: 5.0, "capture_clock_stopped"),
        ],
    )
    def test_a_wrong_capture_clock_is_named_and_changes_no_number(self, long_world, change, code):
        result = self.complete(long_world, timestamp_ms=change)

        assert codes(result) == {code: FRAMES}
        assert (result["final_score"], validity(result)) == (100.0, (True, None))

    @pytest.mark.parametrize("jump_ms", [-10_000.0, 3_600_000.0])
    def test_a_jump_of_the_capture_clock_is_named(self, long_world, jump_ms):
        result = self.complete(long_world, timestamp_ms=lambda number, value: value + jump_ms * (number > 30))

        assert codes(result) == {"capture_clock_jumps": 1}

    def test_video_times_in_seconds_are_named(self, long_world):
        assert codes(self.complete(long_world, video_time_ms=lambda _, value: value / 1000)) == {
            "video_clock_units": FRAMES
        }

    def test_video_times_in_microseconds_are_named(self, long_world):
        found = codes(self.complete(long_world, video_time_ms=lambda _, value: value * 1000))

        # The second frame is at 50 s of 5.
        assert found == {"video_clock_units": FRAMES, "video_clock_outside": FRAMES - 1}

    def test_a_video_that_stands_is_named(self, long_world):
        assert codes(self.complete(long_world, video_time_ms=lambda *_: 500.0)) == {"video_clock_stopped": FRAMES}

    def test_the_time_that_is_left_is_no_position(self, long_world):
        found = codes(self.complete(long_world, video_time_ms=lambda _, value: 5000.0 - value))

        assert found == {"video_clock_backwards": FRAMES - 1}

    def test_positions_beyond_the_end_are_named(self, long_world):
        found = self.complete(long_world, video_time_ms=lambda number, value: value + 60_000.0 * (number > 40))

        assert codes(found) == {"video_clock_outside": 20}

    def test_frames_without_a_position_leave_the_score_if_others_have_one(self, long_world):
        found = self.complete(long_world, video_time_ms=lambda number, value: None if number % 2 else value)

        assert codes(found) == {"mixed_video_times": 30}
        assert (found["lost"]["no_time"], found["frames"]["scored"], found["coverage"]) == (30, 30, 0.5)
        assert found["trace"]["frame_number"] == list(range(2, FRAMES + 1, 2))

    def test_positions_of_frames_without_a_gaze_count_too(self, long_world):
        seen = [at(number) | {"video_time_ms": None} for number in range(1, FRAMES + 1)]
        unseen = record(validity="no_face", video_time_ms=3000.0, timestamp_ms=1.7e12 + 3000.0)
        long_world.store(*seen, unseen)

        found = long_world.complete(FRAMES + 2)

        assert codes(found) == {"mixed_video_times": FRAMES}
        assert (validity(found), found["lost"]["no_time"]) == ((False, "nothing_scored"), FRAMES)

    def test_few_positions_make_the_coverage_low(self, long_world):
        found = self.complete(long_world, video_time_ms=lambda number, value: value if number <= 17 else None)

        assert validity(found) == (False, "too_few_frames")

    def test_without_a_frame_rate_positions_are_not_used_and_no_frame_is_left_out(self, long_world):
        long_world.maps.fps = None
        found = self.complete(long_world, video_time_ms=lambda number, value: None if number % 2 else value)

        assert codes(found) == {"video_times_unused": 30}
        assert (found["lost"]["no_time"], found["frames"]["scored"]) == (0, FRAMES)

    def test_capture_times_of_some_frames_are_named(self, long_world):
        found = self.complete(long_world, timestamp_ms=lambda number, value: None if number == 7 else value)

        assert codes(found) == {"mixed_timestamps": 1}

    def test_a_session_of_two_videos_is_named(self, long_world):
        found = self.complete(long_world, video_id=lambda number, value: "other" if number > 45 else value)

        assert codes(found) == {"several_videos": 15}

    def test_every_warning_has_a_sentence(self, long_world):
        (warning,) = self.complete(long_world, timestamp_ms=lambda *_: 5.0)["warnings"]

        assert warning["detail"] == "timestamp_ms is the same in every frame; send the capture time of each"
