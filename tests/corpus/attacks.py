"""Small inputs that cost a careless reader gigabytes or seconds; made by code, none of them stored."""

import base64
import json
import struct
import zlib
from functools import cache

import cv2

from tests.corpus.containers import exif, jpeg_segment, png_chunk, png_file, png_header, riff, riff_chunk, vp8x
from tests.http.image_files import encode, make_image, make_pixels

BODY_BYTES = 8 * 2**20
"""The largest request body."""

IMAGE_BYTES = BODY_BYTES * 3 // 4 - 4096
"""The largest image in base64 in such a body."""


def _claiming(name, size=0xFFFF_FFF0):
    """Return 57 bytes: a header and a chunk that claims 4 GB."""
    return png_file(png_header(64, 64)) + struct.pack(">I", size) + name + bytes(16)


@cache
def zeros(inflated_bytes, *, max_bytes=IMAGE_BYTES):
    """Return a deflate stream that inflates to zeros, thousand times its size."""
    block_bytes = 8 * 2**20
    compressor = zlib.compressobj(9)
    head = compressor.compress(bytes(1024)) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(bytes(block_bytes)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return head + block * min(inflated_bytes // block_bytes, max_bytes // len(block))


def _inflating(size_px, inflated_bytes, **header):
    stream = zeros(inflated_bytes)
    return png_file(png_header(size_px, size_px, **header), png_chunk(b"IDAT", stream), png_chunk(b"IEND"))


def _with_png_chunks(*chunks):
    image = make_image(".png", width_px=64, height_px=64)
    return image[:33] + b"".join(chunks) + image[33:]


def _animated_png(frames):
    control = png_chunk(b"acTL", struct.pack(">II", frames, 0))
    image = make_image(".png", width_px=64, height_px=64)
    data = b"".join(
        png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * number + 1, 64, 64, 0, 0, 1, 10, 0, 0))
        + png_chunk(b"fdAT", struct.pack(">I", 2 * number + 2) + zeros(2**20))
        for number in range(frames)
    )
    first = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0))
    return image[:33] + control + first + image[33:-12] + data + image[-12:]


def _many_exif(count):
    segment = jpeg_segment(0xE1, b"Exif\0\0" + exif(entries=2700, size=65_000))
    image = make_image()
    return image[:2] + segment * count + image[2:]


def _relabelled(marker, precision=8):
    """Return a JPEG whose frame header claims another coding."""
    image = bytearray(make_image())
    at = image.index(b"\xff\xc0")
    image[at + 1], image[at + 4] = marker, precision
    return bytes(image)


class _Bits:
    def __init__(self):
        self._bits = []

    def put(self, value, count):
        self._bits.append(f"{value:0{count}b}"[::-1])

    def pack(self):
        bits = "".join(self._bits)
        return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


@cache
def lossless_webp_of_groups(width_px, height_px):
    """Return a lossless WebP with a group of prefix codes for every block of 4 × 4 pixels (RFC 9649, section 3.7)."""
    bits = _Bits()
    for value, count in ((0x2F, 8), (width_px - 1, 14), (height_px - 1, 14), (0, 4)):
        bits.put(value, count)
    bits.put(0b100, 3)  # no transform, no colour cache, meta prefix codes
    bits.put(0, 3)  # for blocks of 4 × 4
    bits.put(0, 1)  # their image has no colour cache

    def put_code_of_eight_bits(symbols):
        bits.put(0, 1)
        bits.put(12 - 4, 4)
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):
            bits.put(symbol in {18, 8}, 3)
        bits.put(0, 1 + 256)
        if symbols > 256:
            bits.put(1 | (symbols - 256 - 11) << 1, 8)

    put_code_of_eight_bits(280)
    put_code_of_eight_bits(256)
    for _ in range(3):
        bits.put(0b0001, 4)
    blocks = -(-width_px // 4) * -(-height_px // 4)
    groups = min(blocks, 65_536)
    backwards = [int(f"{value:08b}"[::-1], 2) for value in range(256)]
    for block in range(blocks):
        bits.put(backwards[block % groups & 255], 8)
        bits.put(backwards[block % groups >> 8], 8)
    for _ in range(groups):
        bits.put(0x11111, 20)
    return riff(riff_chunk(b"VP8L", bits.pack()))


def _canvas_and_frame(canvas, frame):
    return riff(vp8x(*canvas), riff_chunk(b"VP8L", struct.pack("<BI", 0x2F, frame[0] - 1 | frame[1] - 1 << 14) + b"\0"))


def _animated_webp(frames):
    still = make_image(".webp", width_px=64, height_px=64)
    frame = bytes(6) + (63).to_bytes(3, "little") * 2 + bytes(4) + still[12:]
    return riff(vp8x(64, 64, flags=0x02), riff_chunk(b"ANIM", bytes(6)), riff_chunk(b"ANMF", frame) * frames)


IMAGES = {
    **{
        f"png {name} claims 4 GB": lambda name=name: _claiming(name.encode())
        for name in ("IDAT", "tEXt", "fdAT", "iCCP")
    },
    "png IDAT inflates to 6 GB": lambda: _inflating(64, 9 * 10**9),
    "png of 4 MP inflates to 6 GB": lambda: _inflating(2048, 9 * 10**9, depth=8, colour=6),
    "png zTXt inflates to 6 GB": lambda: _with_png_chunks(png_chunk(b"zTXt", b"a\0\0" + zeros(9 * 10**9))),
    "png iCCP inflates to 6 GB": lambda: _with_png_chunks(png_chunk(b"iCCP", b"a\0\0" + zeros(9 * 10**9))),
    "png with 400,000 chunks": lambda: _with_png_chunks(png_chunk(b"tEXt", b"a\0b") * 400_000),
    "png with 500,000 empty IDAT": lambda: png_file(png_header(64, 64), png_chunk(b"IDAT") * 500_000),
    "png with 6 MB of EXIF": lambda: _with_png_chunks(png_chunk(b"eXIf", exif(entries=60_000, size=6_000_000))),
    "png animated, 2³¹ frames": lambda: _with_png_chunks(png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    "png animated, 200 frames": lambda: _animated_png(200),
    "jpeg with 1,000 scans": lambda: make_image()[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 1000 + b"\xff\xd9",
    "jpeg with 2,000,000 segments": lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 1_500_000 + make_image()[2:],
    "jpeg with 90 times EXIF": lambda: _many_exif(90),
    "jpeg arithmetic": lambda: _relabelled(0xC9),
    "jpeg lossless": lambda: _relabelled(0xC3),
    "jpeg of 12 bits": lambda: _relabelled(0xC1, precision=12),
    "webp lossless, 65,536 groups": lambda: lossless_webp_of_groups(1024, 1024),
    "webp lossless, 19,200 groups": lambda: lossless_webp_of_groups(640, 480),
    "webp larger than its canvas": lambda: _canvas_and_frame((64, 64), (16_383, 16_383)),
    "webp animated, 4,000 frames": lambda: _animated_webp(4000),
    "webp chunk claims 4 GB": lambda: riff(vp8x(64, 64), b"EXIF" + b"\xf0\xff\xff\xff"),
}
"""Image files by what they are."""


def _fill(unit, start=b"", end=b"", *, size=BODY_BYTES):
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


_VIEWING = json.dumps({"session_id": "s", "video_id": "v", "ip_address": "::1"}).encode()[:-1]


def _frames(count, *, number=None, image=b"AAAA"):
    """Return a request with many frames, numbered from 1 or alike."""
    entries = (b'{"frame_number": %s, "frame": "%s"}' % (number or b"%d" % at, image) for at in range(1, count + 1))
    return _VIEWING + b', "frames": [' + b",".join(entries) + b"]}"


_FIELDS = json.dumps({"session_id": "s", "video_id": "v", "ip_address": "::1", "frame_number": 1}).encode()[:-1]

JSON = {
    "json of opening brackets": lambda: _fill(b"["),
    "json of empty arrays": lambda: _fill(b"[],", b"[", b"[]]"),
    "json of small objects": lambda: _fill(b'{"":0},', b"[", b"0]"),
    "json of nested objects": lambda: _fill(b'{"":'),
    "json of numbers": lambda: _fill(b"0,", b"[", b"0]"),
    "json of strings": lambda: _fill(b'"",', b"[", b"0]"),
    "json of keys": lambda: b"{" + b",".join(b'"%d":0' % number for number in range(700_000)) + b"}",
    "json of spaces": lambda: _fill(b" ", b"{", b"}"),
    "json of one integer": lambda: _fill(b"9"),
    "json of one fraction": lambda: _fill(b"1", b"0."),
    "json of one string": lambda: _fill(b"A", _FIELDS + b', "other": "', b'"}'),
    "json of one string with an emoji": lambda: _fill(b"A", _FIELDS + ', "o": "😀", "other": "'.encode(), b'"}'),
    "json of escapes": lambda: _fill(rb"\u0001", _FIELDS + b', "frame": "', b'"}'),
    "json of surrogates": lambda: _fill(rb"\ud83d", _FIELDS + b', "frame": "', b'"}'),
    "json of escaped quotes": lambda: _fill(rb"\"", _FIELDS + b', "frame": "', b'"}'),
    "json of backslashes": lambda: _fill(rb"\\", _FIELDS + b', "frame": "', b'"}'),
    "json of escaped slashes": lambda: _fill(rb"\/", _FIELDS + b', "frame": "', b'"}'),
    "json of spaced base64": lambda: _fill(b"A ", _FIELDS + b', "frame": "', b'"}'),
    "json of long strings": lambda: _fill(b'"' + b"A" * 4097 + b'",', _FIELDS + b', "other": [', b"0]}"),
    "json of short strings": lambda: _fill(b'"' + b"A" * 4000 + b'",', _FIELDS + b', "other": [', b"0]}"),
    "json of 33 frames": lambda: _frames(33),
    "json of 10,000 frames": lambda: _frames(10_000),
    "json of small frames": lambda: _fill(b"{},", _VIEWING + b', "frames": [', b"{}]}"),
    "json of frames in frames": lambda: _fill(b'{"frames": [', _VIEWING + b', "frames": ['),
    "json of frames with huge numbers": lambda: _frames(32, number=b"9" * 4000),
    "json of frames with the same number": lambda: _frames(32, number=b"1"),
    "json of a frame and frames": lambda: _frames(8)[:-1] + b', "frame": "' + b"A" * 4_000_000 + b'"}',
    "json of frames of spaced base64": lambda: _frames(32, image=b"A " * 120_000),
    "json without an end": lambda: _fill(b"A", _FIELDS + b', "frame": "'),
}
"""Request bodies as JSON."""

_FRAME_PART = b'--X\r\nContent-Disposition: form-data; name="frame"\r\n\r\n'
_DISPOSITION = b"--X\r\nContent-Disposition: form-data; "

MULTIPART = {
    "multipart of boundaries": lambda: _fill(b"\r\n--X ", _FRAME_PART),
    "multipart of almost boundaries": lambda: _fill(b"\r\n--XY", _FRAME_PART),
    "multipart of spaces after boundaries": lambda: _fill(b"\r\n--X" + b" " * 1000, _FRAME_PART),
    "multipart of line breaks": lambda: _fill(b"\r\n", _FRAME_PART),
    "multipart of carriage returns": lambda: _fill(b"\r", b""),
    "multipart of headers": lambda: _fill(b"a: b\r\n", b"--X\r\n"),
    "multipart of folded headers": lambda: _fill(b" c\r\n", b"--X\r\na: b\r\n"),
    "multipart of parameters": lambda: _fill(b'a="b"; ', _DISPOSITION, b"\r\n\r\n"),
    "multipart of semicolons": lambda: _fill(b";", _DISPOSITION, b"\r\n\r\n"),
    "multipart of escaped quotes": lambda: _fill(rb"\"", _DISPOSITION + b'name="', b'"\r\n\r\n'),
    "multipart of 39 images of one frame": lambda: (
        b'--X\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
        + _VIEWING
        + b', "frame_number": 1}\r\n'
        + (_FRAME_PART + b"A" * 200_000 + b"\r\n") * 39
        + b"--X--\r\n"
    ),
    "multipart of parts": lambda: _fill(_FRAME_PART + b"\r\n"),
}
"""Request bodies as multipart with the boundary `X`."""


def as_request(image):
    """Return a JSON body that holds an image."""
    return _FIELDS + b', "frame": "' + base64.b64encode(image) + b'"}'


def largest_honest_images():
    """Return images of the largest size that is decoded: JPEG, progressive JPEG without subsampling, and PNG."""
    pixels = make_pixels(3840, 2160)
    parameters = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
    return [encode(pixels, ".jpg"), cv2.imencode(".jpg", pixels, parameters)[1].tobytes(), encode(pixels, ".png")]
