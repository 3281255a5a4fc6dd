"""Behaviour of every result sink, and failures of the aggregator."""

import math

import pytest
import requests

from func.adapters.aggregator import HttpResultSink
from gaze_core.errors import ResultSinkError, ResultSinkTimeoutError
from gaze_tools.stack.aggregator import create_app
from tests.adapters.upstream_services import Answer, Cut, Hang, is_reached, misbehave, refused_url, serve
from tests.fakes.aggregator import FakeResultSink

DETAILS = {"session_id": "s", "score_valid": True, "coverage": 0.95}
SENT = {
    "video_id": "contents1",
    "final_score": 63.21,
    "ip_address": "203.0.113.7",
    "model_type": "gaze",
    "session_id": "s",
    "score_valid": True,
    "coverage": 0.95,
}
SUCCESS = Answer(200, {"status": "success", "message": "Score received"})


def send(sink, score=63.21, key="k", **changes):
    sink.send_result(score, "contents1", "203.0.113.7", **{**DETAILS, **changes}, idempotency_key=key)


@pytest.fixture(params=["fake", "real"])
def sink(request):
    """Sink whose `received` lists pairs of a result and the number of its deliveries."""
    if request.param == "fake":
        fake = FakeResultSink()
        fake.received = lambda: [(result, fake.deliveries.count(key)) for key, result in fake.results.items()]
        yield fake
        return
    with serve(create_app(request.getfixturevalue("database"))) as url:
        real = HttpResultSink(url, timeout_s=60, retries=0)
        real.received = lambda: [
            ({name: entry[name] for name in SENT}, entry["count"])
            for entry in requests.get(f"{url}/results", timeout=60).json()["deliveries"]
        ]
        yield real


def test_a_result_arrives_as_documented(sink):
    send(sink)

    assert sink.received() == [(SENT, 1)]


def test_a_repeat_under_the_same_key_counts_once(sink):
    send(sink)
    send(sink, score=10.0)

    assert sink.received() == [(SENT, 2)]


def test_another_key_is_another_result(sink):
    send(sink, key="one")
    send(sink, key="two", score_valid=False, coverage=0.0)

    assert len(sink.received()) == 2


@pytest.mark.parametrize("score", [0.0, 100.0])
def test_the_limits_of_the_range_are_valid_scores(sink, score):
    send(sink, score=score)

    assert sink.received()[0][0]["final_score"] == score


@pytest.mark.parametrize("score", [-0.01, 100.01, math.nan, math.inf])
def test_a_score_out_of_range_is_refused(sink, score):
    with pytest.raises(ValueError, match="between 0 and 100"):
        send(sink, score=score)

    assert sink.received() == []


def test_a_coverage_of_nan_is_refused(sink):
    with pytest.raises(ValueError, match="coverage"):
        send(sink, coverage=math.nan)


def test_a_running_sink_is_reachable(sink):
    assert is_reached(sink)


def test_the_request_is_the_documented_post():
    with misbehave(SUCCESS) as service:
        send(HttpResultSink(service.url, timeout_s=60, retries=0))

    (sent,) = service.requests
    assert (sent.method, sent.path, sent.body) == ("POST", "/aggregate", SENT)
    assert (sent.headers["Idempotency-Key"], sent.headers["Content-Type"]) == ("k", "application/json")


def test_a_repeat_after_a_lost_answer_has_the_same_key():
    with misbehave(Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Answer(503, b""), SUCCESS) as service:
        send(HttpResultSink(service.url, timeout_s=60, retries=2))

    assert [sent.headers["Idempotency-Key"] for sent in service.requests] == ["k", "k", "k"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, {"status": "error", "message": "secret"}), "was answered 500"),
        (Answer(200, {"status": "error", "message": "secret"}), "200 without status success"),
        (Answer(200, {}), "200 without status success"),
        (Answer(200, b"secret"), "not JSON"),
        (Answer(201, {"status": "success"}), "was answered 201"),
        (Answer(503, b"secret"), "was answered 503"),
    ],
)
def test_any_answer_but_success_is_an_error_that_does_not_quote_it(answer, reason):
    with misbehave(answer) as service, pytest.raises(ResultSinkError) as caught:
        send(HttpResultSink(service.url, timeout_s=60, retries=1))

    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_refused_connection_is_an_error():
    with pytest.raises(ResultSinkError, match="failed"):
        send(HttpResultSink(refused_url(), timeout_s=60, retries=1))


def test_no_answer_is_a_timeout():
    with misbehave(Hang(60)) as service, pytest.raises(ResultSinkTimeoutError, match="in time"):
        send(HttpResultSink(service.url, timeout_s=0.2, retries=0))


def test_a_service_that_refuses_connections_is_unreachable():
    assert HttpResultSink(refused_url(), timeout_s=60, retries=0).is_reachable() is False
