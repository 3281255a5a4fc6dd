"""The record of a frame in the session: what we write, and what we can read of what others wrote."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gaze_core.types import GazePoint, GazeSample, Validity


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A stored frame as the scoring reads it.

    Attributes:
        validity: None for a record of an older service, whose gaze is in pixels of an unknown frame size.
        gaze: Point of regard; None unless `validity` is `ok`.
        video_time_ms: Position in the video when the picture was taken; None when nobody said.
    """

    validity: Validity | None
    gaze: GazePoint | None = None
    video_time_ms: float | None = None


def make_record(
    sample: GazeSample,
    *,
    timestamp_ms: float | None = None,
    video_time_ms: float | None = None,
    target: tuple[float, float] | None = None,
    calibration_use: str | None = None,
) -> dict[str, Any]:
    """Return what the session keeps of a frame: enough to score or to calibrate again without the picture.

    Depends on nothing but the sample and its request, so that any process writes the same. Numbers are rounded far
    below what a webcam resolves.

    Args:
        sample: What the frame says.
        timestamp_ms: Capture time.
        video_time_ms: Position in the video.
        target: The calibration dot that the viewer looks at, normalised to the screen.
        calibration_use: `fit` or `validate`, for a frame with a target.
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
    return record


def read_record(value: object) -> FrameRecord | None:
    """Return a stored frame; None when it is nothing that any version of the service wrote.

    An older service stored a bare `[x, y]` or `{"gaze": [x, y], "saliency_match": 0|1}` in pixels: readable, but
    without a validity, since nobody knows the size of its frame.
    """
    if isinstance(value, list | tuple):
        return FrameRecord(None) if _point(value) else None
    if not isinstance(value, Mapping):
        return None
    if "validity" not in value:
        return FrameRecord(None) if "gaze" in value else None
    try:
        validity = Validity(value["validity"])
    except ValueError:
        return None
    gaze = _point(value.get("gaze"))
    if (gaze is None) == (validity is Validity.OK):
        return None
    return FrameRecord(validity, gaze, _number(value.get("video_time_ms")))


def _point(value: object) -> GazePoint | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    x, y = _number(value[0]), _number(value[1])
    return None if x is None or y is None else GazePoint(x, y)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
