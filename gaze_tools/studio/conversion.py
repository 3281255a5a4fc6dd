"""Make films that every browser plays: VP8 and Opus in WebM, at the times of the film."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from gaze_tools.film import open_film

PLAYABLE: dict[str, tuple[str, ...]] = {".mp4": ("h264",), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
"""Codecs that current browsers play, by the suffix of the file."""

MAX_WIDTH_PX = 1280
_MILLISECOND = Fraction(1, 1000)
_AUDIO_HZ = 48_000
_FASTEST = {"deadline": "realtime", "cpu-used": "16", "g": "50", "threads": "1"}


def is_playable(path: Path) -> bool:
    """Return whether browsers play a film as it is.

    Raises:
        OSError: It is not a film.
    """
    with open_film(path) as film:
        return film.codec in PLAYABLE.get(path.suffix.lower(), ())


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
            audio = _AudioCopy(path, container)
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
        raise OSError(f"{path.name} cannot be converted: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


class _AudioCopy:
    """The sound of a film, encoded as Opus beside its frames; nothing if the film has none."""

    def __init__(self, path: Path, container: "av.container.OutputContainer") -> None:  # type: ignore[name-defined]  # noqa: F821
        import av  # noqa: PLC0415

        self._container = container
        self._source = av.open(str(path.resolve()), metadata_errors="replace")
        self._has_audio = bool(self._source.streams.audio)
        if self._has_audio:
            self._frames = self._source.decode(self._source.streams.audio[0])
            self._resampler = av.AudioResampler("s16", "stereo", _AUDIO_HZ)
            self._stream = container.add_stream("libopus", rate=_AUDIO_HZ)
        self._reached_s = 0.0

    def write_until(self, time_s: float) -> None:
        """Encode the sound up to a time."""
        while self._has_audio and self._reached_s <= time_s:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._reached_s = max(self._reached_s, float(frame.time or 0.0))
            for resampled in self._resampler.resample(frame):
                self._container.mux(self._stream.encode(resampled))

    def finish(self) -> None:
        """Encode the rest and close the film."""
        self.write_until(float("inf"))
        if self._has_audio:
            for resampled in self._resampler.resample(None):
                self._container.mux(self._stream.encode(resampled))
            self._container.mux(self._stream.encode(None))
        self._source.close()
