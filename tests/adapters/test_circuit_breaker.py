"""When calls to a failing service are allowed."""

import pytest

from func.adapters import circuit_breaker
from func.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker("session API", failures=3, pause_s=2.0, clock=clock)


def call(breaker, *, failed):
    breaker.record(failed=failed, is_probe=breaker.admit())


def fail(breaker, times):
    for _ in range(times):
        call(breaker, failed=True)


def test_fewer_failures_leave_it_closed(breaker):
    fail(breaker, 2)

    assert breaker.admit() is False


def test_consecutive_failures_open_it(breaker):
    fail(breaker, 3)

    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert caught.value.retry_after_s == 2.0


def test_a_success_resets_the_count(breaker):
    fail(breaker, 2)
    call(breaker, failed=False)
    fail(breaker, 2)

    assert breaker.admit() is False


def test_an_inconclusive_outcome_does_not_change_the_count(breaker):
    fail(breaker, 2)
    call(breaker, failed=None)
    fail(breaker, 1)

    assert breaker.is_open


def test_a_refusal_reports_the_time_to_the_next_probe(breaker, clock):
    fail(breaker, 3)
    clock.advance(1.5)

    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert caught.value.retry_after_s == 0.5


def test_after_the_pause_one_probe_is_allowed(breaker, clock):
    fail(breaker, 3)
    clock.advance(2.0)

    assert breaker.admit() is True
    with pytest.raises(CircuitOpenError):
        breaker.admit()


def test_a_probe_that_succeeds_closes_it(breaker, clock):
    fail(breaker, 3)
    clock.advance(2.0)
    call(breaker, failed=False)

    assert breaker.admit() is False
    assert not breaker.is_open


def test_a_probe_that_fails_opens_it_again(breaker, clock):
    fail(breaker, 3)
    clock.advance(2.0)
    call(breaker, failed=True)

    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert caught.value.retry_after_s == 2.0


def test_after_an_inconclusive_probe_the_next_one_is_allowed(breaker, clock):
    fail(breaker, 3)
    clock.advance(2.0)
    call(breaker, failed=None)

    assert breaker.admit() is True


def test_calls_from_before_it_opened_neither_prolong_the_pause_nor_end_a_probe(breaker, clock):
    late = [breaker.admit(), breaker.admit()]
    fail(breaker, 3)
    clock.advance(1.0)
    breaker.record(failed=True, is_probe=late[0])
    clock.advance(1.0)

    assert breaker.admit() is True
    breaker.record(failed=True, is_probe=late[1])
    with pytest.raises(CircuitOpenError):
        breaker.admit()


def test_by_default_five_failures_open_it_for_a_second(clock):
    breaker = CircuitBreaker("x", clock=clock)
    fail(breaker, 4)
    assert not breaker.is_open
    fail(breaker, 1)

    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert caught.value.retry_after_s == 1.0


def test_opening_and_closing_are_logged_once_each(breaker, clock, caplog):
    fail(breaker, 3)
    clock.advance(2.0)
    call(breaker, failed=True)
    clock.advance(2.0)
    call(breaker, failed=False)

    assert [record.getMessage() for record in caplog.records if record.name == circuit_breaker.__name__] == [
        "circuit opened: service=session API failures=3",
        "circuit closed: service=session API",
    ]
