"""The file of an exported session: JSON with one frame per line, so that it is written and read as a stream.

    {"format": "gaze-session", "version": 1, …, "sessions": [
    {"session_id": …, "ip_address": …, "video_id": …, "created_at": …, "settings": {…}, "frames": {
    "1": {…},
    "2": {…}
    }, "frame_count": 2}
    ]}

The first session is the exported one. The others are the calibration sessions that its gaze depends on.
"""

import contextlib
import itertools
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import Session

FORMAT = "gaze-session"
VERSION = 1

_TEXTS = ("session_id", "video_id", "created_at")


class ExportError(ValueError):
    """The file is not a session export that this version can read."""


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """What an export says about itself.

    Attributes:
        session_id: Session that was exported.
        exported_at: Time of the export, ISO 8601.
        maps: Facts of the saliency maps at that time: `video_id`, `digest`, `fps`, `held_every`; None if unknown.
        has_ip_address: Whether the viewers' addresses are in the file.
    """

    session_id: str
    exported_at: str
    maps: Mapping[str, Any] | None
    has_ip_address: bool


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session of an export, whose frames are read from the file while it is iterated.

    Attributes:
        session: The session without frames.
        frames: Frame numbers and records, ascending; to be consumed before the next session.
    """

    session: Session
    frames: Iterator[tuple[int, Any]] = field(repr=False)


def write_export(path: Path, header: ExportHeader, sessions: Iterable[Iterable[Session]]) -> list[int]:
    """Write an export in one step: the file is complete or absent. Return the number of frames of each session.

    Args:
        path: File to write; replaced if it exists.
        header: Description of the export.
        sessions: The pages of each session, as `HttpSessionStore.read_pages` yields them.

    Raises:
        OSError: The file cannot be written, or there is something other than a regular file, such as a device.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
    # Two threads may write the same export, such as those of two repeats of a last frame.
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Gaze and addresses of a person: for the owner alone.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            about = {
                "format": FORMAT,
                "version": VERSION,
                "session_id": header.session_id,
                "exported_at": header.exported_at,
                "has_ip_address": header.has_ip_address,
                "maps": header.maps,
            }
            file.write(f'{_dump(about)[:-1]},"sessions":[')
            counts = [_write_session(file, pages, is_first=not number) for number, pages in enumerate(sessions)]
            file.write("\n]}\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return counts


def _write_session(file: TextIO, pages: Iterable[Session], *, is_first: bool) -> int:
    count = 0
    iterator = iter(pages)
    first = next(iterator)
    about = {
        "session_id": first.session_id,
        "ip_address": first.ip_address,
        "video_id": first.video_id,
        "created_at": first.created_at,
        "earlier_expired_at": first.earlier_expired_at,
        "settings": first.settings,
    }
    file.write(f'{"" if is_first else ","}\n{_dump(about)[:-1]},"frames":{{')
    for page in itertools.chain([first], iterator):
        for number, record in sorted(page.frames.items()):
            file.write(f'{"," if count else ""}\n"{number}":{_dump(record)}')
            count += 1
    file.write(f'\n}},"frame_count":{count}}}')
    return count


def is_export(path: Path) -> bool:
    """Return whether a file begins like an export."""
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


@contextlib.contextmanager
def open_export(path: Path) -> Iterator[tuple[ExportHeader, Iterator[StoredSession]]]:
    """Yield the header of an export and its sessions, which are read one frame at a time.

    Raises:
        OSError: The file cannot be read.
        ExportError: It is not an export, is truncated, or has another version; possibly while it is iterated.
    """
    with path.open(encoding="utf-8-sig") as file:
        lines = _Lines(path, file)
        if FORMAT not in lines.peek():
            raise ExportError(f"{path} is not a session export, or another program has changed its lines")
        about = lines.parse("", "]}")
        if about.get("format") != FORMAT:
            raise ExportError(f"{path} is not a session export of `gaze session export`")
        if about.get("version") != VERSION:
            raise ExportError(
                f"{path} has version {about.get('version')!r} of the format; this version of gaze reads {VERSION}"
            )
        maps, session_id = about.get("maps"), about.get("session_id")
        if not isinstance(session_id, str) or not (maps is None or isinstance(maps, dict)):
            raise lines.error("the header is malformed")
        header = ExportHeader(
            session_id, str(about.get("exported_at") or ""), maps, about.get("has_ip_address") is not False
        )
        yield header, _read_sessions(lines)


def read_head(path: Path) -> tuple[ExportHeader, Session]:
    """Return the header of an export and the exported session without its frames, which are not read.

    Raises:
        OSError: The file cannot be read.
        ExportError: It is not an export, or ends before its first frame.
    """
    with open_export(path) as (header, sessions):
        first = next(sessions, None)
        if first is None:
            raise ExportError(f"{path} contains no session")
        return header, first.session


class _Lines:
    """Lines of an export, each parsed as the JSON that it is a piece of."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file, self._number = path, file, 0
        self._next: str | None = None

    def parse(self, before: str, after: str) -> dict[str, Any]:
        """Return the next line, completed to an object."""
        try:
            value = json.loads(f"{before}{self.take()}{after}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise self.error("is malformed") from error
        if not isinstance(value, dict):
            raise self.error("is malformed")
        return value

    def peek(self) -> str:
        """Return the next line without its line break and the comma at its end."""
        if self._next is None:
            try:
                line = self._file.readline()
            except UnicodeDecodeError as error:
                raise self.error("is not UTF-8") from error
            self._number += 1
            if not line:
                raise self.error("the file ends here; it is truncated")
            self._next = line.rstrip("\r\n").removesuffix(",")
        return self._next

    def take(self) -> str:
        """Return the next line and go on to the one after it."""
        line = self.peek()
        self._next = None
        return line

    def error(self, what: str) -> ExportError:
        """Return the error for the current line."""
        return ExportError(
            f"{self._path}, line {self._number}: {what}. Use the file as `gaze session export` wrote it: another "
            "program may have changed its lines."
        )


def _read_sessions(lines: _Lines) -> Iterator[StoredSession]:
    while lines.peek() != "]}":
        about = lines.parse("", "}}")
        settings = about.get("settings")
        if not isinstance(settings, dict) or not all(isinstance(about.get(name), str) for name in _TEXTS):
            raise lines.error("the session is malformed")
        earlier = about.get("earlier_expired_at")
        session = Session(
            session_id=about["session_id"],
            ip_address=str(about.get("ip_address") or ""),
            video_id=about["video_id"],
            created_at=about["created_at"],
            frames={},
            settings=settings,
            earlier_expired_at=earlier if isinstance(earlier, str) else None,
        )
        frames = _read_frames(lines)
        yield StoredSession(session, frames)
        # What the caller has left.
        for _ in frames:
            pass
    lines.take()


def _read_frames(lines: _Lines) -> Iterator[tuple[int, Any]]:
    count = 0
    while not lines.peek().startswith("}"):
        entries = list(lines.parse("{", "}").items())
        if len(entries) != 1 or not re.fullmatch("-?[0-9]{1,19}", entries[0][0]):
            raise lines.error("is not a frame")
        number, record = entries[0]
        yield int(number), record
        count += 1
    if lines.parse('{"frames":{', "").get("frame_count") != count:
        raise lines.error(f"frame_count is not the number of frames above, {count}")


def check_export(path: Path) -> None:
    """Read an export to its end.

    Raises:
        OSError: The file cannot be read.
        ExportError: It is not an export.
    """
    with open_export(path) as (_, sessions):
        # Also reads the frames.
        for _ in sessions:
            pass


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ExportedSessions:
    """The sessions of an export in memory, for readers of sessions."""

    def __init__(self, path: Path) -> None:
        """Read an export.

        Raises:
            OSError: The file cannot be read.
            ExportError: It is not an export.
        """
        with open_export(path) as (header, stored):
            self.header = header
            self._sessions = {
                each.session.session_id: replace(each.session, frames=dict(each.frames)) for each in stored
            }
        if header.session_id not in self._sessions:
            raise ExportError(f"{path} does not contain the session {header.session_id!r} that it names")

    def get_session(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Session:
        """Return a session with all its frames or a range of them.

        Raises:
            SessionNotFoundError: The export does not contain it.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionNotFoundError(session_id)
        if first is None and last is None:
            return session
        frames = {
            number: record
            for number, record in session.frames.items()
            if (first is None or first <= number) and (last is None or number <= last)
        }
        return replace(session, frames=frames)


def _dump(value: object) -> str:
    # ASCII: a line break within a text stays escaped, and no other program can break a line.
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
