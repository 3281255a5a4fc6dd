"""Make films that every browser plays: VP8 and Opus in WebM, at the times of the film."""

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from gaze_tools.film import DISCONTINUITY_S, open_film

if TYPE_CHECKING:
    from av import AudioResampler
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container.output import OutputContainer

PLAYABLE: dict[str, tuple[str, ...]] = {".mp4": ("h264",), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
"""Codecs that current browsers play, by the suffix of the file."""

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".webm": "webm"}
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
"""8 bits and 4:2:0: not every browser plays others, such as 10-bit H.264."""

_SOUNDS = ("aac", "mp3", "opus", "vorbis", "flac", None)

MAX_WIDTH_PX = 1280
_MILLISECOND = Fraction(1, 1000)
_AUDIO_HZ = 48_000
_FASTEST = {"deadline": "realtime", "cpu-used": "16", "g": "50", "threads": "1"}


def is_playable(path: Path) -> bool:
    """Return whether all current browsers play a film as it is, image and sound.

    Raises:
        OSError: It is not a film.
    """
    suffix = path.suffix.lower()
    with open_film(path) as film:
        return (
            film.codec in PLAYABLE.get(suffix, ())
            and _CONTAINERS[suffix] in film.container.split(",")
            and film.pixel_format in _PIXEL_FORMATS
            and film.sound in _SOUNDS
        )


def convert(path: Path, out: Path, on_frame: Callable[[int], None] = lambda _number: None) -> None:
    """Write a film as WebM, in one step: the file is complete or absent.

    Times are rounded to milliseconds, which the function's search for the frame on screen allows for.

    Args:
        path: Film.
        out: File to write.
        on_frame: Called after each frame with its number.

    Raises:
        OSError: The film cannot be decoded or the file not written.
    """
    import av  # noqa: PLC0415  takes a tenth of a second

    part = out.with_name(f".{out.name}.part")
    try:
        with open_film(path) as film, av.open(str(part), "w", format="webm") as container:
            width = min(MAX_WIDTH_PX, film.width) // 2 * 2
            height = max(2, round(width * film.height / film.width) // 2 * 2)
            stream = container.add_stream("libvpx", rate=round(film.fps or 25), options=_FASTEST)
            stream.width, stream.height, stream.pix_fmt = max(2, width), height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = _MILLISECOND
            stream.bit_rate = 3_000_000
            audio = _AudioCopy(path, container, film.sound_origin_s)
            last_ms = -1
            for frame in film:
                image = av.VideoFrame.from_ndarray(frame.rgb(), format="rgb24")
                image = image.reformat(stream.width, stream.height, "yuv420p")
                last_ms = max(last_ms + 1, round(1000 * frame.time_s))
                image.pts, image.time_base = last_ms, _MILLISECOND
                audio.write_until(frame.time_s)
                container.mux(stream.encode(image))
                on_frame(frame.number)
            container.mux(stream.encode(None))
            audio.finish()
        part.replace(out)
    except av.error.FFmpegError as error:
        raise OSError(error.errno, f"{path.name} cannot be converted: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _make_resampler() -> "AudioResampler":
    from av import AudioResampler  # noqa: PLC0415

    return AudioResampler("s16", "stereo", _AUDIO_HZ)


class _AudioCopy:
    """The sound of a film, encoded as Opus beside its frames; nothing if the film has none.

    Parts of the sound that cannot be decoded are left out.
    """

    def __init__(self, path: Path, container: "OutputContainer", origin_s: float) -> None:
        import av  # noqa: PLC0415

        self._container, self._origin_s = container, origin_s
        self._source = av.open(str(path.resolve()), metadata_errors="replace")
        found = next(
            (each for each in self._source.streams.audio if getattr(each, "codec_context", None) is not None), None
        )
        self._has_audio = found is not None
        if found is not None:
            self._frames = self._decode(found)
            self._resampler, self._format = _make_resampler(), ""
            self._stream = container.add_stream("libopus", rate=_AUDIO_HZ)
        self._reached_s = 0.0
        self._end_s = float("-inf")  # of the frame before, in the times of the file
        self._next_pts = 0

    def write_until(self, time_s: float) -> None:
        """Encode the sound up to a time."""
        while self._has_audio and self._reached_s <= time_s:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._follow_joint(frame)
            described = f"{frame.format.name} {frame.layout.name} {frame.sample_rate}"
            if self._format not in {"", described}:  # a resampler serves one format
                self._flush()
                self._resampler = _make_resampler()
            self._format = described
            for resampled in self._resampler.resample(frame):
                self._write(resampled)

    def finish(self) -> None:
        """Encode the rest and close the film."""
        self.write_until(float("inf"))
        if self._has_audio:
            self._flush()
            self._container.mux(self._stream.encode(None))
        self._source.close()

    def _write(self, sound: "AudioFrame") -> None:
        if sound.pts is not None:
            sound.pts -= round(self._origin_s * _AUDIO_HZ)
            if sound.pts < 0 or sound.pts + sound.samples <= self._next_pts:
                return
            sound.pts = max(sound.pts, self._next_pts)  # times in the file are rounded
            self._next_pts = sound.pts + sound.samples
        self._container.mux(self._stream.encode(sound))

    def _flush(self) -> None:
        if self._format:
            for resampled in self._resampler.resample(None):
                self._write(resampled)

    def _follow_joint(self, frame: "AudioFrame") -> None:
        """Note how far the sound is; where its times start again, it goes on after what was there, as the images do."""
        if frame.time is None:
            return
        if self._end_s - frame.time > DISCONTINUITY_S:
            self._flush()
            self._resampler, self._format = _make_resampler(), ""
            self._origin_s += frame.time - self._end_s
        self._end_s = frame.time + frame.samples / frame.sample_rate
        self._reached_s = max(self._reached_s, frame.time - self._origin_s)

    def _decode(self, stream: "AudioStream") -> Iterator["AudioFrame"]:
        import av  # noqa: PLC0415

        with contextlib.suppress(av.error.FFmpegError):  # the file ends in the middle of a packet
            for packet in self._source.demux(stream):
                with contextlib.suppress(av.error.FFmpegError):
                    yield from packet.decode()
