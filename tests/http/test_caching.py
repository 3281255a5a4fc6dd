"""No answer may be cached."""

import pytest

from func.errors import NotReadyError
from func.web.answers import answer_problem
from func.web.problems import TOO_MANY_CONNECTIONS


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/liveness", 200),
        ("HEAD", "/health/liveness", 200),
        ("GET", "/health/readiness", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("OPTIONS", "/gaze", 204),
        ("GET", "/gaze", 405),
        ("GET", "/nothing", 404),
        ("POST", "/gaze", 415),
    ],
)
def test_every_route_forbids_caching(world, method, path, status):
    answer = world.client.open(path, method=method)

    assert (answer.status_code, answer.headers.getlist("Cache-Control")) == (status, ["no-store"])


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 200), ({"last_frame": True}, 200), ({"frame_number": 0}, 400), ({"frame": "AAAA"}, 415)]
)
def test_answers_to_frames_forbid_caching(world, make_body, fields, status):
    answer = world.post(make_body(**fields))

    assert (answer.status_code, answer.headers.getlist("Cache-Control")) == (status, ["no-store"])


@pytest.mark.parametrize(("error", "status"), [(RuntimeError(), 500), (NotReadyError(), 503)])
def test_failures_forbid_caching(world, make_body, error, status):
    world.build_error = error

    answer = world.post(make_body())

    assert (answer.status_code, answer.headers.getlist("Cache-Control")) == (status, ["no-store"])


def test_answers_of_the_server_itself_forbid_caching():
    message = answer_problem(TOO_MANY_CONNECTIONS, "").to_bytes()

    head, _, _ = message.lower().partition(b"\r\n\r\n")
    assert head.count(b"\r\ncache-control: no-store") == 1
