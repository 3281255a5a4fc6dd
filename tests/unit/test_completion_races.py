"""Last frames, frames and expiry in any order: acknowledged frames are scored and each result is delivered once.

Time is simulated: every call of the session API takes a few milliseconds, in which other clients act.
"""

import heapq
import itertools
import random

import pytest

from gaze_core.errors import ResultSinkError, SessionExpiredError, SessionNotFoundError, SessionStoreError
from tests.fakes.completion import HIT, MISS, VIEWER, CompletionWorld, record

CALL_S = 0.003


class Timeline(CompletionWorld):
    """World in which other clients act at given times, also during calls of the completer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._events = []
        self._order = itertools.count()
        self._is_acting = False
        self.refused = []
        self.sessions.before_call = self._pass_call

    def at(self, time_s, act):
        heapq.heappush(self._events, (time_s, next(self._order), act))

    def send_frame(self, time_s, number, gaze=HIT):
        """Send a frame, and repeat it every 0.5 s while the session API fails."""

        def send():
            try:
                self.store(record(gaze), start=number)
            except SessionStoreError:
                self.at(self.now_s + 0.5, send)
            except Exception as error:
                self.refused.append(error)

        self.at(time_s, send)

    def finish_at(self, time_s, frame_number, **kwargs):
        """Send the last frame, and repeat it every 0.5 s while an upstream service fails."""
        self.sleep(time_s - self.now_s)
        while True:
            try:
                return self.finish(frame_number, **kwargs)
            except (SessionStoreError, ResultSinkError):
                self.sleep(0.5)

    def sleep(self, duration_s):
        end_s = self.now_s + duration_s
        self._act_until(end_s)
        self.now_s = max(self.now_s, end_s)

    def _pass_call(self, _name):
        if not self._is_acting:
            self.sleep(CALL_S)

    def _act_until(self, end_s):
        self._is_acting = True
        while self._events and self._events[0][0] <= end_s:
            time_s, _, act = heapq.heappop(self._events)
            self.now_s = max(self.now_s, time_s)
            act()
        self._is_acting = False


@pytest.mark.parametrize("remembers", [True, False], ids=["our session API", "older session API"])
@pytest.mark.parametrize("shape", [{}, {"total_frames": 4}, {"has_image": True}], ids=["numbers", "total", "image"])
def test_a_last_frame_within_200_ms_of_the_first_one_is_scored_with_all_frames(shape, remembers):
    for run in range(60):
        rng = random.Random(run)
        world = Timeline(remembers=remembers)
        for number in range(1, 5):
            world.send_frame(rng.uniform(0.0, 0.2), number)
        last_number = 4 if shape.get("has_image") else 5

        done = world.finish_at(rng.uniform(0.0, 0.2), last_number, **shape)

        assert (done.outcome, done.result.frames.received, done.result.lost.missing) == ("delivered", 4, 0), run
        assert (world.refused, len(world.sink.deliveries), world.counts.delivered) == ([], 1, 1), run


def test_a_last_frame_of_one_frame_is_scored_whenever_that_frame_comes():
    for run in range(60):
        rng = random.Random(run)
        world = Timeline()
        world.send_frame(rng.uniform(0.0, 0.2), 1)

        done = world.finish_at(rng.uniform(0.0, 0.2), rng.choice([1, 2]))

        assert (done.outcome, done.result.frames.received) == ("delivered", 1), run
        assert (world.refused, len(world.sink.deliveries)) == ([], 1), run


def test_after_an_outage_of_the_session_api_repeats_complete_every_session():
    for run in range(60):
        rng = random.Random(run)
        world = Timeline()
        start_s = rng.uniform(0.0, 2.0)
        world.at(start_s, lambda world=world: setattr(world.sessions, "error", SessionStoreError("down")))
        world.at(start_s + 3.0, lambda world=world: setattr(world.sessions, "error", None))
        for number in range(1, 31):
            world.send_frame(0.05 * number, number, rng.choice([HIT, MISS]))

        done = world.finish_at(1.55, 31)

        assert (done.result.frames.received, done.result.lost.missing) == (30, 0), run
        assert [entry["final_score"] for entry in world.sink.results.values()] == [done.result.final_score], run
        assert world.refused == []


def test_two_concurrent_repeats_deliver_one_result_in_any_order():
    for run in range(60):
        rng = random.Random(run)
        world = Timeline()
        world.store(record(HIT), record(MISS))
        steps = {name: world.completer.begin(world.last(3)) for name in ("first", "second")}
        due_s = dict.fromkeys(steps, world.now_s)
        while any(not hasattr(step, "result") for step in steps.values()):
            name = rng.choice([name for name, step in steps.items() if not hasattr(step, "result")])
            world.now_s = max(world.now_s, due_s[name])
            steps[name] = world.completer.advance(steps[name])
            due_s[name] = world.now_s + getattr(steps[name], "pause_s", 0.0)

        assert {step.result.final_score for step in steps.values()} == {50.0}
        assert (len(world.sink.results), world.counts.stored) == (1, 1), run


def test_eight_viewers_who_finish_together_with_a_missing_frame_each_are_done_3_s_after_the_wait():
    """Scoring takes half a second in one of two places; waiting takes none."""
    world = CompletionWorld()
    agenda = []
    for viewer in range(8):
        world.sessions.update_session(f"s{viewer}", 1, record(HIT), **VIEWER)
        heapq.heappush(agenda, (0.0, viewer, world.completer.begin(world.last(3, session_id=f"s{viewer}"))))
    places_free_s = [0.0, 0.0]
    done_s = []
    while agenda:
        world.now_s, viewer, step = heapq.heappop(agenda)
        if hasattr(step, "result"):
            done_s.append(world.now_s)
        elif hasattr(step, "pause_s"):
            world.now_s += step.pause_s
            due_s = world.now_s
            heapq.heappush(agenda, (due_s, viewer, world.completer.advance(step)))
        else:
            start_s = max(world.now_s, heapq.heappop(places_free_s))
            heapq.heappush(places_free_s, start_s + 0.5)
            heapq.heappush(agenda, (start_s + 0.5, viewer, world.completer.advance(step)))

    assert len(done_s) == 8
    assert max(done_s) <= 10.0 + 3.0
    assert len(world.sink.results) == 8


class TestExpiry:
    """A session with two of three frames expires before one of the calls of its completion."""

    def start(self, *, remembers=True):
        world = CompletionWorld(remembers=remembers)
        world.store(record(HIT), record(MISS))
        return world

    def count_calls(self, world):
        calls = []
        world.sessions.before_call = calls.append
        world.finish(4)
        return len(calls)

    @pytest.mark.parametrize("remembers", [True, False], ids=["our session API", "older session API"])
    @pytest.mark.parametrize("comes_back", [False, True], ids=["expired", "created again by a late frame"])
    def test_at_any_moment_only_a_correct_result_is_delivered(self, remembers, comes_back):
        outcomes = set()
        for moment in range(self.count_calls(self.start(remembers=remembers))):
            world = self.start(remembers=remembers)
            self.expire_before_call(world, moment, comes_back=comes_back)
            try:
                outcomes.add(str(world.finish(4).outcome))
            except SessionExpiredError:
                outcomes.add("expired")
                assert (world.sink.deliveries, world.counts.stored) == ([], 0), moment
            for delivered in world.sink.results.values():
                assert delivered["final_score"] in {50.0, 100.0}, moment

        assert outcomes <= {"delivered", "expired"}
        assert "delivered" in outcomes
        assert comes_back or "expired" in outcomes

    def expire_before_call(self, world, moment, *, comes_back):
        countdown = itertools.count()

        def act(_name):
            if next(countdown) == moment:
                world.sessions.before_call = lambda _name: None
                world.sessions.expire("s")
                if comes_back:
                    world.store(record(HIT), start=3)

        world.sessions.before_call = act

    @pytest.mark.parametrize("remembers", [True, False], ids=["our session API", "older session API"])
    @pytest.mark.parametrize("shape", [{}, {"total_frames": 3}], ids=["numbers", "total"])
    def test_a_session_that_expires_before_its_last_frame_is_not_created_again(self, remembers, shape):
        world = self.start(remembers=remembers)
        world.sessions.expire("s")

        with pytest.raises(SessionExpiredError):
            world.finish(4, **shape)
        with pytest.raises(SessionNotFoundError):
            world.sessions.get_session("s")

    @pytest.mark.parametrize("remembers", [True, False], ids=["our session API", "older session API"])
    def test_the_frame_of_the_last_request_alone_is_not_a_session(self, remembers):
        world = self.start(remembers=remembers)
        world.sessions.expire("s")
        world.store(record(HIT), start=4)

        with pytest.raises(SessionExpiredError):
            world.finish(4, has_image=True)
        assert (world.sink.deliveries, world.sessions.get_session("s").settings) == ([], {})

    def test_a_late_repeat_after_a_failed_delivery_delivers_no_empty_result(self):
        world = self.start()
        world.sink.error = ResultSinkError("502")
        with pytest.raises(ResultSinkError):
            world.finish(3)
        world.sink.error = None
        world.finish(3)
        world.sessions.expire("s")

        with pytest.raises(SessionExpiredError):
            world.finish(3)

        assert [entry["final_score"] for entry in world.sink.results.values()] == [50.0]

    @pytest.mark.parametrize("remembers", [True, False], ids=["our session API", "older session API"])
    def test_a_session_that_expires_without_frames_is_expired_and_not_empty(self, remembers):
        world = CompletionWorld(remembers=remembers)
        world.sessions.create_session("s", **VIEWER)
        world.on_sleep[2.0] = lambda: world.sessions.expire("s")

        with pytest.raises(SessionExpiredError, match="'s'"):
            world.finish(1)

    def test_a_session_that_expired_without_frames_before_its_last_frame_is_expired(self):
        world = CompletionWorld()
        world.sessions.create_session("s", **VIEWER)
        world.sessions.expire("s")

        with pytest.raises(SessionExpiredError, match="'s'"):
            world.finish(1)

    def test_the_delivery_mark_does_not_reach_a_later_session(self):
        world = self.start()
        send = world.sink.send_result

        def send_while_the_session_expires(*args, **kwargs):
            send(*args, **kwargs)
            world.sessions.expire("s")
            world.store(record(HIT))

        world.sink.send_result = send_while_the_session_expires

        assert world.finish(3).outcome == "delivered"
        assert world.sessions.get_session("s").settings == {}

    def test_frames_lost_with_an_expired_session_are_missing_and_the_answer_warns(self):
        world = self.start()
        world.sessions.expire("s")
        world.store(record(HIT), record(HIT), start=3)

        done = world.finish(5)

        assert (done.outcome, done.result.lost.missing, done.result.coverage) == ("delivered", 2, 0.5)
        assert done.warnings[0].startswith("an earlier session under this id expired at 2026-01-01T01:0000Z")

    def test_each_viewing_has_its_own_idempotency_key(self):
        world = self.start()
        world.finish(3)
        world.sessions.expire("s")
        world.store(record(HIT), record(HIT))
        world.finish(3)

        assert [entry["final_score"] for entry in world.sink.results.values()] == [50.0, 100.0]
