"""Connections with limits for each call: a deadline and a number of received bytes.

The threat is a broken or hostile upstream service or proxy. The timeout of a socket restarts with every byte, so a peer
that sends single bytes slowly can block a thread for ever: in the status line, a header, the body, the TLS handshake or
a proxy's answer to CONNECT. `http.client` skips any number of `100 Continue` answers and of headers after CONNECT;
urllib3 skips any number of trailers. A timeout of urllib3 applies to one read, and no library limits the total size of
what it reads besides the body. So the limits are below all of them: the timeout of each socket operation is the time
left until the deadline, and receiving more bytes than allowed is an error. With TLS, CPython applies the timeout of a
socket to a whole handshake, record or write, so the same is true there.

Not covered: name resolution has only the timeout of the resolver (`options timeout` in resolv.conf).
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class TooManyBytesError(Exception):
    """A call received more bytes than allowed."""


class _Limits:
    """Time and bytes left for the current call of this thread."""

    def __init__(self, timeout_s: float, max_bytes: int) -> None:
        self._due_at_s = time.monotonic() + timeout_s
        self._bytes_left = max_bytes

    def remaining_s(self) -> float:
        remaining_s = self._due_at_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("timed out")
        return remaining_s

    def count(self, received: int) -> None:
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise TooManyBytesError


_limits: ContextVar[_Limits | None] = ContextVar("limits", default=None)


@contextlib.contextmanager
def limit_sockets(timeout_s: float, max_bytes: int) -> Iterator[None]:
    """Limit all operations of the block on sockets of this module together.

    Args:
        timeout_s: Time until the deadline; operations after it raise TimeoutError.
        max_bytes: Maximum number of received bytes, including headers.

    Raises:
        TooManyBytesError: More bytes were received.
    """
    token = _limits.set(_Limits(timeout_s, max_bytes))
    try:
        yield
    finally:
        _limits.reset(token)


class LimitedSocket(socket.socket):
    """TCP socket with the limits of the current call; without limits, an ordinary socket."""

    def _use_deadline(self) -> None:
        limits = _limits.get()
        if limits is not None:
            self.settimeout(limits.remaining_s())

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive bytes, counted against the limit."""
        self._use_deadline()
        received = super().recv(buflen, flags)
        _count(len(received))
        return received

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int | None = 0, flags: int = 0) -> int:
        """Receive bytes into a buffer, counted against the limit."""
        self._use_deadline()
        received = super().recv_into(buffer, nbytes or 0, flags)
        _count(received)
        return received

    def send(self, data: "ReadableBuffer", flags: int = 0) -> int:
        """Send some bytes before the deadline."""
        self._use_deadline()
        return super().send(data, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all bytes before the deadline."""
        self._use_deadline()
        super().sendall(data, flags)


class LimitedTlsSocket(LimitedSocket, ssl.SSLSocket):
    """TLS socket with the limits of the current call."""

    def do_handshake(self, block: bool = False) -> None:
        """Perform the handshake before the deadline."""
        self._use_deadline()
        super().do_handshake(block)


def make_tls_context(ca_bundle: Path) -> ssl.SSLContext:
    """Return a context with limited sockets that trusts only the certificate authorities in a PEM file.

    Raises:
        OSError: The file cannot be read or contains no certificate.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle))
    context.sslsocket_class = LimitedTlsSocket
    return context


def _count(received: int) -> None:
    limits = _limits.get()
    if limits is not None:
        limits.count(received)


def _connect(host: str, port: int) -> LimitedSocket:
    """Return a connection to the first address of a host that accepts one, with equal time for each address."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError("the host has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        connection = LimitedSocket(family, kind, protocol)
        try:
            limits = _limits.get()
            if limits is not None:
                connection.settimeout(limits.remaining_s() / (len(addresses) - tried))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


class LimitedHttpConnection(HTTPConnection):
    """urllib3's connection with the limits of the current call."""

    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class LimitedHttpsConnection(HTTPSConnection):
    """The same with TLS."""

    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _LimitedPool(HTTPConnectionPool):
    ConnectionCls = LimitedHttpConnection


class _LimitedTlsPool(HTTPSConnectionPool):
    ConnectionCls = LimitedHttpsConnection


POOLS_BY_SCHEME = {"http": _LimitedPool, "https": _LimitedTlsPool}
"""Value for `urllib3.PoolManager.pool_classes_by_scheme`."""
