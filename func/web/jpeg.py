"""Check JPEG files by their markers, without decoding (ITU T.81, annex B)."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from func.errors import PayloadTooLargeError, UndecodableImageError, UnsupportedMediaTypeError

SIGNATURE = b"\xff\xd8\xff"

MAX_SCANS = 64
"""Maximum number of scans. Progressive images have about ten, and each costs one pass over the whole image."""

MAX_SEGMENTS = 1024

MAX_METADATA_BYTES = 2 * 2**20
"""Maximum size of all APPn and COM segments, which decoders copy."""

_SOI, _EOI, _SOS, _DHT, _JPG, _DAC, _TEM, _COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xC8, 0xCC, 0x01, 0xFE

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}

_HUFFMAN_DCT = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended sequential and progressive."""

_MARKER = re.compile(rb"\xff++[\x00-\xfe]")
"""Fill bytes may precede a marker."""

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Marker that ends a scan: neither a stuffed byte nor a restart marker nor a fill byte."""


class _Segment(NamedTuple):
    marker: int
    start: int
    """Start of the data after the length field."""
    stop: int


def read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height; None if the file is malformed before its first scan.

    Raises:
        PayloadTooLargeError: There are too many segments.
        UnsupportedMediaTypeError: The image is arithmetic-coded, lossless, hierarchical or has more than 8 bits.
        IndexError, struct.error: The file is truncated.
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
                raise UnsupportedMediaTypeError("the JPEG must be baseline or progressive, Huffman-coded, with 8 bits")
            size = (width, height)
    return None


def is_progressive(data: bytes) -> bool:
    """Return whether a checked JPEG is progressive, so that a decoder keeps all of its coefficients in memory."""
    return any(segment.marker == 0xC2 for segment in _walk(data))


def trim_jpeg(data: bytes) -> memoryview:
    """Check all markers of a JPEG and return it up to its end marker.

    Raises:
        PayloadTooLargeError: There are too many scans or segments, or too much metadata.
        UndecodableImageError: The file is malformed or truncated.
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
        raise UndecodableImageError("the JPEG is truncated") from error
    raise UndecodableImageError("the JPEG is malformed")


def _walk(data: bytes) -> Iterator[_Segment]:
    """Yield the segments in order, skipping the data of scans.

    Raises:
        IndexError, struct.error: The end marker is missing.
        PayloadTooLargeError: There are too many segments.
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
