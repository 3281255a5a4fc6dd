"""Read request bodies with a deadline, a maximum size and a limit on the memory of all bodies."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from func.errors import BodiesFullError, PayloadTooLargeError, RequestTimeoutError
from func.web.exchange import Receive


class ClientGoneError(Exception):
    """The client closed its connection, or its body was malformed and has been answered by the server."""


@dataclass(eq=False, slots=True)
class _Reading:
    """A body that is being received."""

    task: "asyncio.Task[Any] | None" = None
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    is_evicted: bool = False


class Bodies:
    """Reads bodies and counts their bytes. Belongs to one event loop."""

    def __init__(self, *, max_bytes: int, timeout_s: float, max_total_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._max_total_bytes = max_total_bytes
        self._unfinished: set[_Reading] = set()
        self.total_bytes = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Keep the bytes of a body from `read` counted until the block ends."""
        try:
            yield
        finally:
            self.total_bytes -= size

    async def read(self, receive: Receive, announced_bytes: int | None) -> bytes:
        """Return a whole body; its bytes stay counted until `hold` ends.

        Args:
            receive: ASGI's receive function.
            announced_bytes: Value of Content-Length; None without one.

        Raises:
            PayloadTooLargeError: The body, or its announced size, is too large; the rest is not read.
            RequestTimeoutError: The body did not arrive in time.
            BodiesFullError: All bodies together use too much memory, and this is the largest unfinished one.
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
        """Raise PayloadTooLargeError if a body of this size in bytes is too large."""
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
        """Refuse the largest unfinished body, so that large bodies do not block small ones."""
        candidates = [each for each in self._unfinished if not each.is_evicted]
        largest = max(candidates, key=lambda each: each.size, default=newest)
        if largest is newest or largest.task is None:
            raise BodiesFullError
        largest.is_evicted = True
        largest.task.cancel()
