"""Split multipart bodies into parts (RFC 7578, RFC 2046 section 5.1.1) in linear time.

Werkzeug's parser needs seconds and hundreds of megabytes for a body that consists of one part's headers.
"""

import re
from dataclasses import dataclass

from werkzeug.http import parse_options_header

MAX_PARTS = 40
"""Metadata, 32 frames, and some parts that are ignored."""

MAX_HEADER_BYTES = 4096
"""Maximum size of the headers of one part."""

MAX_BOUNDARY_BYTES = 70
"""Limit of RFC 2046."""

_MAX_FALSE_BOUNDARIES = 1000
"""Maximum number of lines that only start with the boundary. A body with a random boundary has none."""

_REST_OF_BOUNDARY_LINE = re.compile(rb"(--)?[ \t]{0,64}+(\r\n|\n|\Z)|--")

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class MultipartError(ValueError):
    """The body is not valid multipart/form-data."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body.

    Attributes:
        name: Form field name; None if the part has none.
        data: Content of the part.
    """

    name: str | None
    data: bytes


@dataclass(frozen=True, slots=True)
class _Delimiter:
    """A boundary line, from the line break before it to the line break after it."""

    start: int
    stop: int
    is_last: bool
    line_break: bytes


def split_multipart(body: bytes, boundary: str) -> list[Part]:
    """Return the parts of a body. Text before the first and after the last boundary is ignored.

    Args:
        body: Whole body. All lines end in CRLF, or all in LF.
        boundary: Boundary from the content type.

    Raises:
        MultipartError: The body is malformed or truncated, or exceeds a limit.
    """
    mark = b"--" + boundary.encode("latin-1", "replace")
    if not 2 < len(mark) <= MAX_BOUNDARY_BYTES + 2:
        raise MultipartError(f"the boundary must have 1 to {MAX_BOUNDARY_BYTES} characters")
    if mark not in body:
        raise MultipartError("the boundary in the content type is not in the body")
    opening = _find_delimiter(body, mark, 0)
    line_break = opening.line_break
    parts: list[Part] = []
    while not opening.is_last:
        if len(parts) == MAX_PARTS:
            raise MultipartError(f"the body has more than {MAX_PARTS} parts")
        name, data_start = _read_headers(body, opening.stop)
        closing = _find_delimiter(body, line_break + mark, data_start)
        parts.append(Part(name, body[data_start : closing.start]))
        opening = closing
    return parts


def _find_delimiter(body: bytes, mark: bytes, start: int) -> _Delimiter:
    at = start
    for _ in range(_MAX_FALSE_BOUNDARIES):
        at = body.find(mark, at)
        if at < 0:
            raise MultipartError("the closing boundary is missing, so the body may be cut off")
        rest = _REST_OF_BOUNDARY_LINE.match(body, at + len(mark))
        begins_line = not mark.startswith(b"-") or at == 0 or body[at - 1] == 0x0A
        if rest and begins_line:
            is_last = rest.group().startswith(b"--")
            return _Delimiter(at, rest.end(), is_last, rest.group(2) or b"\r\n")
        at += len(mark)
    raise MultipartError("too many lines start with the boundary")


def _read_headers(body: bytes, start: int) -> tuple[str | None, int]:
    """Return the form field name and the position of the part's content."""
    # Start at the line break before the first header line, because a part may have no header.
    for_break = start - 1
    end = _END_OF_HEADERS.search(body, for_break, start + MAX_HEADER_BYTES)
    if end is None:
        raise MultipartError(f"a part's headers do not end within {MAX_HEADER_BYTES} bytes")
    for line in body[start : end.start()].decode("utf-8", "replace").split("\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            return parse_options_header(value.strip())[1].get("name"), end.end()
    return None, end.end()
