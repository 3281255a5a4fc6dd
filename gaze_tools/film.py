"""Read films frame by frame, with presentation times, through PyAV (FFmpeg).

Times are on the timeline of a browser's `currentTime`. Measured with Chromium: MP4, WebM and Ogg files play on the
timeline of the file, so that a first frame at 0.5 s is shown from 0.5 s on; edit lists apply. Other containers, such as
MPEG-TS, start at an arbitrary time, so time 0 is the start of their earliest stream.

AVI has no presentation times, and FFmpeg's guess is wrong where frames are reordered. Frames leave the decoder in order
of presentation, one for each packet, so the distances between decoding times are used there.
"""

import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.film_times import FilmTimes, make_times, usual_step_s

if TYPE_CHECKING:
    import av
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_BROWSER_FORMATS = {"mov", "mp4", "matroska", "webm", "ogg"}
DISCONTINUITY_S = 1.0  # a time that falls further starts a new timeline, as in joined MPEG-TS files
_MAX_READ_FAILURES = 50
_UNSTATED_MATRIX = 2  # FFmpeg's AVCOL_SPC_UNSPECIFIED
_PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"}
"""Formats that only name other files, which a film of unknown origin must not open."""

_MAX_PIXEL_ASPECT = 4.0  # anamorphic films have up to 2


class NotAFilmError(OSError):
    """A file without a moving image that can be decoded.

    Attributes:
        kind: What it is instead.
    """

    def __init__(self, message: str, kind: "NotAFilmKind") -> None:
        super().__init__(message)
        self.kind = kind


class NotAFilmKind(StrEnum):
    """What a file is that is not a film."""

    UNREADABLE = "unreadable"
    """No container that FFmpeg knows, or a damaged one."""
    STILL_IMAGE = "still-image"
    NO_VIDEO = "no-video"
    """Sound or subtitles only."""
    UNKNOWN_CODEC = "unknown-codec"
    NO_FRAME = "no-frame"
    """Not a single frame can be decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmFrame:
    """A frame of a film.

    Attributes:
        number: Frame number, from 1.
        time_s: Presentation time.
    """

    number: int
    time_s: float
    _decoded: "VideoFrame"
    _size: tuple[int, int]  # height and width of the first frame in square pixels, before it is turned
    _reformatter: "VideoReformatter"  # shared by all frames, because setting one up takes longer than a small image

    @property
    def is_grey(self) -> bool:
        """Whether the film is stored in grey."""
        return self._decoded.format.name.startswith("gray")

    @property
    def has_stated_colours(self) -> bool:
        """Whether the film is RGB or states its matrix between RGB and YUV, so that players need not guess it."""
        return bool(self._decoded.format.is_rgb) or int(self._decoded.colorspace) != _UNSTATED_MATRIX

    def rgb(self) -> NDArray[np.uint8]:
        """Return the image as displayed, RGB, shape (height, width, 3)."""
        return _turn(self._convert("rgb24"), self._decoded.rotation)

    def grey(self) -> NDArray[np.uint8]:
        """Return the image as displayed in grey, shape (height, width); grey formats keep their values."""
        if self.is_grey:
            return _turn(self._convert("gray"), self._decoded.rotation)
        return np.asarray(cv2.cvtColor(self.rgb(), cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def _convert(self, pixel_format: str) -> NDArray[np.uint8]:
        height, width = self._size
        # A stream may change its size; all frames get that of the first.
        image = self._reformatter.reformat(self._decoded, width=width, height=height, format=pixel_format, threads=1)
        return np.asarray(image.to_ndarray(), dtype=np.uint8)


class Film:
    """An open film, to be iterated once; created by `open_film`.

    Attributes:
        codec: Name of the video codec.
        pixel_format: FFmpeg's name of the pixel format.
        container: FFmpeg's names of the container format, separated by commas.
        sound: Codec of the sound; None without any.
        fps: Frame rate that the file states; None if it states none.
        stated_frames: Number of frames that the file states or implies, which may be wrong.
        width: Displayed width in pixels.
        height: Displayed height in pixels.
        time_base: Unit of the times in the file, in seconds; 0 if it states none.
    """

    def __init__(self, path: Path, container: "av.container.InputContainer", stream: "VideoStream") -> None:
        """Read the first frame.

        Raises:
            OSError: No frame can be decoded.
        """
        self._path, self._container, self._stream = path, container, stream
        self.codec = stream.codec_context.name
        self.time_base = stream.time_base or Fraction(0)
        self.container = container.format.name
        sound = next(iter(container.streams.audio), None)
        self.sound = None if sound is None or sound.codec_context is None else sound.codec_context.name
        self._rates = [float(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
        self.fps = next((rate for rate in self._rates if 0 < rate < 1000), None)
        self._starts_s = array("d")
        self._last_duration_s = 0.0
        self._other_end_s = 0.0
        self._offset_s = 0.0
        self._has_decoding_times_only = container.format.name == "avi"
        self._failures: list[float] = []
        self._damaged: list[float] = []
        self._disordered: list[float] = []
        self._joints: list[float] = []
        self._without_time = 0
        stream.thread_type = "AUTO"
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise NotAFilmError(
                f"{path} contains no decodable frame (codec {self.codec}); convert it, for example with "
                f"ffmpeg -i {path.name} -c:v libx264 converted.mp4",
                NotAFilmKind.NO_FRAME,
            )
        self._first: VideoFrame | None = first
        self.pixel_format = first.format.name
        self._size = first.height, max(1, round(first.width * _pixel_aspect(stream)))
        is_on_its_side = first.rotation % 180 != 0
        self.height, self.width = self._size[::-1] if is_on_its_side else self._size
        self._origin_s = self._find_origin_s(first)
        length_s = self._seconds(stream.duration) if stream.duration else (container.duration or 0) / 1e6
        self.stated_frames = max(1, stream.frames or round(length_s * (self.fps or 0)))

    @property
    def sound_origin_s(self) -> float:
        """Time of the sound in the file that is position 0; frames of an AVI file leave the decoder late."""
        return 0.0 if self._has_decoding_times_only else self._origin_s

    def __iter__(self) -> Iterator[FilmFrame]:
        """Yield the frames in order of presentation."""
        from av.video.reformatter import VideoReformatter  # noqa: PLC0415  takes a tenth of a second

        reformatter = VideoReformatter()
        while (decoded := self._take()) is not None:
            time_s = self._place(decoded)
            if time_s is None:
                continue
            self._starts_s.append(time_s)
            self._last_duration_s = self._seconds(decoded.duration or 0)
            if decoded.is_corrupt:
                self._damaged.append(time_s)
            yield FilmFrame(len(self._starts_s), time_s, decoded, self._size, reformatter)

    def times(self) -> FilmTimes:
        """Return the timeline of the film, after the last frame was read."""
        starts_s = np.array(self._starts_s)
        step_s = usual_step_s(starts_s) or 1 / (self.fps or 25.0)
        end_s = float(starts_s[-1]) + (self._last_duration_s or step_s)
        warnings = [*self._describe_damage(), *self._describe_ends(starts_s, end_s, step_s)]
        return make_times(
            starts_s,
            end_s=max(end_s, self._other_end_s),
            stated_fps=self._rates,
            warnings=warnings,
            is_damaged=bool(self._failures or self._damaged),
        )

    def _seconds(self, ticks: int) -> float:
        return ticks * self.time_base.numerator / self.time_base.denominator

    def _ticks(self, decoded: "VideoFrame") -> int | None:
        return decoded.dts if self._has_decoding_times_only else decoded.pts

    def _take(self) -> "VideoFrame | None":
        first, self._first = self._first, None
        return first or next(self._decoded, None)

    def _find_origin_s(self, first: "VideoFrame") -> float:
        first_s = self._seconds(self._ticks(first) or 0)
        if self._has_decoding_times_only:
            return first_s
        if _BROWSER_FORMATS & set(self._container.format.name.split(",")):
            return min(0.0, first_s)
        start = cast("int | None", self._container.start_time)
        return first_s if start is None else min(first_s, start / 1e6)

    def _place(self, decoded: "VideoFrame") -> float | None:
        """Return the presentation time of a frame; None for a frame that comes too late to be shown."""
        previous_s = self._starts_s[-1] if self._starts_s else None
        step_s = self._last_duration_s or 1 / (self.fps or 25.0)
        ticks = self._ticks(decoded)
        if ticks is None:
            # The last frames of an AVI file leave the decoder when no packet is left.
            self._without_time += not self._has_decoding_times_only
            return 0.0 if previous_s is None else previous_s + 1 / (self.fps or 25.0)
        time_s = self._seconds(ticks) - self._origin_s + self._offset_s
        if previous_s is None or time_s >= previous_s:
            return max(0.0, time_s)
        if previous_s - time_s <= DISCONTINUITY_S:
            self._disordered.append(time_s)
            return None
        self._joints.append(previous_s)
        self._offset_s += previous_s + step_s - time_s
        return previous_s + step_s

    def _decode(self) -> Iterator["VideoFrame"]:
        import av  # noqa: PLC0415  takes a tenth of a second

        for packet in self._read_packets():
            if packet.stream.index != self._stream.index:
                if packet.pts is not None and packet.time_base is not None:
                    end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._origin_s
                    self._other_end_s = max(self._other_end_s, end_s)
                continue
            if packet.is_corrupt:
                self._damaged.append(self._now_s())
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self._failures.append(self._now_s())
        for _ in range(_MAX_READ_FAILURES):  # frames still in the decoder
            try:
                yield from self._stream.decode(None)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self._failures.append(self._now_s())
            else:
                return

    def _read_packets(self) -> Iterator[Any]:
        import av  # noqa: PLC0415

        self._origin_s = 0.0  # until the first frame is known
        streams = [self._stream, *self._container.streams.audio]
        for _ in range(_MAX_READ_FAILURES):
            try:
                yield from (packet for packet in self._container.demux(streams) if packet.size)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self._failures.append(self._now_s())
            else:
                return

    def _now_s(self) -> float:
        return self._starts_s[-1] if self._starts_s else 0.0

    def _describe_damage(self) -> Iterator[str]:
        for places, what in (
            (self._failures, ("part of the file could not be decoded", "parts of the file could not be decoded")),
            (self._damaged, ("frame or packet is damaged", "frames or packets are damaged")),
            (self._disordered, ("frame came too late and was left out", "frames came too late and were left out")),
        ):
            if places:
                count = len(places)
                yield f"{count} {what[count != 1]}, {_between(places)}."
        if self._joints:
            yield f"The times in the file start again {_between(self._joints)}; the parts were joined."
        if self._without_time:
            yield (
                f"{self._without_time} frames have no presentation time; a constant {self.fps or 25.0:g} frames/s is "
                "assumed."
            )

    def _describe_ends(self, starts_s: NDArray[np.float64], end_s: float, step_s: float) -> Iterator[str]:
        """Yield whether frames are missing at the start or at the end, according to what the file states."""
        start = None if self._has_decoding_times_only else self._stream.start_time
        if start is not None and starts_s[0] - (self._seconds(start) - self._origin_s) > 1.5 * step_s:
            yield f"No frame can be decoded before {starts_s[0]:.2f} s."
        stated_s = self._stated_end_s()
        if stated_s is not None:
            missing_s = stated_s - end_s
        elif self._container.duration:
            missing_s = self._container.duration / 1e6 - max(end_s, self._other_end_s)
        else:
            return
        if missing_s > max(1.5 * step_s, 0.1) and not self._joints:
            yield (
                f"The frames end at {end_s:.2f} s, {missing_s:.2f} s before the end that the file states; it is "
                "truncated or damaged."
            )

    def _stated_end_s(self) -> float | None:
        stream = self._stream
        if stream.duration and stream.start_time is not None:
            return self._seconds(stream.start_time + stream.duration) - self._origin_s
        hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska, as FFmpeg writes it
        minutes, _, seconds = rest.partition(":")
        with contextlib.suppress(ValueError):
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - self._origin_s
        return None


@contextlib.contextmanager
def open_film(path: Path) -> Iterator[Film]:
    """Open a film; its first frame has been decoded.

    Raises:
        OSError: The file does not exist, is not a film, or contains no decodable frame.
    """
    import av  # noqa: PLC0415  takes a tenth of a second

    if not path.is_file():
        raise OSError(f"cannot read {path} as a video: there is no such file")
    try:
        container = av.open(str(path.resolve()), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotAFilmError(f"cannot read {path} as a video: {reason}", NotAFilmKind.UNREADABLE) from error
    with container:
        yield Film(path, container, find_stream(path, container))


def read_times(path: Path) -> FilmTimes:
    """Return the timeline of a film, which is decoded for it.

    Raises:
        OSError: The file does not exist, is not a film, or contains no decodable frame.
    """
    with open_film(path) as film:
        for _ in film:
            pass
        return film.times()


def find_stream(path: Path, container: "av.container.InputContainer") -> "VideoStream":
    """Return the moving image of an open file; OSError if it has none that can be decoded."""
    import av  # noqa: PLC0415

    if container.format.name.endswith(("_pipe", "image2")):
        raise NotAFilmError(
            f"{path} is a still image, which has no duration; make a film of it, for example with "
            f"ffmpeg -loop 1 -t 10 -i {path.name} -vf format=yuv420p film.mp4",
            NotAFilmKind.STILL_IMAGE,
        )
    if _PLAYLISTS & set(container.format.name.split(",")):
        raise NotAFilmError(f"{path} is a list of other files ({container.format.name})", NotAFilmKind.UNREADABLE)
    pictures = av.stream.Disposition.attached_pic
    streams = [each for each in container.streams.video if not each.disposition & pictures]
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    if stream is None:
        others = ", ".join(sorted({each.type for each in container.streams}))
        message = f"{path} contains no video{f', only {others}' if others else '; it may be truncated'}"
        raise NotAFilmError(message, NotAFilmKind.NO_VIDEO if others else NotAFilmKind.UNREADABLE)
    if stream.codec_context is None:
        raise NotAFilmError(
            f"{path} has a codec that cannot be decoded; convert it with ffmpeg -i {path.name} -c:v libx264 film.mp4",
            NotAFilmKind.UNKNOWN_CODEC,
        )
    return stream


def _pixel_aspect(stream: "VideoStream") -> float:
    """Return the width of a pixel in heights, as displayed; 1 if the file states none or an absurd one."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT else 1.0


def _turn(image: NDArray[np.uint8], rotation_deg: int) -> NDArray[np.uint8]:
    """Return an image turned as the display matrix demands; `rotation_deg` is counterclockwise."""
    return np.ascontiguousarray(np.rot90(image, round(rotation_deg / 90) % 4))


def _between(places_s: list[float]) -> str:
    first, last = min(places_s), max(places_s)
    return f"near {first:.2f} s" if last - first < 0.01 else f"between {first:.2f} and {last:.2f} s"
