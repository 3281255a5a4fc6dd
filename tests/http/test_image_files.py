"""Image files are reduced to what a decoder needs, without changing the decoded image."""

import random
import struct
import zlib

import cv2
import numpy as np
import pytest

from func.errors import PayloadTooLargeError, UndecodableImageError, UnsupportedMediaTypeError
from func.web.images import decode_image
from func.web.jpeg import MAX_METADATA_BYTES, MAX_SCANS, MAX_SEGMENTS, trim_jpeg
from func.web.png import STORED_BYTES, rebuild_png
from func.web.webp import rebuild_webp
from tests.corpus.attacks import IMAGES
from tests.corpus.containers import jpeg_segment, png_chunk, png_file, png_header, riff, riff_chunk, vp8x
from tests.corpus.seeds import animated_png, animated_webp, interlaced_png, make_images, palette_png
from tests.http.image_files import encode, make_pixels

PLENTY = 10_000_000
SEEDS = make_images()


def decode(data):
    return decode_image(data, max_pixels=PLENTY)


def decode_unguarded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("name", SEEDS)
def test_every_kind_of_file_decodes_as_without_the_checks(name):
    assert np.array_equal(decode(SEEDS[name]), decode_unguarded(SEEDS[name]))


def test_a_motion_jpeg_without_huffman_tables_decodes_like_the_whole_file():
    assert np.array_equal(decode(SEEDS["no_huffman_tables.jpg"]), decode(SEEDS["baseline.jpg"]))


@pytest.mark.parametrize("name", ["exif.jpg", "exif_and_text.png", "exif.webp"])
def test_an_exif_orientation_turns_the_image(name):
    assert decode(SEEDS[name]).shape == (40, 30, 3)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (5, 1), (8, 8), (33, 17)])
def test_an_interlaced_png_of_any_size_keeps_its_pixels(size):
    pixels = make_pixels(*size)

    assert np.array_equal(decode(interlaced_png(pixels)), pixels)


def test_a_palette_of_four_bits_keeps_its_colours():
    palette = np.arange(48, dtype=np.uint8).reshape(16, 3)
    indices = np.arange(16).reshape(2, 8)

    assert np.array_equal(decode(palette_png(indices, palette, depth=4)), palette[indices])


def test_a_png_too_large_to_be_stored_keeps_its_pixels():
    pixels = make_pixels(2100, 1400)
    assert pixels.nbytes > STORED_BYTES

    assert np.array_equal(decode(encode(pixels, ".png")), pixels)


def test_an_animation_yields_its_first_image():
    first, second = (encode(np.full((30, 40, 3), value, np.uint8), ".png") for value in (200, 10))
    assert np.unique(decode(animated_png(first, second))) == [200]

    first, second = (encode(np.full((30, 40, 3), value, np.uint8), ".webp") for value in (200, 10))
    assert np.unique(decode(animated_webp(first, second))) == [200]


def test_only_pixels_and_orientation_reach_the_png_decoder():
    names = []
    file, at = rebuild_png(SEEDS["exif_and_text.png"]), 8
    while at < len(file):
        size, name = struct.unpack_from(">I4s", file, at)
        names.append(name)
        at += 12 + size

    assert [name for name in names if name != b"IDAT"] == [b"IHDR", b"eXIf", b"IEND"]


def test_only_the_image_reaches_the_webp_decoder():
    lossy = SEEDS["lossy.webp"]
    extended = riff(vp8x(40, 30, flags=0x24), riff_chunk(b"ICCP", b"abc"), lossy[12:], riff_chunk(b"XMP ", b"abc"))

    assert rebuild_webp(extended) == lossy


def test_data_after_the_end_of_a_jpeg_is_removed():
    image = SEEDS["baseline.jpg"]

    assert trim_jpeg(image + b"a video" * 100) == image


@pytest.mark.parametrize("name", ["jpeg arithmetic", "jpeg lossless", "jpeg of 12 bits"])
def test_an_unusual_jpeg_is_unsupported(name):
    with pytest.raises(UnsupportedMediaTypeError, match="baseline or progressive"):
        decode(IMAGES[name]())


@pytest.mark.parametrize(
    ("segment", "count"),
    [
        (jpeg_segment(0xFE, b""), MAX_SEGMENTS),
        (jpeg_segment(0xEF, bytes(65_533)), MAX_METADATA_BYTES // 65_533 + 1),
        (b"\xff\x01", MAX_SEGMENTS),
    ],
)
def test_segments_and_metadata_of_a_jpeg_are_limited(segment, count):
    image = SEEDS["baseline.jpg"]

    with pytest.raises(PayloadTooLargeError):
        decode(image[:2] + segment * count + image[2:])
    assert decode(image[:2] + segment * 3 + image[2:]).shape == (30, 40, 3)


def test_sixty_four_scans_are_decoded_and_sixty_five_refused():
    image = SEEDS["progressive.jpg"]
    scan = image[image.rindex(b"\xff\xda") : -2]
    more = MAX_SCANS - image.count(b"\xff\xda")

    assert trim_jpeg(image[:-2] + scan * more + b"\xff\xd9")
    with pytest.raises(PayloadTooLargeError, match="64 scans"):
        trim_jpeg(image[:-2] + scan * (more + 1) + b"\xff\xd9")


def test_a_jpeg_of_two_frame_headers_is_refused():
    image = SEEDS["baseline.jpg"]
    header = image[image.index(b"\xff\xc0") : image.index(b"\xff\xc0") + 19]

    with pytest.raises(UndecodableImageError):
        decode(image[:-2] + header + b"\xff\xd9")


def png_of(rows, **header):
    return png_file(png_header(8, 4, **header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND"))


@pytest.mark.parametrize(
    ("header", "needed_bytes"),
    [
        ({}, 4 * 25),
        ({"depth": 16}, 4 * 49),
        ({"colour": 0, "depth": 1}, 4 * 2),
        ({"colour": 4}, 4 * 17),
        ({"colour": 6, "depth": 16}, 4 * 65),
        ({"colour": 0, "interlace": 1}, 32 + 8),
    ],
)
def test_the_pixel_data_of_a_png_has_the_size_that_its_header_implies(header, needed_bytes):
    assert decode(png_of(bytes(needed_bytes), **header)).shape == (4, 8, 3)
    with pytest.raises(UndecodableImageError, match="too early"):
        decode(png_of(bytes(needed_bytes - 1), **header))
    with pytest.raises(PayloadTooLargeError, match="inflates"):
        decode(png_of(bytes(needed_bytes + 5000), **header))


@pytest.mark.parametrize(
    "file",
    [
        png_file(png_header(8, 4, depth=3), png_chunk(b"IDAT"), png_chunk(b"IEND")),
        png_file(png_header(8, 4), png_chunk(b"IEND")),
        png_file(png_header(8, 4), png_header(8, 4), png_chunk(b"IDAT"), png_chunk(b"IEND")),
        png_file(png_header(8, 4), png_chunk(b"NEWx"), png_chunk(b"IDAT"), png_chunk(b"IEND")),
        png_file(png_header(8, 4), png_chunk(b"PLTE", bytes(769)), png_chunk(b"IDAT"), png_chunk(b"IEND")),
        png_of(bytes(100)).replace(b"IEND", b"IENd"),
        riff(vp8x(41, 30), SEEDS["lossy.webp"][12:]),
        riff(vp8x(40, 30)),
        riff(vp8x(40, 30), riff_chunk(b"ANMF", bytes(10))),
        SEEDS["lossy.webp"][:4] + b"\xff\xff\xff\x7f" + SEEDS["lossy.webp"][8:],
    ],
)
def test_a_malformed_container_is_refused(file):
    with pytest.raises(UndecodableImageError):
        decode(file)


def test_an_animated_webp_that_does_not_fill_its_canvas_is_unsupported():
    file = bytearray(animated_webp(SEEDS["lossy.webp"], SEEDS["lossy.webp"]))
    file[24] += 1

    with pytest.raises(UnsupportedMediaTypeError, match="canvas"):
        decode(bytes(file))


def test_a_lossless_webp_is_limited_by_its_table_memory():
    noise = np.frombuffer(random.Random(1).randbytes(1280 * 720 * 3), np.uint8).reshape(720, 1280, 3)

    with pytest.raises(PayloadTooLargeError, match="lossless"):
        decode(encode(noise, ".webp"))
    assert decode(encode(noise[:480, :640], ".webp")).shape == (480, 640, 3)
