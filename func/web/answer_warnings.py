"""Warnings in answers: the request was accepted, but parts of it had no effect."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from gaze_core.ports import StoredUpdate

MAX_NAMES = 10
MAX_COMPARED = 64
MAX_NAME_LENGTH = 64

_WRITTEN_ONCE = {
    "screen": "screen",
    "camera": "camera",
    "viewport": "viewport",
    "calibration_session": "calibration_session",
    "target": "calibration_target",
    "calibration_use": "calibration_use",
}
"""Keys of a record that a repeated frame cannot change, and their names in the request."""


def warn_of_unknown_fields(request: object, model: type[BaseModel]) -> list[str]:
    """Return a warning with the names of unknown fields, limited in number and length; empty without any.

    A name that is close to a known one is followed by it.
    """
    names = sorted(set(_find_unknown(request, model)))
    if not names:
        return []
    known = _list_known(model)
    shown = ", ".join(_describe(name, known) for name in names[:MAX_NAMES])
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return [f"unknown fields are ignored: {shown}{more}"]


def warn_of_repeat(frame_number: int, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Return warnings for a frame number that is already stored with other content; empty for the same content.

    Args:
        frame_number: Frame number of the request.
        sent: Record of the request.
        stored: Stored record, which the answer describes.
    """
    warnings = []
    if stored.get("image_digest", sent.get("image_digest")) != sent.get("image_digest"):
        warnings.append(
            f"frame {frame_number} was already stored with another image; this answer describes the stored one"
        )
    changed = [field for key, field in _WRITTEN_ONCE.items() if key in sent and stored.get(key) != sent[key]]
    # Records of earlier versions have no video id.
    changed += ["video_id"] if stored.get("video_id", sent.get("video_id")) != sent.get("video_id") else []
    if "image_digest" in stored and changed:
        warnings.append(
            f"frame {frame_number} was already stored with other values, which are kept: {', '.join(changed)}"
        )
    return warnings


def warn_of_expired_session(earlier_expired_at: str | None) -> list[str]:
    """Return a warning for a frame that created its session again after the session had expired.

    Args:
        earlier_expired_at: `StoredUpdate.earlier_expired_at`; None for all other frames.
    """
    if earlier_expired_at is None:
        return []
    return [f"an earlier session under this id expired at {earlier_expired_at}; the new one does not have its frames"]


def warn_of_other_viewing(update: StoredUpdate, *, video_id: str, ip_address: str) -> list[str]:
    """Return warnings for a frame whose session was created for another video or address; empty if that is unknown.

    Args:
        update: Outcome of storing the frame.
        video_id: Video id of the request.
        ip_address: Address in the request.
    """
    warnings = []
    if update.video_id and update.video_id != video_id:
        warnings.append(
            "the session was created with another video_id, which is the one that is scored: "
            f"{shorten(update.video_id)}"
        )
    if update.ip_address and update.ip_address != ip_address:
        # Not the address: a client that sends frames to the session of another viewer need not learn it.
        warnings.append("the session was created with another ip_address, with which its result is sent")
    return warnings


def find_misspelt(missing: str, request: object, model: type[BaseModel]) -> str | None:
    """Return the unknown field of a request that probably stands for a missing one; None without any."""
    names = [name for name in _find_unknown(request, model) if len(name) <= MAX_NAME_LENGTH][:MAX_COMPARED]
    known = tuple(_list_known(model))
    return next((shorten(name) for name in names if _find_near(name, known) == missing), None)


def warn_of_other_video(sent: str, scored: object) -> list[str]:
    """Return a warning if the video id of a last frame differs from that of its session; the session's is scored."""
    if scored in {None, sent}:
        return []
    return [f"the session was created with another video_id, which is the one that was scored: {scored}"]


def _find_unknown(value: object, model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _find_unknown(each, model, prefix)
    if not isinstance(value, Mapping):
        return
    parts = _find_parts(model)
    for name, part in value.items():
        if name not in model.model_fields:
            yield f"{prefix}{name}"
        elif name in parts:
            yield from _find_unknown(part, parts[name], f"{prefix}{name}.")


@cache
def _find_parts(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """Return the models of those fields that are objects."""
    parts = {}
    for name, field in model.model_fields.items():
        for option in (field.annotation, *get_args(field.annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                parts[name] = option
    return parts


@cache
def _list_known(model: type[BaseModel]) -> Sequence[str]:
    """Return the names of all fields, those of objects with the name of the object before them."""
    parts = _find_parts(model)
    inner = (f"{name}.{field}" for name, part in parts.items() for field in _list_known(part))
    return (*model.model_fields, *inner)


def _describe(name: str, known: Sequence[str]) -> str:
    near = _find_near(name, tuple(known)) if len(name) <= MAX_NAME_LENGTH else None
    return shorten(name) + (f" (did you mean {near}?)" if near else "")


@lru_cache(maxsize=1024)
def _find_near(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that is probably meant; None without any.

    That is one in the same object that is spelt almost alike, in any case and with any separators; else the only one
    there that begins with the name or has it as a word; else the only one with this name in another object.
    """
    place, _, leaf = name.lower().rpartition(".")
    beside = {_simplify(each): each for each in known if each.rpartition(".")[0] == place}
    close = difflib.get_close_matches(_simplify(leaf), beside, n=1, cutoff=0.8)
    longer = [each for each in beside.values() if leaf and _begins_or_contains(each.rpartition(".")[2], leaf)]
    elsewhere = [each for each in known if _simplify(each) == _simplify(leaf)]
    for found in ([beside[each] for each in close], longer, elsewhere):
        if len(found) == 1:
            return found[0]
    return None


def _simplify(name: str) -> str:
    """Return the last part of a dotted name in lower case, without separators."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())


def _begins_or_contains(name: str, word: str) -> bool:
    return name.startswith(word) or word in name.split("_")


def shorten(name: str) -> str:
    """Return a name of limited length in which control characters and the like are escaped."""
    shown = name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}…"
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in shown)
