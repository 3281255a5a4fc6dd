"""Completion of a session: which frames are waited for, and which request delivers the result."""

import threading

import pytest

from func.session.completion import Done, Score, Wait
from gaze_core.errors import ResultSinkError, SessionScoredError, SessionStoreError
from tests.fakes.completion import HIT, MISS, VIEWER, CompletionWorld, record


@pytest.fixture
def world():
    return CompletionWorld()


class TestWaiting:
    def test_a_complete_session_is_not_waited_for(self, world):
        world.store(record(HIT), record(HIT))

        world.complete(2, has_image=True)

        assert world.now_s == 0

    def test_a_late_frame_is_waited_for(self, world):
        world.store(record(HIT))
        world.on_sleep[3.0] = lambda: world.store(record(MISS), start=2)

        result = world.complete(3)

        assert (result["frames"]["received"], world.now_s) == (2, 3.0)

    def test_the_wait_is_limited_and_missing_frames_are_reported(self, world):
        world.store(record(HIT))

        result = world.complete(4)

        assert world.now_s == 10.0
        assert (result["frames"]["expected"], result["frames"]["received"], result["lost"]["missing"]) == (3, 1, 2)
        assert result["coverage"] == 0.3333

    def test_the_number_of_a_last_request_without_an_image_counts_only_if_that_frame_exists(self, world):
        world.store(record(HIT), record(HIT), record(HIT))

        assert world.complete(3)["frames"]["expected"] == 3

    def test_frames_beyond_the_last_number_are_left_out_and_the_answer_says_so(self, world):
        world.store(record(HIT), record(HIT), record(MISS))

        done = world.finish(1, has_image=True)

        assert done.result.frames.received == 1
        assert done.warnings == (
            "frames numbered beyond the last frame do not count (2 stored); send total_frames to count them",
        )

    @pytest.mark.parametrize("fields", [{"frame_number": 3}, {"frame_number": 1, "total_frames": 3}])
    def test_without_frames_beyond_the_last_number_there_is_no_warning(self, world, fields):
        world.store(record(HIT), record(HIT), record(MISS))

        assert world.finish(**fields).warnings == ()

    def test_with_a_total_gaps_are_allowed(self, world):
        for number in (2, 5, 9):
            world.store(record(HIT), start=number)

        result = world.complete(9, total_frames=3)

        assert world.now_s == 0
        assert (result["frames"]["expected"], result["lost"]["missing"]) == (3, 0)

    def test_with_a_total_a_late_frame_beyond_the_last_number_is_waited_for(self, world):
        world.store(record(HIT), record(HIT))
        world.on_sleep[2.0] = lambda: world.store(record(MISS), start=9)

        result = world.complete(5, total_frames=3)

        assert world.now_s == 2.0
        assert (result["frames"]["received"], result["lost"]["missing"], result["final_score"]) == (3, 0, 66.67)

    @pytest.mark.parametrize("total_frames", [None, 2])
    def test_the_first_frame_may_be_late(self, world, total_frames):
        world.store(record(HIT), start=2)
        world.on_sleep[2.0] = lambda: world.store(record(HIT))

        result = world.complete(3, total_frames=total_frames)

        assert (result["frames"]["received"], world.now_s) == (2, 2.0)

    def test_claiming_two_billion_frames_takes_no_time(self, world):
        world.store(record(HIT))

        assert world.complete(2**31 - 1)["lost"]["missing"] == 2**31 - 3

    def test_a_frame_beyond_the_last_one_does_not_count(self, world):
        world.store(record(HIT), record(HIT), record(MISS))

        assert world.complete(2, has_image=True)["frames"]["received"] == 2

    def test_the_result_of_an_empty_session_is_neither_stored_nor_delivered(self, world):
        world.sessions.create_session("s", **VIEWER)

        done = world.finish(3)

        assert (done.outcome, done.result.final_score, done.result.score_invalid_reason) == ("empty", 0.0, "no_frames")
        assert world.now_s == 10.0
        assert world.sessions.get_session("s").settings == {}
        assert (world.sink.deliveries, world.counts.stored) == ([], 0)

    def test_frames_that_arrive_after_an_empty_result_count(self, world):
        world.sessions.create_session("s", **VIEWER)
        world.complete(3)
        world.store(record(HIT), record(HIT))

        done = world.finish(3)

        assert (done.outcome, done.result.final_score) == ("delivered", 100.0)

    @pytest.mark.parametrize("total_frames", [None, 2])
    def test_a_last_frame_waits_for_a_session_that_does_not_exist_yet(self, world, total_frames):
        world.on_sleep[4.0] = lambda: world.store(record(HIT), record(HIT))

        done = world.finish(3, total_frames=total_frames)

        assert (done.outcome, done.result.frames.received, world.now_s) == ("delivered", 2, 4.0)

    def test_a_last_frame_of_number_1_without_an_image_waits_for_a_frame_too(self, world):
        world.on_sleep[0.5] = lambda: world.store(record(HIT))

        assert world.finish(1).result.frames.received == 1

    def test_only_a_complete_session_needs_a_scoring_place(self, world):
        world.store(record(HIT))
        step = world.completer.begin(world.last(3))
        kinds = [type(step)]
        world.on_sleep[0.5] = lambda: world.store(record(HIT), start=2)
        while not isinstance(step, Done):
            world.sleep(getattr(step, "pause_s", 0.0))
            step = world.completer.advance(step)
            kinds.append(type(step))

        assert kinds == [Wait, Score, Wait, Done]

    def test_only_frames_that_may_be_new_are_read_while_waiting(self, world):
        world.store(*[record(HIT)] * 5)
        read = []
        get_session = world.sessions.get_session
        world.sessions.get_session = lambda name, **range_: read.append(range_) or get_session(name, **range_)
        world.on_sleep[1.0] = lambda: world.store(record(HIT), start=6)

        world.complete(7)

        assert read == [{}, {"first": 6, "last": 7}, {"first": 6, "last": 7}, {}]

    def test_a_frame_that_arrives_during_scoring_belongs_to_the_score(self, world):
        world.store(record(HIT))
        extract = world.maps.extract_saliencyMap

        def extract_late(*args, **kwargs):
            world.maps.extract_saliencyMap = extract
            world.store(record(MISS), start=2)
            return extract(*args, **kwargs)

        world.maps.extract_saliencyMap = extract_late
        result = world.complete(3)

        assert (result["frames"]["received"], result["lost"]["missing"], result["final_score"]) == (2, 0, 50.0)

    def test_without_new_frames_a_session_is_scored_once(self, world):
        # Two frames count, one is a validation target, one is beyond the last frame, and frame 3 is missing.
        world.store(record(HIT), record(HIT, target=[0.5, 0.5], calibration_use="validate"))
        world.store(record(HIT), record(HIT), start=4)
        reads = []
        extract = world.maps.extract_saliencyMap
        world.maps.extract_saliencyMap = lambda *args, **kwargs: reads.append(1) or extract(*args, **kwargs)

        assert world.complete(4, has_image=True)["lost"]["missing"] == 1
        assert len(reads) == 2  # the facts of the video and its maps

    def test_a_session_without_its_first_frame_is_scored_once(self, world):
        world.store(record(HIT), start=2)
        reads = []
        extract = world.maps.extract_saliencyMap
        world.maps.extract_saliencyMap = lambda *args, **kwargs: reads.append(1) or extract(*args, **kwargs)

        assert world.complete(3)["lost"]["missing"] == 1
        assert len(reads) == 2


class TestDelivery:
    def test_a_repeat_returns_the_same_result_and_delivers_nothing(self, world):
        world.store(record(HIT), record(MISS))

        first, second = world.complete(3), world.complete(3)

        assert second == first
        assert len(world.sink.deliveries) == 1

    def test_the_first_result_stays(self, world):
        world.store(record(HIT))
        first = world.complete(2)

        with pytest.raises(SessionScoredError):
            world.store(record(MISS), start=2)
        world.maps.by_video.clear()
        assert world.complete(2) == first

    def test_a_repeat_delivers_an_undelivered_result_at_once(self, world):
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
    def test_a_malformed_stored_result_is_an_error_of_the_session_api(self, world, nonsense):
        world.store(record(HIT), result=nonsense)

        with pytest.raises(SessionStoreError):
            world.complete(2)
        assert world.sink.deliveries == []

    def test_the_video_and_address_of_the_session_take_precedence_over_those_of_its_last_request(self, world):
        world.store(record(HIT))

        world.complete(2, video_id="other", ip_address="192.0.2.9")

        (delivered,) = world.sink.results.values()
        assert (delivered["video_id"], delivered["ip_address"]) == ("contents1", "203.0.113.7")
        assert delivered["final_score"] == 100.0

    def test_two_concurrent_last_frames_deliver_once(self, world):
        world.store(record(HIT))
        send = world.sink.send_result
        answers = []

        def send_while_another_completes(*args, **kwargs):
            world.sink.send_result = send
            other = threading.Thread(target=lambda: answers.append(world.complete(2)))
            # The other request finds the result without a delivery mark and waits for the mark.
            world.on_sleep[world.now_s + 1.0] = lambda: (
                send(*args, **kwargs) or world.sessions.store_settings("s", {"result_delivered": True})
            )
            other.start()
            other.join()

        world.sink.send_result = send_while_another_completes
        answers.append(world.complete(2))

        assert answers[0] == answers[1]
        assert len(world.sink.deliveries) == 1


class TestUndeliveredResults:
    """Another request stored a result and has not marked it as delivered."""

    @pytest.fixture
    def world(self):
        world = CompletionWorld()
        world.store(record(HIT), result={"final_score": 12.5, "score_valid": True, "coverage": 0.5})
        return world

    def find_scores(self, world):
        return [entry["final_score"] for entry in world.sink.results.values()]

    def test_the_other_request_gets_10_s_to_deliver_it(self, world):
        done = world.finish(2)

        assert (done.outcome, self.find_scores(world), world.now_s) == ("delivered", [12.5], 10.0)

    def test_a_delivery_by_the_other_request_is_noticed(self, world):
        world.on_sleep[2.0] = lambda: world.sessions.store_settings("s", {"result_delivered": True})

        done = world.finish(2)

        assert (done.outcome, done.result.final_score, world.now_s) == ("repeated", 12.5, 2.0)
        assert world.sink.deliveries == []

    def test_a_failed_delivery_by_the_other_request_is_repeated_at_once(self, world):
        world.on_sleep[2.0] = lambda: world.sessions.store_settings("s", {"result_delivered": False})

        assert (world.finish(2).outcome, self.find_scores(world), world.now_s) == ("delivered", [12.5], 2.0)

    @pytest.mark.parametrize("later", [None, {}, {"result": {"final_score": 99.0}}], ids=["none", "new", "scored"])
    def test_a_result_is_delivered_even_if_a_later_session_replaces_its_own(self, world, later):
        def expire():
            world.sessions.expire("s")
            if later is not None:
                world.store(record(MISS), **later)

        world.on_sleep[2.0] = expire

        done = world.finish(2)

        assert (done.outcome, done.result.final_score, self.find_scores(world)) == ("delivered", 12.5, [12.5])
        assert world.now_s == 2.0

    def test_a_repeat_has_the_warnings_of_the_first_answer(self):
        world = CompletionWorld()
        world.store(record(HIT))
        world.sessions.expire("s")
        world.store(record(HIT), start=2)
        first = world.finish(3)

        repeat = world.finish(3)

        assert (len(repeat.warnings), repeat.warnings) == (1, first.warnings)
