"""The last frame: what is waited for, what is scored, and who delivers the result."""

import threading

import numpy as np
import pytest

from func.errors import ScoringBusyError
from func.session.completion import Scorer
from gaze_core.errors import ResultSinkError, SaliencyMapError, SessionScoredError, SessionStoreError
from tests.fakes.aggregator import FakeResultSink
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}
LEFT_HALF = np.repeat([[1.0] * 3 + [0.0] * 7], 4, axis=0)
"""The left 30 % are salient: a chance level of 30."""
HIT, MISS, OFF = [0.1, 0.5], [0.9, 0.5], [1.5, 0.5]


def record(gaze=None, validity="ok", **more):
    return {"gaze": gaze, "validity": validity, **more}


class World:
    """A scorer with its neighbours and a clock that only moves when somebody sleeps."""

    def __init__(self, *, places=2, accuracy_deg=None):
        self.sessions = FakeSessionStore()
        self.maps = FakeSaliencyMaps({"contents1": dict.fromkeys(range(1, 11), LEFT_HALF)}, digest="d")
        self.sink = FakeResultSink()
        self.now_s = 0.0
        self.on_sleep = {}
        self.scorer = Scorer(
            self.sessions, self.maps, self.sink, model=FakeGazeModel(digest="m"), barrier_timeout_s=10.0, poll_s=0.5,
            places=places, accuracy_deg=accuracy_deg, clock=lambda: self.now_s, sleep=self.sleep,
        )  # fmt: skip

    def sleep(self, duration_s):
        self.now_s += duration_s
        for due_s in sorted(self.on_sleep):
            if due_s <= self.now_s:
                self.on_sleep.pop(due_s)()

    def store(self, *records, start=1, **settings):
        for number, each in enumerate(records, start=start):
            self.sessions.update_session("s", number, each, settings=settings or None, **VIEWER)

    def complete(self, frame_number, *, has_image=False, total_frames=None):
        return self.scorer.complete_session(
            "s", frame_number=frame_number, has_image=has_image, total_frames=total_frames, **VIEWER
        )


@pytest.fixture
def world():
    return World()


class TestScore:
    def test_the_score_is_the_percentage_of_hits(self, world):
        world.store(record(HIT), record(HIT), record(MISS))

        result = world.complete(4)

        assert result["final_score"] == 66.67
        assert result["score_valid"] is True
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

    def test_a_frame_is_scored_with_the_map_of_the_moment_that_it_tells(self, world):
        # 10 frames a second: 250 ms into the video its third frame is shown.
        right_half = LEFT_HALF[:, ::-1]
        world.maps.by_video["contents1"] = {1: LEFT_HALF, 3: right_half}
        world.maps.fps = 10.0
        world.store(record(MISS, video_time_ms=250.0))

        result = world.complete(2)

        assert (result["final_score"], result["trace"]["video_frame"]) == (100.0, [3])

    def test_the_result_says_what_each_frame_contributes(self, world):
        world.store(record(HIT), record(MISS), record(OFF))

        trace = world.complete(4)["trace"]

        assert trace["frame_number"] == [1, 2, 3]
        assert trace["hit"] == [1, 0, 0]
        assert trace["rank"] == [0.85, 0.35, None]
        assert trace["chance"] == [0.3, 0.3, 0.3]

    def test_a_short_session_is_said_to_be_too_short_for_its_interval(self, world):
        world.store(*[record(HIT), record(MISS)] * 5)

        result = world.complete(11)

        assert result["interval_reliable"] is False
        assert result["lift"]["value"] == 20.0

    def test_with_a_known_accuracy_the_maps_are_blurred_to_it_as_well(self):
        world = World(accuracy_deg=4.0)
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
        }
        assert result["coverage"] == 0.1429

    def test_a_frame_without_a_usable_map_leaves_the_score(self, world):
        world.maps.by_video["contents1"] = {1: LEFT_HALF, 2: SaliencyMapError("corrupt")}
        world.store(record(HIT), record(HIT), record(HIT))

        result = world.complete(4)

        assert (result["frames"]["scored"], result["lost"]["bad_map"], result["lost"]["no_map"]) == (1, 1, 1)

    @pytest.mark.parametrize(
        ("records", "video", "reason"),
        [
            ([], {1: LEFT_HALF}, "no_frames"),
            ([record(validity="no_face")], {1: LEFT_HALF}, "no_valid_gaze"),
            ([record(HIT)], {}, "no_maps"),
            ([record(HIT)], {7: LEFT_HALF}, "nothing_scored"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_with_nothing_to_score_the_result_says_why(self, world, records, video, reason):
        world.maps.by_video["contents1"] = video
        world.sessions.create_session("s", **VIEWER)
        world.store(*records)

        result = world.complete(len(records) + 1)

        assert (result["final_score"], result["score_valid"], result["score_invalid_reason"]) == (0.0, False, reason)
        assert next(iter(world.sink.results.values()))["score_valid"] is False

    def test_the_result_names_model_and_maps(self, world):
        world.store(record(HIT))

        result = world.complete(2)

        assert (result["model_digest"], result["maps_digest"]) == ("m", "d")


class TestWaiting:
    def test_a_complete_session_is_not_waited_for(self, world):
        world.store(record(HIT), record(HIT))

        world.complete(2, has_image=True)

        assert world.now_s == 0

    def test_a_straggler_is_waited_for(self, world):
        world.store(record(HIT))
        world.on_sleep[3.0] = lambda: world.store(record(MISS), start=2)

        result = world.complete(3)

        assert (result["frames"]["received"], world.now_s) == (2, 3.0)

    def test_the_wait_is_bounded_and_what_is_missing_is_reported(self, world):
        world.store(record(HIT))

        result = world.complete(4)

        assert world.now_s == 10.0
        assert (result["frames"]["expected"], result["frames"]["received"], result["lost"]["missing"]) == (3, 1, 2)
        assert result["coverage"] == 0.3333

    def test_the_number_of_a_last_request_without_a_picture_counts_only_when_that_frame_is_there(self, world):
        world.store(record(HIT), record(HIT), record(HIT))

        assert world.complete(3)["frames"]["expected"] == 3

    def test_with_a_total_gaps_are_allowed(self, world):
        for number in (2, 5, 9):
            world.store(record(HIT), start=number)

        result = world.complete(9, total_frames=3)

        assert world.now_s == 0
        assert (result["frames"]["expected"], result["lost"]["missing"]) == (3, 0)

    def test_a_client_that_claims_two_thousand_million_frames_costs_nothing(self, world):
        world.store(record(HIT))

        assert world.complete(2**31 - 1)["lost"]["missing"] == 2**31 - 3

    def test_a_frame_beyond_the_last_one_does_not_count(self, world):
        world.store(record(HIT), record(HIT), record(MISS))

        assert world.complete(2, has_image=True)["frames"]["received"] == 2

    def test_a_session_nobody_has_seen_is_created_and_scored_as_empty(self, world):
        result = world.complete(1)

        assert result["score_invalid_reason"] == "no_frames"
        assert world.sessions.get_session("s").ip_address == "203.0.113.7"

    def test_the_empty_result_of_a_session_that_has_expired_does_not_replace_the_real_one(self, world):
        world.complete(1)
        world.complete(1)

        assert world.sink.deliveries == []
        assert world.now_s == 0

    def test_a_frame_that_comes_while_the_maps_are_read_belongs_to_the_score(self, world):
        world.store(record(HIT))
        extract = world.maps.extract_saliencyMap

        def extract_late(*args, **kwargs):
            world.maps.extract_saliencyMap = extract
            world.store(record(MISS), start=2)
            return extract(*args, **kwargs)

        world.maps.extract_saliencyMap = extract_late
        result = world.complete(3)

        assert (result["frames"]["received"], result["lost"]["missing"], result["final_score"]) == (2, 0, 50.0)

    def test_as_many_wait_as_there_are_places(self):
        world = World(places=1)
        world.store(record(HIT))
        refused = []

        def try_too():
            try:
                world.complete(2)
            except ScoringBusyError as error:
                refused.append(error)

        def second_request():
            thread = threading.Thread(target=try_too)
            thread.start()
            thread.join()

        world.on_sleep[1.0] = second_request
        world.complete(3)

        assert len(refused) == 1
        world.complete(3)  # the place is free again


class TestDelivery:
    def test_a_repeat_returns_the_same_result_and_delivers_nothing(self, world):
        world.store(record(HIT), record(MISS))

        first, second = world.complete(3), world.complete(3)

        assert second == first
        assert len(world.sink.deliveries) == 1

    def test_the_result_stands_whatever_comes_later(self, world):
        world.store(record(HIT))
        first = world.complete(2)

        with pytest.raises(SessionScoredError):
            world.store(record(MISS), start=2)
        world.maps.by_video.clear()
        assert world.complete(2) == first

    def test_what_could_not_be_delivered_is_delivered_by_the_repeat_at_once(self, world):
        world.store(record(HIT))
        world.sink.error = ResultSinkError("down")
        with pytest.raises(ResultSinkError):
            world.complete(2)
        world.sink.error = None

        result = world.complete(2)

        assert world.now_s == 0
        assert [entry["final_score"] for entry in world.sink.results.values()] == [result["final_score"]]

    def test_a_result_whose_owner_died_before_delivering_is_delivered_under_the_same_key(self, world):
        world.store(record(HIT))
        sent = world.sink.send_result

        def die(*_args, **_kwargs):
            raise KeyboardInterrupt

        world.sink.send_result = die
        with pytest.raises(KeyboardInterrupt):
            world.complete(2)
        world.sink.send_result = sent

        world.complete(2)
        world.sessions.store_settings("s", {"result_delivered": False})
        world.complete(2)

        assert len(world.sink.deliveries) == 2
        assert len(world.sink.results) == 1

    @pytest.mark.parametrize(
        "nonsense", ["x", {"a": 1}, None, {"final_score": 1e9, "coverage": 1.0, "score_valid": True}]
    )
    def test_a_stored_result_that_is_none_is_the_session_apis_failure(self, world, nonsense):
        world.store(record(HIT), result=nonsense)

        with pytest.raises(SessionStoreError):
            world.complete(2)
        assert world.sink.deliveries == []

    def test_what_the_session_was_created_with_counts_and_not_what_its_last_request_says(self, world):
        world.store(record(HIT))

        world.scorer.complete_session(
            "s", video_id="other", ip_address="192.0.2.9", frame_number=2, has_image=False, total_frames=None
        )

        (delivered,) = world.sink.results.values()
        assert (delivered["video_id"], delivered["ip_address"]) == ("contents1", "203.0.113.7")
        assert delivered["final_score"] == 100.0

    def test_two_at_once_deliver_once(self, world):
        world.store(record(HIT))
        send = world.sink.send_result
        answers = []

        def send_while_another_completes(*args, **kwargs):
            world.sink.send_result = send
            other = threading.Thread(target=lambda: answers.append(world.complete(2)))
            # The other one finds the result stored but not yet marked, and waits for the mark.
            world.on_sleep[world.now_s + 1.0] = lambda: (
                send(*args, **kwargs) or world.sessions.store_settings("s", {"result_delivered": True})
            )
            other.start()
            other.join()

        world.sink.send_result = send_while_another_completes
        answers.append(world.complete(2))

        assert answers[0] == answers[1]
        assert len(world.sink.deliveries) == 1
