"""Request bodies that come slowly or never: how long a thread of the server waits for them."""

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator


class Watch:
    """The time that one body is given."""

    def __init__(self, connection: socket.socket | None, due_at_s: float) -> None:
        self.due_at_s = due_at_s
        self.is_over = False
        self._connection = connection

    def end(self) -> None:
        """Let whoever reads see the end of what has come; the answer can still be written."""
        self.is_over = True
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the client was faster
                self._connection.shutdown(socket.SHUT_RD)


class BodyTimer:
    """Ends the reading of bodies that take too long in all, however steadily they drip.

    A server reads through buffers of its own, piece by piece, and a timeout of the socket would begin anew with each
    piece. So one thread watches all readers and shuts the reading half of a connection whose time is over.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: set[Watch] = set()
        self._wakes_at_s = math.inf
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, connection: socket.socket | None, timeout_s: float) -> Iterator[Watch]:
        """Watch a connection while the block reads from it.

        Args:
            connection: The client's; None where the server does not give it away, and nothing is watched.
            timeout_s: For the whole block.
        """
        watch = Watch(connection, time.monotonic() + timeout_s)
        if connection is None:
            yield watch
            return
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:  # not before a fork: threads do not come along
                self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            if watch.due_at_s < self._wakes_at_s:
                self._changed.notify()
        try:
            yield watch
        finally:
            with self._changed:  # from here on the thread leaves the connection alone
                self._watches.discard(watch)

    def _run(self) -> None:
        with self._changed:
            while True:
                now_s = time.monotonic()
                for watch in [watch for watch in self._watches if watch.due_at_s <= now_s]:
                    self._watches.discard(watch)
                    watch.end()
                self._wakes_at_s = min((watch.due_at_s for watch in self._watches), default=math.inf)
                self._changed.wait(None if math.isinf(self._wakes_at_s) else self._wakes_at_s - now_s)
