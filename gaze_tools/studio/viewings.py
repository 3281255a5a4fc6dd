"""Ids and tokens of viewings, as an API gateway makes them."""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from func.session_token import Viewing, sign_viewing


@dataclass(frozen=True, slots=True)
class StartedViewing:
    """A new viewing.

    Attributes:
        session_id: Session id.
        video_id: Video id.
        session_token: Token for the function; None if it checks none.
    """

    session_id: str
    video_id: str
    session_token: str | None


def start_viewing(
    ip_address: str,
    video_id: str,
    *,
    token_key: bytes | None = None,
    clock: Callable[[], float] = time.time,
    nonce: Callable[[], str] = lambda: secrets.token_hex(16),
) -> StartedViewing:
    """Return a viewing with an id of its own, so that a page that is loaded again never continues an earlier one.

    Args:
        ip_address: Address of the viewer.
        video_id: Video id.
        token_key: Key that signs the session token; None makes none.
        clock: Returns Unix time in seconds.
        nonce: Returns a random text that nobody can guess.
    """
    start_ms = int(1000 * clock())
    session_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ip_address}:{video_id}:{start_ms}:{nonce()}"))
    viewing = Viewing(session_id, ip_address, video_id, start_ms)
    return StartedViewing(session_id, video_id, None if token_key is None else sign_viewing(token_key, viewing))
