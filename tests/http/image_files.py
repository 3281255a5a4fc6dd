"""Image files for requests, and files with false headers."""

import base64
import struct
import zlib

import cv2
import numpy as np

from tests.fakes.painted_eyes import make_noise


def make_pixels(width_px=640, height_px=480):
    """Return coarse RGB noise."""
    return make_noise(np.random.default_rng(1), width_px, height_px)


def encode(pixels, suffix=".jpg"):
    """Return RGB, grey or RGBA pixels as a file of that type."""
    if pixels.ndim == 3:
        code = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        pixels = cv2.cvtColor(pixels, code)
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def make_image(suffix=".jpg", **kwargs):
    return encode(make_pixels(**kwargs), suffix)


def as_base64(data):
    return base64.b64encode(data).decode()


def png_claiming(width_px, height_px):
    """Return a small PNG whose header claims any size, like a decompression bomb."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg_claiming(width_px, height_px):
    image = bytearray(make_image())
    at = image.index(b"\xff\xc0") + 5
    image[at : at + 4] = struct.pack(">HH", height_px, width_px)
    return bytes(image)


def webp_claiming(width_px, height_px):
    body = b"VP8L" + struct.pack("<IBI", 5, 0x2F, (width_px - 1) | (height_px - 1) << 14) + b"\x00"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
