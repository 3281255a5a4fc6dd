"""Request bodies to validated requests.

A request is JSON with a base64 image or multipart with a raw one; both share `FrameMetadata`.
"""

import binascii
import codecs
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import (
    ValidationError,
)

from func.errors import (
    BadRequestError,
    FieldProblem,
    PayloadTooLargeError,
)
from func.json_limits import LONG_STRING_BYTES, JsonLimitError, JsonLimits, check_json
from func.web.answer_warnings import warn_of_unknown_fields
from func.web.multipart import MultipartError, split_multipart
from func.web.schemas import FrameMetadata, FrameRequest, RequestPart

JSON_LIMITS = JsonLimits(structure=4096, depth=20)
"""A frame with every field has about 70 elements and a depth of 2; a request may hold several, and unknown fields."""

MAX_FIELDS_BYTES = 256 * 1024
"""Of a JSON text without its long strings, which hold the images."""

MAX_LONG_STRINGS = 64

_DATA_URL_PREFIX = re.compile(
    rb"data:(?:image/[a-z0-9.+-]{1,32}|application/octet-stream)?(?:;[a-z0-9-]{1,32}=[^;,]{0,64}){0,4};base64,",
    re.IGNORECASE,
)

_ESCAPES = {
    rb"\/": b"/",
    rb"\n": b"\n",
    rb"\r": b"\r",
    rb"\t": b"\t",
    rb"\u002b": b"+",
    rb"\u002B": b"+",
    rb"\u002f": b"/",
    rb"\u002F": b"/",
    rb"\u003d": b"=",
    rb"\u003D": b"=",
}
"""How JSON writers escape characters of base64 and the white space in it."""

_WHITESPACE = b" \t\r\n\f\v"

_PLACEHOLDER = re.compile(f"~{{{LONG_STRING_BYTES}}}([0-9]{{1,2}})")

_Part = TypeVar("_Part", bound=RequestPart)


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """A request whose fields are valid.

    Attributes:
        metadata: Its fields.
        image: The image file, not checked yet; None for a last frame without one.
        warnings: Parts of the request that have no effect.
    """

    metadata: FrameMetadata
    image: bytes | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A JSON text's value with placeholders instead of its long strings.

    Attributes:
        value: What `json.loads` returns for the shortened text.
        text: The whole text.
        long_strings: Where the long strings lie in it.
    """

    value: object
    text: bytes
    long_strings: list[slice]


def parse_json_request(body: bytes) -> ParsedFrame:
    """Return the request in a JSON body.

    Raises:
        BadRequestError: Malformed JSON, or fields that are missing or wrong; it names each of them.
        PayloadTooLargeError: The fields beside the image are too large.
    """
    parsed = _parse_shortened(body, "the body")
    request = _validate(FrameRequest, parsed.value)
    image = (_decode_frame(request.frame, parsed) or None) if request.frame else None
    warnings = warn_of_unknown_fields(parsed.value, FrameRequest)
    return _require_image(request.model_copy(update={"frame": None}), image, warnings)


def parse_multipart_request(body: bytes, boundary: str) -> ParsedFrame:
    """Return the request in a multipart body with the parts `metadata` (JSON) and `frame` (raw bytes).

    Args:
        body: The whole body.
        boundary: From the content type.

    Raises:
        BadRequestError: Malformed multipart or JSON, or fields that are missing or wrong; it names each of them.
        PayloadTooLargeError: The part `metadata` is too large.
    """
    parts = _read_parts(body, boundary)
    if "metadata" not in parts:
        raise BadRequestError("a part is missing", [FieldProblem("metadata", "is required")])
    value = parse_json(parts["metadata"], "the part `metadata`")
    metadata = _validate(FrameMetadata, value)
    return _require_image(metadata, parts.get("frame") or None, warn_of_unknown_fields(value, FrameMetadata))


def parse_json(text: bytes, name: str) -> object:
    """Return the value of a JSON text in UTF-8; a byte order mark is skipped.

    A string of more than `LONG_STRING_BYTES` bytes becomes another that is just as long and that no field accepts.

    Raises:
        BadRequestError: It is malformed, nests too deeply, has too many elements, contains a duplicate key, or has a
            number that JSON does not know.
        PayloadTooLargeError: It is too large, not counting long strings.
    """
    return _parse_shortened(text, name).value


def _parse_shortened(text: bytes, name: str) -> _Parsed:
    """Parse a JSON text without its long strings, the images.

    Parsed with the rest, an image would be copied several times, and into four bytes a character if a single character
    of the text needs them.
    """
    if text.startswith(codecs.BOM_UTF8):
        text = text[len(codecs.BOM_UTF8) :]
    try:
        long_strings = check_json(text, JSON_LIMITS)
        if len(text) - sum(string.stop - string.start for string in long_strings) > MAX_FIELDS_BYTES:
            raise PayloadTooLargeError(f"{name} has more than {MAX_FIELDS_BYTES} bytes beside its images")
        if len(long_strings) > MAX_LONG_STRINGS:
            raise PayloadTooLargeError(f"{name} has more than {MAX_LONG_STRINGS} strings as long as images")
        pieces: list[bytes] = []
        at = 0
        for number, string in enumerate(long_strings):
            pieces += [text[at : string.start], b"~" * LONG_STRING_BYTES, b"%d" % number]
            at = string.stop
        shortened = b"".join((*pieces, text[at:])).decode("utf-8")
        value = json.loads(shortened, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (BadRequestError, JsonLimitError) as error:
        raise BadRequestError(f"{name} {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{name} is not valid JSON in UTF-8") from error
    return _Parsed(value, text, long_strings)


def _require_image(metadata: FrameMetadata, image: bytes | None, warnings: Iterable[str]) -> ParsedFrame:
    if image is None and not metadata.last_frame:
        raise BadRequestError("a field is missing", [FieldProblem("frame", "is required unless last_frame is true")])
    return ParsedFrame(metadata, image, tuple(warnings))


def _decode_frame(frame: str, parsed: _Parsed) -> bytes:
    """Return the bytes of the field `frame`, whether it was short enough to be parsed or not."""
    placeholder = _PLACEHOLDER.fullmatch(frame)
    try:
        if placeholder is None or int(placeholder[1]) >= len(parsed.long_strings):
            return _decode_base64(frame.encode("ascii"))
        string = parsed.long_strings[int(placeholder[1])]
        if parsed.text.find(b"\\", string.start, string.stop) < 0:
            return _decode_base64(parsed.text, string.start, string.stop)
        written = parsed.text[string]
        for escape, character in _ESCAPES.items():
            written = written.replace(escape, character)
        return _decode_base64(written)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("a field is wrong", [FieldProblem("frame", "must be base64")]) from error


def _decode_base64(text: bytes, start: int = 0, stop: int | None = None) -> bytes:
    """Return what base64 stands for, without a data URL's beginning and white space.

    Only text with white space is copied.
    """
    stop = len(text) if stop is None else stop
    prefix = _DATA_URL_PREFIX.match(text, start, stop)
    start = prefix.end() if prefix else start
    if any(text.find(space, start, stop) >= 0 for space in _WHITESPACE):
        return binascii.a2b_base64(text[start:stop].translate(None, _WHITESPACE), strict_mode=True)
    return binascii.a2b_base64(memoryview(text)[start:stop], strict_mode=True)


def _read_parts(body: bytes, boundary: str) -> dict[str, bytes]:
    """Return the parts that we know by name."""
    parts: dict[str, bytes] = {}
    try:
        for part in split_multipart(body, boundary):
            if part.name in parts:
                raise BadRequestError("a part comes twice", [FieldProblem(part.name, "must come once")])
            if part.name in {"metadata", "frame"}:
                parts[part.name] = part.data
    except MultipartError as error:
        raise BadRequestError(f"the body is not valid multipart/form-data: {error}") from error
    return parts


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise BadRequestError("names a key twice")
    return unique


def _refuse_constant(_: str) -> NoReturn:
    raise BadRequestError("has a number that is not finite")


def _validate(model: type[_Part], value: object) -> _Part:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            FieldProblem(".".join(map(str, entry["loc"])) or "body", _explain(entry["type"], entry.get("ctx", {})))
            for entry in error.errors(include_url=False, include_input=False)
        ]
        raise BadRequestError("fields are missing or wrong", problems) from error


_EXPLANATIONS = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be an integer",
    "int_parsing_size": "must be an integer of a sensible size",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list of two numbers",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "model_type": "must be an object",
    "value_error": "{error}",
}
"""Pydantic's kinds of error in our words, since no message of a library leaves the process."""


def _explain(kind: str, context: Mapping[str, Any]) -> str:
    return _EXPLANATIONS.get(kind, "is not valid").format(**context)
