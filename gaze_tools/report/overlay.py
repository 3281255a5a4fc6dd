"""The overlay video: a film with the gaze of a session on it."""

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.film import Film, open_film
from gaze_tools.film_times import FilmTimes, usual_step_s
from gaze_tools.report.examination import Report
from gaze_tools.report.gaze_on_film import GazeOnFilm
from gaze_tools.report.overlay_paint import paint_gaze
from gaze_tools.report.sound import SoundCopy

if TYPE_CHECKING:
    import av

MAX_DIFFERENCE_S = 0.1
"""Largest difference between the lengths of film and maps, or the time for which a map is held if that is longer."""

_QUALITY = {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": "10"}
_CONTAINER = {"movflags": "+faststart", "movie_timescale": "90000"}  # a late start is not rounded to milliseconds
_EXACT_S = 1e-4
_FINE = Fraction(1, 90_000)
_BT709 = 1


@dataclass(frozen=True, slots=True)
class OverlayVideo:
    """An overlay video.

    Attributes:
        path: File.
        frames: Number of its frames.
        sound_left_out: Which sound of the film it lacks and why; None if it has all of it.
    """

    path: Path
    frames: int
    sound_left_out: str | None


def check_overlay_path(
    path: Path, *, sources: Iterable[Path] = (), made: Path | None = None, overwrite: bool = False
) -> None:
    """Check that an overlay video can be written.

    Args:
        path: File to write.
        sources: Files that it must not replace.
        made: Directory that will be made.
        overwrite: Whether it may replace an existing file.

    Raises:
        ValueError: The suffix is not `.mp4`, or the file is one of the sources.
        OSError: The file exists and may not be replaced, or its directory is missing or not writable.
    """
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"the overlay {path} must be an .mp4 file")
    if path.is_dir():
        raise IsADirectoryError(f"the overlay {path} is a directory")
    if any(path.exists() and source.exists() and path.samefile(source) for source in sources):
        raise ValueError(f"the overlay {path} would replace a file that it is made from")
    if path.exists() and not overwrite:
        raise FileExistsError(f"the overlay {path} exists already; remove it or choose another name")
    directory = path.parent
    if not directory.is_dir() and (made is None or directory.resolve() != made.resolve()):
        raise FileNotFoundError(f"the directory of the overlay {path} does not exist")
    if directory.is_dir() and not os.access(directory, os.W_OK):
        raise PermissionError(f"the directory of the overlay {path} is not writable")


def name_beside(overlay: Path | None, out: Path) -> str | None:
    """Return the name of an overlay video in the directory of the report, to link to it; None if it is elsewhere."""
    return overlay.name if overlay is not None and overlay.parent.resolve() == out.resolve() else None


def find_part(path: Path) -> Path:
    """Return the file that holds an overlay video until it is complete."""
    return path.with_name(f".{path.name}.part")


def check_film_fits(report: Report, times: FilmTimes) -> None:
    """Check that a film is as long as the maps of the session's video.

    Raises:
        ValueError: It is not. Without maps, its length is unknown, and every film fits.
    """
    if report.film_s is None:
        return
    # A film may end with its last image or with its sound, and imported maps know the images only.
    images_s = float(times.starts_s[-1]) + (usual_step_s(times.starts_s) or 1 / times.fps)
    difference_s = min(abs(each - report.film_s) for each in (times.duration_s, images_s))
    if difference_s > max(MAX_DIFFERENCE_S, report.held_s):
        raise ValueError(
            f"the film lasts {times.duration_s:.1f} s, but the maps of {report.video_id} are those of a film of "
            f"{report.film_s:.1f} s; give the film that was watched"
        )


def write_overlay(
    report: Report,
    film: Path,
    times: FilmTimes,
    path: Path,
    *,
    on_frame: Callable[[int], None] = lambda _number: None,
) -> OverlayVideo:
    """Write a film with the gaze on it, in one step: the file is complete or absent.

    It has the frames of the film at the same times, as displayed: turned as the film demands and with square pixels. A
    side with an odd number of pixels gets one more, because H.264 needs even ones. Images are streamed, so memory
    hardly grows with the film.

    Args:
        report: Report on the session.
        film: Film that was watched.
        times: Its timeline, from `read_times`.
        path: MP4 file to write; an existing one is replaced.
        on_frame: Called after each frame with its number.

    Raises:
        OSError: The film cannot be read, or the file not written.
        ValueError: The film is not as long as the maps.
    """
    import av  # noqa: PLC0415  takes a tenth of a second

    check_film_fits(report, times)
    gaze = GazeOnFilm(report, times)
    part = find_part(path)
    try:
        with (
            open_film(film) as source,
            av.open(str(part), "w", format="mp4", options=_CONTAINER) as container,
            contextlib.ExitStack() as stack,
        ):
            encoder = _Encoder(container, source, times)
            sound = stack.enter_context(contextlib.closing(SoundCopy(film, container, source.sound_origin_s)))
            frames = 0
            for frame in source:
                image = frame.rgb()
                paint_gaze(image, gaze.at(frame.number))
                sound.write_until(frame.time_s)
                encoder.write(image, frame.time_s, has_stated_colours=frame.has_stated_colours)
                frames = frame.number
                on_frame(frames)
            encoder.finish()
            sound.finish()
        part.replace(path)
    except av.error.FFmpegError as error:
        raise OSError(error.errno, f"the overlay {path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return OverlayVideo(path, frames, sound.left_out)


class _Encoder:
    """Encodes images as H.264 at their times."""

    def __init__(self, container: "av.container.OutputContainer", film: Film, times: FilmTimes) -> None:
        from av.video.reformatter import VideoReformatter  # noqa: PLC0415

        self._container = container
        self._time_base = _find_time_base(film, times)
        last_s = usual_step_s(times.starts_s) or 1 / times.fps
        ticks = np.append(np.diff(times.starts_s), last_s) / float(self._time_base)
        self._durations = np.maximum(np.rint(ticks), 1).astype(np.int64)
        rate = Fraction(min(max(times.fps, 0.01), 1000.0)).limit_denominator(1001)
        self._stream = container.add_stream("libx264", rate=rate, options=_QUALITY)
        self._stream.height, self._stream.width = (each + each % 2 for each in (film.height, film.width))
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = self._time_base
        self._reformatter = VideoReformatter()
        self._matrix: int | None = None
        self._last = -1
        self._written = 0

    def write(self, image: NDArray[np.uint8], time_s: float, *, has_stated_colours: bool) -> None:
        """Encode an image; the first one decides whether the file states its colours.

        If the film does not, players guess them by the size of the image, and have to make the same guess here.
        """
        import av  # noqa: PLC0415

        height, width = image.shape[:2]
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._last < 0 and has_stated_colours:
            self._matrix = self._stream.codec_context.colorspace = _BT709
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.asarray(even, dtype=np.uint8), format="rgb24"),
            width=self._stream.width,
            height=self._stream.height,
            format="yuv420p",
            dst_colorspace=self._matrix,
            threads=1,
        )
        # Frames at the same time need different ones in a file.
        self._last = max(self._last + 1, round(time_s / self._time_base))
        frame.pts, frame.time_base = self._last, self._time_base
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode the frames that are still waiting."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            # Frames leave the encoder in order. The last duration counts, because the file ends with it.
            packet.duration = int(self._durations[min(self._written, self._durations.size - 1)])
            self._written += 1
            self._container.mux(packet)


def _find_time_base(film: Film, times: FilmTimes) -> Fraction:
    """Return the time base of the film if it is exact and common, otherwise a fine one."""
    base = film.time_base
    if not base or base.denominator > _FINE.denominator:
        return _FINE
    ticks = times.starts_s / float(base)
    is_exact = bool((np.abs(np.rint(ticks) - ticks) * float(base) < _EXACT_S).all())
    return base if is_exact else _FINE
