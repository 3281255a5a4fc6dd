"""`X-Request-Id` and `traceparent`: in every answer, in the log and in every call to an upstream service."""

import json
import logging
import re

import pytest

from func.errors import DetectionBusyError
from func.log_lines import JsonFormatter
from func.tracing import begin_trace
from func.web.answers import answer_problem
from func.web.early_refusal import make_header_finder
from func.web.exchange import Exchange
from func.web.problems import TOO_MANY_CONNECTIONS

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = {"X-Request-Id": "gw-1", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
UUID = "1f0c7a52-3f6e-4d0a-9c39-5f1f6f0f2a10"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/liveness", 200),
        ("GET", "/metrics", 200),
        ("HEAD", "/openapi.json", 200),
        ("OPTIONS", "/gaze", 204),
        ("GET", "/nothing", 404),
        ("GET", "/gaze", 405),
        ("POST", "/gaze", 415),
    ],
)
def test_every_answer_has_the_request_id(world, method, path, status):
    response = world.client.open(path, method=method, headers=IDS)

    assert (response.status_code, response.headers["X-Request-Id"]) == (status, "gw-1")


def test_a_frame_a_batch_and_a_body_that_is_too_large_have_the_request_id(make_world, make_body):
    world = make_world(MAX_BODY_BYTES="1000000")
    frame = make_body()
    batch = {**make_body(frame_number=None, frame=None, last_frame=None)} | {
        "frames": [{"frame_number": 1, "frame": frame["frame"]}]
    }

    answers = [world.post(body, headers=IDS) for body in (frame, batch, {"session_id": "x" * 1_000_001})]

    assert [answer.status_code for answer in answers] == [200, 200, 413]
    assert {answer.headers["X-Request-Id"] for answer in answers} == {"gw-1"}


def test_a_request_without_an_id_gets_a_uuid_which_is_the_instance_of_its_problem(world):
    response = world.client.get("/nothing")

    assert response.get_json()["instance"] == f"urn:uuid:{response.headers['X-Request-Id']}"


@pytest.mark.parametrize(
    ("sent", "request_id", "trace_id", "state"),
    [
        ([("x-request-id", "a"), ("traceparent", IDS["traceparent"]), ("tracestate", "a=1")], "a", TRACE_ID, "a=1"),
        (
            [("traceparent", IDS["traceparent"]), ("tracestate", "a=1"), ("tracestate", "b=2")],
            None,
            TRACE_ID,
            "a=1,b=2",
        ),
        ([("x-request-id", "a"), ("x-request-id", "b")], None, None, ""),
        ([("traceparent", IDS["traceparent"]), ("traceparent", IDS["traceparent"])], None, None, ""),
    ],
)
def test_ids_that_are_sent_twice_are_invalid_and_parts_of_tracestate_are_joined(sent, request_id, trace_id, state):
    headers = [(name.encode(), value.encode()) for name, value in sent]
    exchange = Exchange({"method": "GET", "path": "/", "headers": headers}, None)

    trace = begin_trace(exchange.join_headers)

    assert (trace.request_id == "a") is (request_id == "a")
    assert (trace.trace_id == TRACE_ID) is (trace_id == TRACE_ID)
    assert (trace.caller.state if trace.caller else "") == state


@pytest.mark.parametrize(("sent", "is_instance"), [(UUID, True), ("gw-1", False)])
def test_the_instance_is_the_request_id_if_that_is_a_uuid(world, sent, is_instance):
    instance = world.client.get("/nothing", headers={"X-Request-Id": sent}).get_json()["instance"]

    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", instance)
    assert (instance == f"urn:uuid:{sent}") is is_instance


def test_the_log_has_the_ids_and_the_instance(world, caplog):
    caplog.set_level("DEBUG")
    lines = []
    handler = logging.Handler()
    handler.setFormatter(JsonFormatter())
    handler.emit = lambda record: lines.append(json.loads(handler.format(record)))
    logging.getLogger("func").addHandler(handler)
    try:
        response = world.client.get("/nothing", headers=IDS)
    finally:
        logging.getLogger("func").removeHandler(handler)

    (line,) = [line for line in lines if line["logger"] == "func.requests"]
    assert (line["event"], line["request_id"], line["trace_id"]) == ("request failed", "gw-1", TRACE_ID)
    assert f"urn:uuid:{line['instance']}" == response.get_json()["instance"]


def test_an_early_refusal_has_the_request_id(world, monkeypatch):
    def refuse():
        raise DetectionBusyError(3.0)

    monkeypatch.setattr(world.handler._frames, "check_load", refuse)
    find_header = make_header_finder(
        b"POST /gaze HTTP/1.1\r\nHost: h\r\nX-Request-ID: gw-1 \r\nContent-Length: 9\r\n\r\n"
    )

    answer = world.handler.refuse_frame(find_header)

    assert b"\r\nx-request-id: gw-1\r\n" in answer.to_bytes()


@pytest.mark.parametrize(
    ("head", "value"),
    [
        (b"GET / HTTP/1.1\r\nX-Request-Id: a\r\n", "a"),
        (b"GET / HTTP/1.1\nx-request-id:a\nHost: h\n", "a"),
        (b"GET / HTTP/1.1\r\nNot-X-Request-Id: a\r\n", None),
        (b"GET / HTTP/1.1\r\nX-Request-Id: a\x01\r\n", None),
        (b"GET / HTTP/1.1\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n", "a"),
        (b"GET / HTTP/1.1\r\nX-Request-Id: " + 1024 * b"a" + b"\r\n", 1024 * "a"),
        (b"GET / HTTP/1.1\r\nX-Request-Id: " + 1025 * b"a" + b"\r\n", None),
        # A pattern that tries all ways to divide the spaces would need hours for this one.
        (b"GET / HTTP/1.1\r\nX-Request-Id:" + 16_000 * b" " + b"\x80\r\n", None),
        (b"", None),
    ],
)
def test_headers_are_found_in_a_head_that_is_not_parsed(head, value):
    assert make_header_finder(head)("x-request-id") == value


def test_a_problem_found_before_the_handler_has_a_new_id():
    first, second = (json.loads(answer_problem(TOO_MANY_CONNECTIONS, "").body)["instance"] for _ in range(2))

    assert first != second
