"""A damaged image shows nothing of images decoded before; EXIF orientations turn every format."""

import cv2
import numpy as np
import pytest

from func.errors import UndecodableImageError
from func.web.images import decode_image
from tests.corpus.containers import exif, jpeg_segment, jpeg_without_huffman_tables, png_chunk, riff, riff_chunk, vp8x
from tests.http.image_files import encode, make_pixels

WIDTH_PX, HEIGHT_PX = 48, 32
END = b"\xff\xd9"


def decode(data):
    return decode_image(data, max_pixels=10_000_000)


def decode_or_refuse(data):
    try:
        return decode(data).tobytes()
    except UndecodableImageError:
        return None


def jpeg(pixels, *parameters):
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_cut_jpeg_closed_with_an_end_marker_does_not_depend_on_earlier_images(share, progressive):
    whole = jpeg(make_pixels(640, 480), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    scan = whole.index(b"\xff\xda")
    cut = whole[: scan + int(share * (len(whole) - scan))].rstrip(b"\xff") + END

    found = set()
    for level in (0, 90, 255):
        for size in ((480, 640), (960, 1280)):
            decode(jpeg(np.full((*size, 3), level, np.uint8)))
            found.add(decode_or_refuse(cut))

    assert len(found) == 1


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_png_or_webp_is_refused(suffix, share):
    whole = encode(make_pixels(640, 480), suffix)

    with pytest.raises(UndecodableImageError):
        decode(whole[: int(share * len(whole))])


def with_exif(suffix, orientation):
    """Return an image file with and without an EXIF orientation."""
    pixels = make_pixels(WIDTH_PX, HEIGHT_PX)
    if suffix == ".jpg":
        plain = jpeg(pixels)
        return plain, plain[:2] + jpeg_segment(0xE1, b"Exif\0\0" + exif(orientation=orientation)) + plain[2:]
    plain = encode(pixels, suffix)
    if suffix == ".png":
        return plain, plain[:33] + png_chunk(b"eXIf", exif(orientation=orientation)) + plain[33:]
    header = vp8x(WIDTH_PX, HEIGHT_PX, flags=0x08)
    return plain, riff(header, plain[12:], riff_chunk(b"EXIF", exif(orientation=orientation)))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_an_orientation_turns_the_pixels(suffix, orientation, quarter_turns):
    plain, turned = with_exif(suffix, orientation)

    assert np.array_equal(decode(turned), np.rot90(decode(plain), quarter_turns))


def test_a_motion_jpeg_frame_of_a_webcam_decodes_like_the_whole_file():
    whole = jpeg(make_pixels(640, 480))
    without_tables = jpeg_without_huffman_tables(whole)

    assert b"\xff\xc4" not in without_tables[: without_tables.index(b"\xff\xda")]
    assert np.array_equal(decode(without_tables), decode(whole))
