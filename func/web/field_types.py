"""Types of the fields of requests: what each accepts, and its description in the OpenAPI document.

Types are those of JSON Schema: 17.0 is an integer, "17" and true are not.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from func.session_token import MAX_TOKEN_LENGTH

MAX_FRAME_NUMBER = 2**31 - 1

_PRINTABLE = "^[^\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]*$"
"""No control characters or line breaks. Every common dialect of regular expressions reads it alike."""


def _check_session_id(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("must not be . or ..")  # part of a path
    return value


def _check_video_id(value: str) -> str:
    if value == "videos" or value.startswith("system."):
        raise ValueError("must not be `videos` or start with `system.`")  # name of a collection
    if value.startswith(".") or value.endswith(".") or ".." in value:
        raise ValueError("must not start or end with a dot or contain two in a row")  # MongoDB refuses such names
    return value


def _check_ip_address(value: str) -> str:
    if not re.fullmatch(_PRINTABLE, value) or re.search("[\ud800-\udfff]", value):
        raise ValueError("must be printable text")
    return value


def _take_whole_number(value: object) -> object:
    """Convert 17.0, which is an integer in JSON Schema, to 17."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


SessionId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$", json_schema_extra={"not": {"enum": [".", ".."]}}),
    AfterValidator(_check_session_id),
]

VideoId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        json_schema_extra={
            "pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
            "maxLength": 100,
            "not": {"anyOf": [{"const": "videos"}, {"pattern": r"^system\."}]},
        },
    ),
    AfterValidator(_check_video_id),
]

IpAddress = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Address of the viewer as identified by the gateway: any printable text, stored unchanged.",
        json_schema_extra={"pattern": _PRINTABLE},
    ),
    AfterValidator(_check_ip_address),
]

Token = Annotated[str, Field(max_length=MAX_TOKEN_LENGTH)]

# The validator stands last, or pydantic's JSON Schema would contain `ge` instead of `minimum`.
FrameNumber = Annotated[int, Field(ge=1, le=MAX_FRAME_NUMBER), BeforeValidator(_take_whole_number)]

# Beyond 1e15, doubles cannot represent every millisecond with a margin.
Milliseconds = Annotated[float, Field(ge=-1e15, le=1e15)]

SizeMm = Annotated[float, Field(ge=10, le=100_000)]

SizePx = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_take_whole_number)]

OffsetMm = Annotated[float, Field(ge=-100_000, le=100_000)]

Coordinate = Annotated[float, Strict(), Field(ge=0, le=1)]


def as_pair(value: object) -> object:
    """Convert a JSON list of two elements to a tuple, which strict validation requires."""
    return tuple(value) if isinstance(value, list) and len(value) == 2 else value


CaptureTime = Annotated[Milliseconds | None, Field(description="Capture time in ms.")]

VideoTime = Annotated[Milliseconds | None, Field(description="Position in the video in ms.")]

TotalFrames = Annotated[
    FrameNumber | None, Field(description="Number of distinct frames sent; gaps in their numbers are allowed.")
]

CalibrationTarget = Annotated[
    tuple[Coordinate, Coordinate] | None,
    BeforeValidator(as_pair),
    Field(description="Calibration target that the viewer is looking at, normalised to the screen."),
]

CalibrationUse = Annotated[
    Literal["fit", "validate"] | None,
    Field(description="Purpose of the calibration target; `fit` by default."),
]

CalibrationSession = Annotated[
    SessionId | None,
    Field(
        description="Session whose calibration targets calibrate the gaze of this one. In a calibration session: "
        "the earlier one that it refreshes."
    ),
]

SessionToken = Annotated[
    Token | None,
    Field(description="Token signed by the gateway for this viewing; required if the function has keys.", repr=False),
]

CalibrationToken = Annotated[
    Token | None,
    Field(
        description="`session_token` of the `calibration_session`; required with it if the function has keys.",
        repr=False,
    ),
]

ImageText = Annotated[
    str | None,
    Field(
        description="JPEG, PNG or WebP in base64, optionally with line breaks and the prefix "
        "`data:image/...;base64,`; required unless `last_frame`. Either alphabet of base64, padding optional.",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]
