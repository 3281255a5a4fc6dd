"""Ids, times and spans of the current request, for logs, metrics and traces.

The web layer begins a trace for each request; adapters pass its ids on to upstream services. It is a context variable,
like the deadline (`func.deadline`), and reaches threads in the same way. Formats: W3C Trace Context.
"""

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
"""What `X-Request-Id` may contain; any other value is replaced by a new id."""

MAX_TRACESTATE_LENGTH = 512

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACESTATE_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
_SAMPLED = 1
_MAX_SPANS = 2000
"""Maximum spans of one request: a last frame that waits polls the session a few hundred times."""


@dataclass(frozen=True, slots=True)
class CallerTrace:
    """Trace that the caller of a request is part of.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: Span of the caller, 16 hexadecimal digits.
        is_sampled: Whether the caller records the trace.
        state: Value of `tracestate`, empty without one.
    """

    trace_id: str
    span_id: str
    is_sampled: bool
    state: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A finished step of a request.

    Attributes:
        name: Name of the step.
        span_id: 16 hexadecimal digits.
        parent_id: Span that it is part of; None for the first one of a trace.
        start_ns: Unix time of its start.
        end_ns: Unix time of its end.
        kind: `server`, `client` or `internal`.
        has_failed: Whether it ended with an error.
        attributes: Further facts, never about the viewer.
    """

    name: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    kind: str
    has_failed: bool
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class RequestTrace:
    """Ids, times and outcome of one request, collected by everything that works on it.

    Durations are measured with a clock that nobody sets, so that they are right while the system's clock is corrected.

    Attributes:
        request_id: Id from `X-Request-Id`, or a new UUID.
        trace_id: 32 hexadecimal digits.
        span_id: Span of the request itself.
        caller: Trace of the caller; None without one.
        is_sampled: Whether upstream services are asked to record the trace.
        spans: Finished steps; None if they are not recorded.
        started_ns: Unix time of the start.
        started_s: The same on the clock of `time.perf_counter`.
        session_id: Session of the request, once known. Never logged as it is.
        frame_number: Frame of the request, once known; None for a request with several frames.
        stages_ms: Time in each step, summed over the frames of the request.
        outcome: Further facts for the log, never about the viewer.
    """

    request_id: str
    trace_id: str
    span_id: str
    caller: CallerTrace | None = None
    is_sampled: bool = False
    spans: list[Span] | None = None
    started_ns: int = field(default_factory=time.time_ns)
    started_s: float = field(default_factory=time.perf_counter)
    session_id: str | None = field(default=None, repr=False)
    frame_number: int | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    _tokens: "tuple[Token[RequestTrace | None], Token[str]] | None" = field(default=None, repr=False)

    @property
    def duration_ms(self) -> float:
        """Time since the start of the request."""
        return 1e3 * (time.perf_counter() - self.started_s)

    def find_unix_ns(self, time_s: float) -> int:
        """Return the Unix time of a moment of the request, consistent with its start.

        Args:
            time_s: The moment on the clock of `time.perf_counter`.
        """
        return self.started_ns + int(1e9 * (time_s - self.started_s))

    def make_headers(self, span_id: str) -> dict[str, str]:
        """Return the headers with which a call to an upstream service continues the trace.

        Args:
            span_id: Span of the call.
        """
        headers = {
            "X-Request-Id": self.request_id,
            "traceparent": f"00-{self.trace_id}-{span_id}-{_SAMPLED if self.is_sampled else 0:02x}",
        }
        if self.caller is not None and self.caller.state:
            headers["tracestate"] = self.caller.state
        return headers

    def __enter__(self) -> "RequestTrace":
        """Make it the trace of the current context."""
        self._tokens = _current.set(self), _parent_id.set(self.span_id)
        return self

    def __exit__(self, *_: object) -> None:
        if self._tokens is not None:
            _current.reset(self._tokens[0])
            _parent_id.reset(self._tokens[1])


_current: ContextVar[RequestTrace | None] = ContextVar("trace", default=None)
_parent_id: ContextVar[str] = ContextVar("parent_id", default="")


class SpanSink(Protocol):
    """Where the spans of requests go."""

    def should_record(self, trace_id: str, caller: CallerTrace | None) -> bool:
        """Return whether to record the spans of a trace."""
        ...

    def export(self, trace: RequestTrace, name: str, attributes: Mapping[str, Any], *, has_failed: bool) -> None:
        """Send the spans of a request that has ended."""
        ...

    def close(self) -> None:
        """Send what is left, for a second at most."""
        ...


ShouldRecord = Callable[[str, CallerTrace | None], bool]
"""Returns whether to record the spans of a trace, from its id and that of the caller."""


def begin_trace(find_header: Callable[[str], str | None], should_record: ShouldRecord | None = None) -> RequestTrace:
    """Return the trace of a new request; `with` makes it the current one.

    Args:
        find_header: Returns the value of a header in lower case, None without it.
        should_record: Sampler of the spans; None records none, and passes on the decision of the caller.
    """
    caller = read_caller(find_header("traceparent"), find_header("tracestate"))
    trace_id = f"{random.getrandbits(128) or 1:032x}" if caller is None else caller.trace_id
    is_recorded = should_record is not None and should_record(trace_id, caller)
    is_sampled = is_recorded if should_record is not None else caller is not None and caller.is_sampled
    return RequestTrace(
        request_id=read_request_id(find_header("x-request-id")),
        trace_id=trace_id,
        span_id=make_span_id(),
        caller=caller,
        is_sampled=is_sampled,
        spans=[] if is_recorded else None,
    )


def read_request_id(sent: str | None) -> str:
    """Return the value of `X-Request-Id` if it is valid, otherwise a new UUID."""
    if sent is not None and REQUEST_ID.fullmatch(sent):
        return sent
    return str(uuid.UUID(int=random.getrandbits(128), version=4))  # not a secret, and without a system call


def read_caller(traceparent: str | None, tracestate: str | None = None) -> CallerTrace | None:
    """Return the trace of the caller; None if there is no valid one."""
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent is not None else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return CallerTrace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), _read_state(tracestate or ""))


def find_trace() -> RequestTrace | None:
    """Return the trace of the current request; None outside a request."""
    return _current.get()


def make_span_id() -> str:
    """Return the id of a new span."""
    return f"{random.getrandbits(64) or 1:016x}"


class measure:  # noqa: N801 - a context manager that reads like a function, and costs half of a generator
    """Time a step of the current request, even if it fails, and record its span if the trace is recorded.

    Attributes:
        span_id: Span of the step.
        duration_s: Time that it took, once it has ended.
    """

    __slots__ = (
        "_attributes",
        "_is_stage",
        "_kind",
        "_name",
        "_observe",
        "_started_s",
        "_token",
        "duration_s",
        "span_id",
    )

    def __init__(
        self,
        name: str,
        *,
        kind: str = "internal",
        is_stage: bool = True,
        attributes: dict[str, Any] | None = None,
        observe: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare to time a step.

        Args:
            name: Name of the step.
            kind: `internal`, or `client` for a call to another service.
            is_stage: Whether the log line of the request has the time of this step.
            attributes: Facts about the step; may be changed until it ends.
            observe: Called with the time in seconds.
        """
        self._name = name
        self._kind = kind
        self._is_stage = is_stage
        self._attributes = attributes
        self._observe = observe
        self._token: Token[str] | None = None
        self.span_id = ""
        self.duration_s = 0.0

    def __enter__(self) -> "measure":
        trace = _current.get()
        if trace is not None and (trace.spans is not None or self._kind == "client"):
            self.span_id = make_span_id()
            self._token = _parent_id.set(self.span_id)
        self._started_s = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.duration_s = time.perf_counter() - self._started_s
        if self._observe is not None:
            self._observe(self.duration_s)
        trace = _current.get()
        if self._token is not None:
            parent_id = self._token.old_value
            _parent_id.reset(self._token)
            if trace is not None and trace.spans is not None and len(trace.spans) < _MAX_SPANS:
                trace.spans.append(
                    Span(
                        self._name,
                        self.span_id,
                        parent_id if isinstance(parent_id, str) else trace.span_id,
                        trace.find_unix_ns(self._started_s),
                        trace.find_unix_ns(self._started_s + self.duration_s),
                        self._kind,
                        error is not None,
                        self._attributes or {},
                    )
                )
        if trace is not None and self._is_stage:
            trace.stages_ms[self._name] = trace.stages_ms.get(self._name, 0.0) + 1e3 * self.duration_s


def _read_state(tracestate: str) -> str:
    """Return the value of `tracestate` if it is valid, otherwise nothing."""
    members = [member.strip(" \t") for member in tracestate.split(",")]
    is_valid = len(tracestate) <= MAX_TRACESTATE_LENGTH and len(members) <= 32
    return tracestate if is_valid and all(_TRACESTATE_MEMBER.fullmatch(each) for each in members) else ""
