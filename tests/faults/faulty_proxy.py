"""A proxy between the function and an HTTP service that spoils the next few exchanges in one of 27 ways."""

import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection

from gaze_tools.stack.processes import find_free_port

PAUSE_S = 1.3
"""Of a service that is late: longer than the function waits for it in these tests."""
DRIPS = 15
_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    body: bytes


class Exchange:
    """One request on its way through the proxy."""

    def __init__(self, connection, raw, upstream_port):
        self.connection = connection
        self._raw = raw
        self._upstream_port = upstream_port

    def forward(self):
        """Send the request to the service and return its answer."""
        head, _, body = self._raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        upstream = HTTPConnection("127.0.0.1", self._upstream_port, timeout=20)
        try:
            upstream.request(method, path, body or None, headers)
            response = upstream.getresponse()
            return Answer(response.status, response.read())
        finally:
            upstream.close()

    def answer(self, status, body, *, length=None, headers=()):
        """Answer the function."""
        self.connection.sendall(make_head(status, len(body) if length is None else length, headers) + body)

    def pass_on(self, answer):
        self.answer(answer.status, answer.body)

    def reset(self):
        """End the connection with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionResetError


def make_head(status, length, headers=()):
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _status(status, *headers):
    return lambda exchange: exchange.answer(status, b'{"error": "injected", "message": "injected"}', headers=headers)


def _failing_afterwards(exchange):
    exchange.forward()
    exchange.answer(500, b'{"error": "injected"}')


def _resetting_first(exchange):
    exchange.reset()


def _resetting_afterwards(exchange):
    exchange.forward()
    exchange.reset()


def _resetting_amid_the_answer(exchange):
    body = exchange.forward().body
    exchange.connection.sendall(make_head(200, len(body)) + body[: len(body) // 2])
    time.sleep(0.05)
    exchange.reset()


def _dripping(exchange):
    answer = exchange.forward()
    for byte in (make_head(answer.status, len(answer.body)) + answer.body)[:DRIPS]:
        exchange.connection.sendall(bytes([byte]))
        time.sleep(PAUSE_S / DRIPS)
    exchange.reset()


def _hanging(exchange):
    time.sleep(PAUSE_S)
    exchange.reset()


def _late(exchange):
    answer = exchange.forward()
    time.sleep(PAUSE_S)
    exchange.pass_on(answer)


def _twice(exchange):
    exchange.forward()
    exchange.pass_on(exchange.forward())


def _with_malformed_json(exchange):
    exchange.forward()
    exchange.answer(200, b'{"message": "Session Updated", "stored": {,}')


def _with_truncated_json(exchange):
    body = exchange.forward().body
    exchange.answer(200, body[: len(body) // 2])


def _with_too_large_a_length(exchange):
    body = exchange.forward().body
    exchange.answer(200, body, length=len(body) + 100)
    exchange.connection.shutdown(socket.SHUT_WR)
    raise ConnectionResetError


def _with_too_small_a_length(exchange):
    body = exchange.forward().body
    exchange.answer(200, body, length=len(body) // 2)
    raise ConnectionResetError


def _with_a_malformed_length(exchange):
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + exchange.forward().body)
    raise ConnectionResetError


def _with_a_huge_body(exchange):
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b'{"message": "')
    for _ in range(200):
        exchange.connection.sendall(b"x" * 2**20)
    raise ConnectionResetError


def _with_endless_headers(exchange):
    exchange.connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        exchange.connection.sendall(b"X-A: b\r\n" * 2**17)
    raise ConnectionResetError


def _with_wrong_types(exchange):
    exchange.forward()
    wrong = {"message": 5, "status": True, "session_id": [], "stored": [], "written": {}, "components": 7}
    exchange.answer(200, json.dumps(wrong).encode())


def _with_a_list(exchange):
    exchange.forward()
    exchange.answer(200, b"[1, 2, 3]")


def _with_html(exchange):
    exchange.answer(200, b"<!doctype html><title>Sign in</title>")


def _half_closed(exchange):
    exchange.connection.shutdown(socket.SHUT_WR)
    time.sleep(PAUSE_S)
    raise ConnectionResetError


REFUSED = "connections are refused"
HTTP_FAULTS = {
    REFUSED: None,
    "reset before the request has its effect": _resetting_first,
    "reset after the request had its effect": _resetting_afterwards,
    "reset in the middle of the answer": _resetting_amid_the_answer,
    "an answer that drips": _dripping,
    "no answer at all": _hanging,
    "the answer comes after the timeout": _late,
    "the connection is half closed": _half_closed,
    "500": _status(500),
    "500 after the request had its effect": _failing_afterwards,
    "502": _status(502),
    "503": _status(503),
    "503 with Retry-After: 1": _status(503, "Retry-After: 1"),
    "504": _status(504),
    "429": _status(429),
    "429 with Retry-After: 1": _status(429, "Retry-After: 1"),
    "a redirect": _status(307, "Location: http://127.0.0.1:9/"),
    "the request is delivered twice": _twice,
    "malformed JSON": _with_malformed_json,
    "truncated JSON": _with_truncated_json,
    "a Content-Length beyond the body": _with_too_large_a_length,
    "a Content-Length short of the body": _with_too_small_a_length,
    "a malformed Content-Length": _with_a_malformed_length,
    "an answer of 200 MB": _with_a_huge_body,
    "headers without end": _with_endless_headers,
    "values of the wrong types": _with_wrong_types,
    "an HTML page with status 200": _with_html,
}


class FaultyProxy:
    """Passes everything on, but for the exchanges that `spoil` asks for; safe to use from several threads."""

    faults = HTTP_FAULTS

    def __init__(self, upstream_port):
        self._upstream_port = upstream_port
        self.port = find_free_port()
        self._lock = threading.Lock()
        self._fault, self._left = None, 0
        self.spoiled = 0
        """Exchanges spoiled so far."""
        self._connections = set()
        self._listener = None
        self._timer = None

    def __enter__(self):
        self._listen()
        return self

    def __exit__(self, *_):
        if self._timer:
            self._timer.cancel()
            self._timer.join()
        self._refuse()

    def spoil(self, name, exchanges):
        """Spoil the next exchanges; refused connections last 0.3 s for each instead."""
        if name == REFUSED:
            self._refuse()
            self.spoiled += exchanges
            self._timer = threading.Timer(0.3 * exchanges, self._listen)
            self._timer.start()
        else:
            with self._lock:
                self._fault, self._left = self.faults[name], exchanges

    def heal(self):
        """Spoil no more exchanges; refused connections last as long as they were to."""
        with self._lock:
            self._left = 0

    def take_fault(self):
        """Return the fault for an exchange, None to pass it on."""
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
            self.spoiled += 1
            return self._fault

    def serve(self, connection):
        """Serve the requests of one connection."""
        while True:
            raw = read_request(connection)
            exchange = Exchange(connection, raw, self._upstream_port)
            (self.take_fault() or _pass_on)(exchange)

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _refuse(self):
        """Listen no more and end all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection):
        with self._lock:
            self._connections.add(connection)
        with contextlib.suppress(OSError), connection:
            self.serve(connection)
        with self._lock:
            self._connections.discard(connection)


def _pass_on(exchange):
    exchange.pass_on(exchange.forward())


def read_request(connection):
    """Return the next request as it came.

    Raises:
        OSError: The connection ended.
    """
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _receive(connection)
    head = raw[: raw.index(b"\r\n\r\n") + 4]
    lengths = [line[len(_LENGTH) :] for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)]
    while len(raw) < len(head) + (int(lengths[0]) if lengths else 0):
        raw += _receive(connection)
    return raw


def _receive(connection):
    received = connection.recv(65536)
    if not received:
        raise ConnectionResetError
    return received
