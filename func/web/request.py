"""Parse and validate requests of one frame.

A body is JSON with a base64 image, or multipart with a binary image; both have the fields of `FrameMetadata`.
`batch_request` parses bodies of one frame or several.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from func.errors import BadRequestError, FieldProblem, PayloadTooLargeError
from func.json_limits import LONG_STRING_BYTES, JsonLimitError, JsonLimits, check_json
from func.web.answer_warnings import find_misspelt, shorten, warn_of_unknown_fields
from func.web.image_text import ImageTextError, decode_image_text, read_image_part
from func.web.multipart import MultipartError, split_multipart
from func.web.schemas import FrameMetadata, FrameRequest, RequestPart

JSON_LIMITS = JsonLimits(structure=4096, depth=20)
"""Limits for one request. A frame with all fields has about 70 elements and a depth of 2; a request, at most 32."""

MAX_FIELDS_BYTES = 256 * 1024
"""Maximum size of a JSON text, not counting its long strings, such as images."""

MAX_LONG_STRINGS = 64

MAX_DIGITS = 400
"""Maximum length of an integer; the longest number that a double holds has 309 digits."""

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
"""JSON escapes of base64 characters and of white space."""

_PLACEHOLDER = re.compile(f"~{{{LONG_STRING_BYTES}}}([0-9]{{1,2}})")

_Part = TypeVar("_Part", bound=RequestPart)


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """A request with valid fields.

    Attributes:
        metadata: Fields of the request.
        image: Content of the image file, not yet checked; None for a last frame without an image.
        warnings: Warnings about parts of the request that have no effect.
    """

    metadata: FrameMetadata
    image: bytes | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """Value of a JSON text, with placeholders for its long strings.

    Attributes:
        value: Value of the shortened text.
        text: Whole text.
        long_strings: Positions of the long strings in the text.
    """

    value: object
    text: bytes
    long_strings: list[slice]


def parse_json_request(body: bytes) -> ParsedFrame:
    """Return the frame in a JSON body.

    Raises:
        BadRequestError: The JSON is malformed, or fields are missing or invalid; the error lists them.
        PayloadTooLargeError: The fields other than the image are too large.
    """
    return read_json_frame(parse_shortened(body, "the body"))


def read_json_frame(parsed: ParsedJson) -> ParsedFrame:
    """Return the frame in a JSON body.

    Raises:
        BadRequestError: Fields are missing or invalid; the error lists them.
    """
    request = validate(FrameRequest, parsed.value, "body")
    image = (decode_frame(request.frame, parsed) or None) if request.frame else None
    warnings = warn_of_unknown_fields(parsed.value, FrameRequest)
    return _require_image(request.model_copy(update={"frame": None}), image, warnings)


def read_multipart_frame(value: object, images: Sequence[bytes]) -> ParsedFrame:
    """Return the frame in a multipart body.

    Args:
        value: Value of the part `metadata`.
        images: Content of the parts `frame`.

    Raises:
        BadRequestError: Fields are missing or invalid, or there are several images; the error lists them.
    """
    if len(images) > 1:
        raise BadRequestError("a part is duplicated", [FieldProblem("frame", "must occur once")])
    metadata = validate(FrameMetadata, value, "metadata")
    image = read_image_part(images[0]) if images and images[0].strip(b"\r\n") else None
    if image is None and isinstance(value, Mapping) and value.get("frame"):
        requirement = "must be a part of its own, not a field of `metadata`"
        raise BadRequestError("a part is missing", [FieldProblem("frame", requirement)])
    return _require_image(metadata, image, warn_of_unknown_fields(value, FrameMetadata))


def parse_json(text: bytes, name: str) -> object:
    """Return the value of a JSON text in UTF-8, with or without a byte order mark.

    Strings of more than `LONG_STRING_BYTES` bytes are replaced by placeholders, which no field accepts.

    Raises:
        BadRequestError: The text is malformed or not in UTF-8, nests too deeply, has too many elements, contains a
            duplicate key, or has a number that is not finite or has too many digits.
        PayloadTooLargeError: The text is too large, not counting long strings.
    """
    return parse_shortened(text, name).value


def parse_shortened(text: bytes, name: str) -> ParsedJson:
    """Parse a JSON text without its long strings, which are images.

    Parsing an image with the rest would copy it several times, with four bytes per character if any character of the
    text needs them.

    Raises:
        BadRequestError: See `parse_json`.
        PayloadTooLargeError: The text is too large, not counting long strings.
    """
    if text.startswith(codecs.BOM_UTF8):
        text = text[len(codecs.BOM_UTF8) :]
    if not text.strip():
        raise BadRequestError(f"{name} is empty")
    encoding = json.detect_encoding(text[:4])
    if encoding != "utf-8":
        raise BadRequestError(f"{name} is in {encoding.upper()}; send it in UTF-8")
    long_strings: list[slice] = []
    try:
        long_strings = check_json(text, JSON_LIMITS)
        if len(text) - sum(string.stop - string.start for string in long_strings) > MAX_FIELDS_BYTES:
            raise PayloadTooLargeError(f"{name} has more than {MAX_FIELDS_BYTES} bytes besides images")
        if len(long_strings) > MAX_LONG_STRINGS:
            raise PayloadTooLargeError(f"{name} has more than {MAX_LONG_STRINGS} long strings")
        pieces: list[bytes] = []
        at = 0
        for number, string in enumerate(long_strings):
            pieces += [text[at : string.start], b"~" * LONG_STRING_BYTES, b"%d" % number]
            at = string.stop
        shortened = b"".join((*pieces, text[at:])).decode("utf-8")
        value = json.loads(
            shortened, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_read_integer
        )
    except (BadRequestError, JsonLimitError) as error:
        raise BadRequestError(f"{name} {error}") from None
    except UnicodeDecodeError as error:
        at = _find_position(error.start, long_strings)
        raise BadRequestError(f"{name} is not UTF-8 at byte {at}, perhaps Latin-1; send it in UTF-8") from error
    except json.JSONDecodeError as error:
        at = _find_position(error.pos, long_strings)
        raise BadRequestError(f"{name} is not valid JSON at character {at}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{name} is not valid JSON: a string is not terminated") from error
    return ParsedJson(value, text, long_strings)


def _find_position(position: int, long_strings: Iterable[slice]) -> int:
    """Return the position in the whole text, counted from 1, of one in the shortened text, counted from 0."""
    for number, string in enumerate(long_strings):
        placeholder = LONG_STRING_BYTES + len(str(number))
        if position < string.start + placeholder:
            break
        position += string.stop - string.start - placeholder
    return position + 1


def _require_image(metadata: FrameMetadata, image: bytes | None, warnings: Iterable[str]) -> ParsedFrame:
    if image is None and not metadata.last_frame:
        raise BadRequestError("a field is missing", [FieldProblem("frame", "is required unless last_frame is true")])
    return ParsedFrame(metadata, image, tuple(warnings))


def decode_frame(frame: str, parsed: ParsedJson) -> bytes:
    """Return the content of a field `frame`, which may be a placeholder.

    Raises:
        BadRequestError: The text is not base64.
    """
    placeholder = _PLACEHOLDER.fullmatch(frame)
    try:
        if placeholder is None or int(placeholder[1]) >= len(parsed.long_strings):
            return decode_image_text(frame.encode("utf-8", "surrogatepass"))
        string = parsed.long_strings[int(placeholder[1])]
        if parsed.text.find(b"\\", string.start, string.stop) < 0:
            return decode_image_text(parsed.text, string.start, string.stop)
        written = parsed.text[string]
        for escape, character in _ESCAPES.items():
            written = written.replace(escape, character)
        return decode_image_text(written)
    except ImageTextError as error:
        raise BadRequestError("a field is invalid", [FieldProblem("frame", str(error))]) from error


def read_parts(body: bytes, boundary: str) -> tuple[bytes, list[bytes]]:
    """Return the part `metadata` of a multipart body, and the parts `frame` in their order.

    Raises:
        BadRequestError: The multipart is malformed, or `metadata` is missing or duplicated.
    """
    metadata: bytes | None = None
    images: list[bytes] = []
    try:
        for part in split_multipart(body, boundary):
            if part.name == "frame":
                images.append(part.data)
            elif part.name == "metadata" and metadata is not None:
                raise BadRequestError("a part is duplicated", [FieldProblem("metadata", "must occur once")])
            elif part.name == "metadata":
                metadata = part.data
    except MultipartError as error:
        raise BadRequestError(f"the body is not valid multipart/form-data: {error}") from error
    if metadata is None:
        requirement = "is required: a part with all fields but the image, as JSON"
        raise BadRequestError("a part is missing", [FieldProblem("metadata", requirement)])
    return metadata, images


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        count = Counter(name for name, _ in pairs)
        duplicate = next(name for name in count if count[name] > 1)
        raise BadRequestError(f"contains the key {shorten(duplicate)} twice")
    return unique


def _refuse_constant(_: str) -> NoReturn:
    raise BadRequestError("contains a number that is not finite")


def _read_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise BadRequestError(f"contains a number of more than {MAX_DIGITS} digits")
    return int(digits)


def validate(model: type[_Part], value: object, name: str) -> _Part:
    """Return a request with valid fields.

    Raises:
        BadRequestError: Fields are missing or invalid; the error lists them.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = []
        for entry in error.errors(include_url=False, include_input=False):
            field = ".".join(map(str, entry["loc"])) or name
            detail = _explain(entry["type"], entry.get("ctx", {}))
            if entry["type"] == "missing":
                near = find_misspelt(_INDEX.sub("frames.", field), value, model)
                detail += f"; did you mean it by `{near}`?" if near else ""
            elif entry["type"] in {"greater_than_equal", "less_than_equal"}:
                detail += _UNITS.get(_INDEX.sub("", field).split(".")[0], "")
            problems.append(FieldProblem(field, detail))
        raise BadRequestError("fields are missing or invalid", problems) from error


_INDEX = re.compile(r"^frames\.[0-9]+\.")
"""Start of the name of a field in one of several frames."""

_UNITS = {
    "viewport": ", as a share of the screen, not in pixels",
    "calibration_target": ", as a share of the screen, not in pixels",
}
"""What is often mistaken about the numbers of a field."""


_EXPLANATIONS = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be an integer",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list of two numbers",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} elements",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "model_type": "must be an object",
    "value_error": "{error}",
}
"""Messages for pydantic's error types; messages of libraries are not sent to clients."""


def _explain(kind: str, context: Mapping[str, Any]) -> str:
    return _EXPLANATIONS.get(kind, "is not valid").format(**context)
