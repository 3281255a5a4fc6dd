"""Bounds on a JSON text, checked before it is parsed.

A parser makes objects of 50 to 230 bytes from two or three bytes of brackets, so the size of a text says little about
the memory that parsing takes. The scan here finds the strings with `bytes.find`: base64 costs next to nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONG_STRING_BYTES = 4096
"""Strings beyond this length are reported, so that a caller can keep them out of the parser."""

_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

_QUOTE, _BACKSLASH = b'"', 0x5C

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class JsonLimitError(ValueError):
    """The text exceeds a limit; the message says which one."""


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """Limits on one JSON text.

    Attributes:
        structure: Maximum number of `[`, `{`, `,` and `:` outside strings.
        depth: Maximum nesting depth of arrays and objects.
    """

    structure: int
    depth: int


def check_json(text: bytes, limits: JsonLimits) -> list[slice]:
    """Check a JSON text against limits; time is linear in its size.

    Args:
        text: UTF-8. It need not be valid JSON: a parser has the last word.
        limits: What is accepted.

    Returns:
        Where the strings of more than `LONG_STRING_BYTES` bytes lie, without their quotes, in order.

    Raises:
        JsonLimitError: The text exceeds a limit.
        ValueError: A string has no end.
    """
    strings: list[slice] = []
    between: list[bytes] = []
    at = 0
    for string in _find_strings(text):
        # Two strings have at least one structural character between them, so this also bounds the loop.
        if len(between) > limits.structure:
            raise JsonLimitError(f"has more than {limits.structure} JSON elements")
        between.append(text[at : string.start])
        at = string.stop
        if string.stop - string.start > LONG_STRING_BYTES:
            strings.append(string)
    between.append(text[at:])
    skeleton = b"".join(between)
    if sum(skeleton.count(mark) for mark in b"[{,:") > limits.structure:
        raise JsonLimitError(f"has more than {limits.structure} JSON elements")
    if _measure_depth(skeleton) > limits.depth:
        raise JsonLimitError(f"nests deeper than {limits.depth} levels")
    return strings


def _find_strings(text: bytes) -> Iterator[slice]:
    """Yield where each string's contents lie."""
    at = 0
    while (start := text.find(_QUOTE, at) + 1) > 0:
        end = text.find(_QUOTE, start)
        if end > start and text[end - 1] == _BACKSLASH:  # perhaps an escaped quote
            rest = _REST_OF_STRING.match(text, start)
            end = rest.end() - 1 if rest else -1
        if end < 0:
            raise ValueError("a string has no end")
        yield slice(start, end)
        at = end + 1


def _measure_depth(skeleton: bytes) -> int:
    depth = deepest = 0
    for bracket in skeleton.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
