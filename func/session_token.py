"""Session tokens, which prove that the API gateway started a viewing. docs/security.md describes the format.

    v1.<start_ms>.<video_id>.<HMAC-SHA256 in hex>

The signed message has five lines, joined by line feeds: `gaze-session-token-v1`, session id, IP address, video id and
start time in milliseconds. No field can contain a line feed, so different viewings always have different messages. The
token includes the start time, and the video id because a calibration session usually has a different one.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIN_KEY_BYTES = 32
MAX_KEYS = 8
MAX_TOKEN_LENGTH = 200

_PURPOSE = "gaze-session-token-v1"
_TOKEN = re.compile(r"v1\.(0|[1-9][0-9]{0,14})\.([A-Za-z0-9._-]{1,100})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Viewing:
    """One viewing of one video by one viewer.

    Attributes:
        session_id: Session id.
        ip_address: IP address of the viewer, as sent by the gateway.
        video_id: Video id.
        start_ms: Start of the viewing, Unix time in ms. Distinguishes viewings with the same session id.
    """

    session_id: str
    ip_address: str
    video_id: str
    start_ms: int


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys in a list separated by commas or line feeds; the first one signs, all of them verify.

    A key is `hex:` with hexadecimal digits, `base64:` with standard base64, or any other text, which is encoded in
    UTF-8.

    Raises:
        ValueError: There is no key, there are too many, or a key is malformed or too short. The message never contains
            a key.
    """
    keys = tuple(_parse_key(entry) for part in re.split(r"[,\n]", text) if (entry := part.strip()))
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"must contain 1 to {MAX_KEYS} keys, separated by commas")
    if any(len(key) < MIN_KEY_BYTES for key in keys):
        raise ValueError(f"must contain keys of at least {MIN_KEY_BYTES} bytes each")
    return keys


def read_key_file(name: str) -> tuple[bytes, ...]:
    """Return the keys in a text file, in the format of `parse_keys`.

    Raises:
        ValueError: The file is not a readable text file, or its content is invalid.
    """
    path = Path(name)
    try:
        if not path.is_file():
            raise ValueError("must be the path of a file")
        return parse_keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ValueError("must be the path of a readable text file") from None


def sign_viewing(key: bytes, viewing: Viewing) -> str:
    """Return the token of a viewing.

    Raises:
        ValueError: A field contains a line feed, or the token would be malformed.
    """
    token = f"v1.{viewing.start_ms}.{viewing.video_id}.{_compute_mac(key, viewing)}"
    if "\n" in viewing.session_id + viewing.ip_address or _TOKEN.fullmatch(token) is None:
        raise ValueError("a field of the viewing cannot be signed")
    return token


class TokenVerifier:
    """Verifies tokens with a set of keys.

    Tokens do not expire: a token gives access to one viewing only, never leaves the gateway, and is useless once the
    session has expired. The start time is not compared with a clock, so clocks need not be synchronised.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        self._keys = tuple(keys)

    def verify(self, token: str, *, session_id: str, ip_address: str, video_id: str | None = None) -> Viewing | None:
        """Return the viewing that a token was signed for; None if the token does not match or is malformed.

        Args:
            token: Token as received.
            session_id: Required session id.
            ip_address: Required IP address.
            video_id: Required video id; None accepts any, for the token of a calibration session.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None or "\n" in session_id + ip_address:
            return None
        start_ms, signed_video_id, mac = parts.groups()
        viewing = Viewing(session_id, ip_address, signed_video_id, int(start_ms))
        # All keys are tried, each in constant time.
        fits = [hmac.compare_digest(_compute_mac(key, viewing), mac) for key in self._keys]
        return viewing if any(fits) and video_id in {None, signed_video_id} else None


def _compute_mac(key: bytes, viewing: Viewing) -> str:
    fields = (_PURPOSE, viewing.session_id, viewing.ip_address, viewing.video_id, str(viewing.start_ms))
    return hmac.new(key, "\n".join(fields).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _parse_key(entry: str) -> bytes:
    # The errors have no cause, because those of bytes.fromhex and base64 would quote the key.
    if entry.startswith("hex:"):
        try:
            return bytes.fromhex(entry.removeprefix("hex:"))
        except ValueError:
            raise ValueError("contains a key after `hex:` that is not hexadecimal") from None
    if entry.startswith("base64:"):
        try:
            return base64.b64decode(entry.removeprefix("base64:"), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("contains a key after `base64:` that is not standard base64") from None
    return entry.encode("utf-8", "surrogatepass")
