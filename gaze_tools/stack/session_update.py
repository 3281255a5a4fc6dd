"""An update of a session, and why it can be refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

MAX_RECORD_BYTES = 100 * 1024
"""Keeps a full part below MongoDB's limit of 16 MB."""


class SealedError(Exception):
    """The component has its result, or is about to get it, and accepts no new integer key.

    Attributes:
        free_in_s: Time until the session expires.
    """

    def __init__(self, free_in_s: float) -> None:
        super().__init__()
        self.free_in_s = free_in_s


class GoneError(Exception):
    """The session does not exist, or no longer exists.

    Attributes:
        expired_at: Time at which it expired; None if no session with this id is remembered.
    """

    def __init__(self, expired_at: datetime | None = None) -> None:
        super().__init__()
        self.expired_at = expired_at


class RefusedError(Exception):
    """The request is invalid."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Update:
    """Values of one component in a PUT, as JSON text.

    Attributes:
        component: Name of the component.
        frames: Values with integer keys.
        settings: Values with other keys.
        result: Value of the key `result`; None without one.
    """

    component: str
    frames: Mapping[str, str]
    settings: Mapping[str, str]
    result: str | None = None
