"""Films that viewers upload: received in parts, checked, and rejected with advice on what to do."""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gaze_tools.film import NotAFilmError, NotAFilmKind
from gaze_tools.saliency.compute import Video, probe_video
from gaze_tools.studio.problems import StudioError, bad_request

MAX_FILM_BYTES = 2 * 2**30
MAX_FILM_S = 3 * 3600
MAX_FILM_PIXELS = 8192 * 4320
"""Size of an image in 8K. Files of a few kB can have images that take gigabytes when they are decoded."""


_BLOCK_BYTES = 2**20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_REFUSALS = {
    NotAFilmKind.UNREADABLE: (
        "not-a-film",
        "This file is not a film, or its beginning is damaged. Open it in a video player; copy it again if that fails.",
    ),
    NotAFilmKind.STILL_IMAGE: ("still-image", "This file is a still image. Choose a film."),
    NotAFilmKind.NO_VIDEO: ("no-video", "This file has sound but no moving image. Choose a film."),
    NotAFilmKind.UNKNOWN_CODEC: (
        "unknown-codec",
        "This film uses a codec that cannot be decoded here. Save it as MP4 with H.264.",
    ),
    NotAFilmKind.NO_FRAME: (
        "no-frame",
        "No image of this film can be decoded. Open it in a video player; copy it again if that fails.",
    ),
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A film that has arrived completely.

    Attributes:
        path: Temporary file.
        sha256: SHA-256, hexadecimal.
        video: Its properties.
    """

    path: Path
    sha256: str
    video: Video


@contextlib.contextmanager
def receive(stream: BinaryIO, directory: Path, suffix: str) -> Iterator[Upload]:
    """Receive a film into a temporary file, which is removed in the end.

    Args:
        stream: The film's bytes.
        directory: Directory for the file.
        suffix: Suffix of the file, with its dot.

    Raises:
        StudioError: It is not a film, it is too large or too long, or the disk is full.
    """
    handle, name = tempfile.mkstemp(dir=directory, prefix="upload-", suffix=suffix)
    path = Path(name)
    try:
        with report_full_disk():
            with os.fdopen(handle, "wb") as file:
                sha256 = _copy(stream, file)
            yield Upload(path, sha256, _probe(path))
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def report_full_disk() -> Iterator[None]:
    """Translate the error of a full disk."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise refuse_full_disk() from error


def refuse_full_disk() -> StudioError:
    """Return the error for a disk without room."""
    detail = "The studio's disk is full. Remove films or free some space."
    return StudioError(507, "disk-full", "Disk full", detail)


def is_disk_full(error: OSError) -> bool:
    """Return whether an error means that there is no room left for a file."""
    return error.errno in _FULL


def refuse_size() -> StudioError:
    """Return the error for a film that is too large."""
    detail = f"The film is larger than {MAX_FILM_BYTES >> 30} GiB. Cut it, or save it in a smaller size."
    return StudioError(413, "too-large", "Too large", detail)


def _copy(stream: BinaryIO, file: BinaryIO) -> str:
    """Copy a stream to a file and return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(_BLOCK_BYTES):
        size += len(block)
        if size > MAX_FILM_BYTES:
            raise refuse_size()
        digest.update(block)
        file.write(block)
    if not size:
        raise bad_request("The file is empty.")
    return digest.hexdigest()


def _probe(path: Path) -> Video:
    try:
        video = probe_video(path)
    except NotAFilmError as error:
        slug, detail = _REFUSALS[error.kind]
        raise StudioError(415, slug, "Not a film", detail) from error
    if video.width * video.height > MAX_FILM_PIXELS:
        detail = f"The images of this film have {video.width}×{video.height} pixels. Save it in a smaller size."
        raise StudioError(413, "too-large-images", "Too large images", detail)
    if video.stated_frames / (video.fps or 25.0) > MAX_FILM_S:
        detail = f"The film is longer than {MAX_FILM_S // 3600} hours. Cut it."
        raise StudioError(413, "too-long", "Too long", detail)
    return video
