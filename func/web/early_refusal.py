"""Refusing a frame without parsing it: what is over capacity must cost next to nothing, or it costs capacity."""

import re

_HEAD = re.compile(
    rb"POST /gaze HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t\x20-\x7e\x80-\xff]{0,1024}\r\n){1,32})\r\n"
)
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,12})[ \t]*\r$")
_PARSED = re.compile(rb"(?im)^(?:transfer-encoding|expect|upgrade|connection(?!:[ \t]*keep-alive[ \t]*\r$)):?")


def measure_frame(data: bytes) -> tuple[int, int] | None:
    """Return the sizes of head and body of a frame's request that begins here; None if it must be parsed.

    Only what is beyond doubt is measured: a whole head of the plainest kind with one length. Everything else, and with
    it everything that two parsers could read in two ways, is left to the real parser.
    """
    head = _HEAD.match(data)
    if head is None or _PARSED.search(head[1]):
        return None
    lengths = _LENGTH.findall(head[1])
    if len(lengths) != 1 or head[1].lower().count(b"content-length") != 1:
        return None
    return head.end(), int(lengths[0])
