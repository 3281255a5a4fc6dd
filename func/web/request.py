"""Request bodies to validated requests.

A request is JSON with a base64 image or multipart with a raw one; both share `FrameMetadata`.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import (
    ValidationError,
)
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData
from werkzeug.sansio.multipart import Field as FormField

from func.errors import (
    BadRequestError,
    FieldProblem,
)
from func.web.answer_warnings import warn_of_unknown_fields
from func.web.schemas import FrameMetadata, FrameRequest, RequestPart

_DATA_URL_PREFIX = re.compile(r"data:image/[a-z0-9.+-]{1,32}(;[a-z0-9-]{1,32}=[^;,]{0,64}){0,4};base64,", re.IGNORECASE)

_WHITESPACE = b" \t\r\n\f\v"

_MAX_PARTS = 8

_Part = TypeVar("_Part", bound=RequestPart)


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """A request whose fields are valid.

    Attributes:
        metadata: Its fields.
        image: The picture's bytes, not looked at yet; None for a last frame without one.
        warnings: Parts of the request that have no effect.
    """

    metadata: FrameMetadata
    image: bytes | None
    warnings: tuple[str, ...] = ()


def parse_json_request(body: bytes) -> ParsedFrame:
    """Return the request in a JSON body.

    Raises:
        BadRequestError: Malformed JSON, or fields that are missing or wrong; it names each of them.
    """
    value = parse_json(body, "the body")
    request = _validate(FrameRequest, value)
    image = (_decode_base64(request.frame) or None) if request.frame else None
    warnings = warn_of_unknown_fields(value, FrameRequest)
    return _require_image(request.model_copy(update={"frame": None}), image, warnings)


def parse_multipart_request(body: bytes, boundary: str) -> ParsedFrame:
    """Return the request in a multipart body with the parts `metadata` (JSON) and `frame` (raw bytes).

    Args:
        body: All of it.
        boundary: As the content type says.

    Raises:
        BadRequestError: Malformed multipart or JSON, or fields that are missing or wrong; it names each of them.
    """
    parts = _split_multipart(body, boundary)
    if "metadata" not in parts:
        raise BadRequestError("a part is missing", [FieldProblem("metadata", "is required")])
    value = parse_json(parts["metadata"], "the part `metadata`")
    metadata = _validate(FrameMetadata, value)
    return _require_image(metadata, parts.get("frame") or None, warn_of_unknown_fields(value, FrameMetadata))


def parse_json(text: bytes, name: str) -> object:
    """Return what a JSON text in UTF-8 says.

    Raises:
        BadRequestError: It is malformed, nests too deeply, names a key twice, or has a number that JSON does not know.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except BadRequestError as error:
        raise BadRequestError(f"{name} {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"{name} is not valid JSON in UTF-8") from error


def _require_image(metadata: FrameMetadata, image: bytes | None, warnings: Iterable[str]) -> ParsedFrame:
    if image is None and not metadata.last_frame:
        raise BadRequestError("a field is missing", [FieldProblem("frame", "is required unless last_frame is true")])
    return ParsedFrame(metadata, image, tuple(warnings))


def _decode_base64(text: str) -> bytes:
    prefix = _DATA_URL_PREFIX.match(text)
    try:
        encoded = (text[prefix.end() :] if prefix else text).encode("ascii")
        return base64.b64decode(encoded.translate(None, _WHITESPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("a field is wrong", [FieldProblem("frame", "must be base64")]) from error


def _split_multipart(body: bytes, boundary: str) -> dict[str, bytes]:
    """Return the parts that we know by name; nothing is written to disk."""
    decoder = MultipartDecoder(boundary.encode("latin-1", "replace"), max_parts=_MAX_PARTS)
    parts: dict[str, list[bytes]] = {"metadata": [], "frame": []}
    seen: set[str] = set()
    name: str | None = None
    try:
        decoder.receive_data(body)
        decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
            if isinstance(event, FormField | File):
                name = event.name if event.name in parts else None
                if name in seen:
                    raise BadRequestError("a part comes twice", [FieldProblem(name, "must come once")])
                if name is not None:
                    seen.add(name)
            elif isinstance(event, Data) and name is not None:
                parts[name].append(event.data)
    except (ValueError, LookupError, AttributeError, HTTPException) as error:
        raise BadRequestError("the body is not valid multipart/form-data") from error
    return {name: b"".join(parts[name]) for name in seen}


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
