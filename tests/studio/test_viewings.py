"""Viewings that the gateway has started: whether their earlier frames are still stored."""

import pytest

from gaze_core.errors import SessionStoreError
from gaze_tools.studio.problems import StudioError
from gaze_tools.studio.viewings import FAILED_S, FORGET_S, OPEN_S, RECHECK_S, OpenViewings, StartedViewing
from tests.fakes.clock import FakeClock
from tests.fakes.session_api import FakeSessionStore

VIEWING = StartedViewing("studio-1", "film", None)


@pytest.fixture
def sessions():
    return FakeSessionStore()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def viewings(sessions, clock):
    return start(sessions, clock)


def start(sessions, clock):
    viewings = OpenViewings(sessions, clock=clock)
    viewings.add(VIEWING)
    create(sessions)
    return viewings


def create(sessions):
    sessions.create_session("studio-1", ip_address="203.0.113.7", video_id="film")


def refuse(viewings, session_id="studio-1", **options):
    with pytest.raises(StudioError) as raised:
        viewings.require(session_id, **options)
    return raised.value.status, raised.value.slug


def test_the_times_are_those_that_the_docs_state():
    assert (RECHECK_S, FAILED_S, OPEN_S, FORGET_S) == (30.0, 5.0, 600.0, 21_600.0)


class TestLostSessions:
    def test_frames_of_a_viewing_are_accepted(self, viewings):
        viewings.require("studio-1")

    def test_another_gateway_process_knows_a_viewing_whose_session_still_exists(self, viewings, sessions, clock):
        OpenViewings(sessions, clock=clock).require("studio-1")

    def test_a_viewing_whose_session_no_longer_exists_is_lost(self, clock):
        """As after a restart without a data directory: neither the gateway nor the session API knows it."""
        viewings = OpenViewings(FakeSessionStore(), clock=clock)

        assert refuse(viewings) == (410, "session-lost")
        assert refuse(viewings, is_last=True) == (410, "session-lost")

    def test_a_session_that_expired_in_a_long_pause_is_lost(self, viewings, sessions, clock):
        viewings.require("studio-1")
        sessions.expire("studio-1")
        clock.now_s += RECHECK_S

        assert refuse(viewings) == (410, "session-lost")

    def test_a_session_that_the_function_has_created_again_is_lost(self, viewings, sessions, clock):
        viewings.require("studio-1")
        sessions.expire("studio-1")
        create(sessions)
        clock.now_s += RECHECK_S

        assert refuse(viewings) == (410, "session-lost")

    def test_the_last_frame_finds_out_at_once(self, viewings, sessions):
        viewings.require("studio-1")
        sessions.expire("studio-1")
        create(sessions)

        assert refuse(viewings, is_last=True) == (410, "session-lost")

    def test_the_session_api_is_not_asked_for_every_frame(self, viewings, sessions, clock):
        viewings.require("studio-1")
        sessions.error = SessionStoreError("down")
        clock.now_s += RECHECK_S - 1

        viewings.require("studio-1")

    def test_a_session_api_that_fails_holds_up_no_frames(self, viewings, sessions, clock):
        """The function needs it as well, and says so."""
        sessions.error = SessionStoreError("down")
        viewings.require("studio-1")
        clock.now_s += FAILED_S
        viewings.require("studio-1")

    def test_a_session_api_that_fails_is_asked_again_after_a_while(self, viewings, sessions, clock):
        viewings.require("studio-1")
        clock.now_s += RECHECK_S
        sessions.error = SessionStoreError("down")
        viewings.require("studio-1")
        sessions.error = None
        sessions.expire("studio-1")
        clock.now_s += FAILED_S - 0.1
        viewings.require("studio-1")
        clock.now_s += 0.1

        assert refuse(viewings) == (410, "session-lost")

    def test_nothing_is_scored_while_the_session_api_fails(self, viewings, sessions):
        sessions.error = SessionStoreError("down")
        assert refuse(viewings, is_last=True) == (502, "session-api-failed")
        sessions.error = None

        viewings.require("studio-1", is_last=True)

    def test_frames_of_an_unknown_viewing_wait_for_the_session_api(self, sessions, clock):
        """After a restart of both, the function must not create again what is lost."""
        viewings = OpenViewings(sessions, clock=clock)
        sessions.error = SessionStoreError("down")

        assert refuse(viewings) == (502, "session-api-failed")

    def test_one_frame_of_a_viewing_waits_for_a_slow_session_api(self, viewings, sessions):
        def ask_meanwhile(name):
            sessions.before_call = None  # a second question would call it
            viewings.require("studio-1")

        sessions.before_call = ask_meanwhile
        viewings.require("studio-1")

    def test_a_viewing_that_is_scored_meanwhile_does_not_begin_again(self, viewings, sessions):
        sessions.before_call = lambda name: viewings.end("studio-1")
        viewings.require("studio-1")

        assert not viewings.is_watched("film")

    def test_a_session_api_that_knows_no_videos_does_not_change_what_is_watched(self, sessions, clock):
        viewings = OpenViewings(sessions, clock=clock)
        viewings.add(VIEWING)
        sessions.create_session("studio-1", ip_address="", video_id="")
        viewings.require("studio-1")

        assert viewings.is_watched("film")

    @pytest.mark.parametrize("session_id", ["1", "3f2c9a52-6a0e-5a4e-9d2b-0c6f4a1d7e11", "a-studio-1"])
    def test_sessions_of_other_clients_begin_with_their_first_frame(self, viewings, session_id):
        viewings.require(session_id, is_last=True)

    def test_a_viewing_that_could_not_be_reserved_begins_with_its_first_frame(self, sessions, clock):
        viewings = OpenViewings(sessions, clock=clock)
        viewings.add(VIEWING)
        viewings.confirm("studio-1", is_reserved=False)
        viewings.require("studio-1")  # the session does not exist yet
        create(sessions)
        viewings.require("studio-1")
        sessions.expire("studio-1")
        clock.now_s += RECHECK_S

        assert refuse(viewings) == (410, "session-lost")


class TestRepeatedStarts:
    """Two requests start the same viewing, because the page has given up the first one."""

    def test_one_that_fails_late_does_not_end_the_viewing_that_the_other_has_begun(self, viewings):
        viewings.add(VIEWING)
        viewings.confirm("studio-1", is_reserved=True)
        viewings.give_up("studio-1")

        assert viewings.is_watched("film")

    def test_a_viewing_that_none_has_begun_is_given_up(self, viewings):
        viewings.add(VIEWING)
        viewings.give_up("studio-1")

        assert not viewings.is_watched("film")

    @pytest.mark.parametrize("answers", [(True, False), (False, True)])
    def test_a_session_that_one_has_reserved_exists(self, clock, answers):
        viewings = OpenViewings(FakeSessionStore(), clock=clock)
        for is_reserved in answers:
            viewings.add(VIEWING)
            viewings.confirm("studio-1", is_reserved=is_reserved)

        assert refuse(viewings) == (410, "session-lost")

    def test_one_that_comes_late_does_not_say_that_the_session_exists(self, clock):
        viewings = OpenViewings(FakeSessionStore(), clock=clock)
        viewings.add(VIEWING)
        viewings.confirm("studio-1", is_reserved=False)
        viewings.add(VIEWING)

        viewings.require("studio-1")  # its first frame creates the session


class TestWatched:
    def test_a_film_is_watched_from_the_start_of_a_viewing_until_its_score(self, viewings):
        assert viewings.is_watched("film")
        assert not viewings.is_watched("other")
        viewings.end("studio-1")
        assert not viewings.is_watched("film")

    def test_a_viewing_without_frames_is_given_up_after_a_while(self, viewings, clock):
        clock.now_s += OPEN_S - 1
        viewings.require("studio-1")
        clock.now_s += OPEN_S - 1
        assert viewings.is_watched("film")
        clock.now_s += 1
        assert not viewings.is_watched("film")

    def test_after_a_restart_its_next_frame_says_that_a_film_is_watched(self, viewings, sessions, clock):
        later = OpenViewings(sessions, clock=clock)
        assert not later.is_watched("film")
        later.require("studio-1")
        assert later.is_watched("film")

    def test_a_repeat_of_the_last_frame_does_not_begin_again(self, viewings, sessions):
        sessions.store_settings("studio-1", {"result": {"final_score": 50.0}})
        viewings.end("studio-1")
        viewings.require("studio-1", is_last=True)

        assert not viewings.is_watched("film")


class TestPause:
    """The page of a viewing says that it is open, while no frames come."""

    def pause(self, viewings, clock, seconds):
        for _ in range(seconds // 20):
            clock.now_s += 20
            viewings.note_alive("studio-1")

    def test_a_paused_film_stays_in_use(self, viewings, clock):
        self.pause(viewings, clock, 3600)

        assert viewings.is_watched("film")

    def test_a_page_that_was_closed_gives_it_up(self, viewings, clock):
        self.pause(viewings, clock, 3600)
        clock.now_s += OPEN_S - 1
        assert viewings.is_watched("film")
        clock.now_s += 1

        assert not viewings.is_watched("film")

    def test_a_page_that_stays_open_for_ever_gives_it_up_with_its_session(self, viewings, clock):
        self.pause(viewings, clock, int(FORGET_S) - 20)
        assert viewings.is_watched("film")
        self.pause(viewings, clock, 20)

        assert not viewings.is_watched("film")

    def test_a_frame_begins_that_time_again(self, viewings, clock):
        self.pause(viewings, clock, int(FORGET_S) - 20)
        viewings.require("studio-1")
        self.pause(viewings, clock, 40)

        assert viewings.is_watched("film")

    def test_a_pause_never_prolongs_the_session(self, viewings, sessions, clock, monkeypatch):
        monkeypatch.setattr(sessions, "get_session", None)
        self.pause(viewings, clock, 3600)

        assert viewings.is_watched("film")

    def test_after_a_restart_the_page_says_which_film_it_shows(self, sessions, clock):
        create(sessions)
        later = OpenViewings(sessions, clock=clock)
        assert not later.is_watched("film")
        later.note_alive("studio-1")

        assert later.is_watched("film")

    def test_signs_of_life_do_not_queue_up_behind_a_slow_session_api(self, sessions, clock):
        create(sessions)
        later = OpenViewings(sessions, clock=clock)
        asked = []

        def say_again(name):
            asked.append(name)
            if len(asked) == 1:
                later.note_alive("studio-1")

        sessions.before_call = say_again
        later.note_alive("studio-1")

        assert asked == ["get_session"]
        assert later.is_watched("film")

    def test_a_viewing_that_was_lost_says_so(self, clock):
        with pytest.raises(StudioError) as raised:
            OpenViewings(FakeSessionStore(), clock=clock).note_alive("studio-1")

        assert raised.value.status == 410

    def test_a_scored_viewing_is_over(self, viewings, sessions):
        sessions.store_settings("studio-1", {"result": {}})
        viewings.end("studio-1")
        viewings.note_alive("studio-1")

        assert not viewings.is_watched("film")
