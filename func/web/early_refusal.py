"""Recognise a frame without parsing its request, so that refusing it under overload costs almost nothing."""

import re
from collections.abc import Callable

_HEAD = re.compile(
    rb"POST /gaze HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t\x20-\x7e\x80-\xff]{0,1024}\r\n){1,32})\r\n"
)
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,12})[ \t]*\r$")
_SEARCHED_BYTES = 16 * 1024
_VALUE = re.compile(rb"[\x20-\x7e]{0,1024}")
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


def make_header_finder(data: bytes) -> Callable[[str], str | None]:
    """Return a function that returns the value of a header in a request head that may be incomplete or malformed.

    It takes time in proportion to the data, which the client chooses: no pattern with several repeats here.
    """

    def find_header(name: str) -> str | None:
        for line in data[:_SEARCHED_BYTES].split(b"\n")[1:]:
            key, colon, value = line.partition(b":")
            if colon and key.lower() == name.encode():
                value = value.strip(b" \t\r")
                return value.decode("ascii") if _VALUE.fullmatch(value) else None
        return None

    return find_header
