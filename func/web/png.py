"""Check PNG files and reduce them to what a decoder needs (PNG specification, third edition).

A decoder allocates the size that a chunk claims and inflates whole streams, both far beyond the file's size: a chunk of
57 bytes can claim 4 GB, and 8 MB can inflate to 8 GB. Therefore every chunk must lie within the file, chunks that do
not affect the pixels (including animation) are removed, and the pixel data must not inflate to more than the header
implies.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from func.errors import PayloadTooLargeError, UndecodableImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_EXIF_BYTES = 65_535
"""Longer EXIF metadata is ignored; a JPEG cannot contain more either."""

STORED_BYTES = 8 * 2**20
"""Pixel data up to this size is passed on uncompressed, so that it is inflated only once."""

_SLACK_BYTES = 4096
"""Some encoders write slightly more data than the image needs."""

_INPUT_BYTES, _OUTPUT_BYTES = 16_384, 262_144

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of each pass of an interlaced image."""


class _Chunk(NamedTuple):
    name: bytes
    start: int
    """Start of the data."""
    stop: int


@dataclass(slots=True)
class _Chunks:
    """Chunks that a decoder needs."""

    before: list[_Chunk]
    data: list[_Chunk]
    exif: _Chunk | None = None


def read_png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height; None if the first chunk is not the header.

    Raises:
        struct.error: The file is truncated.
    """
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def rebuild_png(data: bytes) -> bytes:
    """Return a PNG with only the pixels and the orientation.

    Raises:
        PayloadTooLargeError: There are too many chunks, or the pixel data inflates to more than the header implies.
        UndecodableImageError: The file is malformed or truncated.
    """
    chunks = _choose_chunks(data)
    needed_bytes = _count_pixel_bytes(data)
    file: list[bytes | memoryview] = [SIGNATURE]
    view = memoryview(data)
    # Copied unchanged, including checksums.
    file += (view[chunk.start - 8 : chunk.stop + 4] for chunk in chunks.before)
    if chunks.exif:
        file.append(view[chunks.exif.start - 8 : chunks.exif.stop + 4])
    pieces = _inflate([view[chunk.start : chunk.stop] for chunk in chunks.data], needed_bytes)
    if needed_bytes <= STORED_BYTES:
        file += _store(pieces)
    else:
        for _ in pieces:  # checks the size
            pass
        file += (view[chunk.start - 8 : chunk.stop + 4] for chunk in chunks.data)
    file += _make_chunk(b"IEND", b"")
    return b"".join(file)


def _choose_chunks(data: bytes) -> _Chunks:
    chosen = _Chunks(before=[], data=[])
    names: set[bytes] = set()
    previous = b""
    max_chunks = 1024 + len(data) // 2048
    for count, chunk in enumerate(_walk(data)):
        name, size = chunk.name, chunk.stop - chunk.start
        if count > max_chunks:
            raise PayloadTooLargeError("the PNG has too many chunks")
        if (name == b"IHDR") != (count == 0) or (name == b"IHDR" and size != 13):
            break
        if name == b"IEND":
            if chosen.data:
                return chosen
            break
        if name == b"IDAT":
            if chosen.data and previous != b"IDAT":
                break
            chosen.data.append(chunk)
        elif name == b"PLTE" and (name in names or chosen.data or size % 3 or not 0 < size <= 768):
            break
        elif name in {b"IHDR", b"PLTE"} or (
            name == b"tRNS" and not chosen.data and name not in names and 0 < size <= 256
        ):
            chosen.before.append(chunk)
        elif name == b"eXIf" and size <= MAX_EXIF_BYTES and chosen.exif is None:
            chosen.exif = chunk
        elif not name[0] & 0x20:  # unknown critical chunk
            break
        names.add(name)
        previous = name
    raise UndecodableImageError("the PNG is malformed")


def _walk(data: bytes) -> Iterator[_Chunk]:
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise UndecodableImageError("the PNG is truncated")
        size, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + size > len(data):
            raise UndecodableImageError("the PNG is truncated, or a chunk extends past its end")
        if not (name.isalpha() and name.isascii()):
            raise UndecodableImageError("the PNG is malformed")
        yield _Chunk(name, at + 8, at + 8 + size)
        at += 12 + size


def _count_pixel_bytes(data: bytes) -> int:
    """Return the size of the filtered rows in bytes, computed from the header."""
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise UndecodableImageError("the PNG's header is malformed")
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = (
        (-((first_column - width) // column_step), -((first_row - height) // row_step))
        for first_column, first_row, column_step, row_step in passes
    )
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _inflate(parts: Sequence[memoryview], needed_bytes: int) -> Iterator[bytes]:
    """Yield exactly the needed bytes in pieces."""
    stream = zlib.decompressobj()
    inflated_bytes = 0
    try:
        for part in parts:
            for at in range(0, len(part), _INPUT_BYTES):
                left: bytes | memoryview = part[at : at + _INPUT_BYTES]
                while left and not stream.eof:
                    piece = stream.decompress(left, _OUTPUT_BYTES)
                    left = stream.unconsumed_tail
                    if inflated_bytes < needed_bytes:
                        yield piece[: needed_bytes - inflated_bytes]
                    inflated_bytes += len(piece)
                    if inflated_bytes > needed_bytes + _SLACK_BYTES:
                        raise PayloadTooLargeError("the PNG's pixel data inflates to more than its header implies")
    except zlib.error as error:
        raise UndecodableImageError("the PNG's pixel data cannot be inflated") from error
    if inflated_bytes < needed_bytes:
        raise UndecodableImageError("the PNG's pixel data ends too early")


def _store(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield image data chunks with the pieces uncompressed."""
    stream = zlib.compressobj(0)
    for piece in pieces:
        stored = stream.compress(piece)
        if stored:
            yield from _make_chunk(b"IDAT", stored)
    yield from _make_chunk(b"IDAT", stream.flush())


def _make_chunk(name: bytes, data: bytes) -> tuple[bytes, bytes, bytes]:
    return struct.pack(">I4s", len(data), name), data, struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
