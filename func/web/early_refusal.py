"""Recognise a frame without parsing its request, so that refusing it under overload costs almost nothing."""

import re

_HEAD = re.compile(
    rb"POST /gaze HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t\x20-\x7e\x80-\xff]{0,1024}\r\n){1,32})\r\n"
)
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,12})[ \t]*\r$")
_PARSED = re.compile(rb"(?im)^(?:transfer-encoding|expect|upgrade|connection(?!:[ \t]*keep-alive[ \t]*\r$)):?")


def measure_frame(data: bytes) -> tuple[int, int] | None:
    """Return head and body size in bytes of the frame's request that begins here; None if it must be parsed.

    Recognises only a complete, simple head with exactly one Content-Length. Every other request, and so any that two
    parsers could interpret differently, is left to the real parser.
    """
    head = _HEAD.match(data)
    if head is None or _PARSED.search(head[1]):
        return None
    lengths = _LENGTH.findall(head[1])
    if len(lengths) != 1 or head[1].lower().count(b"content-length") != 1:
        return None
    return head.end(), int(lengths[0])
