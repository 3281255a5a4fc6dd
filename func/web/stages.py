"""Stages of a request: a thread pool with a queue and a limit on the waiting time."""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from func.web.bodies import ClientGoneError

_WEIGHT_OF_SLOWER, _WEIGHT_OF_FASTER = 0.1, 0.3
"""Weights of the newest service time in the moving mean. It falls faster than it rises: a slow first detection or a few
large images must not cause refusals of later frames. An estimate that is too low is corrected by the wait of the oldest
call."""

_T = TypeVar("_T")


class Stage:
    """Runs blocking work in its own threads, in order of arrival. Belongs to one event loop."""

    def __init__(
        self,
        name: str,
        *,
        places: int,
        wait_s: float,
        make_busy_error: Callable[[float], Exception],
        patience: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the thread pool.

        Args:
            name: Prefix of the thread names.
            places: Maximum concurrent calls.
            wait_s: Maximum expected wait; a call that would wait longer is refused at once.
            make_busy_error: Returns the error for a refused call, from the expected wait in seconds.
            patience: Longest wait of a call that was admitted, in multiples of `wait_s`.
            clock: Monotonic clock in seconds.
        """
        self._executor = ThreadPoolExecutor(max_workers=places, thread_name_prefix=name)
        self._free = places
        self._places = places
        self._wait_s = wait_s
        self._patience = patience
        self._make_busy_error = make_busy_error
        self._clock = clock
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._mean_s = 0.0

    @property
    def queue_length(self) -> int:
        """Number of calls that wait for a place."""
        return len(self._waiting)

    def expect_wait_s(self) -> float:
        """Return the expected wait of a new call, from the mean service time; at least the wait of the oldest call."""
        if self._free > 0:
            return 0.0
        expected_s = (len(self._waiting) + 1) * self._mean_s / self._places
        oldest_s = self._clock() - self._waiting[0][1] if self._waiting else 0.0
        return max(expected_s, oldest_s)

    def check(self) -> None:
        """Raise the busy error if a new call would wait too long."""
        expected_s = self.expect_wait_s()
        if self._free <= 0 and expected_s >= self._wait_s:
            raise self._make_busy_error(expected_s)

    async def run(self, work: Callable[[], _T], *, gone: Callable[[], Awaitable[object]] | None = None) -> _T:
        """Call `work` in one of the threads and return its result.

        Work that has started always finishes, even if the caller is cancelled. It runs in a copy of the caller's
        context, which includes the deadline.

        Args:
            work: Blocking function.
            gone: Returns once the client is gone; awaited while the call waits for its place.

        Raises:
            ClientGoneError: `gone` returned before the work started.
            Exception: The busy error, if no place became free in time; any exception of `work`.
        """
        await self._take_place(gone)
        started_s = self._clock()
        future = asyncio.get_running_loop().run_in_executor(self._executor, contextvars.copy_context().run, work)
        future.add_done_callback(lambda _: self._end(started_s))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Accept no more work."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _take_place(self, gone: Callable[[], Awaitable[object]] | None) -> None:
        if self._free > 0:
            self._free -= 1
            return
        self.check()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, self._clock())
        self._waiting.append(entry)
        watcher: asyncio.Future[Any] | None = asyncio.ensure_future(gone()) if gone is not None else None
        awaited: list[asyncio.Future[Any]] = [turn] if watcher is None else [turn, watcher]
        try:
            await asyncio.wait(awaited, timeout=self._patience * self._wait_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._leave(entry)
            raise
        finally:
            if watcher is not None:
                watcher.cancel()
        if watcher is not None and watcher.done() and not watcher.cancelled():
            self._leave(entry)
            raise ClientGoneError
        if not turn.done():
            self._leave(entry)
            raise self._make_busy_error(self._wait_s)

    def _leave(self, entry: tuple[asyncio.Future[None], float]) -> None:
        """Leave the queue; pass on the place if this call has been given one."""
        if entry[0].done():
            self._free_place()
        else:
            self._waiting.remove(entry)

    def _end(self, started_s: float) -> None:
        took_s = self._clock() - started_s
        weight = _WEIGHT_OF_SLOWER if took_s > self._mean_s else _WEIGHT_OF_FASTER
        self._mean_s = took_s if self._mean_s == 0 else self._mean_s + weight * (took_s - self._mean_s)
        self._free_place()

    def _free_place(self) -> None:
        if self._waiting:
            turn, _ = self._waiting.popleft()
            turn.set_result(None)
        else:
            self._free += 1
