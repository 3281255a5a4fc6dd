"""The session store with upstream services that fail, break the contract or hang."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from func.adapters.retry_budget import RetryBudget
from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import (
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreError,
    SessionStoreTimeoutError,
)
from gaze_tools.stack.session_api import create_app
from tests.adapters.upstream_services import Answer, Cut, Gathered, Hang, is_reached, misbehave, refused_url, serve

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}
RECORD = {"gaze": [0.25, 0.75]}
UPDATED = Answer(200, {"message": "Session Updated Successfully"})
MISSING = Answer(404, {"error": "Session Not Found"})
SCORED = Answer(409, {"error": "Session Already Scored"})
CREATED = Answer(201, {"session_id": "s"})
BUSY = Answer(503, b"upstream connect error")
HALF_AN_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"message"'


def update(service, *, retries=2, timeout_s=60):
    return HttpSessionStore(service.url, timeout_s=timeout_s, retries=retries).update_session("s", 17, RECORD, **VIEWER)


class TestRequests:
    def test_an_update_is_the_documented_put(self):
        with misbehave(UPDATED) as service:
            HttpSessionStore(service.url + "/", timeout_s=60, retries=0).update_session("s", 17, RECORD, **VIEWER)

        (sent,) = service.requests
        assert (sent.method, sent.path) == ("PUT", "/update_session/s")
        assert sent.headers["Content-Type"] == "application/json"
        assert sent.body == {
            "component": "gaze_tracking",
            "data": {"components": {"gaze_tracking": {"17": {"gaze": [0.25, 0.75]}}}},
        }

    def test_a_session_is_created_with_its_viewer_and_video(self):
        with misbehave(CREATED) as service:
            HttpSessionStore(service.url, timeout_s=60, retries=0).create_session("s", **VIEWER)

        (sent,) = service.requests
        assert (sent.method, sent.path) == ("POST", "/mk-session")
        assert sent.body == {"session_id": "s", "ip_address": "203.0.113.7", "video_id": "contents1"}

    def test_a_session_is_read_without_the_components_of_others(self):
        with misbehave(Answer(200, {"components": {"gaze_tracking": {}}})) as service:
            HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

        (sent,) = service.requests
        assert (sent.method, sent.path) == ("GET", "/get_session/s?component=gaze_tracking&to=4999")

    def test_a_session_id_stays_one_segment_of_the_path(self):
        with misbehave(Answer(200, {"components": {}})) as service:
            HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("a/b?c:d é")

        assert service.requests[0].path == "/get_session/a%2Fb%3Fc%3Ad%20%C3%A9?component=gaze_tracking&to=4999"

    @pytest.mark.parametrize("session_id", ["", ".", ".."])
    def test_an_id_that_changes_the_path_is_refused(self, session_id):
        with misbehave(UPDATED) as service, pytest.raises(ValueError, match="not a path"):
            HttpSessionStore(service.url, timeout_s=60, retries=0).get_session(session_id)

        assert service.requests == []

    def test_a_thread_keeps_its_connection(self):
        with misbehave(UPDATED) as service:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            for number in range(5):
                store.update_session("s", number, RECORD, **VIEWER)

        assert len({sent.port for sent in service.requests}) == 1

    def test_threads_use_separate_connections(self):
        with misbehave(Gathered(UPDATED, threading.Barrier(4))) as service, ThreadPoolExecutor(4) as pool:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            list(pool.map(lambda number: store.update_session("s", number, RECORD, **VIEWER), range(4)))

        assert len({sent.port for sent in service.requests}) == 4

    def test_as_many_connections_are_kept_as_there_are_threads(self):
        with misbehave(Gathered(UPDATED, threading.Barrier(4))) as service, ThreadPoolExecutor(4) as pool:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            list(pool.map(lambda number: store.update_session("s", number, RECORD, **VIEWER), range(8)))

        assert len({sent.port for sent in service.requests}) == 4

    def test_the_proxy_of_the_environment_is_ignored(self, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", refused_url())
        with misbehave(UPDATED) as service:
            assert update(service, retries=0).written == {"17"}

    def test_the_proxy_of_the_settings_is_used(self):
        with misbehave(UPDATED) as proxy:
            store = HttpSessionStore("http://session.invalid", timeout_s=60, retries=0, proxy=proxy.url)
            store.update_session("s", 17, RECORD, **VIEWER)

        assert proxy.requests[0].path == "http://session.invalid/update_session/s"

    def test_a_redirect_is_not_followed(self):
        with misbehave(UPDATED) as elsewhere:
            moved = Answer(307, {}, (("Location", elsewhere.url),))
            with misbehave(moved) as service, pytest.raises(SessionStoreError, match="307"):
                update(service)

        assert elsewhere.requests == []

    @pytest.mark.parametrize(
        ("url", "timeout_s", "retries"),
        [("session-service", 1, 0), ("ftp://x", 1, 0), ("http://", 1, 0), ("http://x", 0, 0), ("http://x", 1, -1)],
    )
    def test_settings_out_of_range_are_refused(self, url, timeout_s, retries):
        with pytest.raises(ValueError, match=r"URL|positive|negative"):
            HttpSessionStore(url, timeout_s=timeout_s, retries=retries)


class TestRepeats:
    @pytest.mark.parametrize(
        "trouble",
        [Answer(502, b""), BUSY, Answer(504, b"<html>"), Cut(b""), Cut(HALF_AN_ANSWER), Cut(b"garbage\r\n\r\n")],
        ids=["502", "503", "504", "closed", "half an answer", "not HTTP"],
    )
    def test_a_temporary_failure_is_retried(self, trouble):
        with misbehave(trouble, trouble, UPDATED) as service:
            update(service)

        assert [sent.body for sent in service.requests] == [service.requests[0].body] * 3

    def test_a_timeout_is_retried(self):
        with misbehave(Hang(60), UPDATED) as service:
            update(service, timeout_s=0.3, retries=9)

        assert len(service.requests) >= 2  # more on a machine too busy to answer in time

    @pytest.mark.parametrize("status", [400, 401, 500, 501])
    def test_other_statuses_are_not_retried(self, status):
        with misbehave(Answer(status, {"error": "secret"})) as service:
            with pytest.raises(SessionStoreError, match=f"PUT /update_session was answered {status}$"):
                update(service)

            assert len(service.requests) == 1

    def test_the_number_of_attempts_is_limited(self):
        with misbehave(BUSY) as service:
            with pytest.raises(SessionStoreError, match="503"):
                update(service, retries=3)

            assert len(service.requests) == 4

    def test_an_update_whose_answer_was_lost_counts_as_written_by_this_call(self):
        already = Answer(200, {"message": "ok", "stored": {"17": {"gaze": [0.25, 0.75]}}, "written": []})
        with misbehave(Cut(HALF_AN_ANSWER), already) as service:
            assert update(service).written == {"17"}

    def test_a_different_stored_value_was_not_written_by_this_call(self):
        already = Answer(200, {"message": "ok", "stored": {"17": {"gaze": None}}, "written": []})
        with misbehave(Cut(HALF_AN_ANSWER), already) as service:
            assert update(service).written == frozenset()

    def test_through_a_failing_network_every_frame_arrives_once(self, database):
        app, calls = create_app(database), []
        api = app.wsgi_app

        def fail_often(environ, start_response):
            calls.append(environ["PATH_INFO"])
            turn = len(calls)
            if turn % 4 == 1:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            answer = api(environ, (lambda *_args: None) if turn % 4 == 2 else start_response)
            if turn % 4 == 2:
                # The update was made, but its answer is lost.
                list(answer)
                start_response("502 Bad Gateway", [("Content-Length", "0")])
                return [b""]
            return answer

        app.wsgi_app = fail_often
        with serve(app) as url:
            store = HttpSessionStore(url, timeout_s=60, retries=3, retry_budget=RetryBudget(share=3.0))
            updates = [store.update_session("s", number, {"n": number}, **VIEWER) for number in range(1, 13)]
            frames = store.get_session("s").frames

        assert frames == {number: {"n": number} for number in range(1, 13)}
        assert all(update.written == {str(number)} for number, update in enumerate(updates, start=1))
        assert len(calls) > 18


class TestTroubles:
    def test_a_refused_connection_is_an_error(self):
        store = HttpSessionStore(refused_url(), timeout_s=60, retries=1)

        with pytest.raises(SessionStoreError, match="PUT /update_session failed: ConnectionRefusedError"):
            store.update_session("s", 17, RECORD, **VIEWER)

    def test_no_answer_is_a_timeout(self):
        with misbehave(Hang(60)) as service, pytest.raises(SessionStoreTimeoutError, match="not answered in time"):
            update(service, timeout_s=0.2, retries=1)

    def test_504_is_a_timeout(self):
        with misbehave(Answer(504, b"")) as service, pytest.raises(SessionStoreTimeoutError, match="504"):
            update(service, retries=0)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(200, b"<html>ok</html>"), "answered 200 with something that is not JSON"),
            (Answer(200, b""), "answered 200 with something that is not JSON"),
            (Answer(200, b"[" * 100_000), "answered 200 with something that is not JSON"),
            (Answer(200, ["secret"]), "answered 200 with JSON that is not an object"),
            (Answer(200, {}), "an answer 200 has no `message`"),
            (Answer(200, {"message": "ok", "stored": []}), "`stored` in the answer to a PUT lacks a key that was sent"),
            (
                Answer(200, {"message": "ok", "stored": {"18": "secret"}}),
                "`stored` in the answer to a PUT lacks a key that was sent",
            ),
            (
                Answer(200, {"message": "ok", "stored": {"17": 1}, "written": 17}),
                "`written` in the answer to a PUT is not a list",
            ),
            (Answer(404, b"<h1>Not Found</h1>"), "answered 404 with something that is not JSON"),
            (Answer(404, {"detail": "secret"}), "an answer 404 has no `error`"),
            (Answer(204, b""), "answered 204"),
        ],
        ids=lambda value: None if isinstance(value, str) else "",
    )
    def test_an_answer_that_breaks_the_contract_is_an_error(self, answer, reason):
        with misbehave(answer) as service, pytest.raises(SessionStoreError) as caught:
            update(service)

        assert reason in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({"session_id": "s"}, "a session has no components"),
            ({"components": {"gaze_tracking": [1]}}, "the component gaze_tracking of a session is not an object"),
        ],
    )
    def test_a_malformed_session_is_an_error(self, body, reason):
        with misbehave(Answer(200, body)) as service, pytest.raises(SessionStoreError, match=reason):
            HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

    def test_a_created_session_without_its_id_is_an_error(self):
        with misbehave(Answer(201, {})) as service, pytest.raises(SessionStoreError, match="has no `session_id`"):
            HttpSessionStore(service.url, timeout_s=60, retries=0).create_session("s", **VIEWER)

    def test_a_scored_session_has_its_own_error(self):
        with misbehave(SCORED) as service, pytest.raises(SessionScoredError):
            update(service)

    def test_a_missing_session_is_created_and_the_frame_is_stored(self):
        with misbehave(MISSING, CREATED, UPDATED) as service:
            update(service)

        assert [sent.method for sent in service.requests] == ["PUT", "POST", "PUT"]

    def test_a_session_that_stays_missing_is_not_found(self):
        with misbehave(MISSING, CREATED, MISSING) as service:
            with pytest.raises(SessionNotFoundError):
                update(service)

            assert len(service.requests) == 3

    @pytest.mark.parametrize("answer", [MISSING, Answer(500, b""), Answer(200, b"hello")])
    def test_any_answer_counts_as_reachable(self, answer):
        with misbehave(answer) as service:
            assert is_reached(HttpSessionStore(service.url, timeout_s=60, retries=3))

    def test_a_service_that_refuses_connections_is_unreachable(self):
        assert HttpSessionStore(refused_url(), timeout_s=60, retries=3).is_reachable() is False

    @pytest.mark.parametrize(
        "answer", [Hang(60), Cut(b""), Cut(b"garbage\r\n\r\n")], ids=["silent", "closed", "garbage"]
    )
    def test_a_service_that_does_not_answer_is_unreachable_after_a_second(self, answer):
        started_s = time.monotonic()
        with misbehave(answer) as service:
            assert HttpSessionStore(service.url, timeout_s=30, retries=3).is_reachable() is False
        assert time.monotonic() - started_s < 50


def test_a_child_after_a_fork_has_its_own_connection():
    with misbehave(Answer(200, {"components": {}})) as service:
        store = HttpSessionStore(service.url, timeout_s=60, retries=0)
        store.get_session("parent")
        pid = os.fork()
        if pid == 0:
            try:
                store.get_session("child")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        store.get_session("parent")

    first, second, third = (sent.port for sent in service.requests)
    assert "child" in service.requests[1].path
    assert first == third != second
