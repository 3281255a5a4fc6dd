"""Small honest inputs of every kind. `python -m tests.corpus.seeds` writes them into `tests/corpus/seeds/`."""

import base64
import codecs
import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from tests.corpus.containers import (
    exif,
    jpeg_segment,
    jpeg_without_huffman_tables,
    png_chunk,
    png_file,
    png_header,
    riff,
    riff_chunk,
    vp8x,
)
from tests.http.image_files import encode, make_pixels

FOLDER = Path(__file__).parent / "seeds"

WIDTH_PX, HEIGHT_PX = 40, 30

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, and steps, of each pass."""


def read_seeds():
    """Return the stored inputs: name to kind and bytes."""
    kinds = {".json": "json", ".multipart": "multipart"}
    return {path.name: (kinds.get(path.suffix, "image"), path.read_bytes()) for path in sorted(FOLDER.iterdir())}


def interlaced_png(pixels):
    """Return RGB pixels as an interlaced PNG."""
    passes = [pixels[row::row_step, column::column_step] for row, column, row_step, column_step in ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    header = png_header(pixels.shape[1], pixels.shape[0], interlace=1)
    return png_file(header, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND"))


def palette_png(indices, palette, *, transparency=b"", depth=8):
    """Return indices, shape (h, w), into RGB colours as a PNG; four bits put two of them into a byte."""
    packed = indices if depth == 8 else indices[:, ::2] << 4 | indices[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed.astype(np.uint8))
    header = png_header(indices.shape[1], indices.shape[0], depth=depth, colour=3)
    trns = [png_chunk(b"tRNS", transparency)] if transparency else []
    data = png_chunk(b"IDAT", zlib.compress(rows))
    return png_file(header, png_chunk(b"PLTE", palette.tobytes()), *trns, data, png_chunk(b"IEND"))


def animated_webp(first, second):
    """Return an animation of two still WebP files of 40 × 30 pixels."""
    box = bytes(6) + (WIDTH_PX - 1).to_bytes(3, "little") + (HEIGHT_PX - 1).to_bytes(3, "little") + b"\x64\0\0\0"
    frames = [riff_chunk(b"ANMF", box + still[12:]) for still in (first, second)]
    return riff(vp8x(WIDTH_PX, HEIGHT_PX, flags=0x02), riff_chunk(b"ANIM", bytes(6)), *frames)


def animated_png(first, second):
    """Return an animation of two PNG files of 40 × 30 pixels."""
    control = [struct.pack(">IIIIIHHBB", number, WIDTH_PX, HEIGHT_PX, 0, 0, 1, 10, 0, 0) for number in (0, 1)]
    stream = second[second.index(b"IDAT") + 4 : -16]
    return png_file(
        first[8:33],
        png_chunk(b"acTL", struct.pack(">II", 2, 0)),
        png_chunk(b"fcTL", control[0]),
        first[33:-12],
        png_chunk(b"fcTL", control[1]),
        png_chunk(b"fdAT", struct.pack(">I", 2) + stream),
        png_chunk(b"IEND"),
    )


def make_images():
    """Return image files by name."""
    pixels = make_pixels(WIDTH_PX, HEIGHT_PX)
    grey, inverse = pixels[:, :, 0], 255 - pixels

    def jpeg(*parameters, source=pixels):
        return cv2.imencode(".jpg", cv2.cvtColor(source, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()

    def webp(source=pixels, quality=80):
        return cv2.imencode(".webp", source, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()

    plain, rgb = jpeg(), encode(pixels, ".png")
    exif_segment = jpeg_segment(0xE1, b"Exif\0\0" + exif(orientation=6))
    palette = np.random.default_rng(2).integers(0, 256, (16, 3), dtype=np.uint8)
    return {
        "baseline.jpg": plain,
        "progressive.jpg": jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "restarts.jpg": jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        "grey.jpg": encode(grey, ".jpg"),
        "exif.jpg": plain[:2] + exif_segment + plain[2:],
        "no_huffman_tables.jpg": jpeg_without_huffman_tables(plain),
        "rgb.png": rgb,
        "rgba.png": encode(np.dstack([pixels, grey]), ".png"),
        "grey_16_bit.png": encode(grey.astype(np.uint16) * 257, ".png"),
        "interlaced.png": interlaced_png(pixels),
        "palette_4_bit.png": palette_png(grey // 16, palette, transparency=bytes(16), depth=4),
        "exif_and_text.png": rgb[:33]
        + png_chunk(b"tEXt", b"Title\0a")
        + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b" * 99))
        + png_chunk(b"eXIf", exif(orientation=6))
        + rgb[33:],
        "animated.png": animated_png(rgb, encode(inverse, ".png")),
        "lossy.webp": webp(),
        "lossless.webp": webp(quality=101),
        "alpha.webp": webp(np.dstack([pixels, grey])),
        "exif.webp": riff(vp8x(WIDTH_PX, HEIGHT_PX, flags=0x08), webp()[12:], riff_chunk(b"EXIF", exif(orientation=6))),
        "animated.webp": animated_webp(webp(), webp(inverse)),
    }


def make_bodies(image):
    """Return request bodies by name."""
    fields = {"session_id": "s", "video_id": "v", "ip_address": "::1", "frame_number": 1}
    encoded = base64.b64encode(image).decode()
    every = {
        **fields,
        "last_frame": False,
        "timestamp_ms": 12.5,
        "video_time_ms": 0,
        "total_frames": 3,
        "screen": {"width_mm": 340, "height_mm": 190, "width_px": 1920, "height_px": 1080},
        "viewport": {"x": 0, "y": 0.25, "width": 1, "height": 0.5},
        "camera": {"vertical_fov_deg": 50, "offset_x_mm": 0, "offset_y_mm": 5, "tilt_deg": 0, "mirrored": False},
        "calibration_target": [0.5, 0.5],
        "calibration_use": "fit",
        "other": ["ünknown", None, {"a": [1e3, -0.0]}],
    }
    parts = [
        b'--X\r\nContent-Disposition: form-data; name="metadata"\r\nContent-Type: application/json\r\n\r\n',
        json.dumps(fields).encode(),
        b'\r\n--X\r\nContent-Disposition: form-data; name="frame"; filename="a.jpg"\r\n\r\n',
        image,
        b"\r\n--X--\r\n",
    ]
    return {
        "frame.json": json.dumps({**fields, "frame": encoded}).encode(),
        "every_field.json": json.dumps({**every, "frame": f"data:image/jpeg;base64,{encoded}"}).encode(),
        "byte_order_mark.json": codecs.BOM_UTF8 + json.dumps({**fields, "frame": f"data:;base64,{encoded}"}).encode(),
        "frame.multipart": b"".join(parts),
        "line_feeds.multipart": b"".join(part if part is image else part.replace(b"\r\n", b"\n") for part in parts),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    images = make_images()
    for name, data in (images | make_bodies(images["baseline.jpg"])).items():
        (FOLDER / name).write_bytes(data)
