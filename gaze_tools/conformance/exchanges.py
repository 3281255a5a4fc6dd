"""What was sent to a service and what it answered."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_SHOWN_CHARACTERS = 600
"""Longer bodies are shortened in reports."""


@dataclass(frozen=True, slots=True)
class WireExchange:
    """One request and its answer.

    Attributes:
        method: HTTP method.
        path: Path and query, after the path of the base URL.
        sent: Body of the request; None for none.
        duration_s: Time until the answer was complete, or until the request failed.
        status: HTTP status; None without a complete answer.
        received: Body of the answer.
        headers: Headers of the answer; empty if they were not kept.
        failure: Why there is no complete answer; None if there is one.
    """

    method: str
    path: str
    sent: bytes | None
    duration_s: float
    status: int | None = None
    received: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None

    @property
    def call(self) -> str:
        """The method and the first segment of the path: one of the calls of the contract."""
        return f"{self.method} /{self.path.lstrip('/').partition('?')[0].partition('/')[0]}"

    @property
    def must_be_repeated(self) -> bool:
        """Whether the function repeats the request: connection errors, timeouts, 429, 502, 503 and 504."""
        return self.status is None or self.status in {429, 502, 503, 504}

    def describe_request(self) -> str:
        """Return the request as text, shortened."""
        return f"{self.method} {self.path}" + ("" if self.sent is None else f"\n{shorten(self.sent)}")

    def describe_answer(self) -> str:
        """Return the answer as text, shortened."""
        if self.failure is not None:
            return self.failure
        shown = "".join(f"\n{name}: {value}" for name, value in self.headers.items())
        return f"{self.status}{shown}\n{shorten(self.received)}".rstrip()


class ExchangeLog:
    """Collects exchanges from several threads."""

    def __init__(self, parent: "ExchangeLog | None" = None) -> None:
        """Start empty.

        Args:
            parent: Log that gets every exchange, too; None for none.
        """
        self._lock = threading.Lock()
        self._exchanges: list[WireExchange] = []
        self._parent = parent

    def add(self, exchange: WireExchange) -> None:
        """Add an exchange."""
        with self._lock:
            self._exchanges.append(exchange)
        if self._parent is not None:
            self._parent.add(exchange)

    def read(self) -> Sequence[WireExchange]:
        """Return all exchanges in the order in which they ended."""
        with self._lock:
            return list(self._exchanges)

    def find_last(self) -> WireExchange | None:
        """Return the last exchange; None without any."""
        with self._lock:
            return self._exchanges[-1] if self._exchanges else None


def shorten(body: bytes) -> str:
    """Return a body as text that a terminal can show, with its middle left out if it is long."""
    # Three characters for each byte at most; a long body need not be decoded as a whole.
    edge = 4 * MAX_SHOWN_CHARACTERS
    whole = body if len(body) <= 2 * edge else body[:edge] + b" " + body[-edge:]
    text = "".join(
        each if each.isprintable() else " " if each in "\n\t\r" else f"\\x{ord(each):02x}"
        for each in whole.decode("utf-8", "backslashreplace")
    )
    half = MAX_SHOWN_CHARACTERS // 2
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[:half]} … ({len(body)} bytes) … {text[-half:]}"


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Durations of one call of the contract.

    Attributes:
        call: Method and first segment of the path.
        count: Number of answered requests.
        p50_ms: Median duration.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        slowest_ms: Longest duration.
    """

    call: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float


def summarise(exchanges: Sequence[WireExchange]) -> list[CallTimes]:
    """Return the durations of answered requests by call, in alphabetical order."""
    by_call: dict[str, list[float]] = {}
    for each in exchanges:
        if each.status is not None:
            by_call.setdefault(each.call, []).append(1000 * each.duration_s)
    return [
        CallTimes(call, len(times), *(find_percentile(times, share) for share in (0.5, 0.95, 0.99, 1.0)))
        for call, times in sorted(by_call.items())
    ]


def find_percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is not below this share of the values."""
    ordered = sorted(values)
    rank = -(-len(ordered) * round(100 * share) // 100)
    return ordered[max(0, rank - 1)]
