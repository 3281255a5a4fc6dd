"""Marks on the disk of overlays that were asked for, so that a studio that is started again makes them."""

import contextlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from models.atomic_file import replace_file

MARK = ".overlay.json"
"""File beside a kept session whose overlay was asked for and is not finished."""

MAX_STARTS = 2
"""An overlay that was begun this often when the process ended is not begun again by itself: it may be the reason."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OverlayMark:
    """An overlay that was asked for and is not finished.

    Attributes:
        session_id: Session id.
        number: Its place in the order in which overlays were asked for.
        starts: How often it was begun by a process that was not stopped on purpose.
    """

    session_id: str
    number: int
    starts: int = 0

    @property
    def is_given_up(self) -> bool:
        """Whether it is not begun again by itself."""
        return self.starts >= MAX_STARTS


def find_marks(sessions: Path) -> list[OverlayMark]:
    """Return the marks of all kept sessions, in the order in which their overlays were asked for.

    Marks that are damaged, or that a process was killed while it wrote, are removed.

    Args:
        sessions: Directory with one directory for each kept session.
    """
    found = []
    for unfinished in sessions.glob(f"*/.{MARK}.*"):  # the name that `replace_file` gives them
        with contextlib.suppress(OSError):
            unfinished.unlink()
    for path in sessions.glob(f"*/{MARK}"):
        try:
            found.append(_read_mark(path))
        except (ValueError, RecursionError, OSError) as error:
            _log.warning("a film with the gaze that was asked for is forgotten: %s", type(error).__name__)
            with contextlib.suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda mark: (mark.number, mark.session_id))


def write_mark(place: Path, mark: OverlayMark) -> bool:
    """Write a mark atomically; return False, and leave none, if that fails: the overlay is then not resumed.

    Args:
        place: Directory of the session.
        mark: Mark to write.
    """
    try:
        replace_file(place / MARK, json.dumps(asdict(mark)).encode())
    except OSError as error:
        _log.warning("a film with the gaze will not be resumed: %s", type(error).__name__)
        remove_mark(place)
        return False
    return True


def remove_mark(place: Path) -> None:
    """Remove the mark of a session, if there is one."""
    with contextlib.suppress(OSError):
        (place / MARK).unlink()


def _read_mark(path: Path) -> OverlayMark:
    values = json.loads(path.read_bytes())
    types = {name: type(value) for name, value in values.items()} if isinstance(values, dict) else {}
    if types != {"session_id": str, "number": int, "starts": int}:
        raise ValueError(f"{path} is not a mark")
    return OverlayMark(**values)
