"""Races and kills between the steps of the session API."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.errors import AutoReconnect

from gaze_tools.stack import sessions
from tests.fakes.session_api_client import SCORED, Api


@pytest.fixture
def api(database):
    return Api(database)


class TestInterruptions:
    def test_a_process_that_dies_before_it_stores_the_result_leaves_that_to_the_next(self, api, monkeypatch):
        api.make()
        api.put({"1": "a"})
        write_once = sessions.Sessions._write_once

        def die(self, session, name, key, text):
            if key == "result":
                raise AutoReconnect
            return write_once(self, session, name, key, text)

        monkeypatch.setattr(sessions.Sessions, "_write_once", die)
        assert api.put({"result": 1})[0] == 503
        monkeypatch.undo()

        assert api.put({"2": "b"}) == (409, SCORED)
        assert api.frames() == {"1": "a"}
        assert api.put({"result": 2})[1]["written"] == ["result"]
        assert api.frames() == {"1": "a", "result": 2}

    def test_a_part_that_was_announced_but_not_written_does_not_stay_open(self, api, database, monkeypatch):
        api.make()

        def die(*_args):
            raise AutoReconnect

        monkeypatch.setattr(sessions.Sessions, "_write_once", die)
        assert api.put({"500": "lost"})[0] == 503
        monkeypatch.undo()
        assert api.frames() == {}
        api.put({"result": 1})

        assert api.put({"500": "late"}) == (409, SCORED)

    def test_a_writer_that_read_the_session_before_the_result_is_refused_after_it(self, api, monkeypatch):
        """The narrowest race: everything is checked, the result comes, and only then the frame is written."""
        api.make()
        api.put({"1": "a"})
        write_once = sessions.Sessions._write_once
        is_racing = threading.Event()

        def race(self, session, name, key, text):
            if key == "2" and not is_racing.is_set():
                is_racing.set()
                assert api.put({"result": 1})[0] == 200
            return write_once(self, session, name, key, text)

        monkeypatch.setattr(sessions.Sessions, "_write_once", race)

        assert api.put({"2": "late"}) == (409, SCORED)
        assert api.frames() == {"1": "a", "result": 1}

    def test_a_reader_never_sees_a_result_without_a_frame_that_came_before_it(self, api, monkeypatch):
        api.make()
        api.put({"1": "a", "screen": 1})
        read_parts = sessions.Sessions._read_parts
        turns = itertools.count()

        def race(self, session, names):
            if next(turns) == 0:
                # The reader has the list of parts; now another part and the result are written.
                monkeypatch.undo()
                assert api.put({"500": "b"})[0] == 200
                assert api.put({"result": 1})[0] == 200
            return read_parts(self, session, names)

        monkeypatch.setattr(sessions.Sessions, "_read_parts", race)

        assert api.frames() == {"1": "a", "500": "b", "result": 1, "screen": 1}


def test_many_simultaneous_creations_make_one_session(api):
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda _: api.make(), range(16))]

    assert sorted(statuses) == [200] * 15 + [201]


def test_of_many_creations_of_an_expired_session_one_wins(api):
    api.make()
    api.put({"1": "old"})
    api.wait(301)

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda _: api.make(), range(16))]

    assert sorted(statuses) == [200] * 15 + [201]
    assert api.frames() == {}
