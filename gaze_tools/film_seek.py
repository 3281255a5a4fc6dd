"""Single frames of a film whose timeline is known, without decoding all that comes before them."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gaze_tools.film import FilmFrame, find_stream, open_film

if TYPE_CHECKING:
    import av
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SAME_WITHIN_S = 0.001


def seek_frames(
    path: Path, numbers: Collection[int], starts_s: NDArray[np.float64]
) -> dict[int, NDArray[np.uint8]] | None:
    """Return some frames of a film, RGB, by frame number; None if only decoding the whole film finds them reliably.

    That is so if the packets of the file are not exactly the frames of the known timeline, or a frame is damaged.

    Args:
        path: Film.
        numbers: Frame numbers, from 1; those beyond the end are left out.
        starts_s: Presentation time of each frame as an earlier decoding of the whole film found it, shape (n,).

    Raises:
        OSError: The file does not exist, is not a film, or contains no decodable frame.
    """
    import av  # noqa: PLC0415  takes a tenth of a second
    from av.video.reformatter import VideoReformatter  # noqa: PLC0415

    with open_film(path) as film:
        size, is_avi = (film.height, film.width), film.container == "avi"
    if is_avi:  # has no presentation times
        return None
    frames: dict[int, NDArray[np.uint8]] = {}
    try:
        with av.open(str(path.resolve()), metadata_errors="replace") as container:
            stream = find_stream(path, container)
            stamps = _find_stamps(container, stream, starts_s)
            if stamps is None:
                return None
            for number in sorted(each for each in numbers if 1 <= each <= stamps.size):
                decoded = _decode_at(container, stream, int(stamps[number - 1]))
                if decoded is None:
                    return None
                before_turn = size[::-1] if decoded.rotation % 180 else size
                frame = FilmFrame(number, float(starts_s[number - 1]), decoded, before_turn, VideoReformatter())
                frames[number] = frame.rgb()
    except av.error.FFmpegError:
        return None
    return frames


def _find_stamps(
    container: "av.container.InputContainer", stream: "VideoStream", starts_s: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Return the time stamps of all frames in order of presentation; None if they do not fit the timeline."""
    stamps = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard:
            return None
        stamps.append(packet.pts)
    ordered = np.sort(np.array(stamps, dtype=np.int64))
    if ordered.size != starts_s.size or not stream.time_base or (np.diff(ordered) <= 0).any():
        return None
    shown_s = (ordered - ordered[0]) * float(stream.time_base)
    differences_s = np.abs(shown_s - (starts_s - starts_s[0]))
    return ordered if float(differences_s.max()) <= _SAME_WITHIN_S else None


def _decode_at(container: "av.container.InputContainer", stream: "VideoStream", stamp: int) -> "VideoFrame | None":
    """Return the frame with a time stamp; None if it cannot be decoded without damage."""
    container.seek(stamp, stream=stream, backward=True)
    for decoded in container.decode(stream):
        if decoded.pts is None or decoded.pts > stamp:
            return None
        if decoded.pts == stamp:
            return None if decoded.is_corrupt else decoded
    return None
