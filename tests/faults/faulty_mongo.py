"""A proxy between the function and MongoDB that spoils the next few queries, as the wire protocol allows."""

import contextlib
import socket
import struct
import threading
import time

import bson

from tests.faults.faulty_proxy import PAUSE_S, REFUSED, FaultyProxy

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013


class Query:
    """One query on its way through the proxy."""

    def __init__(self, client, upstream, raw):
        self.client = client
        self._upstream = upstream
        self._raw = raw

    def forward(self):
        """Send the query to the server and return its answer as it comes."""
        self._upstream.sendall(self._raw)
        return read_message(self._upstream)

    def answer(self, document):
        """Answer with a document."""
        body = struct.pack("<IB", 0, 0) + bson.encode(document)
        request_id = _HEADER.unpack(self._raw[:16])[1]
        self.client.sendall(_HEADER.pack(16 + len(body), 1, request_id, _OP_MSG) + body)

    def reset(self):
        """End the connection with a reset."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError


def _resetting_first(query):
    query.reset()


def _resetting_afterwards(query):
    query.forward()
    query.reset()


def _resetting_amid_the_answer(query):
    raw = query.forward()
    query.client.sendall(raw[: len(raw) // 2])
    time.sleep(0.05)
    query.reset()


def _ending_amid_the_answer(query):
    raw = query.forward()
    query.client.sendall(raw[: len(raw) // 2])
    raise ConnectionResetError


def _dripping(query):
    for byte in query.forward()[:15]:
        query.client.sendall(bytes([byte]))
        time.sleep(PAUSE_S / 15)
    query.reset()


def _hanging(query):
    time.sleep(PAUSE_S)
    query.reset()


def _late(query):
    raw = query.forward()
    time.sleep(PAUSE_S)
    query.client.sendall(raw)


def _half_closed(query):
    query.client.shutdown(socket.SHUT_WR)
    time.sleep(PAUSE_S)
    raise ConnectionResetError


def _malformed(query):
    raw = query.forward()
    query.client.sendall(raw[:21] + bytes(len(raw) - 21))


def _with_a_huge_length(query):
    raw = query.forward()
    query.client.sendall(_HEADER.pack(2**31 - 1, 1, 1, _OP_MSG) + raw[16:])
    time.sleep(PAUSE_S)
    raise ConnectionResetError


def _shutting_down(query):
    query.answer({"ok": 0.0, "errmsg": "injected", "code": 91, "codeName": "ShutdownInProgress"})


def _refusing(query):
    query.answer({"ok": 0.0, "errmsg": "injected", "code": 13, "codeName": "Unauthorized"})


MONGO_FAULTS = {
    REFUSED: None,
    "reset before the request has its effect": _resetting_first,
    "reset after the request had its effect": _resetting_afterwards,
    "reset in the middle of the answer": _resetting_amid_the_answer,
    "the connection ends in the middle of the answer": _ending_amid_the_answer,
    "an answer that drips": _dripping,
    "no answer at all": _hanging,
    "the answer comes after the timeout": _late,
    "the connection is half closed": _half_closed,
    "a malformed document": _malformed,
    "an answer that claims 2 GB": _with_a_huge_length,
    "the error ShutdownInProgress": _shutting_down,
    "the error Unauthorized": _refusing,
}


class FaultyMongo(FaultyProxy):
    """Passes everything on, but for the queries that `spoil` asks for."""

    faults = MONGO_FAULTS

    def serve(self, connection):
        """Serve one connection of the driver."""
        with socket.create_connection(("127.0.0.1", self._upstream_port)) as upstream:
            while True:
                raw = read_message(connection)
                if _names_a_query(raw) and (fault := self.take_fault()):
                    fault(Query(connection, upstream, raw))
                elif _wants_a_stream(raw):
                    upstream.sendall(raw)
                    self._copy_stream(upstream, connection)
                else:
                    upstream.sendall(raw)
                    connection.sendall(read_message(upstream))

    def _copy_stream(self, upstream, connection):
        """Pass on a server's news of itself, which need no further requests, until either side ends."""
        done = threading.Event()

        def await_end():
            with contextlib.suppress(OSError):
                connection.recv(1)
            with contextlib.suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)
            done.set()

        threading.Thread(target=await_end, daemon=True).start()
        while not done.is_set():
            connection.sendall(read_message(upstream))


def read_message(connection):
    """Return the next message as it came.

    Raises:
        OSError: The connection ended.
    """
    header = _read(connection, 16)
    return header + _read(connection, _HEADER.unpack(header)[0] - 16)


def _read(connection, count):
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return received


def _names_a_query(raw):
    return _HEADER.unpack(raw[:16])[3] == _OP_MSG and (b"\x02find\x00" in raw[:64] or b"aggregate\x00" in raw[:64])


def _wants_a_stream(raw):
    """Return whether a message allows the server to answer it more than once."""
    return _HEADER.unpack(raw[:16])[3] == _OP_MSG and bool(struct.unpack_from("<I", raw, 16)[0] & 0x10000)
