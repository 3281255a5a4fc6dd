"""Names and keys of the parts that hold a session's values, and the outcome of an update.

A part is named `bucket:component` for frames and `settings:component` for everything else. A session's document lists
parts of frames in groups, `first..last:component`, because every new entry costs a time in proportion to their number.
Older documents list them one by one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FRAMES_PER_PART = 100
"""An update rewrites its part, so larger parts make updates slower; smaller parts make reads slower."""

PARTS_PER_ENTRY = 10
"""Sealing creates parts that are listed but missing, so larger groups make results slower."""

INTEGER_KEY = re.compile(r"0|-?[1-9][0-9]{0,14}")
"""A frame number as a key."""

SETTINGS_PREFIX = "settings:"
_ESCAPED = re.compile(r"[%.$]")


def frames_part_name(component: str, key: str) -> str:
    """Return the name of the part that contains an integer key."""
    return f"{int(key) // FRAMES_PER_PART}:{component}"


def entry_of(name: str) -> str:
    """Return the entry that lists a part."""
    if name.startswith(SETTINGS_PREFIX):
        return name
    first = int(name.partition(":")[0]) // PARTS_PER_ENTRY * PARTS_PER_ENTRY
    return f"{first}..{first + PARTS_PER_ENTRY - 1}:{component_of(name)}"


def expand_entries(entries: Iterable[str]) -> list[str]:
    """Return the names of the listed parts, each once; some may not exist."""
    names: dict[str, None] = {}
    for entry in entries:
        first, dots, last = entry.partition(":")[0].partition("..")
        numbers = range(int(first), int(last) + 1) if dots else ()
        names |= dict.fromkeys([f"{number}:{component_of(entry)}" for number in numbers] or [entry])
    return list(names)


def component_of(name: str) -> str:
    """Return the component of a part or an entry."""
    return name.partition(":")[2]


def overlaps(name: str, first: int | None, last: int | None) -> bool:
    """Return whether a part of frames can contain integer keys from `first` to `last`."""
    bucket = int(name.partition(":")[0])
    return (first is None or first // FRAMES_PER_PART <= bucket) and (last is None or bucket <= last // FRAMES_PER_PART)


def find_later(names: Iterable[str], component: str | None, last: int) -> list[str]:
    """Return the parts of a component, or of all, that can contain integer keys above `last`, in order."""
    frames = [
        name for name in names if not name.startswith(SETTINGS_PREFIX) and component in {None, component_of(name)}
    ]
    return sorted((name for name in frames if overlaps(name, last + 1, None)), key=sort_key)


def first_key_after(name: str, last: int) -> int:
    """Return the lowest integer key above `last` that a part can contain."""
    return max(last + 1, int(name.partition(":")[0]) * FRAMES_PER_PART)


def is_between(number: int, first: int | None, last: int | None) -> bool:
    """Return whether a number lies in a range that may be open at either end."""
    return (first is None or first <= number) and (last is None or number <= last)


def sort_key(name: str) -> tuple[bool, int]:
    """Return a sort key that puts frames in order, and settings last."""
    return (True, 0) if name.startswith(SETTINGS_PREFIX) else (False, int(name.partition(":")[0]))


def part_id_of(session: Mapping[str, Any], name: str) -> str:
    """Return the document id of a part."""
    return f"{session['incarnation']}:{name}"


def escape(key: str) -> str:
    """Return a key as a valid MongoDB field name."""
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", key)


def unescape(key: str) -> str:
    """Return the key of a MongoDB field name."""
    return re.sub("%(..)", lambda found: chr(int(found[1], 16)), key)


@dataclass(frozen=True, slots=True)
class Updated:
    """Outcome of an update.

    Attributes:
        stored: Stored JSON text of each write-once key.
        written: Write-once keys that this call wrote.
        ip_address: Address of the session's viewer.
        video_id: Video id of the session.
    """

    stored: Mapping[str, str]
    written: Sequence[int | str]
    ip_address: str
    video_id: str
