"""JPEG, PNG and WebP files to RGB frames, checked before they are decoded."""

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
from gaze_core.types import Frame

MAX_IMAGE_SIDE_PX = 16_383
"""The most that WebP can state. Inside MediaPipe a side of 32,767 ends the process, whatever the other side is."""

# OpenCV would write its warnings about broken images to stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From malloc.h."""

_MMAP_BYTES = 4 * 2**20
"""Allocations from this size on go back to the system when they are freed. Fits frames of 1280 × 720 pixels."""

_TRIM_BYTES = 8 * 2**20
"""What a thread keeps of freed smaller ones, so that the next frame needs no new pages."""


def _return_freed_memory() -> None:
    """Fix glibc's thresholds.

    Otherwise they grow with the first large image, and every thread keeps up to 64 MB of what it has freed.
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
        width_px: As stored, before any EXIF orientation.
        height_px: As stored, before any EXIF orientation.
    """

    format: ImageFormat
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class _Container:
    """How the files of one format are read.

    Attributes:
        read_size: Width and height from the first bytes; None for a broken header.
        reduce: Checks a whole file and returns what a decoder needs of it.
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
"""Held while an image is decoded that can take far more memory than its pixels."""


def decode_image(data: bytes, *, max_pixels: int) -> Frame:
    """Return a JPEG, PNG or WebP as RGB uint8, shape (height, width, 3).

    Greyscale is spread over three channels, transparency dropped, 16 bits cut to 8 and an EXIF orientation applied. Of
    an animation the first image counts.

    Args:
        data: The file.
        max_pixels: Largest width × height that is decoded.

    Raises:
        UnsupportedMediaTypeError: It is none of the three formats, or of a kind that is not supported.
        PayloadTooLargeError: Decoding it would take too much memory or time; found before decoding.
        UndecodableImageError: It is broken or cut off.
    """
    header = read_image_header(data)
    if header.width_px * header.height_px > max_pixels:
        raise PayloadTooLargeError(
            f"the image has {header.width_px} × {header.height_px} pixels, more than {max_pixels}"
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
    """Return format and size of an image from its first bytes.

    Raises:
        UnsupportedMediaTypeError: It is not a JPEG, PNG or WebP, or a JPEG of a kind that is not supported.
        UndecodableImageError: Its header is broken.
    """
    image_format: ImageFormat
    if data.startswith(jpeg.SIGNATURE):
        image_format = "jpeg"
    elif data.startswith(png.SIGNATURE):
        image_format = "png"
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        image_format = "webp"
    else:
        raise UnsupportedMediaTypeError("the image is not a JPEG, PNG or WebP")
    try:
        size = _CONTAINERS[image_format].read_size(data)
    except (struct.error, IndexError):  # it ends too early
        size = None
    if size is None or min(size) < 1:
        raise _broken(image_format)
    return ImageHeader(image_format, *size)


def _is_heavy(header: ImageHeader, data: bytes) -> bool:
    """Return whether decoding needs much beside the pixels: tables, coefficients or a second copy of a large image."""
    is_large = header.width_px * header.height_px > _LARGE_PIXELS
    if header.format == "jpeg":
        return is_large and jpeg.is_progressive(data)
    return is_large or (header.format == "webp" and webp.is_lossless(data))


def _broken(image_format: str) -> UndecodableImageError:
    return UndecodableImageError(f"the image begins like a {image_format} but cannot be decoded")
