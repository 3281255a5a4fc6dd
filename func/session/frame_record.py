"""The record of a frame in the session: what we write, what we can read of what others wrote."""

import hashlib
import logging
import math
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from gaze_core.features import FEATURE_NAMES
from gaze_core.ports import Session
from gaze_core.types import Camera, GazePoint, GazeSample, Screen, Validity, Viewport

_MEASURED = struct.Struct(f"{len(FEATURE_NAMES) + 4}d")

_log = logging.getLogger(__name__)


class TargetUse(StrEnum):
    """Purpose of a frame in which the viewer looks at a target."""

    FIT = "fit"
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a frame tells whichever model and calibration look at it.

    Kept as packed doubles: a session of an hour holds a hundred thousand of them.
    """

    packed: bytes

    @classmethod
    def pack(cls, features: tuple[float, ...], origin_mm: tuple[float, ...], openness: float) -> "Measured":
        """Return it of the features in the order of `FEATURE_NAMES`, the midpoint and the openness."""
        return cls(_MEASURED.pack(*features, *origin_mm, openness))

    @property
    def features(self) -> tuple[float, ...]:
        """In the order of `FEATURE_NAMES`."""
        return _MEASURED.unpack(self.packed)[: len(FEATURE_NAMES)]

    @property
    def origin_mm(self) -> tuple[float, ...]:
        """Midpoint between the eyes, camera frame."""
        return _MEASURED.unpack(self.packed)[len(FEATURE_NAMES) : -1]

    @property
    def openness(self) -> float:
        """Mean eye aspect ratio of both eyes."""
        return float(_MEASURED.unpack(self.packed)[-1])


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A stored frame as the scoring reads it.

    Attributes:
        validity: None for a record of an older service, whose gaze is in pixels of an unknown frame size.
        gaze: Point of regard; None unless `validity` is `ok`.
        video_time_ms: Position in the video when the picture was taken; None when nobody said.
        timestamp_ms: When the picture was taken; None when nobody said.
        measured: None when the record does not hold all of it.
        target: Target that the viewer was asked to look at, normalised to the screen; None for a frame of a video.
        target_use: Purpose of the target; None without one.
        screen: As the frame's request described it; None when it did not.
        camera: As the frame's request described it; None when it did not.
        viewport: As the frame's request described it; None when it did not.
        calibration_session: Session whose calibration the request asked for.
        viewing_start_ms: Start of the viewing, from the request's session token; None without one.
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
) -> dict[str, Any]:
    """Return what the session keeps of a frame: enough to score or to calibrate again without the picture.

    Depends on nothing but the sample and its request, so that any process writes the same. Numbers are rounded far
    below what a webcam resolves.

    Args:
        sample: What the frame says.
        timestamp_ms: Capture time.
        video_time_ms: Position in the video.
        target: Calibration or validation target that the viewer looks at, normalised to the screen.
        calibration_use: `fit` or `validate`, for a frame with a target.
        setup: `screen`, `camera`, `viewport` and `calibration_session`, as far as they were sent.
        image_digest: What tells this frame's image from another; see `digest_image`.
        viewing_start_ms: Start of the viewing, from the session token.
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
    flags = (("several_faces",) if sample.several_faces else ()) + sample.quality_issues
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
    return record


def digest_image(image: bytes) -> str:
    """Return the first 16 hexadecimal digits of an image's SHA-256."""
    return hashlib.sha256(image).hexdigest()[:16]


def read_record(value: object) -> FrameRecord | None:
    """Return a stored frame; None when it is nothing that any version of the service wrote.

    An older service stored a bare `[x, y]` or `{"gaze": [x, y], "saliency_match": 0|1}` in pixels: readable, but
    without a validity, since nobody knows the size of its frame. What has been read already is returned as it is.
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
    return FrameRecord(
        validity=validity,
        gaze=gaze,
        video_time_ms=_number(value.get("video_time_ms")),
        timestamp_ms=_number(value.get("timestamp_ms")),
        measured=_read_measured(value),
        target=target,
        target_use=None if target is None else target_use,
        screen=_read_part(value, "screen", Screen),
        camera=_read_part(value, "camera", Camera),
        viewport=_read_part(value, "viewport", Viewport),
        calibration_session=sys.intern(name) if isinstance(name, str) and name else None,
        viewing_start_ms=start_ms if isinstance(start_ms, int) and not isinstance(start_ms, bool) else None,
    )


def read_screen(session: Session) -> Screen:
    """Return the screen of the first frame that describes one, else the session's, else the default one."""
    return _read_setup(session, "screen", Screen)


def read_camera(session: Session) -> Camera:
    """Return the camera of the first frame that describes one, else the session's, else the default one."""
    return _read_setup(session, "camera", Camera)


def read_viewport(session: Session) -> Viewport:
    """Return the viewport of the first frame that describes one, else the session's, else the whole screen."""
    return _read_setup(session, "viewport", Viewport)


def read_calibration_session(session: Session) -> str | None:
    """Return the id of the session whose calibration the first frame that names one asks for; None without one."""
    name = _first_of_frames(session, "calibration_session") or session.settings.get("calibration_session")
    return name if isinstance(name, str) and name else None


def stack_measured(
    measured: Iterable[Measured],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return features, shape (n, 7), origins in mm, shape (n, 3), and openness, shape (n,)."""
    rows = list(measured)
    return (
        np.array([row.features for row in rows], dtype=np.float64).reshape(-1, len(FEATURE_NAMES)),
        np.array([row.origin_mm for row in rows], dtype=np.float64).reshape(-1, 3),
        np.array([row.openness for row in rows], dtype=np.float64),
    )


_KINDS: Mapping[str, type[Screen | Camera | Viewport]] = {"screen": Screen, "camera": Camera, "viewport": Viewport}

_Part = TypeVar("_Part", Screen, Camera, Viewport)


def _read_setup(session: Session, name: str, kind: type[_Part]) -> _Part:
    found: _Part | None = _first_of_frames(session, name) or _read_part(session.settings, name, kind)
    if found is None and session.settings.get(name):
        _log.warning("the stored %s of a session is unreadable; the default counts", name)
    return found or kind()


def _first_of_frames(session: Session, name: str) -> Any:  # noqa: ANN401 - one of the attributes of FrameRecord
    """Return an attribute of the lowest-numbered frame that has it.

    A frame's record is written once, so nobody can change what an earlier frame says; a key of the session as a whole
    can be replaced by whoever knows its id.
    """
    for _, value in sorted(session.frames.items(), key=lambda entry: entry[0]):
        found = getattr(read_record(value), name, None)
        if found is not None:
            return found
    return None


def _read_part(stored: Mapping[str, Any], name: str, kind: type[_Part]) -> _Part | None:
    """Return a screen, camera or viewport; None when it is missing or unreadable."""
    part = stored.get(name)
    if not part:
        return None
    try:
        return cast("_Part", _share(name, tuple(sorted(part.items()))))
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _share(name: str, items: tuple[tuple[str, Any], ...]) -> Screen | Camera | Viewport:
    """Return one object for all equal descriptions: a session of an hour has a hundred thousand of them."""
    return _KINDS[name](**dict(items))


def _read_measured(value: Mapping[str, Any]) -> Measured | None:
    features = _numbers(value.get("features"), len(FEATURE_NAMES))
    origin_mm = _numbers(value.get("origin_mm"), 3)
    openness = _numbers(value.get("eye_openness"), 2)
    if features is None or origin_mm is None or openness is None:
        return None
    return Measured.pack(features, origin_mm, sum(openness) / 2)


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    numbers = [_number(item) for item in value]
    return None if None in numbers else tuple(number for number in numbers if number is not None)


def _point(value: object) -> GazePoint | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    x, y = _number(value[0]), _number(value[1])
    return None if x is None or y is None else GazePoint(x, y)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON's integers know no bounds
        return None
    return number if math.isfinite(number) else None
