"""Names and keys of the parts that hold a session's values, and the outcome of an update.

A part is named `bucket:component` for frames and `settings:component` for everything else.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FRAMES_PER_PART = 100
"""An update rewrites its part, so larger parts make updates slower; smaller parts make reads slower."""

INTEGER_KEY = re.compile(r"0|-?[1-9][0-9]{0,14}")
"""A frame number as a key."""

SETTINGS_PREFIX = "settings:"
_ESCAPED = re.compile(r"[%.$]")


def frames_part_name(component: str, key: str) -> str:
    """Return the name of the part that contains an integer key."""
    return f"{int(key) // FRAMES_PER_PART}:{component}"


def component_of(name: str) -> str:
    """Return the component of a part."""
    return name.partition(":")[2]


def overlaps(name: str, first: int | None, last: int | None) -> bool:
    """Return whether a part of frames can contain integer keys from `first` to `last`."""
    bucket = int(name.partition(":")[0])
    return (first is None or first // FRAMES_PER_PART <= bucket) and (last is None or bucket <= last // FRAMES_PER_PART)


def find_next(names: Iterable[str], component: str | None, last: int) -> int | None:
    """Return the number after `last` from which to continue reading; None if there are no further integer keys."""
    buckets = [
        int(name.partition(":")[0])
        for name in names
        if not name.startswith(SETTINGS_PREFIX) and component in {None, component_of(name)}
    ]
    reaching = [bucket for bucket in buckets if (bucket + 1) * FRAMES_PER_PART - 1 > last]
    return max(last + 1, min(reaching) * FRAMES_PER_PART) if reaching else None


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
