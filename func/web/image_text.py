"""Decode images that were sent as text: base64, with or without the prefix of a data URL.

Both usual alphabets, missing padding and white space are accepted, because senders produce all of them and no other
meaning is possible.
"""

import binascii
import re

_DATA_URL_PREFIX = re.compile(
    rb"data:(?:image/[a-z0-9.+-]{1,32}|application/octet-stream)?(?:;[a-z0-9-]{1,32}=[^;,]{0,64}){0,4};base64,",
    re.IGNORECASE,
)

_WHITESPACE = b" \t\r\n\f\v"

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/_=\s-]")

_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")

_HEXADECIMAL_SIGNATURES = (b"ffd8ff", b"89504e", b"524946")


class ImageTextError(ValueError):
    """The text is not base64; the message completes a sentence that begins with the field."""


def decode_image_text(text: bytes, start: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes in a text of base64; empty for a blank text.

    Args:
        text: Contains the base64.
        start: Position of its first byte.
        stop: Position after its last byte; None for the end of `text`.

    Raises:
        ImageTextError: The text is not base64.
    """
    stop = len(text) if stop is None else stop
    prefix = _DATA_URL_PREFIX.match(text, start, stop)
    first = prefix.end() if prefix else start
    if text[first : first + 6].lower() in _HEXADECIMAL_SIGNATURES:
        raise ImageTextError("must be base64, not hexadecimal")
    try:
        return binascii.a2b_base64(memoryview(text)[first:stop], strict_mode=True)  # copies nothing
    except binascii.Error:
        pass
    if text[start : start + 5].lower() == b"data:" and not prefix:
        raise ImageTextError("must be base64 or the data URL of an image, such as data:image/jpeg;base64,…")
    content = text[first:stop].translate(_TO_STANDARD_ALPHABET, _WHITESPACE).rstrip(b"=")
    if len(content) % 4 == 1 and not _NOT_BASE64.search(content):
        raise ImageTextError("must be base64; this one is cut off, because a length like this is impossible")
    try:
        return binascii.a2b_base64(content + b"=" * (-len(content) % 4), strict_mode=True)
    except binascii.Error:
        raise ImageTextError(_explain(text[first:stop])) from None


def read_image_part(data: bytes) -> bytes:
    """Return the content of an image file that may have been sent as text; anything else unchanged."""
    if data.startswith(_SIGNATURES):
        return data
    try:
        decoded = decode_image_text(data)
    except ImageTextError:
        return data
    return decoded if decoded.startswith(_SIGNATURES) else data


def _explain(text: bytes) -> str:
    if re.match(rb"(?:https?|blob|file):", text):
        return "must contain the image itself in base64, not its address"
    if re.match(rb"[^%]*%[0-9A-Fa-f]{2}", text):
        return "must be base64 without percent-encoding"
    found = _NOT_BASE64.search(text)
    return f"must be base64; its character {found.start() + 1} is not" if found else "must be base64"
