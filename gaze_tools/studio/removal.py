"""Removal of films with everything that was made of them, in the background."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from gaze_tools.saliency.writer import GRACE_S, hide, prune
from gaze_tools.session.export_file import ExportError, read_head
from gaze_tools.studio.kept import OVERLAY

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemovalTimes:
    """Times of a removal.

    Attributes:
        grace_s: Time for which hidden maps are kept for readers that have begun.
        retry_s: Time until the next attempt after a failure, or while a film is in use.
        resume_s: Time after a start in which those who still watch a film show it with their next frame, or their page
            with its next sign of life; a hidden page gives one a minute.
    """

    grace_s: float = GRACE_S
    retry_s: float = 2.0
    resume_s: float = 150.0


class FilmRemovals:
    """Removes files and maps of films until that has succeeded. Thread-safe.

    The caller first removes `film.json`: a directory without one belongs to a removed film, also after a restart. The
    directory itself goes last, so that an interrupted removal is resumed at the next start.

    Args:
        directory: Directory with one directory for each film.
        database: Database of the saliency maps.
        is_in_use: Returns whether a film is being watched or prepared, so that its removal has to wait.
        on_removed: Called with the id of a film whose files and maps have been removed; again if the process ended
            before it returned.
        times: Times of a removal.
    """

    def __init__(
        self,
        directory: Path,
        database: Database[dict[str, Any]],
        *,
        is_in_use: Callable[[str], bool],
        on_removed: Callable[[str], None] = lambda _film_id: None,
        times: RemovalTimes | None = None,
    ) -> None:
        self._directory, self._database = directory, database
        self._is_in_use, self._on_removed, self._times = is_in_use, on_removed, times or RemovalTimes()
        self._lock = threading.Lock()
        self._step = threading.Lock()
        self._pending: set[str] = set()

    def start(self, film_id: str) -> None:
        """Begin to remove a film."""
        self._start(film_id, 0.0)

    def resume(self, film_id: str) -> None:
        """Remove a film whose removal an earlier process has begun, perhaps while somebody was watching it."""
        # The files go first.
        has_begun = next((self._directory / film_id).glob("original.*"), None) is None
        self._start(film_id, 0.0 if has_begun else self._times.resume_s)

    def _start(self, film_id: str, wait_s: float) -> None:
        with self._lock:
            self._pending.add(film_id)
        threading.Thread(target=self._run, args=(film_id, wait_s), daemon=True, name=f"remove {film_id}").start()

    def is_pending(self, film_id: str) -> bool:
        """Return whether a film is being removed."""
        with self._lock:
            return film_id in self._pending

    def cancel(self, film_id: str) -> bool:
        """Stop removing a film that is added again; return whether it was being removed.

        What is left of it may be used again when this returns.
        """
        if not self.is_pending(film_id):
            return False
        with self._step, self._lock:
            is_pending = film_id in self._pending
            self._pending.discard(film_id)
        return is_pending

    def _run(self, film_id: str, delay_s: float) -> None:
        time.sleep(delay_s)
        has_failed = False
        while True:
            with self._step:
                if not self.is_pending(film_id):
                    return
                wait_s: float | None = self._times.retry_s
                try:
                    if not self._is_in_use(film_id):
                        wait_s = self._remove(film_id)
                except (PyMongoError, OSError) as error:
                    if not has_failed:
                        _log.warning("a film could not be removed yet: %s", type(error).__name__)
                    has_failed = True
                if wait_s is None:
                    with self._lock:
                        self._pending.discard(film_id)
                    return
            time.sleep(wait_s)

    def _remove(self, film_id: str) -> float | None:
        """Remove what can be removed now; return the seconds until the rest can be, None if nothing is left."""
        place = self._directory / film_id
        for file in place.iterdir() if place.exists() else ():
            file.unlink(missing_ok=True)
        hide(self._database, film_id)
        left_s = prune(self._database, film_id, grace_s=self._times.grace_s)
        if left_s is None:
            self._on_removed(film_id)
            if place.exists():
                place.rmdir()
        return left_s


def remove_overlays(sessions: Path, video_id: str) -> None:
    """Remove the overlay videos of a film, which show it; the sessions stay.

    Args:
        sessions: Directory with one directory for each kept session.
        video_id: Id of the film.
    """
    for overlay in sessions.glob(f"*/{OVERLAY}"):
        with contextlib.suppress(OSError, ExportError):
            _, session = read_head(overlay.with_name("session.json"))
            if session.video_id == video_id:
                overlay.unlink(missing_ok=True)
