"""The films of the studio: the sample, and films that viewers add, whose saliency maps are computed on the spot."""

import contextlib
import json
import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pymongo.database import Database
from pymongo.errors import PyMongoError

from func.adapters.saliency_store import VIDEOS
from gaze_core.errors import GazeError
from gaze_tools.command_line import without_native_output
from gaze_tools.saliency.compute import Computed, Video, compute_maps, probe_video
from gaze_tools.saliency.listing import has_all_maps
from gaze_tools.saliency.models import make_model
from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID, count_frames, store_sample_maps
from gaze_tools.studio.conversion import convert, is_playable
from gaze_tools.studio.problems import StudioError, bad_request, not_found
from gaze_tools.studio.uploads import is_disk_full, receive
from models.atomic_file import replace_file

MAPS_PER_S = 10
"""Saliency maps for each second of an added film; a map is held in between."""

SHORT_S = 3.0
"""A shorter film says that it is too short: a score needs 20 usable frames."""

MAX_FILMS = 100
_MAX_TITLE = 80

_PROBLEMS = {
    "unreadable": "The film cannot be read to the end.",
    "maps_failed": "Its saliency maps could not be computed.",
    "disk_full": "The studio's disk is full.",
    "no_maps": "Its saliency maps are no longer in the database.",
}

_log = logging.getLogger(__name__)


class _RemovedError(Exception):
    """The film was removed while it was being prepared."""


@dataclass(frozen=True, slots=True)
class StudioFilm:
    """A film as the page lists it.

    Attributes:
        film_id: Id of the film and of its saliency maps.
        title: Name for the viewer.
        state: `preparing`, `ready`, `failed`, or `no_maps` for a film that was ready and has lost its maps.
        progress: Share of the preparation that is done, 0 to 1.
        problem: Why it cannot be watched; None if it can.
        reason: The same as a code: `unreadable`, `maps_failed`, `disk_full`, `no_maps`; None if it can be watched.
        notes: What a viewer should know: `damaged`, `short`.
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
    reason: str | None = None
    notes: tuple[str, ...] = ()

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
        for place in sorted(directory.glob("film-*")):
            try:
                stored = json.loads((place / "film.json").read_text(encoding="utf-8"))
                film = StudioFilm(**{**stored, "notes": tuple(stored.get("notes", ()))})
            except (ValueError, TypeError, AttributeError, OSError):  # its upload was interrupted
                shutil.rmtree(place, ignore_errors=True)
                continue
            self._films[film.film_id] = film
            if film.state == "preparing":  # the studio was stopped meanwhile; finished maps are kept
                self._start(film.film_id)

    def list_films(self) -> list[StudioFilm]:
        """Return all films, the sample first."""
        with self._lock:
            films = list(self._films.values())
        return [self._check_maps(film) for film in films]

    def get(self, film_id: str) -> StudioFilm:
        """Return a film.

        Raises:
            StudioError: There is none with this id.
        """
        with self._lock:
            film = self._films.get(film_id)
        if film is None:
            raise not_found("There is no such film.")
        return self._check_maps(film)

    def require_ready(self, film_id: str) -> None:
        """Check that a film can be watched.

        Raises:
            StudioError: There is no such film, it is still being prepared, or it has no maps.
        """
        film = self.get(film_id)
        if film.state == "preparing":
            raise StudioError(409, "not-prepared", "Not prepared", "The film is still being prepared.")
        if film.state != "ready":
            detail = f"{film.problem} Compute them again." if film.state == "no_maps" else str(film.problem)
            raise StudioError(409, film.state.replace("_", "-"), "Not ready", detail)

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
        with receive(stream, self._directory, suffix) as upload:
            film_id = f"film-{upload.sha256[:20]}"
            video = upload.video
            film = StudioFilm(film_id, Path(title).stem[:_MAX_TITLE] or "Film", width=video.width, height=video.height)
            with self._lock:
                known = self._films.get(film_id)
                if known is None:
                    if len(self._films) >= MAX_FILMS:
                        raise StudioError(
                            409, "too-many-films", "Too many films", "Remove a film before you add another."
                        )
                    place = self._place(film_id)
                    try:
                        place.mkdir(exist_ok=True)
                        upload.path.replace(place / f"original{suffix}")
                        self._write(film)
                    except OSError:
                        shutil.rmtree(place, ignore_errors=True)
                        raise
                    self._films[film_id] = film
        if known is None:
            self._start(film_id)
            return film
        return known if known.state == "preparing" or self.get(film_id).state == "ready" else self.prepare(film_id)

    def prepare(self, film_id: str) -> StudioFilm:
        """Compute the maps of a film again that has lost them or failed; others are left alone.

        Raises:
            StudioError: There is no such film.
        """
        film = self.get(film_id)
        if film.state in {"preparing", "ready"}:
            return film
        with self._lock:
            if film_id not in self._films:
                raise not_found("There is no such film.")
            if self._films[film_id].state == "preparing":
                return self._films[film_id]
            film = replace(film, state="preparing", progress=0.0, problem=None, reason=None)
            self._films[film_id] = film
        self._start(film_id)
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

    def _check_maps(self, film: StudioFilm) -> StudioFilm:
        """Return a film as `no_maps` if it was ready, but somebody has removed its maps."""
        if film.state != "ready":
            return film
        try:
            is_complete = has_all_maps(self._database, film.film_id)
        except (PyMongoError, GazeError):
            return film  # the function will say so
        return film if is_complete else replace(film, state="no_maps", reason="no_maps", problem=_PROBLEMS["no_maps"])

    def _start(self, film_id: str) -> None:
        threading.Thread(target=self._prepare, args=(film_id,), daemon=True, name=film_id).start()

    def _prepare(self, film_id: str) -> None:
        try:
            with self._one_at_a_time:
                if film_id == SAMPLE_VIDEO_ID:
                    store_sample_maps(self._database, count_frames(str(SAMPLE / "video.mp4")))
                    self._change(film_id, state="ready", progress=1.0)
                else:
                    self._make_ready(film_id)
        except (_RemovedError, StudioError):  # it was removed, before or while it was prepared
            return
        except Exception as error:
            _log.warning("a film could not be prepared: %s", type(error).__name__)
            reason = "maps_failed"
            if isinstance(error, OSError):
                reason = "disk_full" if is_disk_full(error) else "unreadable"
            with contextlib.suppress(_RemovedError, OSError):
                self._write(self._change(film_id, state="failed", reason=reason, problem=_PROBLEMS[reason]))

    def _make_ready(self, film_id: str) -> None:
        original, place = self.find_original(film_id), self._place(film_id)
        video = probe_video(original)
        share = self._reporter(film_id, video.stated_frames)
        must_convert = not is_playable(original)
        map_part = 0.6 if must_convert else 0.9
        with without_native_output():
            done = self._compute(film_id, video, lambda number, _made: share(0.0, map_part, number))
        facts = self._database[VIDEOS].find_one({"_id": film_id}) or {}
        # Browsers give up at a damaged place, and guess where times are missing.
        is_damaged = bool(facts.get("warnings"))
        if next(place.glob("play.*"), None) is not None:
            pass  # the film was ready before
        elif must_convert or is_damaged:
            convert(original, place / "play.webm", lambda number: share(map_part, 1 - map_part, number))
        else:
            part = place / ".play.part"
            shutil.copyfile(original, part)
            part.replace(place / f"play{original.suffix}")
        duration_s = done.times.duration_s if done.times is not None else facts.get("duration_s")
        duration_s = duration_s or done.frames / (video.fps or 25.0)
        notes = [*(["damaged"] if is_damaged else []), *(["short"] if duration_s < SHORT_S else [])]
        self._write(self._change(film_id, state="ready", progress=1.0, duration_s=duration_s, notes=tuple(notes)))

    def _compute(self, film_id: str, video: Video, on_frame: Callable[[int, int], None]) -> Computed:
        facts = self._database[VIDEOS].find_one({"_id": film_id}) or {}
        return compute_maps(
            self._database,
            film_id,
            video,
            make_model(self._model),
            every=max(1, round((video.fps or 25.0) / MAPS_PER_S)),
            # Interrupted maps are continued, published ones that were removed are made anew.
            again="map_count" in facts and not has_all_maps(self._database, film_id),
            on_frame=on_frame,
        )

    def _write(self, film: StudioFilm) -> None:
        replace_file(self._place(film.film_id) / "film.json", json.dumps(film.as_json()).encode())

    def _reporter(self, film_id: str, frames: int) -> Callable[[float, float, int], None]:
        def report(start: float, part: float, number: int) -> None:
            self._change(film_id, progress=round(start + part * min(1.0, number / max(1, frames)), 3))

        return report
