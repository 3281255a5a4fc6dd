"""Session tokens of a local stack, signed as an API gateway does it."""

import time

from func.session_token import Viewing, sign_viewing

LOCAL_ADDRESS = "127.0.0.1"
"""The viewer's address in sessions on this machine."""


def sign_session(token_key: str, session_id: str, video_id: str, ip_address: str = LOCAL_ADDRESS) -> str:
    """Return the token of a session that starts now."""
    viewing = Viewing(session_id, ip_address, video_id, start_ms=int(1000 * time.time()))
    return sign_viewing(token_key.encode(), viewing)
