"""Write maps as a video whose frames keep their presentation times."""

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from gaze_core.types import SaliencyMap

_TIME_BASE = Fraction(1, 60_000)  # exact for 24, 25, 30, 50, 60 and their NTSC variants; MPEG-4 allows up to 65535
_MIN_STEP = 60  # Matroska rounds to 1 ms, and no two frames may share a time


@contextlib.contextmanager
def open_map_video(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[SaliencyMap, float], None]]:
    """Yield a function that writes a uint8 map and its presentation time in seconds.

    Args:
        path: `.mkv` (FFV1, lossless) or `.mp4` (MPEG-4, lossy).
        size: Height and width of the maps.
        fps: Frame rate that the file states.

    Raises:
        OSError: The file cannot be written.
    """
    import av  # noqa: PLC0415  takes a tenth of a second

    is_lossless = path.suffix.lower() == ".mkv"
    previous = -_MIN_STEP
    try:
        with av.open(str(path.resolve()), "w") as container:
            rate = Fraction(fps).limit_denominator(1001)
            stream = container.add_stream("ffv1" if is_lossless else "mpeg4", rate=rate)
            stream.height, stream.width = size
            stream.pix_fmt = "gray" if is_lossless else "yuv420p"
            stream.codec_context.time_base = _TIME_BASE
            if not is_lossless:
                stream.bit_rate = 4_000_000

            def write(pixels: SaliencyMap, time_s: float) -> None:
                nonlocal previous
                frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format=stream.pix_fmt)
                previous = frame.pts = max(round(time_s / _TIME_BASE), previous + _MIN_STEP)
                frame.time_base = _TIME_BASE
                container.mux(stream.encode(frame))

            yield write
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise OSError(f"cannot write a video to {path}: {error.strerror}") from error
