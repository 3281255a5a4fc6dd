"""What travels over HTTP: the request, its answers, and the picture inside the request.

A request comes as JSON with a base64 picture or as multipart with a raw one; both share `FrameMetadata`. Numbers are
strict: `true` and `17.0` are no integers. Fields that we do not know are ignored, so that older and newer clients pass.
"""

import base64
import binascii
import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar, cast

import cv2
import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData
from werkzeug.sansio.multipart import Field as FormField

from func.errors import (
    BadRequestError,
    FieldProblem,
    PayloadTooLargeError,
    UndecodableImageError,
    UnsupportedMediaTypeError,
)
from gaze_core.types import Camera, Frame, GazePoint, Screen, Validity, Viewport

MAX_FRAME_NUMBER = 2**31 - 1
MAX_JPEG_SCANS = 64
"""Progressive pictures have about ten; thousands of empty ones keep a decoder busy for minutes."""

MAX_IMAGE_SIDE_PX = 16_383
"""The most that WebP can say. Inside MediaPipe a side of 32,767 ends the process, whatever the other side is."""

_DATA_URL_PREFIX = re.compile(r"data:image/[a-z0-9.+-]{1,32}(;[a-z0-9-]{1,32}=[^;,]{0,64}){0,4};base64,", re.IGNORECASE)
_WHITESPACE = b" \t\r\n\f\v"
_MAX_PARTS = 8

# OpenCV would write what it thinks of a broken picture to stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _check_session_id(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("must not be . or ..")  # it becomes part of a path
    return value


def _check_video_id(value: str) -> str:
    if value == "videos" or value.startswith("system."):
        raise ValueError("must not be `videos` nor start with `system.`")  # it becomes the name of a collection
    if value.startswith(".") or value.endswith(".") or ".." in value:
        raise ValueError("must not start or end with a dot nor hold two in a row")  # MongoDB refuses such names
    return value


def _check_ip_address(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text")
    return value


SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$"), AfterValidator(_check_session_id)]
VideoId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$"), AfterValidator(_check_video_id)]
IpAddress = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Whatever the gateway calls the viewer's address, printable; kept as it was sent.",
    ),
    AfterValidator(_check_ip_address),
]
FrameNumber = Annotated[int, Field(ge=1, le=MAX_FRAME_NUMBER)]
# Beyond 1e15 a millisecond is lost in a double.
Milliseconds = Annotated[float, Field(ge=-1e15, le=1e15)]
SizeMm = Annotated[float, Field(ge=10, le=100_000)]
SizePx = Annotated[int, Field(ge=1, le=100_000)]
OffsetMm = Annotated[float, Field(ge=-100_000, le=100_000)]
Coordinate = Annotated[float, Strict(), Field(ge=0, le=1)]


def _pair(value: object) -> object:
    """Let a JSON list of two pass as a tuple, which strict validation would refuse."""
    return tuple(value) if isinstance(value, list) and len(value) == 2 else value


class _RequestPart(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    def as_sent(self) -> dict[str, Any]:
        """Return the fields that we know and the client sent."""
        return self.model_dump(exclude_unset=True)


_Part = TypeVar("_Part", bound=_RequestPart)


class ScreenPart(_RequestPart):
    """The viewer's screen; what is left out is that of a 15.6-inch laptop."""

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
        """Return it as the core knows it."""
        return Screen(**self.model_dump())


class CameraPart(_RequestPart):
    """The camera, from the middle of the screen's top edge as the viewer sees it: x right, y up."""

    vertical_fov_deg: Annotated[float, Field(ge=10, le=150)] = Camera().vertical_fov_deg
    offset_x_mm: OffsetMm = Camera().offset_x_mm
    offset_y_mm: OffsetMm = Camera().offset_y_mm
    tilt_deg: Annotated[float, Field(ge=-60, le=60)] = Camera().tilt_deg
    mirrored: bool = Camera().mirrored

    def to_camera(self) -> Camera:
        """Return it as the core knows it."""
        return Camera(**self.model_dump())


class ViewportPart(_RequestPart):
    """Where the video lies on the screen, normalised to the screen."""

    x: Annotated[float, Field(ge=-10, le=10)] = Viewport().x
    y: Annotated[float, Field(ge=-10, le=10)] = Viewport().y
    width: Annotated[float, Field(ge=0.001, le=10)] = Viewport().width
    height: Annotated[float, Field(ge=0.001, le=10)] = Viewport().height


class FrameMetadata(_RequestPart):
    """Everything about a frame but the picture: the part `metadata` of a multipart request."""

    session_id: SessionId
    video_id: VideoId
    ip_address: IpAddress
    frame_number: Annotated[FrameNumber, Field(description="1-based, unique in the session; any order.")]
    last_frame: Annotated[bool, Field(description="Answer with the score; then `frame` may be left out.")] = False
    timestamp_ms: Annotated[Milliseconds | None, Field(description="Capture time.")] = None
    video_time_ms: Annotated[Milliseconds | None, Field(description="Position in the video.")] = None
    total_frames: Annotated[
        FrameNumber | None, Field(description="How many distinct frames were sent; gaps in their numbers are allowed.")
    ] = None
    screen: ScreenPart | None = None
    viewport: ViewportPart | None = None
    camera: CameraPart | None = None
    calibration_target: Annotated[
        tuple[Coordinate, Coordinate] | None,
        BeforeValidator(_pair),
        Field(description="The dot that the viewer looks at now, normalised to the screen."),
    ] = None
    calibration_use: Annotated[
        Literal["fit", "validate"] | None, Field(description="What the dot is for; `fit` unless said otherwise.")
    ] = None
    calibration_session: Annotated[
        SessionId | None, Field(description="Session whose dots calibrate the gaze of this one.")
    ] = None

    @field_validator("calibration_use")
    @classmethod
    def _check_use_has_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("calibration_target", ()) is None:
            raise ValueError("needs a calibration_target")
        return value

    def session_settings(self) -> dict[str, Any] | None:
        """Return what belongs to the session as a whole, as sent; None when nothing of it was."""
        parts = {"screen": self.screen, "camera": self.camera, "viewport": self.viewport}
        sent: dict[str, Any] = {name: part.as_sent() for name, part in parts.items() if part is not None}
        if self.calibration_session is not None:
            sent["calibration_session"] = self.calibration_session
        return sent or None


class FrameRequest(FrameMetadata):
    """A request as JSON."""

    frame: Annotated[
        str | None,
        Field(
            description="JPEG, PNG or WebP in base64, line breaks and `data:image/...;base64,` before it allowed; "
            "required unless `last_frame`.",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """A request whose fields are valid.

    Attributes:
        metadata: Its fields.
        image: The picture's bytes, not looked at yet; None for a last frame without one.
    """

    metadata: FrameMetadata
    image: bytes | None


class GazeAnswer(BaseModel):
    """Point of regard, normalised to the screen; may lie off it."""

    x: float
    y: float
    on_screen: bool


class HeadPoseAnswer(BaseModel):
    """How the head is turned, in degrees: nose up, nose to the viewer's right, head to their right shoulder."""

    pitch: FiniteFloat
    yaw: FiniteFloat
    roll: FiniteFloat


class FrameAnswer(BaseModel):
    """A frame that is stored."""

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
        Field(description="Whether that session corrects `gaze`; left out unless a `calibration_session` was sent."),
    ] = None
    flags: Annotated[
        list[str] | None, Field(description="`several_faces` and what makes it `low_quality`; left out when empty.")
    ] = None


class CompletedAnswer(BaseModel):
    """A session that is scored and delivered."""

    status: Literal["success"] = "success"
    message: Literal["Video processing completed"] = "Video processing completed"
    session_id: str
    final_score: Annotated[float, Field(ge=0, le=100)]
    result: Annotated[dict[str, JsonValue], Field(description="The score and how far it can be trusted, as stored.")]


class LivenessAnswer(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadinessAnswer(BaseModel):
    """Model and landmarker are loaded; how the neighbours are does not decide that."""

    status: Literal["ready"] = "ready"
    neighbours: dict[str, Literal["reachable", "unreachable"]]


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    detail: str


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None


def parse_json_request(body: bytes) -> ParsedFrame:
    """Return the request in a JSON body.

    Raises:
        BadRequestError: Malformed JSON, or fields that are missing or wrong; it names each of them.
    """
    request = _validate(FrameRequest, parse_json(body, "the body"))
    image = (_decode_base64(request.frame) or None) if request.frame else None
    return _require_image(request.model_copy(update={"frame": None}), image)


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
    metadata = _validate(FrameMetadata, parse_json(parts["metadata"], "the part `metadata`"))
    return _require_image(metadata, parts.get("frame") or None)


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


class _AnsweredRecord(_RequestPart):
    """What an answer takes from a stored record."""

    gaze: Annotated[tuple[float, float] | None, BeforeValidator(_pair)] = None
    validity: Annotated[Validity, Strict(False)]
    head_pose_deg: HeadPoseAnswer | None = None
    distance_mm: float | None = None
    flags: list[str] | None = None

    @model_validator(mode="after")
    def _check_gaze_fits_validity(self) -> Self:
        if (self.gaze is None) == (self.validity is Validity.OK):
            raise ValueError("must have a gaze if and only if it is ok")
        return self


def can_answer(record: object) -> bool:
    """Return whether `answer_frame` can read a stored record: other services and older versions write some, too."""
    try:
        _AnsweredRecord.model_validate(record)
    except (ValidationError, OverflowError):
        return False
    return True


def answer_frame(
    session_id: str,
    frame_number: int,
    record: Mapping[str, Any],
    *,
    corrected: GazePoint | None = None,
    calibrated: bool | None = None,
) -> dict[str, Any]:
    """Return the answer that a stored record gives, whoever stored it.

    Args:
        session_id: Of the session.
        frame_number: Of the frame.
        record: One that `can_answer`.
        corrected: What a calibration makes of its gaze.
        calibrated: Whether there is one; None when the client asked for none.
    """
    stored = _AnsweredRecord.model_validate(record)
    gaze = None
    if stored.gaze is not None:
        point = corrected or GazePoint(*stored.gaze)
        gaze = GazeAnswer(x=round(point.x, 6), y=round(point.y, 6), on_screen=point.on_screen)
    answer = FrameAnswer(
        session_id=session_id,
        frame_number=frame_number,
        gaze=gaze,
        validity=stored.validity,
        head_pose_deg=stored.head_pose_deg,
        distance_mm=None if stored.distance_mm is None else round(stored.distance_mm, 1),
        calibrated=calibrated,
        flags=stored.flags or None,
    )
    left_out = {name for name in ("calibrated", "flags") if getattr(answer, name) is None}
    return answer.model_dump(mode="json", exclude=left_out)


ImageFormat = Literal["jpeg", "png", "webp"]


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the first bytes of a picture say.

    Attributes:
        format: `jpeg`, `png` or `webp`.
        width_px: As the file has it, before any EXIF orientation.
        height_px: Likewise.
    """

    format: ImageFormat
    width_px: int
    height_px: int


def decode_image(data: bytes, *, max_pixels: int) -> Frame:
    """Return a JPEG, PNG or WebP as RGB uint8, shape (height, width, 3).

    Greyscale is spread over three channels, transparency dropped, 16 bits cut to 8 and an EXIF orientation applied. Of
    an animation the first picture counts.

    Args:
        data: The file.
        max_pixels: Largest width × height that is decoded.

    Raises:
        UnsupportedMediaTypeError: It is none of the three formats.
        PayloadTooLargeError: It has too many pixels or too long a side; found before decoding.
        UndecodableImageError: It is broken or cut off.
    """
    header = read_image_header(data)
    if header.width_px * header.height_px > max_pixels:
        raise PayloadTooLargeError(
            f"the picture has {header.width_px} × {header.height_px} pixels, more than {max_pixels}"
        )
    if max(header.width_px, header.height_px) > MAX_IMAGE_SIDE_PX:
        raise PayloadTooLargeError(f"a side of the picture is longer than {MAX_IMAGE_SIDE_PX} pixels")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise _broken(header.format) from error
    if frame is None or frame.size == 0:
        raise _broken(header.format)
    return cast(Frame, frame)


def read_image_header(data: bytes) -> ImageHeader:
    """Return format and size of a picture from its first bytes.

    Raises:
        UnsupportedMediaTypeError: It is no JPEG, PNG or WebP.
        UndecodableImageError: It is, but its header is broken.
    """
    image_format: ImageFormat
    read_size: Callable[[bytes], tuple[int, int] | None]
    if data.startswith(b"\xff\xd8\xff"):
        image_format, read_size = "jpeg", _read_jpeg_size
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        image_format, read_size = "png", _read_png_size
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        image_format, read_size = "webp", _read_webp_size
    else:
        raise UnsupportedMediaTypeError("the picture is no JPEG, PNG or WebP")
    try:
        size = read_size(data)
    except (struct.error, IndexError):  # it ends too early
        size = None
    if size is None or min(size) < 1:
        raise _broken(image_format)
    return ImageHeader(image_format, *size)


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments as a decoder does, up to the first scan (ITU T.81, annex B)."""
    size = None
    at = 2
    while True:
        if data[at] != 0xFF:
            return None
        while data[at] == 0xFF:  # fill bytes
            at += 1
        marker = data[at]
        at += 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # TEM and RST have no length
            continue
        if marker in {0x00, 0xD8, 0xD9}:
            return None
        if marker == 0xDA:
            return size if data.count(b"\xff\xda", at) < MAX_JPEG_SCANS else None
        (length,) = struct.unpack_from(">H", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # SOF, but DHT, JPG and DAC
            if size is not None:
                return None
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        at += max(length, 2)


def _read_png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _read_webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the canvas's size (RFC 9649, sections 2.5 to 2.7)."""
    chunk = data[12:16]
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _broken(image_format: str) -> UndecodableImageError:
    return UndecodableImageError(f"the picture begins like a {image_format} but cannot be decoded")


def _require_image(metadata: FrameMetadata, image: bytes | None) -> ParsedFrame:
    if image is None and not metadata.last_frame:
        raise BadRequestError("a field is missing", [FieldProblem("frame", "is required unless last_frame is true")])
    return ParsedFrame(metadata, image)


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
