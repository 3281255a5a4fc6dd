"""Decode BSON documents with nested lists of doubles, as saliency maps in form 1, without a Python object per pixel.

A BSON array is a document with the keys 0, 1, …, and the same number of doubles always takes the same number of bytes.
So all rows of a map have the same layout. It is compared with that of a row of zeros, byte by byte, before the doubles
are read in one step. Everything else is left to the ordinary decoder.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from gaze_core.saliency import MAX_MAP_SIDE
from gaze_core.types import Floats

RAW_DOCUMENTS = CodecOptions(document_class=RawBSONDocument)
"""Options of a collection whose documents are left as bytes for `decode_document`."""

_MAP_KEY = b"saliency_map"
_DOUBLE, _ARRAY = 0x01, 0x04

_FIXED_BYTES = {_DOUBLE: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
"""Size of values by BSON type: double, ObjectId, boolean, date, null, int32, timestamp, int64."""

_BYTES_AFTER_LENGTH = {0x02: 4, 0x03: 0, _ARRAY: 0, 0x05: 5}
"""Bytes of values that start with their length, by BSON type, without that length: text, document, array, binary."""

_HEAD_BYTES = 1024
"""The elements before the map must fit into so many bytes."""

_EMPTY_DOCUMENT_BYTES = 5
"""Length before the elements, and the zero byte after them."""

_ROWS_AT_ONCE = 32
"""Rows that are compared and read at once, so that they stay in the processor's cache."""


def decode_document(raw: bytes | memoryview) -> dict[str, Any]:
    """Return a BSON document as `bson.decode` does, but a `saliency_map` of doubles as an array, shape (height, width).

    Raises:
        BSONError: The document is malformed.
    """
    try:
        found = _find_array(bytes(raw[:_HEAD_BYTES]), len(raw))
        if found is not None:
            element, start, end = found
            rest = bytes(raw[4:element]) + bytes(raw[end:])
            document = bson.decode(struct.pack("<i", len(rest) + 4) + rest)
            if _MAP_KEY.decode() not in document:
                floats = _read_doubles(raw, start, end)
                if floats is not None:
                    return {**document, _MAP_KEY.decode(): floats}
    except (BSONError, struct.error, ValueError):
        pass  # The ordinary decoder decides what is wrong.
    return dict(bson.decode(raw))


def _find_array(head: bytes, size: int) -> tuple[int, int, int] | None:
    """Return where the element `saliency_map`, its array and the following element start; None without such an array.

    Args:
        head: Beginning of the document.
        size: Size of the document in bytes.

    Raises:
        struct.error: The document is malformed.
        ValueError: The document is malformed.
    """
    if head.find(b"%c%s\0" % (_ARRAY, _MAP_KEY), 4) < 0 or _read_length(head, 0) != size:
        return None
    at = 4
    while at < len(head) and head[at] != 0:
        start = head.index(b"\0", at) + 1
        kind = head[at]
        if kind in _FIXED_BYTES:
            end = start + _FIXED_BYTES[kind]
        elif kind in _BYTES_AFTER_LENGTH:
            end = start + _BYTES_AFTER_LENGTH[kind] + max(0, _read_length(head, start))
        else:
            return None
        if head[at + 1 : start - 1] == _MAP_KEY:
            return (at, start, end) if kind == _ARRAY and end < size else None
        at = end
    return None


def _read_length(raw: bytes | memoryview, at: int) -> int:
    length: int = struct.unpack_from("<i", raw, at)[0]
    return length


def _read_doubles(raw: bytes | memoryview, start: int, end: int) -> Floats | None:
    """Return nested lists of doubles as an array; None unless all rows are doubles, equally many, within the limits.

    Args:
        raw: Buffer of at least `end` bytes.
        start: First byte of the outer array.
        end: Byte after it, as its length states.
    """
    if end - start < 3 * _EMPTY_DOCUMENT_BYTES:
        return None
    row_bytes = _read_length(raw, start + 4 + len(b"\x040\0"))
    if not _EMPTY_DOCUMENT_BYTES < row_bytes < end - start:
        return None
    width, height = _count_elements(row_bytes, 8), _count_elements(end - start, row_bytes)
    if not (0 < width <= MAX_MAP_SIDE and 0 < height <= MAX_MAP_SIDE and raw[end - 1] == 0):
        return None
    layout = _lay_out_row(width)
    floats = np.empty((height, width))
    same = np.empty((min(_ROWS_AT_ONCE, height), row_bytes), dtype=np.bool_)
    at = start + 4
    for rows in _same_digits(height):
        head = _write_heads(_ARRAY, rows)
        stride = head.shape[1] + row_bytes
        block = np.frombuffer(raw, np.uint8, count=len(head) * stride, offset=at).reshape(len(head), stride)
        if not np.array_equal(block[:, : head.shape[1]], head):
            return None
        for first in range(0, len(block), _ROWS_AT_ONCE):
            part = block[first : first + _ROWS_AT_ONCE, head.shape[1] :]
            is_same = np.equal(part, layout.template, out=same[: len(part)])
            is_same |= layout.is_value
            if not is_same.all():
                return None
            row, begin = rows.start + first, at + first * stride + head.shape[1]
            for columns, offset, element_bytes in layout.doubles:
                floats[row : row + len(part), columns.start : columns.stop] = np.ndarray(
                    (len(part), len(columns)), "<f8", raw, begin + offset, (stride, element_bytes)
                )
        at += block.size
    return floats


@dataclass(frozen=True, slots=True, eq=False)
class _RowLayout:
    """Layout of an array of doubles in BSON.

    Attributes:
        template: Such an array with zeros, shape (bytes,).
        is_value: Whether each byte belongs to a double, shape (bytes,).
        doubles: Ranges of columns, the offset of the first double of each, and the distance between doubles, in bytes.
    """

    template: NDArray[np.uint8]
    is_value: NDArray[np.bool_]
    doubles: tuple[tuple[range, int, int], ...]


@lru_cache(maxsize=2)
def _lay_out_row(width: int) -> _RowLayout:
    parts, doubles = [], []
    offset = 4
    for columns in _same_digits(width):
        heads = _write_heads(_DOUBLE, columns)
        element_bytes = heads.shape[1] + 8
        doubles.append((columns, offset + heads.shape[1], element_bytes))
        elements = np.zeros((len(columns), element_bytes), dtype=np.uint8)
        elements[:, : heads.shape[1]] = heads
        parts.append(elements.ravel())
        offset += elements.size
    length = np.frombuffer(struct.pack("<i", offset + 1), np.uint8)
    template = np.concatenate([length, *parts, np.zeros(1, np.uint8)])
    is_value = np.zeros(template.size, dtype=np.bool_)
    for columns, first, element_bytes in doubles:
        starts = first + np.arange(len(columns)) * element_bytes
        is_value[starts[:, None] + np.arange(8)] = True
    return _RowLayout(template, is_value, tuple(doubles))


@lru_cache(maxsize=16)
def _write_heads(kind: int, numbers: range) -> NDArray[np.uint8]:
    """Return type and key of the elements with numbers of the same length, shape (n, bytes)."""
    heads = b"".join(b"%c%d\0" % (kind, number) for number in numbers)
    return np.frombuffer(heads, np.uint8).reshape(len(numbers), -1)


def _same_digits(count: int) -> Iterator[range]:
    """Yield the numbers from 0 to below `count` in ranges with the same number of digits."""
    start, stop = 0, 10
    while start < count:
        yield range(start, min(stop, count))
        start, stop = stop, 10 * stop


def _count_elements(array_bytes: int, value_bytes: int) -> int:
    """Return how many values of a size fill an array exactly; 0 if none do."""
    left, count, digits = array_bytes - _EMPTY_DOCUMENT_BYTES, 0, 1
    while left > 0:
        element_bytes = 2 + digits + value_bytes
        taken = min(left // element_bytes, 10**digits - count)
        if taken == 0:
            return 0
        left -= taken * element_bytes
        count += taken
        digits += 1
    return count
