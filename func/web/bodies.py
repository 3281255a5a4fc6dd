"""Request bodies: read with a deadline, a size limit and a bound on the memory that all of them take."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from func.errors import BodiesFullError, PayloadTooLargeError, RequestTimeoutError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGoneError(Exception):
    """The client closed its connection, or sent a body that the server could not read: nobody waits for an answer."""


@dataclass(eq=False, slots=True)
class _Reading:
    """A body that is still coming in."""

    task: "asyncio.Task[Any] | None" = None
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    is_evicted: bool = False


class Bodies:
    """Reads bodies and counts the bytes that they hold. Belongs to one event loop."""

    def __init__(self, *, max_bytes: int, timeout_s: float, max_total_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_total_bytes = max_total_bytes
        self._unfinished: set[_Reading] = set()
        self.total_bytes = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Keep bytes counted that `read` has returned, until the block ends."""
        try:
            yield
        finally:
            self.total_bytes -= size

    async def read(self, receive: Receive, announced_bytes: int | None) -> bytes:
        """Return a whole body; its bytes stay counted until `hold` ends.

        Raises:
            PayloadTooLargeError: It is, or says that it is, larger than allowed; the rest is not read.
            RequestTimeoutError: It did not come in time.
            BodiesFullError: All bodies together take too much memory, and this is the largest unfinished one.
            ClientGoneError: The client closed the connection.
        """
        self.check_size(announced_bytes or 0)
        reading = _Reading(task=asyncio.current_task())
        self._unfinished.add(reading)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._collect(receive, reading)
            body = b"".join(reading.chunks) if len(reading.chunks) != 1 else reading.chunks[0]
        except TimeoutError as error:
            self.total_bytes -= reading.size
            raise RequestTimeoutError(self._timeout_s) from error
        except asyncio.CancelledError:
            self.total_bytes -= reading.size
            task = reading.task
            if reading.is_evicted and task is not None:
                task.uncancel()
                raise BodiesFullError from None
            raise
        except BaseException:
            self.total_bytes -= reading.size
            raise
        else:
            return body
        finally:
            self._unfinished.discard(reading)

    def check_size(self, size: int) -> None:
        """Raise PayloadTooLargeError for more bytes than a body may have."""
        if size > self._max_bytes:
            raise PayloadTooLargeError(f"the body has more than {self._max_bytes} bytes")

    async def _collect(self, receive: Receive, reading: _Reading) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            if chunk := bytes(message.get("body", b"")):
                self.check_size(reading.size + len(chunk))
                reading.chunks.append(chunk)
                reading.size += len(chunk)
                self.total_bytes += len(chunk)
                if self.total_bytes > self._max_total_bytes:
                    self._evict_largest(reading)
            more = bool(message.get("more_body", False))

    def _evict_largest(self, newest: _Reading) -> None:
        """Refuse the largest unfinished body: many large ones must not keep small ones from coming in."""
        candidates = [each for each in self._unfinished if not each.is_evicted]
        largest = max(candidates, key=lambda each: each.size, default=newest)
        if largest is newest or largest.task is None:
            raise BodiesFullError
        largest.is_evicted = True
        largest.task.cancel()
