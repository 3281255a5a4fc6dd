"""Films with the gaze on them: made in the background, one at a time, with progress, on a bounded disk."""

import contextlib
import errno
import logging
import shutil
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gaze_tools.film import open_film
from gaze_tools.report.overlay import check_film_fits, find_part, write_overlay
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.kept import MAX_LINKED_S, OVERLAY, KeptSessions
from gaze_tools.studio.overlay_marks import OverlayMark, find_marks, remove_mark, write_mark
from gaze_tools.studio.problems import StudioError, not_found
from gaze_tools.studio.uploads import is_disk_full

MAX_KEPT_BYTES = 8 * 2**30
"""Largest overlay, and largest sum of finished ones: beyond it, the oldest are removed."""

MIN_FREE_BYTES = 512 * 2**20
"""Room that an overlay leaves on the disk, for sessions and the database."""

WAIT_S = 600.0
"""Time that a request for an overlay that is not made yet waits for it."""

MAX_WAITING = 4
"""Requests that wait for overlays at the same time; frames need the other threads of the gateway."""

_FRAMES_BETWEEN_CHECKS = 50
_READING = 0.2
"""Part of the progress for reading the times of the film, which decodes it."""

_PROBLEMS = {
    "disk_full": "The studio's disk is full.",
    "film_gone": "The film of this session has been removed.",
    "other_film": "The film is not as long as its saliency maps.",
    "overlay_failed": "The film with the gaze could not be made.",
    "stopped_twice": "The studio ended twice while it made this film.",
    "too_large": f"It would be larger than {MAX_KEPT_BYTES >> 30} GiB.",
    "unreadable": "The film cannot be read to the end.",
}

_log = logging.getLogger(__name__)


class _CancelledError(Exception):
    """The overlay is not wanted any more."""


class _OverlayError(Exception):
    """An overlay cannot be made; the message is one of the reasons."""


@dataclass(frozen=True, slots=True)
class StudioOverlay:
    """The overlay of a session as the page lists it.

    Attributes:
        session_id: Session id.
        video_id: Film that was watched.
        title: Its name for the viewer; None if the film has been removed.
        watched_at: When it was watched, ISO 8601.
        state: `none`, `preparing`, `ready` or `failed`.
        progress: Share that is done, 0 to 1; 0 while it waits for another one.
        problem: Why it could not be made; None otherwise.
        reason: The same as a code: `disk_full`, `film_gone`, `other_film`, `overlay_failed`, `stopped_twice`,
            `too_large`, `unreadable`; None otherwise.
    """

    session_id: str
    video_id: str
    title: str | None
    watched_at: str
    state: str = "none"
    progress: float = 0.0
    problem: str | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the overlay as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Job:
    """A computation that was asked for.

    Attributes:
        number: Its place in the order; tells it from a cancelled one of the same session.
        overlay: The overlay as it is now.
        starts: As in its mark, before this process begins it.
    """

    number: int
    overlay: StudioOverlay
    starts: int = 0


class Overlays:
    """The overlays of kept sessions and the thread that makes them. Thread-safe.

    Those that were asked for and not finished when the studio was stopped are made now, in the same order.

    Args:
        kept: Finished sessions.
        films: Films that they watched.
    """

    def __init__(self, kept: KeptSessions, films: FilmLibrary) -> None:
        self._kept, self._films = kept, films
        self._changed = threading.Condition()
        self._is_working = False
        self._may_wait = threading.BoundedSemaphore(MAX_WAITING)
        self._jobs: dict[str, _Job] = {}
        self._count = 0
        for unfinished in (_find_made(Path(OVERLAY)), find_part(_find_made(Path(OVERLAY))), find_part(Path(OVERLAY))):
            for left in kept.directory.glob(f"*/{unfinished.name}"):  # the studio was stopped meanwhile
                left.unlink(missing_ok=True)
        self._begun: _Job | None = None
        self._is_stopping = False
        with self._changed:
            for mark in find_marks(kept.directory):
                with contextlib.suppress(StudioError):  # somebody has removed the session
                    self._resume(mark)
            self._start_working()

    def _resume(self, mark: OverlayMark) -> None:
        path = self._find_path(mark.session_id)
        if path.is_file():
            remove_mark(path.parent)
            return
        overlay = replace(self._describe(mark.session_id), state="preparing")
        if mark.is_given_up:
            reason = "stopped_twice"
            overlay = replace(overlay, state="failed", reason=reason, problem=_PROBLEMS[reason])
        self._jobs[mark.session_id] = _Job(mark.number, overlay, mark.starts)
        self._count = max(self._count, mark.number)

    def note_stop(self) -> None:
        """Note that the studio is being stopped, so that the overlay in progress is not to blame for its end."""
        with self._changed:
            self._is_stopping = True
            begun = self._begun
            if begun is not None:
                self._mark(begun, begun.starts)

    def list_overlays(self) -> list[StudioOverlay]:
        """Return the overlays that were asked for since the start or not finished before, the last one first."""
        with self._changed:
            jobs = sorted(self._jobs.values(), key=lambda job: -job.number)
        found = [self._check_file(job.overlay) for job in jobs]
        return [overlay for overlay in found if overlay.state != "none"]

    def get(self, session_id: str) -> StudioOverlay:
        """Return the overlay of a session.

        Raises:
            StudioError: There is no such session.
        """
        with self._changed:
            job = self._jobs.get(session_id)
        return self._check_file(self._describe(session_id) if job is None else job.overlay)

    def make(self, session_id: str) -> StudioOverlay:
        """Start to make the overlay of a session, unless it is there or being made.

        Raises:
            StudioError: There is no such session.
        """
        described, path = self._describe(session_id), self._find_path(session_id)
        with self._changed:
            job = self._jobs.get(session_id)
            if job is not None and job.overlay.state == "preparing":
                return job.overlay
            self._count += 1
            is_there = path.is_file()
            if not is_there:
                write_mark(path.parent, OverlayMark(session_id, self._count))
            overlay = replace(described, state="ready" if is_there else "preparing", progress=float(is_there))
            self._jobs[session_id] = _Job(self._count, overlay)
            self._start_working()
        return overlay

    def _start_working(self) -> None:
        if not self._is_working and any(self._is_preparing(each) for each in self._jobs):
            threading.Thread(target=self._work, daemon=True, name="overlays").start()
            self._is_working = True

    def remove(self, session_id: str) -> None:
        """Remove the overlay of a session; one that is being made stops soon.

        Raises:
            StudioError: There is no such session.
        """
        path = self._find_path(session_id)
        with self._changed:
            self._jobs.pop(session_id, None)
            remove_mark(path.parent)
            path.unlink(missing_ok=True)
            self._changed.notify_all()

    def await_file(self, session_id: str) -> Path:
        """Return the file of a session's overlay; that of a short film is made if it is not there.

        Raises:
            StudioError: There is no such session, or no overlay of it.
        """
        overlay = self.get(session_id)
        if overlay.state != "ready":
            if overlay.state != "preparing" and not self._is_short(overlay.video_id):
                raise _not_prepared("The film with the gaze has not been made yet.")
            self.make(session_id)
            if self._may_wait.acquire(blocking=False):
                try:
                    with self._changed:
                        self._changed.wait_for(lambda: not self._is_preparing(session_id), WAIT_S)
                finally:
                    self._may_wait.release()
            overlay = self.get(session_id)
        if overlay.reason == "film_gone":
            raise not_found(str(overlay.problem))
        if overlay.state == "failed":
            raise StudioError(500, "no-overlay", "No overlay", str(overlay.problem))
        if overlay.state != "ready":
            raise _not_prepared("The film with the gaze is still being made.")
        return self._find_path(session_id)

    def _is_preparing(self, session_id: str) -> bool:
        job = self._jobs.get(session_id)
        return job is not None and job.overlay.state == "preparing"

    def _is_short(self, video_id: str) -> bool:
        try:
            return (self._films.get(video_id).duration_s or float("inf")) <= MAX_LINKED_S
        except StudioError:  # the computation says why
            return True

    def _find_path(self, session_id: str) -> Path:
        return self._kept.find_place(session_id) / OVERLAY

    def _describe(self, session_id: str) -> StudioOverlay:
        about = self._kept.read_about(session_id)
        return StudioOverlay(session_id, about.video_id, self._films.find_title(about.video_id), about.exported_at)

    def _check_file(self, overlay: StudioOverlay) -> StudioOverlay:
        """Return an overlay with the state that its file shows, which may have been removed to make room."""
        if overlay.state not in {"none", "ready"}:
            return overlay
        is_there = False
        with contextlib.suppress(StudioError):  # somebody has removed the session
            is_there = self._find_path(overlay.session_id).is_file()
        return replace(overlay, state="ready" if is_there else "none", progress=float(is_there))

    def _change(self, job: _Job, **changes: Any) -> None:  # noqa: ANN401  fields of an overlay
        with self._changed:
            now = self._jobs.get(job.overlay.session_id)
            if now is None or now.number != job.number:
                raise _CancelledError
            self._jobs[job.overlay.session_id] = replace(now, overlay=replace(now.overlay, **changes))
            self._changed.notify_all()

    def _report(self, job: _Job, start: float, part: float, share: float) -> None:
        self._change(job, progress=round(start + part * min(1.0, share), 3))

    def _work(self) -> None:
        """Make the overlays that wait, in the order in which they were asked for."""
        while True:
            with self._changed:
                waiting = [job for job in self._jobs.values() if job.overlay.state == "preparing"]
                if not waiting:
                    self._is_working = False
                    return
            self._make(min(waiting, key=lambda job: job.number))

    def _make(self, job: _Job) -> None:
        try:
            self._begin(job)
            self._write(job)
        except _CancelledError:
            return
        except Exception as error:
            _log.warning("an overlay could not be made: %s", type(error).__name__)
            reason = _find_reason(error)
            with contextlib.suppress(_CancelledError, StudioError), self._changed:
                self._change(job, state="failed", reason=reason, problem=_PROBLEMS[reason])
                if not self._is_stopping:  # what it needs may be stopped, too
                    self._forget(job)
        finally:
            with self._changed:
                self._begun = None

    def _begin(self, job: _Job) -> None:
        with self._changed:
            self._begun = job
            self._mark(job, job.starts if self._is_stopping else job.starts + 1)

    def _mark(self, job: _Job, starts: int) -> None:
        """Write the mark of a computation, unless it was cancelled."""
        session_id = job.overlay.session_id
        now = self._jobs.get(session_id)
        if now is not None and now.number == job.number and now.overlay.state == "preparing":
            write_mark(self._find_path(session_id).parent, OverlayMark(session_id, job.number, starts))

    def _forget(self, job: _Job) -> None:
        """Remove the mark of a computation that has ended."""
        remove_mark(self._find_path(job.overlay.session_id).parent)

    def _write(self, job: _Job) -> None:
        session_id = job.overlay.session_id
        try:
            film = self._films.find_original(job.overlay.video_id)
        except StudioError as error:
            raise _OverlayError("film_gone") from error
        path = self._find_path(session_id)
        with open_film(film) as opened:
            for frame in opened:
                self._report(job, 0.0, _READING, frame.number / opened.stated_frames)
            times = opened.times()
        report = self._kept.examine(session_id, with_scores=False)
        try:
            check_film_fits(report, times)
        except ValueError as error:
            raise _OverlayError("other_film") from error
        made = _find_made(path)
        part, frames = find_part(made), times.starts_s.size

        def follow(number: int) -> None:
            self._report(job, _READING, 1 - _READING, number / frames)
            if number % _FRAMES_BETWEEN_CHECKS == 0:
                _check_room(part)
                _check_film(film)

        try:
            write_overlay(report, film, times, made, on_frame=follow)
            with self._changed:  # a cancelled one never takes its place
                self._change(job, state="ready", progress=1.0)
                made.replace(path)
                self._forget(job)
                if not film.is_file():  # overlays of removed films go with their files, or never come
                    path.unlink(missing_ok=True)
                    raise _OverlayError("film_gone")
        finally:
            made.unlink(missing_ok=True)
        self._remove_oldest(path)

    def _remove_oldest(self, kept: Path) -> None:
        """Remove the oldest overlays but one, until all together are not too large."""
        found = []
        for path in self._kept.directory.glob(f"*/{OVERLAY}"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((path == kept, stat.st_mtime, stat.st_size, path))
        total = 0
        for _, _, size, path in sorted(found, reverse=True):
            total += size
            if total > MAX_KEPT_BYTES and path != kept:
                path.unlink(missing_ok=True)


def _find_made(path: Path) -> Path:
    """Return the file of an overlay that is complete, but may have been cancelled."""
    return path.with_name(f".made-{path.name}")


def _check_room(part: Path) -> None:
    """Check that a file may grow further; encoders with many threads hold many frames before they write the first."""
    if part.exists() and part.stat().st_size > MAX_KEPT_BYTES:
        raise _OverlayError("too_large")
    if shutil.disk_usage(part.parent).free < MIN_FREE_BYTES:
        raise OSError(errno.ENOSPC, "the disk is full")


def _check_film(film: Path) -> None:
    """Check that a film has not been removed, and its overlays with it; an open file can still be read."""
    if not film.is_file():
        raise _OverlayError("film_gone")


def _find_reason(error: Exception) -> str:
    if isinstance(error, _OverlayError):
        return str(error)
    if isinstance(error, OSError):
        return "disk_full" if is_disk_full(error) else "unreadable"
    return "overlay_failed"


def _not_prepared(detail: str) -> StudioError:
    return StudioError(409, "not-prepared", "Not prepared", detail)
