"""Check and decode JPEG, PNG and WebP files."""

import contextlib
import ctypes
import struct
import threading
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
from func.web import jpeg, png, webp
from func.web.image_kinds import describe_other_format
from gaze_core.types import Frame

MAX_IMAGE_SIDE_PX = 16_383
"""Limit of WebP. A side of 32,767 pixels makes MediaPipe abort the process, whatever the other side is."""

# Otherwise OpenCV writes warnings about broken images to stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Constants of malloc.h."""

_MMAP_BYTES = 4 * 2**20
"""Memory of allocations from this size on is returned to the system when freed; a 1280 × 720 image has 2.6 MiB."""

_TRIM_BYTES = 8 * 2**20
"""Freed memory of smaller allocations that a thread keeps, so that the next image needs no new pages."""


def _return_freed_memory() -> None:
    """Set glibc's thresholds.

    Otherwise they grow with the first large image, and every thread keeps up to 64 MB of freed memory.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


_return_freed_memory()

ImageFormat = Literal["jpeg", "png", "webp"]


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and size of an image file.

    Attributes:
        format: `jpeg`, `png` or `webp`.
        width_px: Stored width, before any EXIF orientation.
        height_px: Stored height, before any EXIF orientation.
    """

    format: ImageFormat
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class _Container:
    """Functions for one file format.

    Attributes:
        read_size: Returns width and height from the header; None if it is malformed.
        reduce: Checks a whole file and returns the parts that a decoder needs.
    """

    read_size: Callable[[bytes], tuple[int, int] | None]
    reduce: Callable[[bytes], bytes | memoryview]


_CONTAINERS: dict[ImageFormat, _Container] = {
    "jpeg": _Container(jpeg.read_jpeg_size, jpeg.trim_jpeg),
    "png": _Container(png.read_png_size, png.rebuild_png),
    "webp": _Container(webp.read_webp_size, webp.rebuild_webp),
}

_LARGE_PIXELS = 2 * 2**20

_heavy_decoding = threading.Lock()
"""Lock for images whose decoding can need far more memory than their pixels: one at a time."""


def decode_image(data: bytes, *, max_pixels: int) -> Frame:
    """Return a JPEG, PNG or WebP as RGB uint8, shape (height, width, 3).

    Greyscale is copied to three channels, transparency removed, 16 bits reduced to 8 and an EXIF orientation applied.
    An animation yields its first image.

    Args:
        data: Content of the file.
        max_pixels: Maximum width × height.

    Raises:
        UnsupportedMediaTypeError: The format, or its variant, is not supported.
        PayloadTooLargeError: Decoding would need too much memory or time; raised before decoding.
        UndecodableImageError: The file is malformed or truncated.
    """
    header = read_image_header(data)
    if header.width_px * header.height_px > max_pixels:
        raise PayloadTooLargeError(
            f"the image has {header.width_px} × {header.height_px} pixels; the maximum is {max_pixels}"
        )
    if max(header.width_px, header.height_px) > MAX_IMAGE_SIDE_PX:
        raise PayloadTooLargeError(f"a side of the image is longer than {MAX_IMAGE_SIDE_PX} pixels")
    file = np.frombuffer(_CONTAINERS[header.format].reduce(data), np.uint8)
    try:
        with _heavy_decoding if _is_heavy(header, data) else contextlib.nullcontext():
            frame = cv2.imdecode(file, cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise _broken(header.format) from error
    if frame is None or frame.size == 0:
        raise _broken(header.format)
    return cast(Frame, frame)


def read_image_header(data: bytes) -> ImageHeader:
    """Return format and size of an image file from its header.

    Raises:
        UnsupportedMediaTypeError: The format, or the variant of JPEG, is not supported.
        UndecodableImageError: The header is malformed.
    """
    image_format: ImageFormat
    if data.startswith(jpeg.SIGNATURE):
        image_format = "jpeg"
    elif data.startswith(png.SIGNATURE):
        image_format = "png"
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        image_format = "webp"
    else:
        raise UnsupportedMediaTypeError(f"the image is not a JPEG, PNG or WebP, but {describe_other_format(data)}")
    try:
        size = _CONTAINERS[image_format].read_size(data)
    except (struct.error, IndexError):  # truncated
        size = None
    if size is None or min(size) < 1:
        raise _broken(image_format)
    return ImageHeader(image_format, *size)


def _is_heavy(header: ImageHeader, data: bytes) -> bool:
    """Return whether decoding needs much more memory than the pixels: tables, coefficients or a second large copy."""
    is_large = header.width_px * header.height_px > _LARGE_PIXELS
    if header.format == "jpeg":
        return is_large and jpeg.is_progressive(data)
    return is_large or (header.format == "webp" and webp.is_lossless(data))


def _broken(image_format: str) -> UndecodableImageError:
    return UndecodableImageError(f"the image has the signature of a {image_format} file but cannot be decoded")
