"""Clients that record what they send and receive: the function's own adapters, and one for requests of any kind."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import certifi
from urllib3.exceptions import HTTPError

from func.adapters.aggregator import HttpResultSink
from func.adapters.failed_try import FailedTryError
from func.adapters.http_client import HttpClient, _Request
from func.adapters.limited_socket import TooManyBytesError, limit_sockets, make_tls_context
from func.adapters.session_api import MAX_WHOLE_SESSION_BYTES, HttpSessionStore
from func.adapters.upstream_connections import make_connections
from gaze_tools.conformance.exchanges import ExchangeLog, WireExchange

RETRIES = 2
"""As the function's default, `HTTP_RETRIES`."""

_SHOWN_HEADERS = ("Content-Type", "Content-Encoding", "Location", "Retry-After", "Server")


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A service and the settings of the function that concern it.

    Attributes:
        base_url: URL of the service, perhaps with a path.
        timeout_s: Timeout of one attempt, `HTTP_TIMEOUT_S`.
        ca_bundle: `CA_BUNDLE`; None for the certificate authorities of certifi.
        proxy: `OUTBOUND_PROXY`; None for none.
    """

    base_url: str
    timeout_s: float = 5.0
    ca_bundle: Path | None = None
    proxy: str | None = None

    def client_settings(self) -> "_ClientSettings":
        """Return what all of the function's clients of a service take."""
        return {"timeout_s": self.timeout_s, "retries": RETRIES, "proxy": self.proxy, "ca_bundle": self.ca_bundle}


class _ClientSettings(TypedDict):
    timeout_s: float
    retries: int
    proxy: str | None
    ca_bundle: Path | None


class RecordedHttpClient(HttpClient):
    """The function's HTTP client, with a record of every attempt."""

    log: ExchangeLog

    def _send(self, request: _Request, timeout_s: float) -> tuple[int, bytes, str | None]:
        started_s = time.perf_counter()
        try:
            status, body, retry_after = super()._send(request, timeout_s)
        except FailedTryError as error:
            self._record(request, started_s, failure=str(error))
            raise
        self._record(request, started_s, status=status, received=body)
        return status, body, retry_after

    def _record(
        self,
        request: _Request,
        started_s: float,
        *,
        status: int | None = None,
        received: bytes = b"",
        failure: str | None = None,
    ) -> None:
        duration_s = time.perf_counter() - started_s
        self.log.add(
            WireExchange(request.method, request.path, request.body, duration_s, status, received, failure=failure)
        )


def make_session_store(target: ServiceTarget, log: ExchangeLog) -> HttpSessionStore:
    """Return the function's client of the session API, with a record of its exchanges."""
    store = HttpSessionStore(
        target.base_url,
        **target.client_settings(),
    )
    store._client = _record(store._client, target, log)
    return store


def make_result_sink(target: ServiceTarget, log: ExchangeLog) -> HttpResultSink:
    """Return the function's client of the aggregator, with a record of its exchanges."""
    sink = HttpResultSink(
        target.base_url,
        **target.client_settings(),
    )
    sink._client = _record(sink._client, target, log)
    return sink


def _record(client: HttpClient, target: ServiceTarget, log: ExchangeLog) -> RecordedHttpClient:
    recorded = RecordedHttpClient(
        target.base_url,
        service=client._service,
        errors=client._errors,
        **target.client_settings(),
    )
    recorded.log = log
    return recorded


class NotAnsweredError(Exception):
    """A request got no complete answer."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """Complete answer to a request.

    Attributes:
        status: HTTP status.
        headers: Headers.
        body: The body as JSON object; empty if it is not one.
        is_object: Whether the body is a JSON object.
        exchange: The exchange.
    """

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    is_object: bool
    exchange: WireExchange


class Wire:
    """Sends requests as they are, also malformed ones, over one kept connection; for one thread.

    Like the function, it ignores proxy variables, does not follow redirects and asks for uncompressed answers.
    """

    def __init__(self, target: ServiceTarget, log: ExchangeLog) -> None:
        """Prepare to call a service, without connecting.

        Args:
            target: The service.
            log: Gets every exchange.
        """
        self._target = target
        self._log = log
        uses_tls = "https" in {urlsplit(target.base_url).scheme, urlsplit(target.proxy or "").scheme}
        tls = make_tls_context(target.ca_bundle or Path(certifi.where())) if uses_tls else None
        self._pools = make_connections(target.base_url, tls, target.proxy).general

    def find_port(self) -> int | None:
        """Return the local port of the connection that is kept for the next request; None if there is none."""
        parts = urlsplit(self._target.base_url)
        pool = self._pools.connection_from_host(str(parts.hostname), parts.port, parts.scheme)
        kept = () if pool.pool is None else tuple(pool.pool.queue)
        sockets = [getattr(connection, "sock", None) for connection in kept]
        return next((each.getsockname()[1] for each in sockets if each is not None), None)

    def call(
        self, method: str, path: str, payload: object = None, *, raw: bytes | None = None, key: str | None = None
    ) -> WireAnswer:
        """Send a request and return its answer; a broken connection is tried once more, as the function does.

        Args:
            method: HTTP method.
            path: Quoted path after the base URL, with its query.
            payload: JSON to send; None for none.
            raw: Bytes to send instead.
            key: Header `Idempotency-Key`; None for none.

        Raises:
            NotAnsweredError: There was no complete answer.
        """
        body = raw if payload is None else json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
        headers = {"User-Agent": "gaze-conformance", "Accept-Encoding": "identity"}
        headers |= {} if body is None else {"Content-Type": "application/json"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        try:
            return self._send(method, path, body, headers)
        except NotAnsweredError:
            return self._send(method, path, body, headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> WireAnswer:
        started_s = time.perf_counter()
        url = self._target.base_url.rstrip("/") + path
        try:
            with limit_sockets(self._target.timeout_s, MAX_WHOLE_SESSION_BYTES):
                response = self._pools.urlopen(
                    method,
                    url,
                    body=body,
                    headers=dict(headers),
                    timeout=self._target.timeout_s,
                    retries=False,
                    redirect=False,
                    decode_content=False,
                )
        except (HTTPError, OSError, TooManyBytesError) as error:
            failure = f"failed: {type(error).__name__}"
            self._log.add(WireExchange(method, path, body, time.perf_counter() - started_s, failure=failure))
            raise NotAnsweredError(f"{method} {path.partition('?')[0]} was not answered: {describe(error)}") from error
        shown = {name: response.headers[name] for name in _SHOWN_HEADERS if name in response.headers}
        duration_s = time.perf_counter() - started_s
        exchange = WireExchange(method, path, body, duration_s, response.status, response.data, shown)
        self._log.add(exchange)
        try:
            value = json.loads(response.data)
        except (ValueError, RecursionError):
            value = None
        is_object = isinstance(value, dict)
        return WireAnswer(response.status, response.headers, value if is_object else {}, is_object, exchange)


def describe(error: BaseException) -> str:
    """Return the reason of a failed request in a few words, without addresses of other hosts."""
    cause: BaseException = error
    while isinstance(inner := getattr(cause, "reason", None) or cause.__cause__ or cause.__context__, BaseException):
        cause = inner
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return {"TimeoutError": "no answer in time", "ReadTimeoutError": "no answer in time"}.get(
        type(cause).__name__, str(cause) or type(cause).__name__
    )
