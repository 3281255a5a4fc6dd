"""Answers while an upstream service is busy or hangs, and their time limits."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import ResultSinkBusyError, SessionStoreBusyError
from tests.adapters.upstream_services import Answer, Hang, misbehave


@pytest.mark.parametrize(("asked_s", "said"), [(7.0, "7"), (0.2, "1"), (1.5, "2")])
def test_a_busy_session_api_is_503_with_its_retry_after(world, make_body, asked_s, said):
    world.sessions.error = SessionStoreBusyError("session API: busy", retry_after_s=asked_s)

    answer = world.post(make_body())

    assert (answer.status_code, answer.get_json()["type"]) == (503, "/problems/session-api-busy")
    assert answer.headers["Retry-After"] == said


def test_a_busy_aggregator_is_503_with_its_retry_after(world, make_body):
    world.post(make_body(frame_number=1))
    world.sink.error = ResultSinkBusyError("aggregator: busy", retry_after_s=30)

    answer = world.post(make_body(frame_number=2, last_frame=True, frame=None))

    assert (answer.status_code, answer.get_json()["type"]) == (503, "/problems/aggregator-busy")
    assert answer.headers["Retry-After"] == "30"


def test_a_hanging_session_api_keeps_no_thread_beyond_the_request_timeout(make_world, make_body):
    world = make_world(REQUEST_TIMEOUT_S="1", THREADS="10", LANDMARKERS="8")
    world.landmarker.paints = False  # so that no frame reaches its timeout before it is stored
    with misbehave(Hang(60)) as service, ThreadPoolExecutor(8) as clients:
        world.sessions.update_session = HttpSessionStore(service.url, timeout_s=20, retries=2).update_session
        started_s = time.monotonic()
        answers = list(clients.map(lambda number: world.post(make_body(frame_number=number)), range(1, 9)))
        elapsed_s = time.monotonic() - started_s

    assert [answer.status_code for answer in answers] == [504] * 8
    assert elapsed_s < 50


def test_creating_a_session_and_storing_share_the_request_timeout(make_world, make_body):
    world = make_world(REQUEST_TIMEOUT_S="0.5")
    missing = Answer(404, {"error": "Session Not Found"})
    with misbehave(missing, Answer(201, {"session_id": "s"}), Hang(60)) as service:
        world.sessions.update_session = HttpSessionStore(service.url, timeout_s=20, retries=2).update_session
        started_s = time.monotonic()
        answer = world.post(make_body())
        elapsed_s = time.monotonic() - started_s

    assert answer.status_code == 504
    assert elapsed_s < 50


def test_a_last_frame_has_its_own_timeout(make_world, make_body):
    world = make_world(LAST_FRAME_TIMEOUT_S="0.5")
    world.post(make_body(frame_number=1))
    with misbehave(Hang(60)) as service:
        world.sessions.get_session = HttpSessionStore(service.url, timeout_s=20, retries=2).get_session
        started_s = time.monotonic()
        answer = world.post(make_body(frame_number=2, last_frame=True, frame=None))
        elapsed_s = time.monotonic() - started_s

    assert answer.status_code == 504
    assert elapsed_s < 50
