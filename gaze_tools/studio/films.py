"""The films of the studio: the sample, and films that viewers add, whose saliency maps are computed on the spot."""

import contextlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from gaze_tools.studio.removal import FilmRemovals, RemovalTimes
from gaze_tools.studio.studio_film import StudioFilm, read_film
from gaze_tools.studio.uploads import Upload, is_disk_full, receive
from models.atomic_file import replace_file

MAPS_PER_S = 10
"""Saliency maps for each second of an added film; a map is held in between."""

SHORT_S = 3.0
"""A shorter film says that it is too short: a score needs 20 usable frames."""

MAX_FILMS = 100
_MAX_TITLE = 80
_FILM_ID = re.compile("film-[0-9a-f]{20}")
"""Of the films that are added; a directory of another name, and maps of that name, are not the studio's to remove."""

_PROBLEMS = {
    "unreadable": "The film cannot be read to the end.",
    "maps_failed": "Its saliency maps could not be computed.",
    "disk_full": "The studio's disk is full.",
    "no_maps": "Its saliency maps are no longer in the database.",
}

_log = logging.getLogger(__name__)


class _RemovedError(Exception):
    """The film was removed while it was being prepared."""


class FilmLibrary:
    """Films and the threads that prepare them. Thread-safe.

    Args:
        directory: Directory with one directory for each film.
        database: Database of the saliency maps.
        model: Name of the saliency model.
        is_watched: Returns whether a viewing of a film is not scored yet, which needs its maps.
        on_removed: Called with the id of a film that has been removed.
        removal_times: Times of a removal.
    """

    def __init__(
        self,
        directory: Path,
        database: Database[dict[str, Any]],
        *,
        model: str = "spectral_residual",
        is_watched: Callable[[str], bool] = lambda _film_id: False,
        on_removed: Callable[[str], None] = lambda _film_id: None,
        removal_times: RemovalTimes | None = None,
    ) -> None:
        self._directory, self._database, self._model = directory, database, model
        self._lock = threading.Lock()
        self._prepared: str | None = None
        self._removals = FilmRemovals(
            directory,
            database,
            is_in_use=lambda film_id: is_watched(film_id) or self._is_prepared(film_id),
            on_removed=on_removed,
            times=removal_times,
        )
        self._one_at_a_time = threading.Lock()
        self._sample_lock = threading.Lock()
        self._films: dict[str, StudioFilm] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("upload-*"):
            left.unlink(missing_ok=True)
        self._add_sample()
        for place in sorted(each for each in directory.iterdir() if _FILM_ID.fullmatch(each.name)):
            if not (place / "film.json").exists():  # its upload or its removal was interrupted
                self._removals.resume(place.name)
                continue
            try:
                film = read_film((place / "film.json").read_bytes(), place.name)
            except (ValueError, OSError) as error:  # never removed: adding the same file repairs it
                _log.warning("the film %s cannot be read: %s", place.name, type(error).__name__)
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

    def find_title(self, film_id: str) -> str | None:
        """Return the name of a film for the viewer; None if there is none with this id."""
        with self._lock:
            film = self._films.get(film_id)
        return None if film is None else film.title

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
        if film_id == SAMPLE_VIDEO_ID:
            return self._convert_sample()
        # A viewing that has begun goes on if the film is removed.
        is_removed = self._removals.is_pending(film_id)
        if not is_removed:
            self.get(film_id)
        found = _find_file(self._place(film_id), "play.*")
        if found is None and is_removed:
            raise not_found("There is no such film.")
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
        found = _find_file(self._place(self.get(film_id).film_id), "original.*")
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
            known = self._add(film, upload)
        if known is None:
            self._start(film_id)
            return film
        return known if known.state == "preparing" or self.get(film_id).state == "ready" else self.prepare(film_id)

    def _add(self, film: StudioFilm, upload: Upload) -> StudioFilm | None:
        """Take an uploaded film, which may be being removed; return the one that is here already, None if it is new."""
        was_removed = False
        while True:
            was_removed = self._removals.cancel(film.film_id) or was_removed
            try:
                return self._insert(film, upload.path)
            except _RemovedError:  # added and removed in the meantime, as from another page
                continue
            except BaseException:
                with self._lock:
                    if was_removed and film.film_id not in self._films:
                        self._removals.start(film.film_id)
                raise

    def _insert(self, film: StudioFilm, upload: Path) -> StudioFilm | None:
        """Take an uploaded film; return the one that is here already, None if it is new."""
        with self._lock:
            known = self._films.get(film.film_id)
            if known is not None:
                return known
            if self._removals.is_pending(film.film_id):
                raise _RemovedError
            if len(self._films) >= MAX_FILMS:
                raise StudioError(409, "too-many-films", "Too many films", "Remove a film before you add another.")
            place = self._place(film.film_id)
            try:
                place.mkdir(exist_ok=True)
                upload.replace(place / f"original{upload.suffix}")
                self._write(film)
            except OSError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            self._films[film.film_id] = film
        return None

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
        """Remove a film of the viewer's own, with its maps.

        It is gone from the list at once. Its files and maps are removed as soon as nobody watches or prepares it; a
        removal that fails is repeated, also after a restart.

        Raises:
            StudioError: There is no such film, or it is the sample.
            OSError: It cannot be removed.
        """
        if film_id == SAMPLE_VIDEO_ID:
            raise bad_request("The sample cannot be removed.")
        with self._lock:
            if film_id not in self._films:
                raise not_found("There is no such film.")
            (self._place(film_id) / "film.json").unlink(missing_ok=True)
            del self._films[film_id]
            self._removals.start(film_id)  # before somebody can add it again

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

    def _change(self, film_id: str, **changes: Any) -> None:  # noqa: ANN401  fields of a film
        with self._lock:
            self._replace(film_id, changes)

    def _save(self, film_id: str, **changes: Any) -> None:  # noqa: ANN401  fields of a film
        with self._lock:  # until it is written: it must not be written after it was removed
            self._write(self._replace(film_id, changes))

    def _replace(self, film_id: str, changes: Mapping[str, Any]) -> StudioFilm:
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

    def _is_prepared(self, film_id: str) -> bool:
        with self._lock:
            return self._prepared == film_id

    def _start(self, film_id: str) -> None:
        threading.Thread(target=self._prepare, args=(film_id,), daemon=True, name=f"prepare {film_id}").start()

    def _prepare(self, film_id: str) -> None:
        with self._one_at_a_time:
            with self._lock:
                film = self._films.get(film_id)
                if film is None or film.state != "preparing":
                    return  # it was removed, or removed and added again
                self._prepared = film_id
            try:
                self._try_to_prepare(film_id)
            finally:
                with self._lock:
                    self._prepared = None

    def _try_to_prepare(self, film_id: str) -> None:
        try:
            if film_id == SAMPLE_VIDEO_ID:
                store_sample_maps(self._database, count_frames(str(SAMPLE / "video.mp4")))
                self._change(film_id, state="ready", progress=1.0)
            else:
                self._make_ready(film_id)
        except (_RemovedError, StudioError):  # it was removed while it was prepared
            return
        except Exception as error:
            _log.warning("a film could not be prepared: %s", type(error).__name__)
            reason = "maps_failed"
            if isinstance(error, OSError):
                reason = "disk_full" if is_disk_full(error) else "unreadable"
            with contextlib.suppress(_RemovedError, OSError):
                self._save(film_id, state="failed", reason=reason, problem=_PROBLEMS[reason])

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
        if _find_file(place, "play.*") is not None:
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
        self._save(film_id, state="ready", progress=1.0, duration_s=duration_s, notes=tuple(notes))

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


def _find_file(place: Path, pattern: str) -> Path | None:
    """Return the first file of a film with a name of that form; its removal may be in progress."""
    with contextlib.suppress(FileNotFoundError):  # the directory was removed while it was listed
        return min(place.glob(pattern), default=None)
    return None
