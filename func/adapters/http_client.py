"""JSON over HTTP with time limits and repeats, for neighbours whose every call is safe to repeat."""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ReadTimeoutError

from gaze_core.errors import GazeError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_PAUSE_S = 2.0
"""Between two tries, whatever `Retry-After` asks for."""

_FIRST_PAUSE_S = 0.05
_REACHABLE_TIMEOUT_S = 1.0
_STATUSES_TO_REPEAT = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object that a neighbour answered.

    Attributes:
        status: One of those that the caller expected.
        body: The object.
        tries: How often the request was sent; above 1, an earlier try may have had its effect already.
    """

    status: int
    body: Mapping[str, Any]
    tries: int


class HttpClient:
    """Calls one neighbour; safe to use from several threads and to create before a fork.

    Every thread has its own connection, made when it is first needed. The environment's proxies and netrc are ignored,
    redirects are not followed, cookies not kept.
    """

    def __init__(
        self,
        base_url: str,
        *,
        neighbour: str,
        error: type[GazeError],
        timeout_error: type[GazeError],
        timeout_s: float,
        retries: int,
        proxy: str | None = None,
    ) -> None:
        """Prepare to call a neighbour.

        Args:
            base_url: Such as `http://session-service`.
            neighbour: Its name in messages.
            error: Raised when it fails or answers something unexpected.
            timeout_error: Raised when it does not answer in time.
            timeout_s: Of one try, from connecting to the last byte (through TLS or a proxy: between two bytes).
            retries: How many tries may follow the first, each after a pause of at most `MAX_PAUSE_S`.
            proxy: URL of a proxy, if one must be used.

        Raises:
            ValueError: A value is impossible.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"not the URL of an HTTP service: {base_url!r}")
        if not timeout_s > 0:
            raise ValueError("timeout_s must be positive")
        if retries < 0:
            raise ValueError("retries must not be negative")
        self._base_url = base_url.rstrip("/")
        self._neighbour = neighbour
        self._error = error
        self._timeout_error = timeout_error
        self._timeout_s = timeout_s
        self._retries = retries
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._local = threading.local()

    def call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        expected: Collection[int],
        payload: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the JSON object answered to a request, repeating the request while that can help.

        Connection errors, timeouts and 502, 503 and 504 are worth repeating. So the request must be idempotent.

        Args:
            method: Of HTTP.
            path: Its segments, not quoted.
            expected: The statuses that are part of the contract; any other is an error.
            payload: JSON object to send.
            params: Of the query.
            headers: Beside the content type.

        Raises:
            ValueError: A segment cannot be part of a path or the payload is not JSON.
        """
        if any(segment in {"", ".", ".."} for segment in path):
            raise ValueError(f"not a path: {path}")
        url = "/".join([self._base_url, *(quote(segment, safe="") for segment in path)])
        what = f"{method} /{path[0]}"
        # JSON has no NaN, whatever Python's json and some servers think.
        body = None if payload is None else json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
        for tries in range(1, self._retries + 2):
            is_last = tries > self._retries
            pause_s = random.uniform(0.5, 1.0) * min(MAX_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (tries - 1))  # noqa: S311
            try:
                status, text, retry_after_s = self._send(method, url, body, params, headers)
            except _BrokenAnswerError as error:
                if is_last:
                    raise self._trouble(what, error.reason, is_timeout=error.is_timeout) from error
            else:
                if status in expected:
                    return Answer(status, self._parse(what, status, text), tries)
                if is_last or status not in _STATUSES_TO_REPEAT:
                    raise self._trouble(what, f"was answered {status}", is_timeout=status == 504)
                if retry_after_s is not None:
                    pause_s = min(MAX_PAUSE_S, retry_after_s)
            time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def is_reachable(self) -> bool:
        """Return whether the neighbour answers anything at all within a second."""
        timeout = Timeout(total=min(self._timeout_s, _REACHABLE_TIMEOUT_S))
        try:
            with self._session().get(
                f"{self._base_url}/",
                timeout=timeout,  # type: ignore[arg-type]  # requests passes it on
                stream=True,
                allow_redirects=False,
            ):
                return True
        except (requests.RequestException, OSError):
            return False

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, bytes, float | None]:
        """Return status, body and the pause in s that the neighbour asks for."""
        try:
            with self._session().request(
                method,
                url,
                data=body,
                params=params,
                headers={"Content-Type": "application/json", **(headers or {})} if body is not None else headers,
                timeout=Timeout(total=self._timeout_s),  # type: ignore[arg-type]  # requests passes it on
                stream=True,
                allow_redirects=False,
            ) as response:
                text = bytearray()
                for part in response.iter_content(65536):
                    text += part
                    if len(text) > MAX_ANSWER_BYTES:
                        raise self._error(f"the {self._neighbour} answered more than {MAX_ANSWER_BYTES} bytes")
                return response.status_code, bytes(text), _parse_retry_after(response.headers.get("Retry-After"))
        except requests.Timeout as error:
            raise _BrokenAnswerError("was not answered in time", is_timeout=True) from error
        except requests.RequestException as error:
            # requests calls a timeout amid the body a connection error.
            if error.args and isinstance(error.args[0], ReadTimeoutError):
                raise _BrokenAnswerError("was not answered in time", is_timeout=True) from error
            raise _BrokenAnswerError(f"failed: {type(error).__name__}", is_timeout=False) from error

    def _parse(self, what: str, status: int, text: bytes) -> Mapping[str, Any]:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._trouble(what, f"was answered {status} with something that is not JSON") from error
        if not isinstance(body, dict):
            raise self._trouble(what, f"was answered {status} with JSON that is not an object")
        return body

    def _trouble(self, what: str, reason: str, *, is_timeout: bool = False) -> GazeError:
        message = f"{self._neighbour}: {what} {reason}"
        return self._timeout_error(message) if is_timeout else self._error(message)

    def _session(self) -> requests.Session:
        """Return this thread's session, made in this process: a connection must not be shared across a fork."""
        pid = os.getpid()
        if getattr(self._local, "pid", None) != pid:
            session = requests.Session()
            session.trust_env = False
            session.proxies.update(self._proxies)
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.headers["Accept-Encoding"] = "identity"
            adapter = HTTPAdapter(pool_maxsize=1)
            adapter.poolmanager.pool_classes_by_scheme = {"http": _DeadlineConnectionPool, "https": HTTPSConnectionPool}
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            self._local.session = session
            self._local.pid = pid
        session_of_thread: requests.Session = self._local.session
        return session_of_thread


class _BrokenAnswerError(Exception):
    """One try brought no whole answer."""

    def __init__(self, reason: str, *, is_timeout: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_timeout = is_timeout


class _DeadlineSocket(socket.socket):
    """A socket whose timeout covers all that is received until it is set again, however slowly that drips in."""

    _deadline_s: float | None = None

    def settimeout(self, value: float | None) -> None:
        super().settimeout(value)
        self._deadline_s = None if value is None else time.monotonic() + value

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        if self._deadline_s is not None:
            remaining_s = self._deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError("timed out")
            super().settimeout(remaining_s)
        return super().recv_into(buffer, nbytes, flags)


class _DeadlineConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        timeout_s = plain.gettimeout()
        bounded = _DeadlineSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        bounded.settimeout(timeout_s)
        return bounded


class _DeadlineConnectionPool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that the header asks for; None without it and for a date, which asks for a common clock."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
