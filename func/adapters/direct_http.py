"""HTTP/1.1 to one service over kept connections, without what a general library does for each request.

Connecting, also with TLS, is urllib3's part. Nearly all answers have a simple head and a Content-Length: a regular
expression reads these in a fraction of the time. `http.client` reads all others.

Why: with urllib3's pool and `http.client`, an update of a session took 0.9 ms of CPU time right after the networks of a
frame, and 0.45 ms without them.
"""

import contextlib
import http
import http.client
import io
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from urllib3.connection import HTTPConnection
from urllib3.util import Url

from func.adapters.limited_socket import LimitedHttpConnection, LimitedHttpsConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PART_BYTES = 65536

_SIMPLE_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2}) [^\r\n]{0,64}\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t\x20-\x7e\x80-\xff]{0,1024}\r\n){1,32})\r\n"
)
_FIELD = re.compile(rb"(?im)^(content-length|transfer-encoding|connection|retry-after):[ \t]*(.*?)[ \t]*\r$")
_LENGTH = re.compile(rb"[0-9]{1,12}")
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """Complete answer of a service.

    Attributes:
        status: HTTP status.
        body: Body, not decompressed.
        retry_after: Header `Retry-After`; None without it.
    """

    status: int
    body: bytes
    retry_after: str | None


class DirectConnections:
    """Connections to one service, each for one call at once; thread-safe, but not to be used after a fork.

    Args:
        base_url: URL of the service, whose path comes before that of each call.
        tls: Context for `https`.
    """

    def __init__(self, base_url: Url, tls: ssl.SSLContext | None) -> None:
        self._base_url = base_url
        self._tls = tls
        # Appending to a list and popping from it are atomic.
        self._idle: list[HTTPConnection] = []
        self._prefix = (base_url.path or "").rstrip("/")
        self._host = base_url.netloc or ""

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> DirectAnswer:
        """Send a request and return the whole answer.

        Args:
            method: HTTP method.
            path: Quoted path, with a query if there is one.
            headers: Headers in addition to those of the connection and the body.
            body: Body; None for none.

        Raises:
            OSError: The connection failed or timed out.
            http.client.HTTPException: The answer is not HTTP.
            ValueError: A header contains a line break.
        """
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {self._host}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [] if body is None else [f"Content-Length: {len(body)}"]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header contains a line break")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        connection = self._take()
        try:
            # A service may refuse a request before it has read it all.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sock.sendall(head + (body or b""))
            answer, is_kept = _receive(connection.sock, method)
        except BaseException:
            connection.close()
            raise
        if is_kept:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take(self) -> HTTPConnection:
        """Return an idle connection that its service has not closed, or else a new one."""
        with contextlib.suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.is_connected:
                    return connection
                connection.close()
        host = (self._base_url.host or "").strip("[]")
        if self._base_url.scheme == "https":
            connection = LimitedHttpsConnection(host, self._base_url.port or 443, ssl_context=self._tls)
        else:
            connection = LimitedHttpConnection(host, self._base_url.port or 80)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _receive(connection: socket.socket, method: str) -> tuple[DirectAnswer, bool]:
    """Return an answer, and whether the connection can be used again."""
    data = connection.recv(_PART_BYTES)
    head = _SIMPLE_HEAD.match(data)
    found = [] if head is None else _FIELD.findall(head[2])
    fields = {name.lower(): value for name, value in found}
    length = fields.get(b"content-length", b"")
    is_simple = (
        head is not None
        and method != "HEAD"
        and len(fields) == len(found)
        and _LENGTH.fullmatch(length)
        and b"transfer-encoding" not in fields
        and fields.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and int(head[1]) not in _BODILESS
    )
    if head is None or not is_simple:
        return _receive_any(connection, method, data)
    body = bytearray(memoryview(data)[head.end() :])
    missing = int(length) - len(body)
    while missing > 0:
        part = connection.recv(_PART_BYTES)
        if not part:
            raise http.client.IncompleteRead(bytes(body), missing)
        body += part
        missing -= len(part)
    retry_after = fields.get(b"retry-after")
    text = None if retry_after is None else retry_after.decode("latin-1")
    return DirectAnswer(int(head[1]), bytes(body[: int(length)]), text), missing == 0


def _receive_any(connection: socket.socket, method: str, received: bytes) -> tuple[DirectAnswer, bool]:
    """Return an answer whose first bytes were received already, and whether the connection can be used again."""
    source = _Resumed(received, connection)
    try:
        with contextlib.closing(_receive_final_head(source, method)) as response:
            body = bytearray()
            while part := response.read(_PART_BYTES):
                body += part
            if response.length:  # `read` does not notice that the body broke off
                raise http.client.IncompleteRead(bytes(body), response.length)
    except ValueError as error:  # such as a negative size of a chunk
        raise http.client.HTTPException("the answer is malformed") from error
    answer = DirectAnswer(response.status, bytes(body), response.headers.get("Retry-After"))
    # With several lengths, the next answer could begin elsewhere than where this one seems to end.
    lengths = set(response.headers.get_all("Content-Length", []))
    is_clear = len(lengths) + ("Transfer-Encoding" in response.headers) <= 1
    is_final = response.status >= http.HTTPStatus.OK
    return answer, is_clear and is_final and not response.will_close and not source.file.has_surplus


def _receive_final_head(source: "_Resumed", method: str) -> http.client.HTTPResponse:
    """Return a response whose head has been read; `http.client` itself skips only `100 Continue`."""
    while True:
        response = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        if response.status >= http.HTTPStatus.OK or response.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
            return response
        response.fp = None  # type: ignore[assignment]  # the next response reads on


class _Resumed(io.RawIOBase):
    """Bytes that were received already, followed by the rest of a connection."""

    def __init__(self, received: bytes, connection: socket.socket) -> None:
        super().__init__()
        self._received = memoryview(received)
        self._connection = connection
        self._is_ended = False
        self.file = _AnswerFile(self)

    def end(self) -> None:
        """Receive nothing more."""
        self._is_ended = True

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read some bytes."""
        if not self._received:
            return 0 if self._is_ended else self._connection.recv_into(buffer)
        count = min(len(memoryview(buffer)), len(self._received))
        memoryview(buffer)[:count] = self._received[:count]
        self._received = self._received[count:]
        return count

    def makefile(self, *_: object) -> "_AnswerFile":
        """Return a buffered file, as `http.client` asks a socket for it."""
        return self.file


class _AnswerFile(io.BufferedReader):
    """File of an answer that reports, when closed, whether more than the answer was received."""

    def __init__(self, source: _Resumed) -> None:
        super().__init__(source)
        self._source = source
        self.has_surplus = False

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._source.end()
            self.has_surplus = bool(self.peek(1))
        super().close()
