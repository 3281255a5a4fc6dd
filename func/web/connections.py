"""Limits on connections and deadlines for slow clients.

uvicorn parses and answers. This module adds the limits that uvicorn lacks: number of connections, in total and per
peer; time and size of a request head; unread answers; bodies that continue after their answer.
"""

import asyncio
import contextlib
import enum
import logging
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from func.log_lines import REQUEST_LOGGER, Event
from func.tracing import begin_trace
from func.web.answers import Answer, answer_problem
from func.web.early_refusal import make_header_finder, measure_frame
from func.web.exchange import Exchange
from func.web.limited_http import LimitedConnection
from func.web.metrics import Metrics
from func.web.problems import (
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    TOO_MANY_CONNECTIONS,
    URI_TOO_LONG,
    Problem,
)

_log = logging.getLogger(REQUEST_LOGGER)

SWEEP_S = 0.25
"""Interval between checks of the deadlines."""

LINGER_S = 1.0
"""Time for a client that is still sending to read its answer, before the connection is aborted."""

_SEND_BUFFER_BYTES = 128 * 1024
"""Send buffer in the kernel. Unread answers could otherwise use 4 MB per connection. Most answers have less than 1 KB;
the one to the last frame of an hour has 5 MB."""
_MIN_IDLE_S = 0.25
_MIN_BODY_S = 1.0
"""Minimum age of an unfinished body that is refused to make room for a new connection."""
_MAX_LINGERING = 64


RefuseFrame = Callable[[Callable[[str], str | None]], Answer | None]


class Phase(enum.Enum):
    """State of a connection."""

    NEW = enum.auto()
    """Open, nothing received yet."""
    HEAD = enum.auto()
    """A request head is being received."""
    REQUEST = enum.auto()
    """A request is being received or answered; the handler enforces the deadlines."""
    DROP = enum.auto()
    """The answer is sent, but the client is still sending the request's body."""
    KEPT = enum.auto()
    """Idle after a request."""
    LINGER = enum.auto()
    """Half closed, so that the client can read its answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on connections.

    Attributes:
        connections: Maximum number of connections in total.
        connections_per_peer: Maximum number of connections per peer address.
        head_timeout_s: Maximum time from the connection, or the first byte of a later request, to the end of the head.
        answer_timeout_s: Maximum time until an answer is read.
        drop_bytes: Maximum bytes of a body to receive after its answer.
    """

    connections: int
    connections_per_peer: int
    head_timeout_s: float
    answer_timeout_s: float
    drop_bytes: int


class Connections:
    """Open connections of a process. Belongs to one event loop."""

    def __init__(self, limits: Limits, metrics: Metrics, refuse_frame: RefuseFrame) -> None:
        """Create an empty set of connections.

        Args:
            limits: Limits on the connections.
            metrics: Counts the connections.
            refuse_frame: Returns the answer if frames are refused now, from the headers; None if they are accepted.
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
        """Add a connection, closing another if there are too many; return whether it is within the limits."""
        limits, peer = self.limits, connection.peer
        is_allowed = True
        if self._by_peer[peer] >= limits.connections_per_peer:
            is_allowed = self._make_room([each for each in self._open if each.peer == peer])
        elif len(self._open) >= limits.connections:
            is_allowed = self._make_room(list(self._open))
        self._open.add(connection)
        self._by_peer[peer] += 1
        return is_allowed

    def discard(self, connection: "GuardedProtocol") -> None:
        """Remove a closed connection."""
        if connection in self._open:
            self._open.discard(connection)
            self._by_peer[connection.peer] -= 1
            if not self._by_peer[connection.peer]:
                del self._by_peer[connection.peer]

    def count_closed(self, reason: str) -> None:
        """Count a connection closed by the server."""
        self._metrics.count_refused_connection(reason)

    def may_linger(self) -> bool:
        """Return whether one more connection may linger."""
        return sum(each.phase is Phase.LINGER for each in self._open) <= _MAX_LINGERING

    async def keep_deadlines(self) -> None:
        """Enforce the deadlines of all connections until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self._open):
                connection.keep_deadlines(now_s)

    def _make_room(self, candidates: "Sequence[GuardedProtocol]") -> bool:
        """Close one connection, preferring idle ones to slow bodies; return whether there was one."""
        now_s = asyncio.get_running_loop().time()
        idle = [
            each
            for each in candidates
            if each.phase in {Phase.NEW, Phase.HEAD, Phase.KEPT} and now_s - each.since_s >= _MIN_IDLE_S
        ]
        if idle:
            self.count_closed("idle")
            # Those that have never sent a request first.
            min(idle, key=lambda each: (each.phase is Phase.KEPT, each.since_s)).cut()
            return True
        slow = [
            each
            for each in candidates
            if each.phase is Phase.REQUEST and each.is_body_coming() and now_s - each.since_s >= _MIN_BODY_S
        ]
        if slow:
            min(slow, key=lambda each: each.since_s).refuse_body()
        return bool(slow)


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with limits."""

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self.phase = Phase.NEW
        self.since_s = 0.0
        self._guard = connections
        self.conn = LimitedConnection()
        self._dropped_bytes = 0
        self._skip_bytes = 0
        self._unsent_since_s: float | None = None

    @property
    def peer(self) -> str:
        """Address of the client; empty if it has none."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Answer 503 if there are too many connections."""
        super().connection_made(cast("asyncio.Transport", _PoliteTransport(transport, self)))
        self._enter(Phase.NEW)
        with contextlib.suppress(OSError, AttributeError):  # already closed, or a transport without a socket
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if not self._guard.add(self):
            self._refuse(TOO_MANY_CONNECTIONS, "limit")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._guard.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass data to uvicorn; discard data after a refusal."""
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
            self.phase = Phase.HEAD  # the deadline counts from the connection
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # the answer went out while the request was still malformed
            self.cut()
        if not self.transport.is_closing():
            self._note_phase()

    def _refuse_early(self, data: bytes) -> bytes:
        """Refuse a frame under overload without parsing it; return the data after it."""
        is_between = self.phase in {Phase.NEW, Phase.KEPT} and not self.conn.trailing_data[0]
        if not is_between or self.flow.write_paused:
            return data
        sizes = measure_frame(data)
        answer = None if sizes is None else self._guard.refuse_frame(make_header_finder(data[: sizes[0]]))
        if sizes is None or answer is None:
            return data
        self._unset_keepalive_if_required()
        self.transport.write(answer.to_bytes(closes=False))
        self._dropped_bytes, self._skip_bytes = 0, sizes[1]
        self._enter(Phase.DROP)
        return self._skip(data[sizes[0] :])

    def _skip(self, data: bytes) -> bytes:
        """Discard the body of a frame that was refused early; return the data after it."""
        if self._skip_bytes or self.phase is Phase.DROP:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
            if not self.is_body_coming():
                self._enter(Phase.KEPT)
        return data

    def handle_events(self) -> None:
        """Handle the next events, unless the connection is only open for its last answer."""
        if self.phase is not Phase.LINGER:
            super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that h11 cannot parse. uvicorn calls it while it handles h11's exception."""
        hint = getattr(sys.exception(), "error_status_hint", MALFORMED_REQUEST.status)
        problems = {problem.status: problem for problem in (HEAD_TOO_LARGE, URI_TOO_LONG)}
        self._refuse(problems.get(hint, MALFORMED_REQUEST), "malformed")
        self._end_cycle()

    def on_response_complete(self) -> None:
        """Update the phase after an answer."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.phase is not Phase.LINGER:
            self._enter(Phase.KEPT)
            self._note_phase()

    def shutdown(self) -> None:
        """Close the connection because the process stops: at once if idle, otherwise after the answer."""
        if self.phase is Phase.LINGER:
            self.transport.close()
        else:
            super().shutdown()

    def keep_deadlines(self, now_s: float) -> None:
        """Close the connection if its client is too slow. Called every `SWEEP_S`."""
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
        """Abort the connection, discarding unsent data."""
        self.transport.abort()

    def linger(self) -> None:
        """Half-close: closing with unread data would reset the connection before the client reads its answer."""
        if self.phase is Phase.LINGER:
            return
        self._unset_keepalive_if_required()
        if not self.transport.can_write_eof() or not self._guard.may_linger():
            self.cut()
            return
        self._enter(Phase.LINGER)
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection
            self.cut()
            return
        self.flow.resume_reading()

    def refuse_body(self) -> None:
        """Refuse a request whose body is unfinished, to make room for another connection."""
        self._refuse(TOO_MANY_CONNECTIONS, "slow_body")
        self._end_cycle()

    def is_body_coming(self) -> bool:
        """Return whether the client is still sending the body of its request."""
        return self._skip_bytes > 0 or self.conn.their_state is h11.SEND_BODY

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Answer a request that has not reached the handler, and close the connection."""
        self._guard.count_closed(reason)
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE, h11.ERROR} and not self._has_begun_answer():
            cycle = self._find_cycle()
            find_header = make_header_finder(self.conn.trailing_data[0])
            if cycle is not None and not cycle.response_complete:
                find_header = Exchange(cycle.scope, cycle.receive).find_header  # type: ignore[arg-type]  # uvicorn's types
            with begin_trace(find_header) as trace:
                _log.info(Event("request refused", status=problem.status, problem=problem.slug, reason=reason))
                self.transport.write(answer_problem(problem, problem.title).identify(trace).to_bytes())
        self.linger()

    def _end_cycle(self) -> None:
        """Report to the handler that its client has disconnected, if a request is being answered."""
        cycle = self._find_cycle()
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _has_begun_answer(self) -> bool:
        cycle = self._find_cycle()
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _find_cycle(self) -> RequestResponseCycle | None:
        """Return uvicorn's current or last request; None before the first one, contrary to uvicorn's annotation."""
        return self.cycle

    def _note_phase(self) -> None:
        if self.phase is Phase.LINGER:
            return
        cycle = self._find_cycle()
        if cycle is not None and not cycle.response_complete:
            if self.phase is not Phase.REQUEST:
                self._enter(Phase.REQUEST)
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
    """A transport that lingers instead of closing while the client is sending, which would reset the connection."""

    def __init__(self, transport: asyncio.Transport, connection: GuardedProtocol) -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the transport
        return getattr(self._transport, name)

    def close(self) -> None:
        if self._connection.is_body_coming() and self._connection.phase is not Phase.LINGER:
            self._connection.linger()
        else:
            self._transport.close()
