"""Check WebP files and reduce them to one image and its orientation (RFC 9649).

Alpha, colour profiles, animation and other metadata are removed before decoding.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from func.errors import PayloadTooLargeError, UndecodableImageError, UnsupportedMediaTypeError

MAX_CHUNKS = 1024

MAX_EXIF_BYTES = 65_535
"""Longer EXIF metadata is ignored; a JPEG cannot contain more either."""

MAX_LOSSLESS_TABLE_BYTES = 192 * 2**20
"""Maximum memory for the prefix codes of a lossless image."""

_EXIF_FLAG = 0x08

_GROUP_BITS, _GROUP_BYTES = 20, 5300
"""A group of prefix codes can be as short as 20 bits in the file, and needs 5,300 bytes of tables in libwebp."""

_TABLE_BYTES_A_FILE_BYTE, _MAX_GROUP_TABLE_BYTES = 80, 16_000
"""Longer codes need more bits in the file and enlarge the tables of a group up to threefold."""


class _Chunk(NamedTuple):
    name: bytes
    start: int
    """Start of the data."""
    stop: int


def read_webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of the canvas (sections 2.5 to 2.7); None if the first chunk is malformed.

    Raises:
        IndexError, struct.error: The file is truncated.
    """
    if data[12:16] == b"VP8X" and len(data) >= 30:
        return _read_size_24(data, 24)
    return _read_frame_size(data, data[12:16], 20)


def rebuild_webp(data: bytes) -> bytes:
    """Return a WebP with only the image, or the first image of an animation, and the orientation.

    Raises:
        PayloadTooLargeError: There are too many chunks, or the lossless image needs too much memory.
        UnsupportedMediaTypeError: The first image of an animation does not fill the canvas.
        UndecodableImageError: The file is malformed or truncated.
    """
    try:
        return _rebuild(data)
    except (IndexError, struct.error) as error:
        raise UndecodableImageError("the WebP is malformed") from error


def is_lossless(data: bytes) -> bool:
    """Return whether a checked WebP may be lossless."""
    return data.find(b"VP8L", 12) >= 0 and data[12:16] != b"VP8 "


def estimate_table_bytes(width_px: int, height_px: int, file_bytes: int) -> int:
    """Return the maximum memory in bytes for the prefix codes of a lossless image of this size."""
    blocks = -(-width_px // 4) * -(-height_px // 4)
    groups = min(blocks, 65_536, file_bytes * 8 // _GROUP_BITS)
    return groups * _GROUP_BYTES + min(file_bytes * _TABLE_BYTES_A_FILE_BYTE, groups * _MAX_GROUP_TABLE_BYTES)


def _rebuild(data: bytes) -> bytes:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise UndecodableImageError("the WebP is truncated")
    chunks = list(_walk(data, 12, end))
    size = read_webp_size(data)
    if not chunks or size is None:
        raise UndecodableImageError("the WebP is malformed")
    is_extended = chunks[0].name == b"VP8X"
    image = next((chunk for chunk in chunks if chunk.name in {b"VP8 ", b"VP8L", b"ANMF"}), None)
    if image is not None and image.name == b"ANMF":
        if _read_size_24(data, image.start + 6) != size:
            raise UnsupportedMediaTypeError("the first image of an animated WebP must fill its canvas")
        inner = _walk(data, image.start + 16, image.stop)
        image = next((chunk for chunk in inner if chunk.name in {b"VP8 ", b"VP8L"}), None)
    if image is None or _read_frame_size(data, image.name, image.start) != size:
        raise UndecodableImageError("the WebP has no image of the size in its header")
    image_bytes = image.stop - image.start
    if image.name == b"VP8L" and estimate_table_bytes(*size, image_bytes) > MAX_LOSSLESS_TABLE_BYTES:
        raise PayloadTooLargeError("the lossless WebP is too large: send a smaller or lossy WebP, a PNG or a JPEG")
    body = _make_chunk(image.name, data[image.start : image.stop])
    exif = next((chunk for chunk in chunks if chunk.name == b"EXIF"), None)
    if is_extended and data[20] & _EXIF_FLAG and exif is not None and exif.stop - exif.start <= MAX_EXIF_BYTES:
        header = bytes((_EXIF_FLAG, 0, 0, 0)) + data[24:30]
        body = _make_chunk(b"VP8X", header) + body + _make_chunk(b"EXIF", data[exif.start : exif.stop])
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _walk(data: bytes, start: int, end: int) -> Iterator[_Chunk]:
    at = start
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            return
        name, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > end:
            raise UndecodableImageError("a chunk of the WebP extends past its end")
        yield _Chunk(name, at + 8, at + 8 + size)
        at += 8 + size + size % 2
    raise PayloadTooLargeError(f"the WebP has more than {MAX_CHUNKS} chunks")


def _read_frame_size(data: bytes, name: bytes, start: int) -> tuple[int, int] | None:
    """Return width and height in the header of a lossy or lossless image; None if it is malformed."""
    if name == b"VP8 " and data[start + 3 : start + 6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, start + 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and data[start] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _read_size_24(data: bytes, at: int) -> tuple[int, int]:
    if at + 6 > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + 3], "little") + 1, int.from_bytes(data[at + 3 : at + 6], "little") + 1


def _make_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
