"""Separate viewings with the same session id by the start time in their session tokens."""

from collections.abc import Mapping
from dataclasses import replace

from func.errors import OtherViewingError
from func.session.frame_record import FrameRecord
from gaze_core.ports import Session


def keep_viewing(session: Session, viewing_start_ms: int | None) -> Session:
    """Return the session without the frames of other viewings.

    Args:
        session: Session as read.
        viewing_start_ms: Start of the viewing to keep; None, without tokens, keeps all frames.
    """
    if viewing_start_ms is None:
        return session
    frames = {number: value for number, value in session.frames.items() if is_of_viewing(value, viewing_start_ms)}
    return replace(session, frames=frames)


def is_of_viewing(stored: object, viewing_start_ms: int | None) -> bool:
    """Return whether a stored record or result belongs to a viewing; one without a viewing belongs to any."""
    if isinstance(stored, FrameRecord):
        known = stored.viewing_start_ms
    else:
        known = stored.get("viewing_start_ms") if isinstance(stored, Mapping) else None
    return known is None or viewing_start_ms is None or known == viewing_start_ms


def require_viewing(stored: object, viewing_start_ms: int | None) -> None:
    """Check that a stored record or result belongs to a viewing.

    Raises:
        OtherViewingError: It belongs to another one.
    """
    if not is_of_viewing(stored, viewing_start_ms):
        raise OtherViewingError
