"""Scores and other contents of the result."""

import pytest

from gaze_core.errors import SaliencyMapError
from tests.fakes.completion import HIT, LEFT_HALF, MISS, OFF, CompletionWorld, record

MEASURED = {
    "features": [0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0],
    "origin_mm": [1.0, 2.0, 571.0],
    "eye_openness": [0.3, 0.3],
}
EYES = {name: [5.0, -8.0, 2.0, 3.0] for name in ("left", "right", "both")}
"""The eye network's answer in a record."""


@pytest.fixture
def world():
    return CompletionWorld()


class TestScore:
    def test_the_score_is_the_percentage_of_hits(self, world):
        world.store(record(HIT), record(HIT), record(MISS))

        result = world.complete(4)

        assert result["final_score"] == 66.67
        assert (result["chance_level"], result["lift_points"]) == (30.0, 36.67)
        assert result["coverage"] == 1.0

    def test_a_gaze_off_the_screen_is_a_miss_and_counted(self, world):
        world.store(record(HIT), record(OFF))

        result = world.complete(3)

        assert result["final_score"] == 50.0
        assert result["frames"]["off_video"] == 1

    def test_the_viewport_maps_the_screen_to_the_video(self, world):
        # The video fills the right half: the screen's 0.55 is the video's 0.1.
        world.store(record([0.55, 0.5]), record([0.1, 0.5]), viewport={"x": 0.5, "y": 0, "width": 0.5, "height": 1})

        result = world.complete(3)

        assert (result["frames"]["hits"], result["frames"]["off_video"]) == (1, 1)

    def test_a_gaze_off_the_screen_is_a_miss_even_where_the_video_reaches_beyond_it(self, world):
        world.store(record([-0.1, 0.5]), viewport={"x": -0.5, "y": 0, "width": 2.4, "height": 1})

        result = world.complete(2)

        assert (result["frames"]["hits"], result["frames"]["off_video"]) == (0, 1)

    def test_a_frame_is_scored_with_the_map_of_its_position_in_the_video(self, world):
        # 10 frames a second: 250 ms into the video its third frame is shown.
        right_half = LEFT_HALF[:, ::-1]
        world.maps.by_video["contents1"] = {1: LEFT_HALF, 3: right_half}
        world.maps.fps = 10.0
        world.store(record(MISS, video_time_ms=250.0))

        result = world.complete(2)

        assert (result["final_score"], result["trace"]["video_frame"]) == (100.0, [3])

    def test_the_trace_has_the_values_of_each_frame(self, world):
        world.store(record(HIT), record(MISS), record(OFF))

        trace = world.complete(4)["trace"]

        assert trace["frame_number"] == [1, 2, 3]
        assert trace["hit"] == [1, 0, 0]
        assert trace["rank"] == [0.85, 0.35, None]
        assert trace["chance"] == [0.3, 0.3, 0.3]

    def test_the_interval_of_a_short_session_is_unreliable(self, world):
        world.store(*[record(HIT), record(MISS)] * 5)

        result = world.complete(11)

        assert result["interval_reliable"] is False
        assert result["lift"]["value"] == 20.0

    def test_with_a_known_accuracy_blurred_maps_are_scored_too(self):
        world = CompletionWorld(accuracy_deg=4.0)
        # A hole of 2 pixels in the salient part: a miss on the map, a hit within the accuracy.
        with_hole = LEFT_HALF.repeat(10, axis=0).repeat(10, axis=1)
        with_hole[19:21, 9:11] = 0.0
        world.maps.by_video["contents1"] = {1: with_hole}
        world.store(record([0.1, 0.5]))

        result = world.complete(2)

        at_accuracy = result["at_accuracy"]
        assert (at_accuracy["accuracy_deg"], at_accuracy["source"]) == (4.0, "setting")
        assert (result["final_score"], at_accuracy["final_score"]) == (0.0, 100.0)

    def test_without_a_known_accuracy_nothing_is_blurred(self, world):
        world.store(record(HIT))

        assert world.complete(2)["at_accuracy"] is None

    def test_frames_without_a_gaze_leave_the_score_and_are_counted_by_reason(self, world):
        world.store(
            record(HIT),
            record(validity="no_face"),
            record(validity="eyes_closed"),
            record(validity="low_quality"),
            [320, 240],
            {"gaze": [320, 240], "saliency_match": 1},
            {"nonsense": 1},
        )

        result = world.complete(8)

        assert result["final_score"] == 100.0
        assert result["lost"] == {
            "missing": 0,
            "no_face": 1,
            "eyes_closed": 1,
            "low_quality": 1,
            "old_format": 2,
            "unreadable": 1,
            "no_map": 0,
            "bad_map": 0,
            "no_time": 0,
        }
        assert result["coverage"] == 0.1429
        assert (result["frames"]["received"], result["frames"]["valid"]) == (7, 1)

    def test_a_frame_without_a_usable_map_leaves_the_score(self, world):
        world.maps.by_video["contents1"] = {1: LEFT_HALF, 2: SaliencyMapError("corrupt")}
        world.store(record(HIT), record(HIT), record(HIT))

        result = world.complete(4)

        assert (result["frames"]["scored"], result["lost"]["bad_map"], result["lost"]["no_map"]) == (1, 1, 1)

    @pytest.mark.parametrize(
        ("records", "video", "reason"),
        [
            ([record(validity="no_face")], {1: LEFT_HALF}, "no_valid_gaze"),
            ([record(HIT)], {}, "no_maps"),
            ([record(HIT)], {7: LEFT_HALF}, "nothing_scored"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_without_a_scored_frame_the_result_has_a_reason(self, world, records, video, reason):
        world.maps.by_video["contents1"] = video
        world.store(*records)

        result = world.complete(len(records) + 1)

        assert (result["final_score"], result["score_valid"], result["score_invalid_reason"]) == (0.0, False, reason)
        assert next(iter(world.sink.results.values()))["score_valid"] is False

    @pytest.mark.parametrize("fps", [25.0, 1e300])
    @pytest.mark.parametrize("video_time_ms", [1e300, -1e300])
    def test_an_absurd_position_in_the_video_has_no_map(self, world, video_time_ms, fps):
        world.maps.fps = fps
        world.store(record(HIT), record(HIT, video_time_ms=video_time_ms))

        assert world.complete(3)["lost"]["no_map"] == 1

    def test_a_gaze_misses_a_video_of_almost_no_size(self, world):
        world.store(record(HIT, viewport={"x": 0.0, "y": 0.0, "width": 1e-320, "height": 1.0}))

        assert world.complete(2)["frames"]["off_video"] == 1

    def test_the_result_identifies_model_and_maps(self, world):
        world.store(record(HIT))

        result = world.complete(2)

        assert (result["model_digest"], result["maps_digest"]) == ("m", "d")

    @pytest.mark.parametrize(("eyes", "digest"), [(EYES, "n"), (EYES | {"both": None}, None), (None, None)])
    def test_the_result_identifies_the_eye_network_if_a_frame_went_through_it(self, eyes, digest):
        world = CompletionWorld(eye_network_digest="n")
        world.store(record(HIT, **MEASURED), record(HIT, **MEASURED, eyes=eyes))

        assert world.complete(3)["eye_network_digest"] == digest

    def test_without_an_eye_network_the_result_identifies_none(self, world):
        world.store(record(HIT, **MEASURED, eyes=EYES))

        assert world.complete(2)["eye_network_digest"] is None
