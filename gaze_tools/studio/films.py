"""The films of the studio: the sample, and films of the viewer's own with maps that are computed on the spot."""

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pymongo.database import Database
from pymongo.errors import PyMongoError

from gaze_core.errors import GazeError
from gaze_tools.command_line import without_native_output
from gaze_tools.saliency.compute import Video, compute_maps, probe_video
from gaze_tools.saliency.models import make_model
from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID
from gaze_tools.studio.conversion import convert, is_playable
from gaze_tools.studio.problems import StudioError, bad_request, not_found

MAX_FILM_BYTES = 2 * 2**30
MAX_FILM_S = 3 * 3600
MAPS_PER_S = 10
"""Saliency maps for each second of an own film; a map is held in between."""

MAX_FILMS = 100
_BLOCK_BYTES = 2**20
_MAX_TITLE = 80

_log = logging.getLogger(__name__)


class _RemovedError(Exception):
    """The film was removed while it was being prepared."""


@dataclass(frozen=True, slots=True)
class StudioFilm:
    """A film as the page lists it.

    Attributes:
        film_id: Id of the film and of its saliency maps.
        title: Name for the viewer.
        state: `preparing`, `ready` or `failed`.
        progress: Share of the preparation that is done, 0 to 1.
        problem: Why it failed; None otherwise.
        duration_s: Duration.
        width: Width in pixels.
        height: Height in pixels.
    """

    film_id: str
    title: str
    state: str = "preparing"
    progress: float = 0.0
    problem: str | None = None
    duration_s: float | None = None
    width: int = 0
    height: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the film as JSON."""
        return asdict(self)


class FilmLibrary:
    """Films and the threads that prepare them. Thread-safe.

    Args:
        directory: Directory with one directory for each film.
        database: Database of the saliency maps.
        model: Name of the saliency model.
    """

    def __init__(
        self, directory: Path, database: Database[dict[str, Any]], *, model: str = "spectral_residual"
    ) -> None:
        self._directory, self._database, self._model = directory, database, model
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._sample_lock = threading.Lock()
        self._films: dict[str, StudioFilm] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("upload-*"):
            left.unlink(missing_ok=True)
        self._add_sample()
        for about in sorted(directory.glob("*/film.json")):
            with contextlib.suppress(ValueError, TypeError, OSError):
                film = StudioFilm(**json.loads(about.read_text(encoding="utf-8")))
                self._films[film.film_id] = film

    def list_films(self) -> list[StudioFilm]:
        """Return all films, the sample first."""
        with self._lock:
            return list(self._films.values())

    def get(self, film_id: str) -> StudioFilm:
        """Return a film.

        Raises:
            StudioError: There is none with this id.
        """
        with self._lock:
            film = self._films.get(film_id)
        if film is None:
            raise not_found("There is no such film.")
        return film

    def find_playable(self, film_id: str) -> Path:
        """Return the file of a film that browsers play.

        Raises:
            StudioError: There is no such film, or it is not ready yet.
        """
        self.get(film_id)
        if film_id == SAMPLE_VIDEO_ID:
            return self._convert_sample()
        found = next(iter(sorted(self._place(film_id).glob("play.*"))), None)
        if found is None:
            raise StudioError(409, "not-prepared", "Not prepared", "The film is still being prepared.")
        return found

    def find_original(self, film_id: str) -> Path:
        """Return the file of a film as it was given, whose frames the maps belong to.

        Raises:
            StudioError: There is no such film.
        """
        if film_id == SAMPLE_VIDEO_ID:
            return SAMPLE / "video.mp4"
        found = next(self._place(self.get(film_id).film_id).glob("original.*"), None)
        if found is None:
            raise not_found("There is no such film.")
        return found

    def add(self, title: str, stream: BinaryIO) -> StudioFilm:
        """Store a film and start to prepare it; the same film again is the film that is already here.

        Raises:
            StudioError: It is not a film, is too large or too long, or there are too many.
        """
        suffix = Path(title).suffix.lower()
        suffix = suffix if suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ".film"
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix="upload-", suffix=suffix) as upload:
            digest = _copy(stream, upload)
            film_id = f"film-{digest[:20]}"
            with self._lock:
                known = self._films.get(film_id)
                if known is not None and known.state != "failed":
                    return known
                if len(self._films) >= MAX_FILMS:
                    raise StudioError(409, "too-many-films", "Too many films", "Remove a film before you add another.")
            video = _probe(Path(upload.name))
            place = self._place(film_id)
            place.mkdir(exist_ok=True)
            shutil.copyfile(upload.name, place / f"original{suffix}")
        film = StudioFilm(film_id, Path(title).stem[:_MAX_TITLE] or "Film", width=video.width, height=video.height)
        with self._lock:
            self._films[film_id] = film
        threading.Thread(target=self._prepare, args=(film,), daemon=True, name=film_id).start()
        return film

    def remove(self, film_id: str) -> None:
        """Remove a film of the viewer's own; one that is being prepared stops soon.

        Raises:
            StudioError: There is no such film, or it is the sample.
        """
        self.get(film_id)
        if film_id == SAMPLE_VIDEO_ID:
            raise bad_request("The sample cannot be removed.")
        with self._lock:
            self._films.pop(film_id, None)
        shutil.rmtree(self._place(film_id), ignore_errors=True)

    def _place(self, film_id: str) -> Path:
        return self._directory / film_id

    def _add_sample(self) -> None:
        self._place(SAMPLE_VIDEO_ID).mkdir(exist_ok=True)
        video = probe_video(SAMPLE / "video.mp4")
        seconds = video.stated_frames / (video.fps or 20.0)
        self._films[SAMPLE_VIDEO_ID] = StudioFilm(
            SAMPLE_VIDEO_ID, "Sample", "ready", 1.0, None, seconds, video.width, video.height
        )

    def _convert_sample(self) -> Path:
        path = self._place(SAMPLE_VIDEO_ID) / "play.webm"
        with self._sample_lock:
            if not path.exists():
                convert(SAMPLE / "video.mp4", path)
        return path

    def _change(self, film_id: str, **changes: Any) -> StudioFilm:  # noqa: ANN401  fields of a film
        with self._lock:
            film = self._films.get(film_id)
            if film is None:
                raise _RemovedError
            self._films[film_id] = film = replace(film, **changes)
        return film

    def _prepare(self, film: StudioFilm) -> None:
        try:
            with self._one_at_a_time:
                self._make_ready(film.film_id)
        except (_RemovedError, StudioError):  # it was removed, before or while it was prepared
            return
        except (OSError, ValueError, GazeError, PyMongoError) as error:
            _log.warning("a film could not be prepared: %s", type(error).__name__)
            problem = "The film cannot be read to its end." if isinstance(error, OSError) else "The maps failed."
            with contextlib.suppress(_RemovedError):
                self._change(film.film_id, state="failed", problem=problem)

    def _make_ready(self, film_id: str) -> None:
        original, place = self.find_original(film_id), self._place(film_id)
        video = probe_video(original)
        share = self._reporter(film_id, video.stated_frames)
        must_convert = not is_playable(original)
        with without_native_output():
            done = compute_maps(
                self._database,
                film_id,
                video,
                make_model(self._model),
                every=max(1, round((video.fps or 25.0) / MAPS_PER_S)),
                on_frame=lambda number, _made: share(0.0, 0.6 if must_convert else 1.0, number),
            )
        if must_convert:
            convert(original, place / "play.webm", lambda number: share(0.6, 0.4, number))
        else:
            shutil.copyfile(original, place / f"play{original.suffix}")
        duration_s = done.times.duration_s if done.times is not None else done.frames / (video.fps or 25.0)
        film = self._change(film_id, state="ready", progress=1.0, duration_s=duration_s)
        (place / "film.json").write_text(json.dumps(film.as_json()), encoding="utf-8")

    def _reporter(self, film_id: str, frames: int) -> Callable[[float, float, int], None]:
        def report(start: float, part: float, number: int) -> None:
            self._change(film_id, progress=round(start + part * min(1.0, number / max(1, frames)), 3))

        return report


def _copy(stream: BinaryIO, upload: Any) -> str:  # noqa: ANN401  a temporary file
    """Copy a stream to a file and return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    for block in _blocks(stream):
        size += len(block)
        if size > MAX_FILM_BYTES:
            raise StudioError(413, "too-large", "Too large", f"A film may have {MAX_FILM_BYTES >> 30} GiB.")
        digest.update(block)
        upload.write(block)
    upload.flush()
    if not size:
        raise bad_request("The file is empty.")
    return digest.hexdigest()


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(_BLOCK_BYTES):
        yield block


def _probe(path: Path) -> Video:
    try:
        video = probe_video(path)
    except OSError as error:
        raise StudioError(415, "not-a-film", "Not a film", "This file is not a film that can be decoded.") from error
    if video.stated_frames / (video.fps or 25.0) > MAX_FILM_S:
        raise StudioError(413, "too-long", "Too long", f"A film may last {MAX_FILM_S // 3600} hours.")
    return video
