"""Connections that keep the limits of the call they serve: a deadline and a number of received bytes.

The threat: an upstream service, or a proxy before it, that is broken or hostile. A socket's timeout starts anew with
every byte, so a peer that sends one byte now and then holds a thread for as long as it likes, in the status line, in a
header, in the body, in the TLS handshake or in a proxy's answer to CONNECT. `http.client` skips any number of
`100 Continue` answers, and of headers after CONNECT; urllib3 skips any number of trailers. A timeout of urllib3 covers
one read, and no library bounds the sum of what it reads beside the body. So the limits lie beneath all of them: each
operation of a socket gets what is left of the deadline as its timeout, and receiving more bytes than allowed is an
error. Under TLS, CPython applies a socket's timeout to a whole handshake, record or write, however slowly their bytes
arrive, so the same holds there.

Not covered: looking up a name has no timeout but the resolver's own (`options timeout` in resolv.conf).
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
    """More bytes came than the call allows."""


class _Limits:
    """What is left to the call that this thread makes."""

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
    """Give all that the block does on sockets of this module one deadline and one number of bytes to receive.

    Operations beyond the deadline raise TimeoutError.

    Args:
        timeout_s: Seconds from now.
        max_bytes: Received in all, heads of answers included.

    Raises:
        TooManyBytesError: More bytes came.
    """
    token = _limits.set(_Limits(timeout_s, max_bytes))
    try:
        yield
    finally:
        _limits.reset(token)


class LimitedSocket(socket.socket):
    """A TCP socket within the limits of the call that uses it; without limits, any other socket."""

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
    """A TLS socket within the limits of the call that uses it."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands before the deadline."""
        self._use_deadline()
        super().do_handshake(block)


def make_tls_context(ca_bundle: Path) -> ssl.SSLContext:
    """Return a context whose sockets keep limits and trust the authorities of a PEM file only.

    Raises:
        OSError: The file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle))
    context.sslsocket_class = LimitedTlsSocket
    return context


def _count(received: int) -> None:
    limits = _limits.get()
    if limits is not None:
        limits.count(received)


def _connect(host: str, port: int) -> LimitedSocket:
    """Return a connection to the first address of a host that accepts one; each gets its share of the time left."""
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


class _LimitedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _LimitedTlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _LimitedPool(HTTPConnectionPool):
    ConnectionCls = _LimitedConnection


class _LimitedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _LimitedTlsConnection


POOLS_BY_SCHEME = {"http": _LimitedPool, "https": _LimitedTlsPool}
"""For `urllib3.PoolManager.pool_classes_by_scheme`."""
