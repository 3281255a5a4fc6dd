"""Seeded damage to inputs: to their bits, and to the chunks that they consist of."""

import re
import struct
import zlib

NUMBERS = (0, 1, 2, 4, 0x7F, 0xFF, 0x100, 0x3FFF, 0x7FFF, 0xFFFF, 0xFF_FFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)

TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"99999999999999999999999999999999999999999999999999",
    b"NaN",
    b"null",
    b'{"":',
    b"[[",
    b'"frame":',
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r",
    b"\r\n",
    b"--X",
    b"\r\n--X\r\n",
    b"--X--",
    b"Content-Disposition: form-data; name=",
    b";",
    b"=",
    b'name="metadata"',
)


def mutate(random, name, seeds):
    """Return a damaged copy of a seed.

    Args:
        random: Where all chance comes from.
        name: Name of the seed.
        seeds: All of them: name to kind and bytes.
    """
    data = seeds[name][1]
    if random.random() < 0.5:
        split, join = _FORMATS.get(name.rpartition(".")[2], (_split_text, b"".join))
        others = [seed for seed in seeds if seed.rpartition(".")[2] == name.rpartition(".")[2]]
        chunks = split(data)
        for _ in range(random.randint(1, 3)):
            _damage_chunks(random, chunks, split(seeds[random.choice(others)][1]))
        data = join(chunks) if random.random() < 0.8 else b"".join(chunks)
    if random.random() < 0.6:
        data = _damage_bytes(random, data)
    return data


def _damage_chunks(random, chunks, others):
    if not chunks:
        return
    at = random.randrange(len(chunks))
    match random.randrange(6):
        case 0:
            chunks[at:at] = [chunks[at]] * random.choice((1, 2, 40, 1500))
        case 1:
            del chunks[at]
        case 2:
            chunks.insert(at, random.choice(others))
        case 3:
            other = random.randrange(len(chunks))
            chunks[at], chunks[other] = chunks[other], chunks[at]
        case _:
            chunks[at] = _damage_bytes(random, chunks[at])


def _damage_bytes(random, data):
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        match random.randrange(8):
            case 0 | 1:
                if data:
                    data[at % len(data)] ^= 1 << random.randrange(8)
            case 2:
                number = random.choice(NUMBERS)
                layout = random.choice((">I", "<I", ">H", "<H", "B"))
                data[at : at + struct.calcsize(layout)] = struct.pack(layout, number % 256 ** struct.calcsize(layout))
            case 3:
                del data[at:]
            case 4:
                del data[at : at + random.choice((1, 4, 100))]
            case 5:
                data[at:at] = data[at : at + random.choice((1, 16, 500))] * random.choice((1, 2, 50))
            case 6:
                data[at:at] = random.choice(TOKENS) * random.choice((1, 1, 3, 3000))
            case 7:
                data[at:at] = random.randbytes(random.choice((1, 4, 64)))
    return bytes(data)


def _split_png(data):
    chunks, at = [data[:8]], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append(data[at : at + 12 + size])
        at += 12 + size
    return chunks


def _join_png(chunks):
    """Checksums fit again, so that a decoder reads on."""
    return b"".join(
        chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4])) if len(chunk) >= 12 else chunk for chunk in chunks
    )


def _split_jpeg(data):
    return re.split(rb"(?=\xff[^\x00\xff])", data)


def _split_webp(data):
    chunks, at = [data[:12]], 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        chunks.append(data[at : at + 8 + size + size % 2])
        at += 8 + size + size % 2
    return chunks


def _join_webp(chunks):
    data = b"".join(chunks)
    return data[:4] + struct.pack("<I", max(0, len(data) - 8)) + data[8:]


def _split_text(data):
    return re.split(rb'(?=[\[\]{},:"\n])', data)


_FORMATS = {
    "png": (_split_png, _join_png),
    "jpg": (_split_jpeg, b"".join),
    "webp": (_split_webp, _join_webp),
}
