"""Decoding images."""

import struct

import numpy as np
import pytest

from func.errors import PayloadTooLargeError, UndecodableImageError, UnsupportedMediaTypeError
from func.web.images import ImageHeader, decode_image, read_image_header
from tests.http.image_files import encode, jpeg_claiming, make_image, make_pixels, png_claiming, webp_claiming

PLENTY = 10_000_000


def orange(width_px=48, height_px=32):
    return np.full((height_px, width_px, 3), (240, 120, 20), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_an_image_becomes_rgb(suffix):
    frame = decode_image(encode(orange(), suffix), max_pixels=PLENTY)

    assert (frame.dtype, frame.shape) == (np.uint8, (32, 48, 3))
    assert frame[16, 24] == pytest.approx([240, 120, 20], abs=4)


def test_greyscale_is_copied_to_three_channels():
    frame = decode_image(encode(np.full((4, 4), 77, np.uint8), ".png"), max_pixels=PLENTY)

    assert frame[0, 0].tolist() == [77, 77, 77]


def test_transparency_is_removed():
    pixels = np.dstack([orange(), np.full((32, 48), 10, np.uint8)])

    assert decode_image(encode(pixels, ".png"), max_pixels=PLENTY)[0, 0].tolist() == [240, 120, 20]


def test_sixteen_bits_are_reduced_to_eight():
    frame = decode_image(encode(np.full((4, 4), 0x4DFF, np.uint16), ".png"), max_pixels=PLENTY)

    assert frame.dtype == np.uint8
    assert frame[0, 0, 0] in {0x4D, 0x4E}


def test_an_exif_orientation_is_applied():
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    image = encode(orange(width_px=48, height_px=32))
    turned = image[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + image[2:]

    assert decode_image(turned, max_pixels=PLENTY).shape == (48, 32, 3)


@pytest.mark.parametrize(("suffix", "image_format"), [(".jpg", "jpeg"), (".png", "png"), (".webp", "webp")])
def test_format_and_size_are_read_from_the_header(suffix, image_format):
    data = encode(make_pixels(width_px=322, height_px=123), suffix)

    assert read_image_header(data) == ImageHeader(image_format, 322, 123)


def test_the_size_of_a_lossy_webp_is_read():
    image = bytearray(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 1 << 14, 480))

    assert read_image_header(bytes(image)) == ImageHeader("webp", 640, 480)


def test_the_size_of_an_extended_webp_is_its_canvas():
    image = b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + (999).to_bytes(3, "little") + bytes(3)

    assert read_image_header(image) == ImageHeader("webp", 1000, 1)


def test_fill_bytes_and_markers_without_length_do_not_hide_the_size_of_a_jpeg():
    image = make_image(width_px=64, height_px=48)

    assert read_image_header(image[:2] + b"\xff\x01\xff\xff" + image[2:]) == ImageHeader("jpeg", 64, 48)


@pytest.mark.parametrize("claim", [jpeg_claiming, png_claiming, webp_claiming])
def test_a_bomb_is_refused_by_its_header(claim):
    with pytest.raises(PayloadTooLargeError):
        decode_image(claim(16_000, 16_000), max_pixels=PLENTY)


def test_the_limit_itself_is_allowed():
    assert decode_image(encode(orange(40, 25)), max_pixels=1000).shape == (25, 40, 3)
    with pytest.raises(PayloadTooLargeError):
        decode_image(encode(orange(40, 26)), max_pixels=1000)


@pytest.mark.parametrize("size", [{"width_px": 1, "height_px": 16_384}, {"width_px": 16_384, "height_px": 1}])
def test_a_side_that_would_make_mediapipe_abort_is_refused(size):
    with pytest.raises(PayloadTooLargeError):
        decode_image(make_image(".png", **size), max_pixels=PLENTY)


def test_a_jpeg_of_a_thousand_scans_is_refused():
    image = make_image()

    with pytest.raises(PayloadTooLargeError):
        decode_image(image[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 1000, max_pixels=PLENTY)


@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a", b"RIFF\0\0\0\0WAVE", b"II*\0", b"\0\0\0\x0cjP  "])
def test_other_formats_are_unsupported(data):
    with pytest.raises(UnsupportedMediaTypeError):
        decode_image(data, max_pixels=PLENTY)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_image_is_refused(suffix, share):
    data = make_image(suffix)

    with pytest.raises(UndecodableImageError):
        decode_image(data[: max(12, int(share * len(data)))], max_pixels=PLENTY)


@pytest.mark.parametrize(
    "data",
    [
        jpeg_claiming(0, 10),
        png_claiming(0, 10),
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xd8",
        b"\xff\xd8\xff\xe0\x00\x00" * 3,
        b"\x89PNG\r\n\x1a\n" + bytes(30),
        b"RIFF\0\0\0\0WEBPABCD" + bytes(30),
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(30),
    ],
)
def test_a_broken_header_is_refused(data):
    with pytest.raises(UndecodableImageError):
        decode_image(data, max_pixels=PLENTY)
