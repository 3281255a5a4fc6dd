"""Pydantic models of requests with several frames, and of their answers."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from func.web.field_types import (
    CalibrationSession,
    CalibrationTarget,
    CalibrationToken,
    CalibrationUse,
    CaptureTime,
    FrameNumber,
    ImageText,
    IpAddress,
    SessionId,
    SessionToken,
    TotalFrames,
    VideoId,
    VideoTime,
)
from func.web.schemas import (
    IF_NOT_LAST_THEN_IMAGE,
    CameraPart,
    CompletedAnswer,
    FrameAnswer,
    FrameMetadata,
    FrameProblem,
    RequestPart,
    ScreenPart,
    ViewportPart,
    Warnings,
)

MAX_FRAMES = 32
"""Maximum frames of one request: 1.6 s at 20 frames/s."""

ONLY_SHARED = (
    "session_id",
    "video_id",
    "ip_address",
    "total_frames",
    "calibration_session",
    "session_token",
    "calibration_token",
)
"""Fields that stand outside `frames`, because they belong to the viewing."""

ONLY_PER_FRAME = ("frame_number", "frame")
"""Fields that stand in each frame."""


def _forbid(names: tuple[str, ...]) -> JsonDict:
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


def _demand_targets() -> list[JsonDict]:
    """Return the conditions that each frame with a calibration use has a target, its own or the shared one."""
    use_given: JsonDict = {"properties": {"calibration_use": {"type": "string"}}, "required": ["calibration_use"]}
    use_removed: JsonDict = {"properties": {"calibration_use": {"type": "null"}}, "required": ["calibration_use"]}
    target_kept: JsonDict = {"properties": {"calibration_target": {"type": "array"}}}
    target_given: JsonDict = {**target_kept, "required": ["calibration_target"]}
    use_kept: JsonDict = {"not": use_removed}
    no_use: JsonDict = {"not": use_given}
    no_target: JsonDict = {"not": target_given}
    conditions: list[JsonDict] = []
    for shared_use, uses in ((use_given, use_kept), (no_use, use_given)):
        for shared_target, has_target in ((target_given, target_kept), (no_target, target_given)):
            frames: JsonDict = {"items": {"if": uses, "then": has_target}}
            condition: JsonDict = {"allOf": [shared_use, shared_target]}
            conditions.append({"if": condition, "then": {"properties": {"frames": frames}}})
    return conditions


def _refuse_last_frame(value: bool) -> bool:
    if value:
        raise ValueError("must be in one of the `frames`, the one that is the last")
    return value


class BatchFrame(RequestPart):
    """One of several frames in a multipart request. What it leaves out is taken from the fields outside `frames`."""

    model_config = ConfigDict(json_schema_extra=_forbid(ONLY_SHARED))

    frame_number: Annotated[FrameNumber, Field(description="Unique in the session, and so in the request.")]
    last_frame: Annotated[bool, Field(description="Score the session; `frame` is then optional.")] = False
    timestamp_ms: CaptureTime = None
    video_time_ms: VideoTime = None
    screen: ScreenPart | None = None
    viewport: ViewportPart | None = None
    camera: CameraPart | None = None
    calibration_target: CalibrationTarget = None
    calibration_use: CalibrationUse = None


class BatchImage(BatchFrame):
    """One of several frames in a JSON request. What it leaves out is taken from the fields outside `frames`."""

    model_config = ConfigDict(json_schema_extra={"allOf": [IF_NOT_LAST_THEN_IMAGE], **_forbid(ONLY_SHARED)})

    frame: ImageText = None


class SharedFields(RequestPart):
    """Fields outside `frames`: those of the viewing, and those of each frame that does not have its own."""

    model_config = ConfigDict(json_schema_extra={**_forbid(ONLY_PER_FRAME), "allOf": [*_demand_targets()]})

    session_id: SessionId
    video_id: VideoId
    ip_address: IpAddress
    last_frame: Annotated[
        bool,
        AfterValidator(_refuse_last_frame),
        Field(description="True only in one of the `frames`.", json_schema_extra={"const": False}),
    ] = False
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

    def merge(self, frame: BatchFrame) -> FrameMetadata:
        """Return the fields of one frame; those inside `frames` override the shared ones, even with null."""
        given = _read_given(self) | _read_given(frame)
        # Not validated again: both parts are, and `batch_request` checks what concerns both.
        return FrameMetadata.model_construct(set(given), **given)


class BatchMetadata(SharedFields):
    """Fields of several frames other than the images: the part `metadata` of a multipart request."""

    frames: Annotated[list[BatchFrame], Field(min_length=1, max_length=MAX_FRAMES)]


class BatchRequest(SharedFields):
    """JSON request with several frames."""

    frames: Annotated[list[BatchImage], Field(min_length=1, max_length=MAX_FRAMES)]


class BatchAnswer(BaseModel):
    """Answer to several frames: that of each frame, or its problem, in the order of the request."""

    status: Annotated[
        Literal["success", "partial"], Field(description="`partial` if at least one of the frames has a problem.")
    ]
    message: Literal["Frames processed"] = "Frames processed"
    session_id: str
    frames: list[FrameAnswer | CompletedAnswer | FrameProblem]
    warnings: Warnings = None


def _read_given(part: RequestPart) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.model_fields_set if name in FrameMetadata.model_fields}
