"""Deadlines of requests."""

import contextvars
import threading

from func.deadline import find_deadline, limit_calls, without_deadline
from tests.fakes.clock import FakeClock


def test_outside_a_request_there_is_no_deadline():
    assert find_deadline() is None


def test_the_remaining_time_decreases():
    clock = FakeClock()
    with limit_calls(8.0, clock=clock):
        clock.advance(3.0)

        assert find_deadline().remaining_s() == 5.0


def test_a_deadline_ends_with_its_block():
    with limit_calls(8.0):
        pass

    assert find_deadline() is None


def test_a_block_within_a_block_cannot_have_more_time():
    clock = FakeClock()
    with limit_calls(8.0, clock=clock), limit_calls(300.0, clock=clock):
        assert find_deadline().remaining_s() == 8.0


def test_a_new_request_does_not_inherit_the_deadline_of_an_earlier_one():
    with limit_calls(0.0):
        with without_deadline(), limit_calls(8.0, clock=FakeClock()):
            assert find_deadline().remaining_s() == 8.0
        assert find_deadline().remaining_s() <= 0.0


def test_a_block_within_a_block_can_have_less():
    clock = FakeClock()
    with limit_calls(8.0, clock=clock), limit_calls(1.0, clock=clock):
        assert find_deadline().remaining_s() == 1.0


def test_a_thread_sees_the_deadline_in_a_copy_of_the_context_only():
    found = []
    with limit_calls(8.0):
        context = contextvars.copy_context()
        for target in (lambda: found.append(find_deadline()), lambda: found.append(context.run(find_deadline))):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    assert [deadline is None for deadline in found] == [True, False]
