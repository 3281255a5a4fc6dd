"""Move sessions between a session API and files."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SaliencyMapNotFoundError, SessionNotFoundError, SessionStoreError
from gaze_core.ports import SaliencyMaps, Session
from gaze_tools.session.api import SessionApi
from gaze_tools.session.export_file import ExportHeader, open_export, write_export

MAX_CALIBRATIONS = 2
"""A calibration session can name an earlier one, and that is the last one that counts."""

FRAMES_PER_PUT = 100
"""The session API stores frames in parts of this size."""

UNKNOWN_ADDRESS = "unknown"
"""Address of an imported session whose export has none."""

_CALIBRATION = "calibration_session"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        session_id: Session id in the file.
        frames: Number of frames of the session.
        has_result: Whether the session has its result.
        calibrations: Calibration sessions in the file.
        missing: Calibration sessions that no longer exist.
    """

    session_id: str
    frames: int
    has_result: bool
    calibrations: tuple[str, ...]
    missing: tuple[str, ...]


def export_session(
    session_id: str,
    path: Path,
    store: HttpSessionStore,
    maps: SaliencyMaps | None = None,
    *,
    without_ip: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Exported:
    """Write a session and the calibration sessions that it depends on to a file; memory does not grow with its length.

    Args:
        session_id: Session id.
        path: File to write; replaced if it exists.
        store: Session API.
        maps: Store of the saliency maps, whose facts are written; None leaves them out.
        without_ip: Leave out addresses. Session ids are replaced by random ones, because the usual ids are computed
            from the address, which can therefore be found by trial.
        clock: Returns the time, in UTC.

    Raises:
        SessionNotFoundError: The session does not exist.
        SessionStoreError: The session API failed.
        SaliencyStoreError: The store of the maps failed.
        OSError: The file cannot be written.
    """
    pages = store.read_pages(session_id)
    first = next(pages)
    run = _Export(store, without_ip=without_ip)
    header = ExportHeader(
        run.rename(session_id), clock().isoformat(), _find_facts(maps, first.video_id), has_ip_address=not without_ip
    )
    counts = write_export(path, header, run.read(chain([first], pages)))
    return Exported(
        session_id=header.session_id,
        frames=counts[0],
        has_result="result" in first.settings,
        calibrations=tuple(run.rename(name) for name in run.found),
        missing=tuple(run.missing),
    )


def _find_facts(maps: SaliencyMaps | None, video_id: str) -> dict[str, Any] | None:
    if maps is None:
        return None
    try:
        facts = maps.extract_saliencyMap(video_id)
    except (SaliencyMapNotFoundError, ValueError):
        return None
    return {"video_id": video_id, "digest": facts.digest, "fps": facts.fps, "held_every": facts.held_every}


@dataclass(slots=True)
class _Export:
    """One export: the calibration sessions found so far, and the new names of sessions."""

    store: HttpSessionStore
    without_ip: bool
    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)
    _named: list[str] = field(default_factory=list)

    def rename(self, session_id: str) -> str:
        """Return the id of a session in the file."""
        if not self.without_ip:
            return session_id
        return self._names.setdefault(session_id, f"session-{secrets.token_hex(8)}")

    def read(self, pages: Iterator[Session]) -> Iterator[Iterator[Session]]:
        """Yield the pages of the session, then those of the calibration sessions that they name."""
        yield self._clean(pages)
        for _ in range(MAX_CALIBRATIONS):
            names, self._named = [name for name in dict.fromkeys(self._named) if name not in self.found], []
            for name in names:
                others = self.store.read_pages(name)
                try:
                    head = next(others)
                except SessionNotFoundError:
                    self.missing.append(name)
                    continue
                self.found.append(name)
                yield self._clean(chain([head], others))

    def _clean(self, pages: Iterator[Session]) -> Iterator[Session]:
        for page in pages:
            values = [page.settings, *page.frames.values()]
            names = (value.get(_CALIBRATION) for value in values if isinstance(value, Mapping))
            self._named += dict.fromkeys(name for name in names if isinstance(name, str) and name)
            yield self._without_identity(page) if self.without_ip else page

    def _without_identity(self, page: Session) -> Session:
        return replace(
            page,
            session_id=self.rename(page.session_id),
            ip_address="",
            settings=self._rename_calibration(page.settings),
            frames={number: self._rename_calibration(record) for number, record in page.frames.items()},
        )

    def _rename_calibration(self, value: Any) -> Any:  # noqa: ANN401  records of any version
        if isinstance(value, Mapping) and isinstance(value.get(_CALIBRATION), str):
            return {**value, _CALIBRATION: self.rename(value[_CALIBRATION])}
        return value


@dataclass(frozen=True, slots=True)
class Imported:
    """What was stored.

    Attributes:
        session_id: Session id of the imported session.
        frames: Number of its frames.
        kept: Calibration sessions that existed already and were left as they are.
    """

    session_id: str
    frames: int
    kept: tuple[str, ...]


def import_session(
    path: Path, api: SessionApi, *, keep_s: float | None = None, session_id: str | None = None
) -> Imported:
    """Store an exported session in a session API; memory does not grow with its length.

    Args:
        path: Export.
        api: Session API.
        keep_s: Minimum lifetime of the sessions; None for the usual one.
        session_id: New id of the session; None for its own.

    Raises:
        ExportError: The file is not an export.
        OSError: The file cannot be read.
        SessionStoreError: The session exists already, or the API failed.
    """
    imported: Imported | None = None
    kept: list[str] = []
    with open_export(path) as (header, sessions):
        for stored in sessions:
            is_main = imported is None
            name = (session_id or header.session_id) if is_main else stored.session.session_id
            created = api.create(
                name,
                ip_address=stored.session.ip_address or UNKNOWN_ADDRESS,
                video_id=stored.session.video_id,
                keep_s=keep_s,
            )
            if not created and is_main:
                raise SessionStoreError(
                    f"the session {name!r} exists in the session API; --as ID imports under another id"
                )
            if not created:
                kept.append(name)
                continue
            count = _put_frames(api, name, stored.frames)
            settings = dict(stored.session.settings)
            result = settings.pop("result", None)
            if settings:
                api.put(name, settings)
            if result is not None:
                # Last: no frame is accepted after it.
                api.put(name, {"result": result})
            imported = imported or Imported(name, count, ())
    if imported is None:
        raise SessionStoreError(f"{path} contains no session")
    return replace(imported, kept=tuple(kept))


def _put_frames(api: SessionApi, session_id: str, frames: Iterator[tuple[int, Any]]) -> int:
    count = 0
    while batch := list(islice(frames, FRAMES_PER_PUT)):
        api.put(session_id, {str(number): record for number, record in batch})
        count += len(batch)
    return count
