"""Parts of image files, written by hand."""

import struct
import zlib


def png_chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width_px, height_px, *, depth=8, colour=2, interlace=0):
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, interlace))


def png_file(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_segment(marker, data):
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def riff_chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width_px, height_px, *, flags=0):
    sizes = (width_px - 1).to_bytes(3, "little") + (height_px - 1).to_bytes(3, "little")
    return riff_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sizes)


def exif(*, orientation=None, entries=0, size=0):
    """Return EXIF data with an orientation, or with entries that all describe one long text."""
    if orientation is not None:
        return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    text_at = 8 + 2 + 12 * entries + 4
    directory = struct.pack(">H", entries) + struct.pack(">HHII", 0x010E, 2, size - text_at, text_at) * entries
    return b"MM\0*\0\0\0\x08" + directory + bytes(4) + b"a" * (size - text_at)


def jpeg_without_huffman_tables(image):
    """Return a JPEG as Motion-JPEG cameras send it: with the standard tables, which are left out."""
    at, kept = 2, image[:2]
    while image[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", image, at + 2)
        if image[at + 1] != 0xC4:
            kept += image[at : at + 2 + length]
        at += 2 + length
    return kept + image[at:]
