"""Connections of the server: how many there may be, and how long a client may take for what it owes.

uvicorn parses and answers; this adds what it has no limits for: the number of connections, in all and of a peer, the
time for a request head, its size, answers that nobody reads, and bodies that go on after their answer.
"""

import asyncio
import contextlib
import enum
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from func.web.answers import Answer, answer_problem
from func.web.early_refusal import measure_frame
from func.web.metrics import Metrics
from func.web.problems import (
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    TOO_MANY_CONNECTIONS,
    URI_TOO_LONG,
    Problem,
)

MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers; gateways send one or two kilobytes."""

SWEEP_S = 0.25
"""How often deadlines are looked at."""

LINGER_S = 1.0
"""How long a client that is still sending may take to read its answer before the connection is cut."""

_HEAD_PIECE_BYTES = 4096
_SEND_BUFFER_BYTES = 128 * 1024
"""In the kernel, where unread answers would take up to 4 MB a connection; the largest of ours has some 20 KB."""
_MIN_IDLE_S = 0.25
_MAX_LINGERING = 64


class Phase(enum.Enum):
    """What a connection is doing."""

    NEW = enum.auto()
    """Open, nothing received yet."""
    HEAD = enum.auto()
    """A request head is coming in."""
    REQUEST = enum.auto()
    """A request is being received or answered; the application has the deadlines."""
    DROP = enum.auto()
    """The answer is out, but the request's body is still coming in."""
    KEPT = enum.auto()
    """Idle between two requests."""
    LINGER = enum.auto()
    """Half closed, so that the client can read its answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the number of connections and on their durations.

    Attributes:
        connections: Maximum open connections.
        connections_per_peer: Maximum open connections of one peer address.
        head_timeout_s: From the connection, or the first byte of a later request, to the end of the head.
        answer_timeout_s: Until an answer must have been read.
        drop_bytes: How much of an unwanted body is received after its answer.
    """

    connections: int
    connections_per_peer: int
    head_timeout_s: float
    answer_timeout_s: float
    drop_bytes: int


class Connections:
    """All open connections of a process. Belongs to one event loop."""

    def __init__(self, limits: Limits, metrics: Metrics, refuse_frame: Callable[[], Answer | None]) -> None:
        """Start without any.

        Args:
            limits: For all connections.
            metrics: Counts them.
            refuse_frame: Returns the answer to a frame that must not come in; None lets it in.
        """
        self.limits = limits
        self.refuse_frame = refuse_frame
        self._metrics = metrics
        self._open: set[GuardedProtocol] = set()
        self._by_peer: Counter[str] = Counter()
        metrics.watch_connections(lambda: len(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "GuardedProtocol") -> bool:
        """Count a new connection, closing an idle one if there are too many; return whether it may stay."""
        limits, peer = self.limits, connection.peer
        is_allowed = True
        if self._by_peer[peer] >= limits.connections_per_peer:
            is_allowed = self._close_idle(each for each in self._open if each.peer == peer)
        elif len(self._open) >= limits.connections:
            is_allowed = self._close_idle(self._open)
        self._open.add(connection)
        self._by_peer[peer] += 1
        return is_allowed

    def discard(self, connection: "GuardedProtocol") -> None:
        """Forget a closed connection."""
        if connection in self._open:
            self._open.discard(connection)
            self._by_peer[connection.peer] -= 1
            if not self._by_peer[connection.peer]:
                del self._by_peer[connection.peer]

    def count_closed(self, reason: str) -> None:
        """Count a connection that is closed by the server."""
        self._metrics.count_refused_connection(reason)

    def may_linger(self) -> bool:
        """Return whether another refused connection may wait for its client to read the answer."""
        return sum(each.phase is Phase.LINGER for each in self._open) <= _MAX_LINGERING

    async def keep_deadlines(self) -> None:
        """Close what takes too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self._open):
                connection.keep_deadlines(now_s)

    def _close_idle(self, candidates: "Iterable[GuardedProtocol]") -> bool:
        """Close the connection that has been silent longest, those without any request first."""
        now_s = asyncio.get_running_loop().time()
        idle = [
            each
            for each in candidates
            if each.phase in {Phase.NEW, Phase.HEAD, Phase.KEPT} and now_s - each.since_s >= _MIN_IDLE_S
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda each: (each.phase is Phase.KEPT, each.since_s))
        self.count_closed("idle")
        oldest.cut()
        return True


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with limits."""

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self.phase = Phase.NEW
        self.since_s = 0.0
        self._guard = connections
        self._has_line = False
        self._dropped_bytes = 0
        self._skip_bytes = 0
        self._unsent_since_s: float | None = None

    @property
    def peer(self) -> str:
        """Address of the client; empty for one that has none."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Refuse a connection too many with 503."""
        super().connection_made(cast("asyncio.Transport", _PoliteTransport(transport, self)))
        self._enter(Phase.NEW)
        with contextlib.suppress(OSError, AttributeError):  # the client was faster; a transport without a socket
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if not self._guard.add(self):
            self._refuse(TOO_MANY_CONNECTIONS, "limit")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._guard.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data on: a head in small pieces, so that its size is checked; nothing of a refused client."""
        if self.phase in {Phase.LINGER, Phase.DROP}:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > self._guard.limits.drop_bytes:
                self.cut()
                return
        if self.phase is Phase.LINGER:
            return
        data = self._refuse_early(self._skip(data))
        if not data:
            return
        if self.phase is Phase.KEPT:
            self._enter(Phase.HEAD)
        elif self.phase is Phase.NEW:
            self.phase = Phase.HEAD  # the time since the connection counts
        rest = data
        while rest and self._reads_head():
            piece, rest = rest[:_HEAD_PIECE_BYTES], rest[_HEAD_PIECE_BYTES:]
            self._has_line = self._has_line or b"\n" in piece
            self._pass_on(piece)
            if self.phase is Phase.LINGER or self.transport.is_closing():
                return
        if rest:
            self._pass_on(rest)
        self._note_phase()

    def _refuse_early(self, data: bytes) -> bytes:
        """Refuse a frame over capacity without parsing it; return what comes after it."""
        is_between = self.phase in {Phase.NEW, Phase.KEPT} and not self.conn.trailing_data[0]
        if not is_between or self.flow.write_paused:
            return data
        sizes = measure_frame(data)
        answer = None if sizes is None else self._guard.refuse_frame()
        if sizes is None or answer is None:
            return data
        self._unset_keepalive_if_required()
        self.transport.write(answer.to_bytes(closes=False))
        self._dropped_bytes, self._skip_bytes = 0, sizes[1]
        self._enter(Phase.DROP)
        return self._skip(data[sizes[0] :])

    def _skip(self, data: bytes) -> bytes:
        """Drop the body of a frame that was refused early; return what comes after it."""
        if self._skip_bytes or self.phase is Phase.DROP:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
            if not self.is_body_coming():
                self._enter(Phase.KEPT)
        return data

    def handle_events(self) -> None:
        """Let uvicorn go on, unless the connection is only open for its last answer."""
        if self.phase is not Phase.LINGER:
            super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 cannot parse; uvicorn calls this while it handles h11's error."""
        error = sys.exception()
        problem = MALFORMED_REQUEST
        if getattr(error, "error_status_hint", 400) == HEAD_TOO_LARGE.status:
            problem = HEAD_TOO_LARGE if self._has_line else URI_TOO_LONG
        self._refuse(problem, "malformed")
        cycle = self._find_cycle()
        if cycle is not None and not cycle.response_complete:  # a body that became malformed
            cycle.disconnected = True
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Note what comes after an answer."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.phase is not Phase.LINGER:
            self._note_phase()

    def shutdown(self) -> None:
        """Close once the process stops: at once when idle, else after the answer."""
        if self.phase is Phase.LINGER:
            self.transport.close()
        else:
            super().shutdown()

    def keep_deadlines(self, now_s: float) -> None:
        """Close the connection when its client takes too long; called every `SWEEP_S`."""
        limits, took_s = self._guard.limits, now_s - self.since_s
        if self.transport.get_write_buffer_size() == 0:
            self._unsent_since_s = None
        elif self._unsent_since_s is None:
            self._unsent_since_s = now_s
        elif now_s - self._unsent_since_s > limits.answer_timeout_s:
            self._guard.count_closed("unread")
            self.cut()
            return
        if self.phase is Phase.NEW and took_s > limits.head_timeout_s:
            self._guard.count_closed("silent")
            self.transport.close()
        elif self.phase is Phase.HEAD and took_s > limits.head_timeout_s:
            self._refuse(HEAD_TIMEOUT, "head")
        elif self.phase is Phase.KEPT and took_s > self.timeout_keep_alive:
            self.transport.close()
        elif self.phase is Phase.DROP and took_s > LINGER_S:
            self._guard.count_closed("body")
            self.linger()
        elif self.phase is Phase.LINGER and took_s > LINGER_S:
            self.cut()

    def cut(self) -> None:
        """Close at once, whatever is still to be sent."""
        self.transport.abort()

    def linger(self) -> None:
        """Send no more, but let the client read what was sent: closing with unread data would reset the connection."""
        if self.phase is Phase.LINGER:
            return
        self._unset_keepalive_if_required()
        if not self.transport.can_write_eof() or not self._guard.may_linger():
            self.cut()
            return
        self._enter(Phase.LINGER)
        self.transport.write_eof()
        self.flow.resume_reading()

    def is_body_coming(self) -> bool:
        """Return whether the client still sends the body of its request."""
        return self._skip_bytes > 0 or self.conn.their_state is h11.SEND_BODY

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Answer a request that has not reached the application, and close; nothing can follow a broken head."""
        self._guard.count_closed(reason)
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE, h11.ERROR} and not self._has_begun_answer():
            self.transport.write(answer_problem(problem, problem.title).to_bytes())
        self.linger()

    def _has_begun_answer(self) -> bool:
        cycle = self._find_cycle()
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _find_cycle(self) -> RequestResponseCycle | None:
        """Return the request that is being answered or was last; uvicorn declares it as if there always were one."""
        return self.cycle

    def _reads_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _pass_on(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # the answer went out while the request was still malformed
            self.cut()

    def _note_phase(self) -> None:
        if self.phase is Phase.LINGER:
            return
        cycle = self._find_cycle()
        if cycle is not None and not cycle.response_complete:
            self._enter(Phase.REQUEST)
            self._has_line = False
        elif self.is_body_coming():
            if self.phase is not Phase.DROP:
                self._dropped_bytes = 0
                self._enter(Phase.DROP)
        elif self.phase in {Phase.REQUEST, Phase.DROP}:
            self._enter(Phase.KEPT)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since_s = self.loop.time()


class _PoliteTransport:
    """A transport that does not reset a connection whose client is still sending when it is closed."""

    def __init__(self, transport: asyncio.Transport, connection: GuardedProtocol) -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def close(self) -> None:
        if self._connection.is_body_coming() and self._connection.phase is not Phase.LINGER:
            self._connection.linger()
        else:
            self._transport.close()
