"""JSON over HTTP with limits and retries, for upstream services with idempotent calls only."""

# Why our own retry loop: urllib3's Retry stops once it has read the headers, so it does not repeat a call whose body
# breaks off. stamina and tenacity sleep themselves. None of them supports a deadline, a retry budget and a breaker.

import json
import os
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import certifi
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse

from func.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError
from func.adapters.failed_try import CircuitOpenTryError, FailedTryError, RefusedTryError, find_cause, parse_retry_after
from func.adapters.limited_socket import TooManyBytesError, limit_sockets, make_tls_context
from func.adapters.retry_budget import RetryBudget
from func.adapters.upstream_connections import UpstreamConnections, make_connections
from func.adapters.upstream_observer import Unobserved, UpstreamObserver
from func.deadline import Deadline, find_deadline
from func.tracing import find_trace, measure
from gaze_core.errors import GazeError

MAX_ANSWER_BYTES = 1024 * 1024
"""Default size limit of an answer: headers, body and their framing."""

MAX_PAUSE_S = 2.0
"""Maximum pause between two attempts. If `Retry-After` asks for more, the call fails and passes it on."""

_USER_AGENT = "gaze-function"
_FIRST_PAUSE_S = 0.05
_REACHABLE_TIMEOUT_S = 1.0
_FAIR_TIMEOUT_S = 1.0
"""If the deadline leaves less time than this, a timeout says nothing about the service."""
_DEFAULT_RETRY_AFTER_S = 1.0
_STATUSES_OF_DENIED_ACCESS = frozenset({401, 403, 407})
_STATUSES_TO_REPEAT = frozenset({429, 502, 503, 504})
_JSON_MARKS = (b"[", b"{", b",", b":")
_BYTES_PER_JSON_MARK = 8
"""A parser creates an object of up to 230 bytes from four marks, so the objects of an answer take at most about seven
times its size limit. Our records have 9 bytes per mark."""


class MakeBusyError(Protocol):
    """Creates an error with the time of the next attempt."""

    def __call__(self, message: str, *, retry_after_s: float) -> GazeError:
        """Return the error."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamErrors:
    """The errors of one upstream service.

    Attributes:
        failed: The service failed or gave an unexpected answer.
        timed_out: The service did not answer in time.
        busy: The service asks to be called later, or fails so often that it is not called for now.
        refused: The service denies access.
    """

    failed: type[GazeError]
    timed_out: type[GazeError]
    busy: MakeBusyError
    refused: type[GazeError]


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """Answer of an upstream service.

    Attributes:
        status: HTTP status, one of those that the caller expected.
        body: JSON object.
        tries: Number of attempts; if above 1, an earlier attempt may have had an effect too.
    """

    status: int
    body: Mapping[str, Any]
    tries: int


class HttpClient:
    """Calls one upstream service; thread-safe, and may be created before a fork.

    Connections are kept open, each for one call at once. Proxy variables and netrc are ignored, redirects are not
    followed, cookies are not stored, compressed answers are not decompressed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        service: str,
        errors: UpstreamErrors,
        timeout_s: float,
        retries: int,
        proxy: str | None = None,
        ca_bundle: Path | None = None,
        retry_budget: RetryBudget | None = None,
        breaker: CircuitBreaker | None = None,
        observer: UpstreamObserver | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare to call a service, without connecting.

        Args:
            base_url: URL of the service, such as `http://session-service`.
            service: Name of the service in messages.
            errors: Errors to raise.
            timeout_s: Timeout of one attempt, from connecting to the last byte, also with TLS and through a proxy.
            retries: Maximum number of retries, each after a pause of at most `MAX_PAUSE_S`. The deadline of the current
                request (`func.deadline`) may end them earlier.
            proxy: URL of a proxy, which may contain user and password; None for none.
            ca_bundle: PEM file of the certificate authorities to trust; None for those of certifi.
            retry_budget: Retry budget of all calls; None for the default one.
            breaker: Circuit breaker of all calls; None for the default one.
            observer: Counts and times the calls; None for nobody.
            sleep: Sleeps for a number of seconds.

        Raises:
            ValueError: A value is out of range.
            OSError: The CA bundle cannot be read.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"not the URL of an HTTP service: {base_url!r}")
        if not timeout_s > 0:
            raise ValueError("timeout_s must be positive")
        if retries < 0:
            raise ValueError("retries must not be negative")
        self._base_url = base_url.rstrip("/")
        self._service = service
        self._errors = errors
        self._timeout_s = timeout_s
        self._retries = retries
        self._proxy = proxy
        self._budget = retry_budget or RetryBudget()
        self._label = service.lower().replace(" ", "_")
        self._breaker = breaker or CircuitBreaker(self._label)
        self._observer = observer or Unobserved()
        self._observer.watch_circuit(self._label, lambda: self._breaker.is_open)
        self._sleep = sleep
        uses_tls = "https" in {parts.scheme, urlsplit(proxy or "").scheme}
        self._tls = make_tls_context(ca_bundle or Path(certifi.where())) if uses_tls else None
        self._lock = threading.Lock()
        self._pools = make_connections(self._base_url, self._tls, self._proxy)
        self._pid = os.getpid()

    def call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        expected: Collection[int],
        payload: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> UpstreamAnswer:
        """Send a request and return the answer; retry after connection errors, timeouts, 429, 502, 503 and 504.

        The request must be idempotent.

        Args:
            method: HTTP method.
            path: Path segments, not quoted.
            expected: Statuses of the contract; any other status is an error.
            payload: JSON object to send; None for no body.
            params: Query parameters.
            headers: Headers in addition to the content type.
            max_answer_bytes: Size limit of the answer. The number of brackets, commas and colons must not exceed an
                eighth of it, because parsing them would take several times the memory.

        Raises:
            ValueError: A segment is not valid in a path, or the payload is not JSON.
            GazeError: One of the errors of the service.
        """
        if any(segment in {"", ".", ".."} for segment in path):
            raise ValueError(f"not a path: {path}")
        quoted = "/".join(["", *(quote(segment, safe="") for segment in path)])
        what = f"{method} /{path[0]}"
        with measure(
            what, kind="client", is_stage=False, attributes={"service": self._label}, observe=self._observe
        ) as step:
            trace = find_trace()
            request = _Request(
                method,
                f"{quoted}?{urlencode(params)}" if params else quoted,
                # JSON has no NaN, whatever Python's json and some servers think.
                None if payload is None else json.dumps(payload, allow_nan=False, separators=(",", ":")).encode(),
                {
                    **({} if payload is None else {"Content-Type": "application/json"}),
                    **({} if trace is None else trace.make_headers(step.span_id)),
                    **(headers or {}),
                },
                max_answer_bytes,
            )
            return self._repeat(what, request, expected)

    def _repeat(self, what: str, request: "_Request", expected: Collection[int]) -> UpstreamAnswer:
        """Send a request until there is an expected answer, the error is final or no attempt is left."""
        self._budget.record_call()
        deadline = find_deadline()
        tries = 1
        while True:
            try:
                status, text = self._try(request, expected, deadline)
            except FailedTryError as failure:
                self._observer.count_upstream_error(self._label, failure.kind)
                pause_s = self._find_pause_s(failure, tries, deadline)
                if pause_s is None:
                    raise self._translate(what, failure) from failure
                self._sleep(pause_s)
                self._observer.count_retry(self._label)
                tries += 1
            else:
                return UpstreamAnswer(status, self._parse(what, status, text, request.max_answer_bytes), tries)

    def _observe(self, duration_s: float) -> None:
        self._observer.observe_call(self._label, duration_s)

    def is_reachable(self) -> bool:
        """Return whether the service gives any answer within a second, whatever the state of the breaker."""
        timeout_s = min(self._timeout_s, _REACHABLE_TIMEOUT_S)
        try:
            with limit_sockets(timeout_s, MAX_ANSWER_BYTES):
                self._open(_Request("GET", "/", None, {}, MAX_ANSWER_BYTES), timeout_s).close()
        except (HTTPError, OSError, TooManyBytesError):
            return False
        return True

    def _try(self, request: "_Request", expected: Collection[int], deadline: Deadline | None) -> tuple[int, bytes]:
        """Send a request once and return the status, one of those expected, and the body.

        Raises:
            FailedTryError: There was no expected answer.
        """
        timeout_s = self._timeout_s if deadline is None else min(self._timeout_s, deadline.remaining_s())
        if timeout_s <= 0:
            raise FailedTryError(
                "was not sent: the deadline of the request has passed", is_timeout=True, may_repeat=False
            )
        try:
            is_probe = self._breaker.admit()
        except CircuitOpenError as error:
            raise CircuitOpenTryError(f"was {error}", retry_after_s=error.retry_after_s, may_repeat=False) from error
        has_failed: bool | None = None
        try:
            status, text, retry_after = self._send(request, timeout_s)
            has_failed = status >= 500
        except FailedTryError as failure:
            # An attempt that our own deadline cut short says nothing about the service.
            is_fair = not failure.is_timeout or timeout_s >= min(self._timeout_s, _FAIR_TIMEOUT_S)
            has_failed = failure.may_repeat if is_fair else None
            raise
        finally:
            self._breaker.record(failed=has_failed, is_probe=is_probe)
        if status in expected:
            return status, text
        retry_after_s = parse_retry_after(retry_after) if status in {429, 503} else None
        if status == 429 and retry_after_s is None:
            retry_after_s = _DEFAULT_RETRY_AFTER_S
        if status in _STATUSES_OF_DENIED_ACCESS:
            raise RefusedTryError(f"was answered {status}", may_repeat=False)
        raise FailedTryError(
            f"was answered {status}",
            is_timeout=status == 504,
            may_repeat=status in _STATUSES_TO_REPEAT,
            retry_after_s=retry_after_s,
        )

    def _send(self, request: "_Request", timeout_s: float) -> tuple[int, bytes, str | None]:
        """Return status, body and the header `Retry-After` of any complete answer."""
        try:
            with limit_sockets(timeout_s, request.max_answer_bytes):
                if self._proxy is None:
                    answer = self._find_pools().direct.exchange(
                        request.method, request.path, {"User-Agent": _USER_AGENT, **request.headers}, request.body
                    )
                    return answer.status, answer.body, answer.retry_after
                response = self._open(request, timeout_s)
                try:
                    text = bytearray()
                    for part in response.stream(65536, decode_content=False):
                        text += part
                    response.release_conn()
                finally:
                    response.close()
                return response.status, bytes(text), response.headers.get("Retry-After")
        except TooManyBytesError as error:
            reason = f"was answered with more than {request.max_answer_bytes} bytes"
            raise FailedTryError(reason, may_repeat=False) from error
        except (HTTPError, HTTPException, OSError) as error:
            cause = find_cause(error)
            if isinstance(cause, TimeoutError | HTTPTimeoutError):
                raise FailedTryError("was not answered in time", is_timeout=True) from error
            raise FailedTryError(f"failed: {type(cause).__name__}") from error

    def _open(self, request: "_Request", timeout_s: float) -> BaseHTTPResponse:
        """Send a request and return the answer as soon as its headers have arrived."""
        return self._find_pools().general.urlopen(
            request.method,
            f"{self._base_url}{request.path}",
            body=request.body,
            headers={"User-Agent": _USER_AGENT, **request.headers},
            # With TLS to a proxy, the limits of the sockets apply to the outer layer only. This limits each operation.
            timeout=timeout_s,
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _find_pause_s(self, failure: "FailedTryError", tries: int, deadline: Deadline | None) -> float | None:
        """Return the pause before the next attempt; None for no further attempt."""
        if not failure.may_repeat or tries > self._retries or self._breaker.is_open:
            return None
        pause_s = random.uniform(0.5, 1.0) * min(MAX_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (tries - 1))  # noqa: S311
        if failure.retry_after_s is not None:
            pause_s = failure.retry_after_s
        if pause_s > MAX_PAUSE_S or (deadline is not None and pause_s >= deadline.remaining_s()):
            return None
        return pause_s if self._budget.take() else None

    def _parse(self, what: str, status: int, text: bytes, max_bytes: int) -> Mapping[str, Any]:
        answered = f"{self._service}: {what} was answered {status} with"
        # Marks inside strings count too: finding the strings would be much slower, and our data has few of them.
        if sum(map(text.count, _JSON_MARKS)) > max_bytes // _BYTES_PER_JSON_MARK:
            raise self._errors.failed(f"{answered} too many JSON elements")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._errors.failed(f"{answered} something that is not JSON") from error
        if not isinstance(body, dict):
            raise self._errors.failed(f"{answered} JSON that is not an object")
        return body

    def _translate(self, what: str, failure: "FailedTryError") -> GazeError:
        message = f"{self._service}: {what} {failure}"
        if isinstance(failure, RefusedTryError):
            return self._errors.refused(message)
        if failure.retry_after_s is not None:
            return self._errors.busy(message, retry_after_s=failure.retry_after_s)
        return self._errors.timed_out(message) if failure.is_timeout else self._errors.failed(message)

    def _find_pools(self) -> UpstreamConnections:
        """Return the connections of this process, because they must not be shared across a fork."""
        with self._lock:
            if self._pid != os.getpid():
                self._pools, self._pid = make_connections(self._base_url, self._tls, self._proxy), os.getpid()
            return self._pools


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    max_answer_bytes: int
