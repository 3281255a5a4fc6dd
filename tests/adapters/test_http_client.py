"""When calls are retried, abandoned or refused, and their errors."""

import re

import pytest

from func.adapters.circuit_breaker import CircuitBreaker
from func.adapters.http_client import HttpClient, UpstreamErrors
from func.adapters.retry_budget import RetryBudget
from func.deadline import limit_calls
from func.tracing import begin_trace
from gaze_core.errors import ResultSinkBusyError, ResultSinkError, ResultSinkRefusedError, ResultSinkTimeoutError
from tests.adapters.upstream_services import Answer, Hang, is_reached, misbehave
from tests.fakes.clock import FakeClock

OK = Answer(200, {})
FAILED = Answer(502, b"")
BUSY = Answer(503, b"")


def asks_for(retry_after, status=503):
    return Answer(status, b"", (("Retry-After", retry_after),))


@pytest.fixture
def clock():
    return FakeClock()


def make_client(service, clock, *, retries=2, timeout_s=30, budget=None, failures=100):
    return HttpClient(
        service.url,
        service="aggregator",
        errors=UpstreamErrors(ResultSinkError, ResultSinkTimeoutError, ResultSinkBusyError, ResultSinkRefusedError),
        timeout_s=timeout_s,
        retries=retries,
        retry_budget=budget,
        breaker=CircuitBreaker("aggregator", failures=failures, clock=clock),
        sleep=clock.sleep,
    )


def call(client):
    return client.call("GET", ("x",), expected=(200,))


def test_pauses_grow_and_are_spread(clock):
    with misbehave(FAILED) as service, pytest.raises(ResultSinkError):
        call(make_client(service, clock, retries=8))

    for pause_s, longest_s in zip(clock.slept_s, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0], strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected(clock, status):
    with misbehave(asks_for("1", status), OK) as service:
        answer = call(make_client(service, clock))

    assert (answer.tries, clock.slept_s) == (2, [1.0])


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_retry_after_is_passed_on_at_once(clock, status):
    with misbehave(asks_for("7", status)) as service:
        with pytest.raises(ResultSinkBusyError, match=f"aggregator: GET /x was answered {status}") as caught:
            call(make_client(service, clock))

        assert len(service.requests) == 1
    assert (caught.value.retry_after_s, clock.slept_s) == (7.0, [])


def test_a_retry_after_of_the_last_attempt_is_passed_on(clock):
    with misbehave(asks_for("1")) as service:
        with pytest.raises(ResultSinkBusyError) as caught:
            call(make_client(service, clock))

        assert len(service.requests) == 3
    assert caught.value.retry_after_s == 1.0


def test_a_retry_after_beyond_the_deadline_is_passed_on(clock):
    with misbehave(asks_for("2")) as service, limit_calls(1.5, clock=clock):
        with pytest.raises(ResultSinkBusyError):
            call(make_client(service, clock))

        assert len(service.requests) == 1


def test_429_without_retry_after_means_a_second(clock):
    with misbehave(Answer(429, b"")) as service, pytest.raises(ResultSinkBusyError) as caught:
        call(make_client(service, clock, retries=0))

    assert caught.value.retry_after_s == 1.0


def test_retry_after_is_limited_to_an_hour(clock):
    with misbehave(asks_for("999999999")) as service, pytest.raises(ResultSinkBusyError) as caught:
        call(make_client(service, clock))

    assert caught.value.retry_after_s == 3600.0


@pytest.mark.parametrize("wish", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", "1.5", "9" * 4000, "²"])
def test_a_retry_after_that_is_not_in_seconds_is_ignored(clock, wish):
    with misbehave(asks_for(wish), OK) as service:
        call(make_client(service, clock))

    assert clock.slept_s[0] <= 0.05


def test_503_without_retry_after_is_an_ordinary_failure(clock):
    with misbehave(BUSY) as service, pytest.raises(ResultSinkError) as caught:
        call(make_client(service, clock, retries=0))

    assert type(caught.value) is ResultSinkError


def test_the_deadline_limits_all_attempts_and_pauses_together(clock):
    with misbehave(asks_for("1")) as service, limit_calls(2.5, clock=clock):
        with pytest.raises(ResultSinkBusyError):
            call(make_client(service, clock, retries=9))

        assert len(service.requests) == 3
    assert clock.slept_s == [1.0, 1.0]


def test_after_the_deadline_nothing_is_sent(clock):
    with misbehave(OK) as service, limit_calls(1.0, clock=clock):
        clock.advance(1.0)
        with pytest.raises(ResultSinkTimeoutError, match="the deadline of the request has passed"):
            call(make_client(service, clock))

        assert service.requests == []


def test_without_retry_budget_there_is_no_retry(clock):
    budget = RetryBudget(share=0.5, burst=1)
    with misbehave(FAILED) as service:
        client = make_client(service, clock, budget=budget)
        for _ in range(10):
            with pytest.raises(ResultSinkError):
                call(client)

        # One token at first, then one for every second call.
        assert len(service.requests) == 10 + 1 + 4


def test_a_service_that_keeps_failing_is_not_called(clock):
    with misbehave(FAILED) as service:
        client = make_client(service, clock, retries=0, failures=5)
        for _ in range(5):
            with pytest.raises(ResultSinkError, match="502"):
                call(client)
        with pytest.raises(ResultSinkBusyError, match="was not called again") as caught:
            call(client)

        assert len(service.requests) == 5
    assert caught.value.retry_after_s == 1.0


def test_the_call_that_opens_the_circuit_reports_its_own_failure(clock):
    with misbehave(FAILED) as service:
        with pytest.raises(ResultSinkError, match="was answered 502"):
            call(make_client(service, clock, retries=9, failures=2))

        assert len(service.requests) == 2


def test_a_service_that_recovers_is_called_again(clock):
    with misbehave(FAILED, FAILED, OK) as service:
        client = make_client(service, clock, retries=0, failures=2)
        for _ in range(2):
            with pytest.raises(ResultSinkError):
                call(client)
        clock.advance(1.0)

        assert [call(client).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_a_client_error_is_not_a_failure_of_the_service(clock, status):
    with misbehave(Answer(status, {})) as service:
        client = make_client(service, clock, retries=0, failures=1)
        for _ in range(3):
            with pytest.raises(ResultSinkError, match=str(status)):
                call(client)

        assert len(service.requests) == 3


@pytest.mark.parametrize("status", [401, 403, 407])
def test_denied_access_is_an_error_of_its_own_and_not_repeated(clock, status):
    with misbehave(Answer(status, {})) as service:
        with pytest.raises(ResultSinkRefusedError, match=f"was answered {status}"):
            call(make_client(service, clock))

        assert len(service.requests) == 1


def test_a_timeout_counts_as_a_failure(clock):
    with misbehave(Hang(60)) as service:
        client = make_client(service, clock, retries=0, failures=1, timeout_s=0.2)
        with pytest.raises(ResultSinkTimeoutError):
            call(client)
        with pytest.raises(ResultSinkBusyError):
            call(client)


def test_an_attempt_cut_short_by_the_deadline_is_not_a_failure_of_the_service(clock):
    with misbehave(Hang(60), OK) as service:
        client = make_client(service, clock, retries=0, failures=1)
        with limit_calls(0.2), pytest.raises(ResultSinkTimeoutError):
            call(client)

        assert call(client).status == 200


def test_reachability_is_checked_even_if_the_circuit_is_open(clock):
    with misbehave(FAILED) as service:
        client = make_client(service, clock, retries=0, failures=1)
        with pytest.raises(ResultSinkError):
            call(client)

        assert is_reached(client)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_not_expanded(clock, encoding):
    with (
        misbehave(Answer(200, b"\x1f\x8b", (("Content-Encoding", encoding),))) as service,
        pytest.raises(ResultSinkError, match="not JSON"),
    ):
        call(make_client(service, clock))


@pytest.mark.parametrize("element", [b'{"":0}', b"[]", b"0", b'{"a":{}}', b"[1.5]"])
def test_an_answer_with_too_many_elements_is_not_parsed(clock, element):
    body = b'{"a":[' + b",".join([element] * (1_000_000 // (len(element) + 1))) + b"]}"
    with misbehave(Answer(200, body)) as service, pytest.raises(ResultSinkError) as caught:
        call(make_client(service, clock))

    assert str(caught.value) == "aggregator: GET /x was answered 200 with too many JSON elements"


def test_an_answer_may_have_one_element_per_8_bytes_of_its_limit(clock):
    body = {"a": [0] * 131_068}
    with misbehave(Answer(200, body)) as service:
        assert call(make_client(service, clock)).body == body


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_call_for_a_request_carries_its_ids_in_every_attempt(clock):
    sent = {"x-request-id": "gw-1", "traceparent": TRACEPARENT, "tracestate": "rojo=1"}
    with misbehave(FAILED, OK) as service, begin_trace(sent.get):
        call(make_client(service, clock))

    for request in service.requests:
        assert (request.headers["X-Request-Id"], request.headers["tracestate"]) == ("gw-1", "rojo=1")
        assert re.fullmatch(r"00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01", request.headers["traceparent"])
        assert request.headers["traceparent"] != TRACEPARENT
    assert len({request.headers["traceparent"] for request in service.requests}) == 1


def test_a_call_outside_a_request_carries_no_ids(clock):
    with misbehave(OK) as service:
        call(make_client(service, clock))

    assert not {"X-Request-Id", "traceparent", "tracestate"} & service.requests[0].headers.keys()
