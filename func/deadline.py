"""Deadline of the current request, for all calls made on its behalf.

The web layer sets the deadline once; adapters read it before each exchange. It is a context variable, so that the code
between them need not pass it on. A thread started for a request only sees it in a copy of the context
(`contextvars.copy_context().run`, or `asyncio.to_thread`, which makes a copy).
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """Point in time on a monotonic clock.

    Attributes:
        due_at_s: Time of the deadline on `clock`.
        clock: Monotonic clock in seconds.
    """

    due_at_s: float
    clock: Callable[[], float] = time.monotonic

    def remaining_s(self) -> float:
        """Return the time left; zero or negative once the deadline has passed."""
        return self.due_at_s - self.clock()


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def limit_calls(timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Deadline]:
    """Set the deadline for all calls in the block; an earlier deadline of an enclosing block stays in force.

    Args:
        timeout_s: Time until the deadline.
        clock: Monotonic clock in seconds.
    """
    deadline = Deadline(clock() + timeout_s, clock)
    outer = _current.get()
    if outer is not None and outer.remaining_s() < timeout_s:
        deadline = outer
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


@contextlib.contextmanager
def without_deadline() -> Iterator[None]:
    """Forget the deadline of the calling context in the block, which serves a new request.

    A server may start a request in a context that is a copy of an earlier one's: asyncio runs the callbacks of a
    connection in the context in which reading was last resumed, and a request with a large body resumes it.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def find_deadline() -> Deadline | None:
    """Return the deadline of the current request; None outside a request."""
    return _current.get()
