"""Pydantic models of requests and answers, which validate them and define the OpenAPI schemas.

Unknown fields are ignored, for compatibility with other client versions.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict

from func.session.result import SessionResult
from func.web.field_types import (
    CalibrationSession,
    CalibrationTarget,
    CalibrationToken,
    CalibrationUse,
    CaptureTime,
    FrameNumber,
    ImageText,
    IpAddress,
    OffsetMm,
    SessionId,
    SessionToken,
    SizeMm,
    SizePx,
    TotalFrames,
    VideoId,
    VideoTime,
)
from gaze_core.types import Camera, Screen, Validity, Viewport


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


IF_USE_THEN_TARGET: JsonDict = {
    "if": {"properties": {"calibration_use": {"type": "string"}}, "required": ["calibration_use"]},
    "then": {"properties": {"calibration_target": {"type": "array"}}, "required": ["calibration_target"]},
}

UNLESS_LAST_FRAME: JsonDict = {"properties": {"last_frame": {"const": False}}}

IF_NOT_LAST_THEN_IMAGE: JsonDict = {
    "if": UNLESS_LAST_FRAME,
    "then": {"properties": {"frame": {"type": "string", "minLength": 1}}, "required": ["frame"]},
}

NOT_SEVERAL_FRAMES: JsonDict = {"not": {"properties": {"frames": {"type": "array"}}, "required": ["frames"]}}

MULTIPART_CONDITION: JsonDict = {
    "if": {"properties": {"metadata": {**UNLESS_LAST_FRAME, **NOT_SEVERAL_FRAMES}}},
    "then": {"required": ["frame"]},
}
"""JSON Schema of a multipart request: a single image is required unless `last_frame` in the metadata is true."""


class FrameMetadata(RequestPart):
    """Fields of a frame other than the image: the part `metadata` of a multipart request."""

    model_config = ConfigDict(json_schema_extra={"allOf": [IF_USE_THEN_TARGET, NOT_SEVERAL_FRAMES]})

    session_id: SessionId
    video_id: VideoId
    ip_address: IpAddress
    frame_number: Annotated[
        FrameNumber, Field(description="Starts at 1 and is unique in the session. Frames may arrive in any order.")
    ]
    last_frame: Annotated[bool, Field(description="Score the session; `frame` is then optional.")] = False
    timestamp_ms: CaptureTime = None
    video_time_ms: VideoTime = None
    total_frames: TotalFrames = None
    screen: ScreenPart | None = None
    viewport: ViewportPart | None = None
    camera: CameraPart | None = None
    calibration_target: CalibrationTarget = None
    calibration_use: CalibrationUse = None
    calibration_session: CalibrationSession = None
    session_token: SessionToken = None
    calibration_token: CalibrationToken = None

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

    model_config = ConfigDict(
        json_schema_extra={"allOf": [IF_USE_THEN_TARGET, NOT_SEVERAL_FRAMES, IF_NOT_LAST_THEN_IMAGE]}
    )

    frame: ImageText = None


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
    """Answer of a process with model and landmarker loaded; does not depend on the state of upstream services.

    With MANAGEMENT_PORT, only that port's answer has more than `status`.
    """

    status: Literal["ready"] = "ready"
    eye_network: Annotated[
        Literal["used", "unused", "missing"] | None,
        Field(
            description="Whether frames go through the eye network: `unused` if the gaze model was trained without it, "
            "`missing` if its file is missing and the other estimates give the gaze."
        ),
    ] = None
    neighbours: dict[str, Literal["reachable", "unreachable"]] | None = None
    session_ttl_s: Annotated[
        float | None,
        Field(description="Lifetime of an unused session in seconds; omitted until the session API reports it."),
    ] = None


class FieldError(BaseModel):
    """Problem with one field."""

    field: str
    detail: str


class ProblemFields(BaseModel):
    """Fields of every problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None


class FrameProblem(ProblemFields):
    """Why one of several frames of a request was not answered."""

    frame_number: int
    retry_after_s: Annotated[
        int | None, Field(description="Time to wait before sending the frame again; omitted if there is no need.")
    ] = None


class ProblemDocument(ProblemFields):
    """Problem document (RFC 9457)."""

    frames: Annotated[
        list[FrameProblem] | None,
        Field(description="Problem of each frame, in the order of the request; omitted unless it had `frames`."),
    ] = None
