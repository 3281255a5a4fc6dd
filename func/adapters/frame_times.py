"""Presentation times of a video's frames, as stored in the facts about the video.

The fact `frame_times` is `{count, encoding: "zlib", dtype: "int64", steps_us: Binary}`: the time of frame 1 in
microseconds, then for each further frame the microseconds since the one before, as little-endian 64-bit integers,
compressed. Three hours at 60 frames per second take a few kilobytes if the steps are regular and less than 3 MB if not.
"""

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FRAMES = 8_000_000
"""Limit on the frames of a video: 37 hours at 60 frames per second, 64 MB in memory."""

_MAX_STORED_BYTES = 12 * 1024 * 1024  # the document may have 16 MB
_STEP = np.dtype("<i8")


def encode_times(starts_s: NDArray[np.float64]) -> dict[str, Any]:
    """Return the fact `frame_times` for presentation times of shape (n,), in seconds, from frame 1 on.

    Raises:
        ValueError: There are no times, they fall or are negative, or they do not fit into the facts.
    """
    if not 0 < starts_s.size <= MAX_FRAMES:
        raise ValueError(f"{starts_s.size} frame times cannot be stored: 1 to {MAX_FRAMES} can")
    times_us = np.round(starts_s * 1e6).astype(_STEP)
    if times_us[0] < 0 or (np.diff(times_us) < 0).any():
        raise ValueError("frame times must not be negative and must not fall")
    packed = zlib.compress(np.diff(times_us, prepend=0).astype(_STEP).tobytes(), 9)
    if len(packed) > _MAX_STORED_BYTES:
        raise ValueError(f"the times of {starts_s.size} frames take {len(packed)} bytes, more than fit into the facts")
    return {"count": int(starts_s.size), "encoding": "zlib", "dtype": "int64", "steps_us": packed}


def decode_times(fact: object) -> NDArray[np.float64]:
    """Return the presentation times of a fact `frame_times` in seconds, shape (n,).

    Raises:
        ValueError: The fact is malformed, or the times fall or are negative.
    """
    times_us = np.cumsum(np.frombuffer(_unpack(fact), dtype=_STEP))
    if times_us[0] < 0 or (np.diff(times_us) < 0).any():
        raise ValueError("frame times are negative or fall")
    return np.asarray(times_us / 1e6, dtype=np.float64)


def digest_times(fact: object, duration_s: float | None) -> str:
    """Return the SHA-256, hexadecimal, of the uncompressed steps and the duration in microseconds (8 bytes, too).

    Raises:
        ValueError: The fact is malformed.
    """
    duration_us = round((duration_s or 0.0) * 1e6)
    return hashlib.sha256(_unpack(fact) + duration_us.to_bytes(8, "little", signed=True)).hexdigest()


def _unpack(fact: object) -> bytes:
    if not isinstance(fact, Mapping):
        raise ValueError("frame_times is not a document")  # noqa: TRY004  malformed data
    count, packed = fact.get("count"), fact.get("steps_us")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= MAX_FRAMES:
        raise ValueError(f"frame_times states {count!r} frames")
    if fact.get("encoding") != "zlib" or fact.get("dtype") != "int64" or not isinstance(packed, bytes):
        raise ValueError("frame_times has an unknown encoding")
    unpacker = zlib.decompressobj()
    try:
        steps = unpacker.decompress(packed, count * _STEP.itemsize + 1)
    except zlib.error as error:
        raise ValueError("frame_times cannot be decompressed") from error
    if len(steps) != count * _STEP.itemsize or not unpacker.eof:
        raise ValueError(f"frame_times does not contain {count} times")
    return steps
