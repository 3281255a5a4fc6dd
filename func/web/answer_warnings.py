"""Warnings in answers: the request was accepted, but parts of it had no effect."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

MAX_NAMES = 10
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
    """Return a warning with the names of unknown fields, limited in number and length; empty without any."""
    names = sorted(_find_unknown(request, model))
    if not names:
        return []
    shown = ", ".join(
        name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}…" for name in names[:MAX_NAMES]
    )
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


def warn_of_other_video(sent: str, scored: object) -> list[str]:
    """Return a warning if the video id of a last frame differs from that of its session; the session's is scored."""
    if scored in {None, sent}:
        return []
    return [f"the session was created with another video_id, which is the one that was scored: {scored}"]


def _find_unknown(value: object, model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    for name, part in value.items():
        known = model.model_fields.get(name)
        if known is None:
            yield f"{prefix}{name}"
            continue
        for option in (known.annotation, *get_args(known.annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _find_unknown(part, option, f"{prefix}{name}.")
