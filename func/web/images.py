"""JPEG, PNG and WebP files to RGB frames, checked before they are decoded."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np

from func.errors import (
    PayloadTooLargeError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from gaze_core.types import Frame

MAX_JPEG_SCANS = 64
"""Progressive pictures have about ten; thousands of empty ones keep a decoder busy for minutes."""

MAX_IMAGE_SIDE_PX = 16_383
"""The most that WebP can say. Inside MediaPipe a side of 32,767 ends the process, whatever the other side is."""

# OpenCV would write what it thinks of a broken picture to stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

ImageFormat = Literal["jpeg", "png", "webp"]


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of a picture say.

    Attributes:
        format: `jpeg`, `png` or `webp`.
        width_px: As the file has it, before any EXIF orientation.
        height_px: Likewise.
    """

    format: ImageFormat
    width_px: int
    height_px: int


def decode_image(data: bytes, *, max_pixels: int) -> Frame:
    """Return a JPEG, PNG or WebP as RGB uint8, shape (height, width, 3).

    Greyscale is spread over three channels, transparency dropped, 16 bits cut to 8 and an EXIF orientation applied. Of
    an animation the first picture counts.

    Args:
        data: The file.
        max_pixels: Largest width × height that is decoded.

    Raises:
        UnsupportedMediaTypeError: It is none of the three formats.
        PayloadTooLargeError: It has too many pixels or too long a side; found before decoding.
        UndecodableImageError: It is broken or cut off.
    """
    header = read_image_header(data)
    if header.width_px * header.height_px > max_pixels:
        raise PayloadTooLargeError(
            f"the picture has {header.width_px} × {header.height_px} pixels, more than {max_pixels}"
        )
    if max(header.width_px, header.height_px) > MAX_IMAGE_SIDE_PX:
        raise PayloadTooLargeError(f"a side of the picture is longer than {MAX_IMAGE_SIDE_PX} pixels")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise _broken(header.format) from error
    if frame is None or frame.size == 0:
        raise _broken(header.format)
    return cast(Frame, frame)


def read_image_header(data: bytes) -> ImageHeader:
    """Return format and size of a picture from its first bytes.

    Raises:
        UnsupportedMediaTypeError: It is no JPEG, PNG or WebP.
        UndecodableImageError: It is, but its header is broken.
    """
    image_format: ImageFormat
    read_size: Callable[[bytes], tuple[int, int] | None]
    if data.startswith(b"\xff\xd8\xff"):
        image_format, read_size = "jpeg", _read_jpeg_size
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        image_format, read_size = "png", _read_png_size
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        image_format, read_size = "webp", _read_webp_size
    else:
        raise UnsupportedMediaTypeError("the picture is no JPEG, PNG or WebP")
    try:
        size = read_size(data)
    except (struct.error, IndexError):  # it ends too early
        size = None
    if size is None or min(size) < 1:
        raise _broken(image_format)
    return ImageHeader(image_format, *size)


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments as a decoder does, up to the first scan (ITU T.81, annex B)."""
    size = None
    at = 2
    while True:
        if data[at] != 0xFF:
            return None
        while data[at] == 0xFF:  # fill bytes
            at += 1
        marker = data[at]
        at += 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # TEM and RST have no length
            continue
        if marker in {0x00, 0xD8, 0xD9}:
            return None
        if marker == 0xDA:
            return size if data.count(b"\xff\xda", at) < MAX_JPEG_SCANS else None
        (length,) = struct.unpack_from(">H", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # SOF, but DHT, JPG and DAC
            if size is not None:
                return None
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        at += max(length, 2)


def _read_png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _read_webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the canvas's size (RFC 9649, sections 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _broken(image_format: str) -> UndecodableImageError:
    return UndecodableImageError(f"the picture begins like a {image_format} but cannot be decoded")
