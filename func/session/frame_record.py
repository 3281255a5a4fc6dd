"""Record of a frame in the session: the format that we write, and the older ones that we read."""

import hashlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, cast

from func.log_lines import Event
from func.session.measured import Measured, describe_eyes, name_covered, read_measured, read_number
from gaze_core.ports import Session
from gaze_core.types import Camera, GazePoint, GazeSample, Screen, Validity, Viewport

_log = logging.getLogger(__name__)


class TargetUse(StrEnum):
    """Purpose of a frame in which the viewer looks at a target."""

    FIT = "fit"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """Stored frame as read for scoring.

    Attributes:
        validity: None for a record of an older service, whose gaze is in pixels of an unknown frame size.
        gaze: Point of gaze; None unless `validity` is `ok`.
        video_time_ms: Position in the video at capture time; None if unknown.
        timestamp_ms: Capture time; None if unknown.
        measured: Measurements; None if the record is incomplete.
        target: Target that the viewer was asked to look at, normalised to the screen; None for a video frame.
        target_use: Purpose of the target; None without a target.
        screen: Screen described in the frame's request; None without a description.
        camera: Camera described in the frame's request; None without a description.
        viewport: Viewport described in the frame's request; None without a description.
        calibration_session: Id of the session whose calibration the request selected; None without one.
        viewing_start_ms: Start of the viewing, from the request's session token; None without a token.
        video_id: Video id of the frame's request; None in records of earlier versions.
    """

    validity: Validity | None
    gaze: GazePoint | None = None
    video_time_ms: float | None = None
    timestamp_ms: float | None = None
    measured: Measured | None = None
    target: GazePoint | None = None
    target_use: TargetUse | None = None
    screen: Screen | None = None
    camera: Camera | None = None
    viewport: Viewport | None = None
    calibration_session: str | None = None
    viewing_start_ms: int | None = None
    video_id: str | None = None


def make_record(
    sample: GazeSample,
    *,
    timestamp_ms: float | None = None,
    video_time_ms: float | None = None,
    target: tuple[float, float] | None = None,
    calibration_use: str | None = None,
    setup: Mapping[str, Any] | None = None,
    image_digest: str | None = None,
    viewing_start_ms: int | None = None,
    video_id: str | None = None,
) -> dict[str, Any]:
    """Return the record to store for a frame: enough to score or calibrate again without the image.

    Depends only on the sample and its request, so that every process writes the same record. Numbers are rounded far
    below the resolution of a webcam.

    Args:
        sample: Result of the detector.
        timestamp_ms: Capture time.
        video_time_ms: Position in the video.
        target: Calibration or validation target that the viewer looks at, normalised to the screen.
        calibration_use: `fit` or `validate`, for a frame with a target.
        setup: `screen`, `camera`, `viewport` and `calibration_session`; each only if it was sent.
        image_digest: Digest of the image, from `digest_image`.
        viewing_start_ms: Start of the viewing, from the session token.
        video_id: Video id of the request.
    """
    record: dict[str, Any] = {
        "gaze": None if sample.gaze is None else [round(sample.gaze.x, 6), round(sample.gaze.y, 6)],
        "validity": str(sample.validity),
        "features": None if sample.features is None else [round(value, 6) for value in sample.features],
        "origin_mm": None if sample.origin_mm is None else [round(value, 3) for value in sample.origin_mm],
        "distance_mm": None if sample.distance_mm is None else round(sample.distance_mm, 3),
        "eye_openness": None if sample.eye_openness is None else [round(value, 5) for value in sample.eye_openness],
        "timestamp_ms": timestamp_ms,
        "video_time_ms": video_time_ms,
        "target": None if target is None else list(target),
    }
    if sample.eyes is not None:
        record["eyes"] = describe_eyes(sample.eyes)
    flags = (("several_faces",) if sample.several_faces else ()) + name_covered(sample.covered_eyes)
    flags += sample.quality_issues
    if flags:
        record["flags"] = list(flags)
    if sample.head_pose is not None:
        pose = sample.head_pose
        record["head_pose_deg"] = {
            "pitch": round(pose.pitch_deg, 3),
            "yaw": round(pose.yaw_deg, 3),
            "roll": round(pose.roll_deg, 3),
        }
    if calibration_use is not None:
        record["calibration_use"] = calibration_use
    record |= setup or {}
    if image_digest is not None:
        record["image_digest"] = image_digest
    if viewing_start_ms is not None:
        record["viewing_start_ms"] = viewing_start_ms
    if video_id is not None:
        record["video_id"] = video_id
    return record


def digest_image(image: bytes) -> str:
    """Return the first 16 hexadecimal digits of an image's SHA-256."""
    return hashlib.sha256(image).hexdigest()[:16]


def read_record(value: object) -> FrameRecord | None:
    """Return a stored frame; None if its format is unknown.

    An older service stored a bare `[x, y]` or `{"gaze": [x, y], "saliency_match": 0|1}` in pixels: readable, but
    without a validity, because the size of the frame is unknown. A `FrameRecord` is returned unchanged.
    """
    if isinstance(value, FrameRecord):
        return value
    if not isinstance(value, Mapping) or "validity" not in value:
        is_old = _point(value) is not None or (isinstance(value, Mapping) and "gaze" in value)
        return FrameRecord(None) if is_old else None
    try:
        validity = Validity(value["validity"])
    except ValueError:
        return None
    gaze = _point(value.get("gaze"))
    if (gaze is None) == (validity is Validity.OK):
        return None
    target = _point(value.get("target"))
    target_use = TargetUse.VALIDATE if value.get("calibration_use") == TargetUse.VALIDATE else TargetUse.FIT
    name, start_ms = value.get("calibration_session"), value.get("viewing_start_ms")
    video_id = value.get("video_id")
    return FrameRecord(
        validity=validity,
        gaze=gaze,
        video_time_ms=read_number(value.get("video_time_ms")),
        timestamp_ms=read_number(value.get("timestamp_ms")),
        measured=read_measured(value),
        target=target,
        target_use=None if target is None else target_use,
        screen=_read_part(value, "screen", Screen),
        camera=_read_part(value, "camera", Camera),
        viewport=_read_part(value, "viewport", Viewport),
        calibration_session=sys.intern(name) if isinstance(name, str) and name else None,
        viewing_start_ms=start_ms if isinstance(start_ms, int) and not isinstance(start_ms, bool) else None,
        video_id=sys.intern(video_id) if isinstance(video_id, str) and video_id else None,
    )


def read_screen(session: Session) -> Screen:
    """Return the screen of the first frame with one, else that of the session, else the default screen."""
    return _read_setup(session, "screen", Screen)


def read_camera(session: Session) -> Camera:
    """Return the camera of the first frame with one, else that of the session, else the default camera."""
    return _read_setup(session, "camera", Camera)


def read_viewport(session: Session) -> Viewport:
    """Return the viewport of the first frame with one, else that of the session, else the whole screen."""
    return _read_setup(session, "viewport", Viewport)


def read_earlier_calibration(session: Session) -> str | None:
    """Return the session whose calibration the frames of a calibration session refresh; None without any.

    Only records count: settings of the session can be replaced by any client that knows its id.
    """
    name = _first_of_frames(session, "calibration_session")
    return name if isinstance(name, str) and name and name != session.session_id else None


def read_calibration_session(session: Session) -> str | None:
    """Return the calibration session of the first frame with one, else that of the session; None without any."""
    name = _first_of_frames(session, "calibration_session") or session.settings.get("calibration_session")
    return name if isinstance(name, str) and name else None


_KINDS: Mapping[str, type[Screen | Camera | Viewport]] = {"screen": Screen, "camera": Camera, "viewport": Viewport}

_Part = TypeVar("_Part", Screen, Camera, Viewport)


def _read_setup(session: Session, name: str, kind: type[_Part]) -> _Part:
    found: _Part | None = _first_of_frames(session, name) or _read_part(session.settings, name, kind)
    if found is None and session.settings.get(name):
        _log.warning(Event("setup unreadable", part=name))
    return found or kind()


def _first_of_frames(session: Session, name: str) -> Any:  # noqa: ANN401 - one of the attributes of FrameRecord
    """Return an attribute of the lowest-numbered frame that has it.

    Records of frames are write-once, so later requests cannot change them. Settings of the session can be replaced by
    any client that knows its id.
    """
    for number in sorted(session.frames):
        found = getattr(read_record(session.frames[number]), name, None)
        if found is not None:
            return found
    return None


def _read_part(stored: Mapping[str, Any], name: str, kind: type[_Part]) -> _Part | None:
    """Return a screen, camera or viewport; None if it is missing or unreadable."""
    part = stored.get(name)
    if not part:
        return None
    try:
        return cast("_Part", _share(name, tuple(sorted(part.items()))))
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _share(name: str, items: tuple[tuple[str, Any], ...]) -> Screen | Camera | Viewport:
    """Return the same object for equal descriptions, because a session of an hour has a hundred thousand frames."""
    return _KINDS[name](**dict(items))


def _point(value: object) -> GazePoint | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    x, y = read_number(value[0]), read_number(value[1])
    return None if x is None or y is None else GazePoint(x, y)
