"""Single frames of a film whose timeline is known, without decoding all that comes before them."""

import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
            found = _find_stamps(container, stream, starts_s)
            if found is None:
                return None
            stamps, keys = found
            decoder = _Decoder(container, stream, keys)
            for number in sorted({each for each in numbers if 1 <= each <= stamps.size}):
                decoded = decoder.find(int(stamps[number - 1]))
                if decoded is None:
                    return None
                before_turn = size[::-1] if decoded.rotation % 180 else size
                frame = FilmFrame(number, float(starts_s[number - 1]), decoded, before_turn, VideoReformatter())
                frames[number] = frame.rgb()
    except av.error.FFmpegError:
        return None
    return frames


@dataclass(frozen=True, slots=True)
class _Key:
    """Time stamps of a key frame.

    Attributes:
        shown: Time of its presentation.
        read: Time by which it is found in the file.
    """

    shown: int
    read: int


def _find_stamps(
    container: "av.container.InputContainer", stream: "VideoStream", starts_s: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[_Key]] | None:
    """Return the time stamps of all frames and the key frames, in order of presentation.

    Returns None if the time stamps do not fit the timeline.
    """
    stamps, keys = [], []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard:
            return None
        stamps.append(packet.pts)
        if packet.is_keyframe:
            keys.append(_Key(packet.pts, packet.pts if packet.dts is None else packet.dts))
    ordered = np.sort(np.array(stamps, dtype=np.int64))
    if ordered.size != starts_s.size or not stream.time_base or (np.diff(ordered) <= 0).any():
        return None
    shown_s = (ordered - ordered[0]) * float(stream.time_base)
    differences_s = np.abs(shown_s - (starts_s - starts_s[0]))
    if float(differences_s.max()) > _SAME_WITHIN_S:
        return None
    return ordered, sorted(keys, key=lambda key: key.shown)


class _Decoder:
    """Decodes from the key frame before a frame, or goes on from the frame before, so that nothing is decoded twice."""

    def __init__(self, container: "av.container.InputContainer", stream: "VideoStream", keys: Sequence[_Key]) -> None:
        self._container, self._stream, self._keys = container, stream, keys
        self._key: _Key | None = None
        self._frames: Iterator[VideoFrame] = iter(())

    def find(self, stamp: int) -> "VideoFrame | None":
        """Return the frame with a time stamp, later than that before; None if it cannot be decoded without damage."""
        place = bisect.bisect_right(self._keys, stamp, key=lambda key: key.shown)
        if not place:
            return None
        if self._keys[place - 1] != self._key:
            self._key = self._keys[place - 1]
            self._frames = self._decode_from(self._key)
        for decoded in self._frames:
            if decoded.pts is None or decoded.pts > stamp or decoded.is_corrupt:
                return None
            if decoded.pts == stamp:
                return decoded
        return None

    def _decode_from(self, key: _Key) -> "Iterator[VideoFrame]":
        """Yield the frames from a key frame on; none if the decoder does not begin with it."""
        self._container.seek(key.read, stream=self._stream, backward=True)
        is_reached = has_begun = False
        for packet in self._container.demux(self._stream):
            # Some formats are searched inaccurately, and decoders without the key frame invent one.
            is_reached = is_reached or packet.pts == key.shown
            for decoded in packet.decode() if is_reached else ():
                if decoded.pts is not None and decoded.pts < key.shown:
                    continue  # it needs frames before the key frame
                if not has_begun and not (decoded.pts == key.shown and decoded.key_frame):
                    return
                has_begun = True
                yield decoded
