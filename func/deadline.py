"""The time that a request has left, for every call that is made on its behalf.

The web layer sets the deadline once; adapters read it before each exchange. It travels in a context variable, so that
the code between them need not pass it on. A thread that is started for a request does not see it unless it runs in a
copy of the context (`contextvars.copy_context().run`, or `asyncio.to_thread`, which copies it).
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock.

    Attributes:
        due_at_s: The moment, in seconds of `clock`.
        clock: Monotonic, in seconds.
    """

    due_at_s: float
    clock: Callable[[], float] = time.monotonic

    def remaining_s(self) -> float:
        """Return the seconds left; zero or negative once the deadline has passed."""
        return self.due_at_s - self.clock()


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def limit_calls(timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Deadline]:
    """Give everything that the block calls one deadline, at most the one that holds already.

    Args:
        timeout_s: Seconds from now.
        clock: Monotonic, in seconds.
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


def find_deadline() -> Deadline | None:
    """Return the deadline of the request that this code serves; None outside of one."""
    return _current.get()
