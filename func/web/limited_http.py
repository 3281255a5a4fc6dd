"""h11 with limits on what a request may cost to parse, whatever its size.

h11 limits the size of a head only until it is complete, and takes about 20 µs for each header and each chunk. While it
parses, nobody else is served.
"""

import re

import h11

from func.web.problems import HEAD_TOO_LARGE, URI_TOO_LONG

MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers; gateways send one or two kilobytes."""

MAX_HEADERS = 100

FREE_CHUNKS = 256
"""A body may have this many chunks of any size …"""

MIN_CHUNK_BYTES = 256
"""… and one more for each of these bytes. Clients send chunks of several kilobytes."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")


class LimitedConnection(h11.Connection):
    """The server's end of a connection, which refuses requests beyond the limits before they cost much."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._chunks = 0
        self._body_bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return what the client has sent.

        Raises:
            h11.RemoteProtocolError: It is not valid HTTP or beyond a limit.
        """
        if self.their_state is h11.IDLE:
            check_head(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._body_bytes = 0
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:  # RFC 9112, section 6.1: request smuggling
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._body_bytes += len(event.data)
            if self._chunks > FREE_CHUNKS + self._body_bytes // MIN_CHUNK_BYTES:
                raise h11.RemoteProtocolError("too many small chunks")
        return event


def check_head(data: bytes) -> None:
    """Check the size of a request head, complete or not, that begins here.

    Raises:
        h11.RemoteProtocolError: It is too large; its hint says whether already the request line is.
    """
    end = _END_OF_HEAD.search(data)
    head = data if end is None else data[: end.start() + 1]
    if len(head) > MAX_HEAD_BYTES:
        has_line = b"\n" in head[:MAX_HEAD_BYTES]
        problem = HEAD_TOO_LARGE if has_line else URI_TOO_LONG
        raise h11.RemoteProtocolError("head too large", error_status_hint=problem.status)
    if head.count(b"\n") > MAX_HEADERS + 1:
        raise h11.RemoteProtocolError("too many headers", error_status_hint=HEAD_TOO_LARGE.status)
