"""What a JPEG file holds, found from its markers without decoding it (ITU T.81, annex B)."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from func.errors import PayloadTooLargeError, UndecodableImageError, UnsupportedMediaTypeError

SIGNATURE = b"\xff\xd8\xff"

MAX_SCANS = 64
"""Progressive images have about ten; a decoder works through the whole image for each."""

MAX_SEGMENTS = 1024

MAX_METADATA_BYTES = 2 * 2**20
"""Of all APPn and COM segments; decoders keep copies of them."""

_SOI, _EOI, _SOS, _DHT, _JPG, _DAC, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xC8, 0xCC, 0x01, 0xFE

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}

_HUFFMAN_DCT = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive."""

_MARKER = re.compile(rb"\xff++[\x00-\xfe]")
"""Fill bytes may precede a marker."""

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: not a stuffed byte, a restart marker or a fill byte."""


class _Segment(NamedTuple):
    marker: int
    start: int
    """Of the data behind the length."""
    stop: int


def read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height; None when the file is malformed before its first scan.

    Raises:
        PayloadTooLargeError: It has too many segments.
        UnsupportedMediaTypeError: It is arithmetic-coded, lossless, hierarchical or of more than 8 bits.
        IndexError, struct.error: It ends too early.
    """
    size = None
    for segment in _walk(data):
        if segment.marker in {_SOI, _EOI, 0x00}:
            return None
        if segment.marker == _SOS:
            return size
        if segment.marker in _FRAME_HEADERS:
            if size is not None:
                return None
            precision, height, width = struct.unpack_from(">BHH", data, segment.start)
            if segment.marker not in _HUFFMAN_DCT or precision != 8:
                raise UnsupportedMediaTypeError("the JPEG must be baseline or progressive, Huffman-coded, of 8 bits")
            size = (width, height)
    return None


def is_progressive(data: bytes) -> bool:
    """Return whether a JPEG, already checked, is progressive: a decoder then keeps all of its coefficients."""
    return any(segment.marker == 0xC2 for segment in _walk(data))


def trim_jpeg(data: bytes) -> memoryview:
    """Return a JPEG up to its end marker, once all its markers are checked.

    Raises:
        PayloadTooLargeError: It has too many scans or segments, or too much metadata.
        UndecodableImageError: It is malformed or cut off.
    """
    scans = frames = metadata_bytes = 0
    try:
        for segment in _walk(data):
            if segment.marker == _EOI and scans:
                return memoryview(data)[: segment.stop]
            scans += segment.marker == _SOS
            frames += segment.marker in _FRAME_HEADERS
            if 0xE0 <= segment.marker <= 0xEF or segment.marker == _COM:
                metadata_bytes += segment.stop - segment.start
            if segment.marker in {_SOI, _EOI, 0x00} or frames > 1 or segment.stop > len(data):
                break
            if scans > MAX_SCANS:
                raise PayloadTooLargeError(f"the JPEG has more than {MAX_SCANS} scans")
            if metadata_bytes > MAX_METADATA_BYTES:
                raise PayloadTooLargeError(f"the JPEG has more than {MAX_METADATA_BYTES} bytes of metadata")
    except (IndexError, struct.error) as error:
        raise UndecodableImageError("the JPEG is cut off") from error
    raise UndecodableImageError("the JPEG is malformed")


def _walk(data: bytes) -> Iterator[_Segment]:
    """Yield the segments as a decoder meets them, scans skipped.

    Raises:
        IndexError, struct.error: The file ends before its end marker.
        PayloadTooLargeError: It has too many segments.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.match(data, at)
        if found is None:
            if at >= len(data):
                raise IndexError
            yield _Segment(0x00, at, at)
            return
        at = found.end()
        marker = data[at - 1]
        if marker == _TEM or 0xD0 <= marker <= 0xD7:  # no length
            continue
        if marker in {_SOI, _EOI, 0x00}:
            yield _Segment(marker, at, at)
            return
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            yield _Segment(0x00, at, at)
            return
        yield _Segment(marker, at + 2, at + length)
        at += length
        if marker == _SOS:
            found = _MARKER_IN_SCAN.search(data, at)
            if found is None:
                raise IndexError
            at = found.start()
    raise PayloadTooLargeError(f"the JPEG has more than {MAX_SEGMENTS} segments")
