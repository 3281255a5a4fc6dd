"""Frames of a video file with their presentation times, decoded by PyAV: a recording of a viewer's face."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Clip:
    """A video file.

    Attributes:
        path: Path of the file.
        frames: Number of frames, counted without decoding them.
        duration_s: Time from the start of the first frame to the end of the last one.
        codec: Name of the codec, such as `h264`.
    """

    path: Path
    frames: int
    duration_s: float
    codec: str


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """One frame.

    Attributes:
        time_s: Presentation time since the first frame.
        image: RGB, upright, shape (height, width, 3).
    """

    time_s: float
    image: NDArray[np.uint8]


def probe_clip(path: Path) -> Clip:
    """Return the properties of a video file.

    Raises:
        OSError: The file is missing, empty, not a video, or has no frame that can be decoded.
    """
    with _open(path) as (container, stream):
        times = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]
        codec = stream.codec_context.name
        time_base = stream.time_base
        rate = float(stream.average_rate or 0) or 25.0
    first = next(read_clip(path), None)
    if first is None:
        raise OSError(f"{path} contains no frame that can be decoded (codec {codec})")
    if not times or time_base is None:
        # Raw streams have no times.
        count = sum(1 for _ in read_clip(path))
        return Clip(path, count, count / rate, codec)
    start, (last, length) = min(times)[0], max(times)
    duration_s = float((last - start) * time_base) + (float(length * time_base) or 1 / rate)
    return Clip(path, len(times), duration_s, codec)


def read_clip(path: Path) -> Iterator[ClipFrame]:
    """Yield the frames of a video file in the order of presentation.

    Raises:
        OSError: The file cannot be read, possibly in the middle.
    """
    with _open(path) as (container, stream):
        rate = float(stream.average_rate or 0) or 25.0
        start_s: float | None = None
        for number, frame in enumerate(container.decode(stream)):
            time_s = number / rate if frame.pts is None else frame.time
            start_s = time_s if start_s is None else start_s
            image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            yield ClipFrame(time_s - start_s, np.ascontiguousarray(image, dtype=np.uint8))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.stat().st_size:
        raise OSError(f"{path} is empty")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise OSError(f"{path} contains no video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise OSError(f"{path} cannot be read as a video: {error.strerror or type(error).__name__}") from error
