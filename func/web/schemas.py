"""Pydantic models of requests and answers, which validate them and define the OpenAPI schemas.

Types are those of JSON Schema: 17.0 is an integer, "17" and true are not. Unknown fields are ignored, for compatibility
with other client versions.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from func.session.result import SessionResult
from func.session_token import MAX_TOKEN_LENGTH
from gaze_core.types import Camera, Screen, Validity, Viewport

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


class RequestPart(BaseModel):
    """Base class: strict, frozen, ignores unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    def as_sent(self) -> dict[str, Any]:
        """Return the known fields that the client sent."""
        return self.model_dump(exclude_unset=True)


class ScreenPart(RequestPart):
    """Screen of the viewer. The defaults are those of a 15.6-inch laptop."""

    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {
                "width_mm": ["height_mm"],
                "height_mm": ["width_mm"],
                "width_px": ["height_px"],
                "height_px": ["width_px"],
            }
        }
    )

    width_mm: SizeMm = Screen().width_mm
    height_mm: SizeMm = Screen().height_mm
    width_px: SizePx = Screen().width_px
    height_px: SizePx = Screen().height_px

    @model_validator(mode="after")
    def _check_sizes_come_in_pairs(self) -> Self:
        for unit in ("mm", "px"):
            if (f"width_{unit}" in self.model_fields_set) != (f"height_{unit}" in self.model_fields_set):
                raise ValueError(f"must have width_{unit} and height_{unit} together")
        return self

    def to_screen(self) -> Screen:
        """Return the corresponding value of gaze_core."""
        return Screen(**self.model_dump())


class CameraPart(RequestPart):
    """Camera. Offsets are from the middle of the screen's top edge as seen by the viewer: x right, y up."""

    vertical_fov_deg: Annotated[float, Field(ge=10, le=150)] = Camera().vertical_fov_deg
    offset_x_mm: OffsetMm = Camera().offset_x_mm
    offset_y_mm: OffsetMm = Camera().offset_y_mm
    tilt_deg: Annotated[float, Field(ge=-60, le=60)] = Camera().tilt_deg
    mirrored: bool = Camera().mirrored

    def to_camera(self) -> Camera:
        """Return the corresponding value of gaze_core."""
        return Camera(**self.model_dump())


class ViewportPart(RequestPart):
    """Position and size of the video on the screen, normalised to the screen."""

    x: Annotated[float, Field(ge=-10, le=10)] = Viewport().x
    y: Annotated[float, Field(ge=-10, le=10)] = Viewport().y
    width: Annotated[float, Field(ge=0.001, le=10)] = Viewport().width
    height: Annotated[float, Field(ge=0.001, le=10)] = Viewport().height


_IF_USE_THEN_TARGET: JsonDict = {
    "if": {"properties": {"calibration_use": {"type": "string"}}, "required": ["calibration_use"]},
    "then": {"properties": {"calibration_target": {"type": "array"}}, "required": ["calibration_target"]},
}

_UNLESS_LAST_FRAME: JsonDict = {"properties": {"last_frame": {"const": False}}}

_IF_NOT_LAST_THEN_IMAGE: JsonDict = {
    "if": _UNLESS_LAST_FRAME,
    "then": {"properties": {"frame": {"type": "string", "minLength": 1}}, "required": ["frame"]},
}

MULTIPART_CONDITION: JsonDict = {
    "if": {"properties": {"metadata": _UNLESS_LAST_FRAME}},
    "then": {"required": ["frame"]},
}
"""JSON Schema of a multipart request: the image is required unless `last_frame` in the metadata is true."""


class FrameMetadata(RequestPart):
    """Fields of a frame other than the image: the part `metadata` of a multipart request."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_IF_USE_THEN_TARGET]})

    session_id: SessionId
    video_id: VideoId
    ip_address: IpAddress
    frame_number: Annotated[
        FrameNumber, Field(description="Starts at 1 and is unique in the session. Frames may arrive in any order.")
    ]
    last_frame: Annotated[bool, Field(description="Score the session; `frame` is then optional.")] = False
    timestamp_ms: Annotated[Milliseconds | None, Field(description="Capture time in ms.")] = None
    video_time_ms: Annotated[Milliseconds | None, Field(description="Position in the video in ms.")] = None
    total_frames: Annotated[
        FrameNumber | None, Field(description="Number of distinct frames sent; gaps in their numbers are allowed.")
    ] = None
    screen: ScreenPart | None = None
    viewport: ViewportPart | None = None
    camera: CameraPart | None = None
    calibration_target: Annotated[
        tuple[Coordinate, Coordinate] | None,
        BeforeValidator(as_pair),
        Field(description="Calibration target that the viewer is looking at, normalised to the screen."),
    ] = None
    calibration_use: Annotated[
        Literal["fit", "validate"] | None,
        Field(description="Purpose of the calibration target; `fit` by default."),
    ] = None
    calibration_session: Annotated[
        SessionId | None,
        Field(
            description="Session whose calibration targets calibrate the gaze of this one. In a calibration session: "
            "the earlier one that it refreshes."
        ),
    ] = None

    session_token: Annotated[
        Token | None,
        Field(
            description="Token signed by the gateway for this viewing; required if the function has keys.", repr=False
        ),
    ] = None
    calibration_token: Annotated[
        Token | None,
        Field(
            description="`session_token` of the `calibration_session`; required with it if the function has keys.",
            repr=False,
        ),
    ] = None

    @field_validator("calibration_use")
    @classmethod
    def _check_use_has_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("calibration_target", ()) is None:
            raise ValueError("needs a calibration_target")
        return value

    def describe_setup(self) -> dict[str, Any]:
        """Return those of `screen`, `camera`, `viewport` and `calibration_session` that were sent."""
        parts = {"screen": self.screen, "camera": self.camera, "viewport": self.viewport}
        sent: dict[str, Any] = {name: part.as_sent() for name, part in parts.items() if part is not None}
        if self.calibration_session is not None:
            sent["calibration_session"] = self.calibration_session
        return sent


class FrameRequest(FrameMetadata):
    """JSON request."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_IF_USE_THEN_TARGET, _IF_NOT_LAST_THEN_IMAGE]})

    frame: Annotated[
        str | None,
        Field(
            description="JPEG, PNG or WebP in base64, optionally with line breaks and the prefix "
            "`data:image/...;base64,`; required unless `last_frame`. Either alphabet of base64, padding optional.",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ] = None


class GazeAnswer(BaseModel):
    """Point of gaze, normalised to the screen; may lie off-screen."""

    x: float
    y: float
    on_screen: bool


class HeadPoseAnswer(BaseModel):
    """Head rotation in degrees. Positive: nose up, nose to the viewer's right, head to their right shoulder."""

    pitch: FiniteFloat
    yaw: FiniteFloat
    roll: FiniteFloat


Warnings = Annotated[
    list[str] | None,
    Field(description="Parts of the request that had no effect or contradict the session, and why; omitted if empty."),
]


class FrameAnswer(BaseModel):
    """Answer to a stored frame."""

    status: Literal["success"] = "success"
    message: Literal["Frame processed"] = "Frame processed"
    session_id: str
    frame_number: int
    gaze: Annotated[GazeAnswer | None, Field(description="null unless `validity` is `ok`.")]
    validity: Validity
    head_pose_deg: HeadPoseAnswer | None
    distance_mm: float | None
    calibrated: Annotated[
        bool | None,
        Field(description="Whether the `calibration_session` was applied to `gaze`; omitted unless one was sent."),
    ] = None
    flags: Annotated[
        list[str] | None,
        Field(
            description="Reasons for `low_quality`, among them `face_rotated`, `eyes_covered` and `implausible_face`; "
            "`several_faces`, `left_eye_covered`, `right_eye_covered`. Omitted if empty."
        ),
    ] = None
    warnings: Warnings = None


class CompletedAnswer(BaseModel):
    """Answer to a last frame: the session is scored and the result delivered."""

    status: Literal["success"] = "success"
    message: Literal["Video processing completed"] = "Video processing completed"
    session_id: str
    final_score: Annotated[float, Field(ge=0, le=100, description="`final_score` of the result, in percent.")]
    result: Annotated[SessionResult, Field(description="Stored result: the score and its reliability.")]
    warnings: Warnings = None


class LivenessAnswer(BaseModel):
    """Answer of a live process."""

    status: Literal["alive"] = "alive"


class ReadinessAnswer(BaseModel):
    """Answer of a process with model and landmarker loaded; does not depend on the state of upstream services."""

    status: Literal["ready"] = "ready"
    eye_network: Annotated[
        Literal["used", "unused", "missing"],
        Field(
            description="Whether frames go through the eye network: `unused` if the gaze model was trained without it, "
            "`missing` if its file is missing and the other estimates give the gaze."
        ),
    ]
    neighbours: dict[str, Literal["reachable", "unreachable"]]
    session_ttl_s: Annotated[
        float | None,
        Field(description="Lifetime of an unused session in seconds; omitted until the session API reports it."),
    ] = None


class FieldError(BaseModel):
    """Problem with one field."""

    field: str
    detail: str


class ProblemDocument(BaseModel):
    """Problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None
