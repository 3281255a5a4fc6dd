"""Warnings in the result of a session."""

from collections.abc import Iterator

import numpy as np

from func.session.attention_score import SessionNumbers
from func.session.camera_mirroring import MirroringConflict
from func.session.changed_viewer import ChangedViewer
from func.session.gaze_track import Records
from func.session.result import ResultWarning
from func.session.result_codes import WarningCode
from gaze_core.clocks import ClockFault, Readings, find_clock_faults

_CLOCK_DETAILS: dict[ClockFault, tuple[WarningCode, str]] = {
    ClockFault.CAPTURE_UNITS: (
        "capture_clock_units",
        "timestamp_ms passes at another speed than any webcam's frames; send milliseconds",
    ),
    ClockFault.CAPTURE_JUMPS: (
        "capture_clock_jumps",
        "timestamp_ms goes back or leaps by minutes; take it from a monotonic clock",
    ),
    ClockFault.CAPTURE_STOPPED: (
        "capture_clock_stopped",
        "timestamp_ms is the same in every frame; send the capture time of each",
    ),
    ClockFault.VIDEO_UNITS: (
        "video_clock_units",
        "video_time_ms passes at another speed than any playback; send milliseconds",
    ),
    ClockFault.VIDEO_STOPPED: (
        "video_clock_stopped",
        "video_time_ms is the same in every frame; send the player's position at each",
    ),
    ClockFault.VIDEO_BACKWARDS: (
        "video_clock_backwards",
        "video_time_ms goes back from frame to frame; send the time since the start of the video, not the time left",
    ),
    ClockFault.VIDEO_OUTSIDE: (
        "video_clock_outside",
        "video_time_ms lies outside the video; check its units and the video_id",
    ),
}


def find_warnings(
    records: Records,
    numbers: SessionNumbers,
    video_id: str,
    *,
    changed: ChangedViewer | None = None,
    mirroring: MirroringConflict | None = None,
) -> list[ResultWarning]:
    """Return the doubts about what was sent and stored for a session.

    Args:
        records: Records of the video frames that count.
        numbers: Comparison with the saliency maps.
        video_id: Id of the video that was scored.
        changed: Another viewer in the middle of the session; None without one.
        mirroring: Frames whose `camera.mirrored` is not that of the calibration; None without any.
    """
    found = [*_find_clock_warnings(records, numbers), *_find_other_warnings(records, numbers, video_id)]
    if changed is not None:
        detail = (
            f"from frame {changed.first_frame} on ({changed.time_s:.0f} s into the session) the viewer seems to be "
            "somebody else, or to have put glasses on or off; those frames are scored, too; let each viewer have a "
            "session of their own"
        )
        found.append(
            _warn(code="viewer_changed", frames=changed.frames, detail=detail, first_frame=changed.first_frame)
        )
    if mirroring is not None:
        found.append(_describe_mirroring(mirroring))
    return found


def _warn(*, code: WarningCode, frames: int, detail: str, **more: int) -> ResultWarning:
    """Return a warning with a code of this version, whereas warnings that are read may have any."""
    return ResultWarning(code=code, frames=frames, detail=detail, **more)


def _describe_mirroring(conflict: MirroringConflict) -> ResultWarning:
    one, other = (
        ("the calibration", "these frames") if conflict.calibration_is_mirrored else ("these frames", "the calibration")
    )
    detail = (
        f"camera.mirrored is true in {one} but not in {other}, so that left and right of the gaze are swapped in one "
        "of them; send the same camera.mirrored with every frame through one camera, also those of the calibration"
    )
    return _warn(code="mirroring_differs", frames=conflict.frames, detail=detail)


def _find_clock_warnings(records: Records, numbers: SessionNumbers) -> Iterator[ResultWarning]:
    known = [(number, record) for number, record in sorted(records.items()) if record is not None]
    readings = Readings(
        numbers=np.array([number for number, _ in known], dtype=np.int64),
        capture_ms=np.array([record.timestamp_ms for _, record in known], dtype=np.float64),
        video_ms=np.array([record.video_time_ms for _, record in known], dtype=np.float64),
    )
    duration_ms = None if numbers.duration_s is None else 1000 * numbers.duration_s
    for fault, frames in find_clock_faults(readings, duration_ms=duration_ms).items():
        code, detail = _CLOCK_DETAILS[fault]
        yield _warn(code=code, frames=frames, detail=detail)
    untimed = int(np.isnan(readings.capture_ms).sum())
    if 0 < untimed < len(known):
        detail = "some frames lack timestamp_ms, so that it is not used and frames count as 50 ms apart; send it always"
        yield _warn(code="mixed_timestamps", frames=untimed, detail=detail)


def _find_other_warnings(records: Records, numbers: SessionNumbers, video_id: str) -> Iterator[ResultWarning]:
    if numbers.untimed:
        detail = "some frames lack video_time_ms and are left out, because their moment in the video is unknown"
        yield _warn(code="mixed_video_times", frames=len(numbers.untimed), detail=detail)
    if numbers.ignored_times:
        detail = "video_time_ms is not used, because the video's frame rate is not stored; store the maps with it"
        yield _warn(code="video_times_unused", frames=numbers.ignored_times, detail=detail)
    flat = 0 if numbers.attention is None else numbers.attention.flat
    if flat:
        detail = "the saliency maps of some frames are flat, so that any gaze misses; check the maps"
        yield _warn(code="flat_maps", frames=flat, detail=detail)
    others = sum(each is not None and each.video_id not in {None, video_id} for each in records.values())
    if others:
        detail = f"some frames were sent with another video_id, but all are scored against {video_id}"
        yield _warn(code="several_videos", frames=others, detail=detail)
    if numbers.maps_without_faces is not None and numbers.attention is not None:
        detail = (
            f"the saliency maps ignore faces, but {numbers.maps_without_faces:.0%} of the video's frames show one: "
            "viewers who watch people score too low; make the maps with the face channel"
        )
        yield _warn(code="maps_without_faces", frames=numbers.attention.frames, detail=detail)
