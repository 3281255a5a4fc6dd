"""Frames of a recording of a viewer's face with their presentation times."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze_tools.film import open_film, read_times


@dataclass(frozen=True, slots=True)
class ViewerClip:
    """A video file.

    Attributes:
        path: Path of the file.
        frames: Number of frames that can be decoded.
        duration_s: Time from the start of the first frame to the end of the last one.
    """

    path: Path
    frames: int
    duration_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """One frame.

    Attributes:
        time_s: Presentation time since the first frame.
        image: RGB, upright, shape (height, width, 3).
    """

    time_s: float
    image: NDArray[np.uint8]


def probe_clip(path: Path) -> ViewerClip:
    """Return the properties of a video file, which is decoded for it.

    Raises:
        OSError: The file is missing, empty, not a video, or has no frame that can be decoded.
    """
    if path.is_file() and not path.stat().st_size:
        raise OSError(f"{path} is empty")
    times = read_times(path)
    return ViewerClip(path, len(times.starts_s), times.duration_s - float(times.starts_s[0]))


def read_clip(path: Path) -> Iterator[ClipFrame]:
    """Yield the frames of a video file in the order of presentation.

    Raises:
        OSError: The file cannot be read, possibly in the middle.
    """
    start_s: float | None = None
    with open_film(path) as film:
        for frame in film:
            start_s = frame.time_s if start_s is None else start_s
            yield ClipFrame(frame.time_s - start_s, frame.rgb())
