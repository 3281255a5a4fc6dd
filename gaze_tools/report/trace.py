"""The trace of a session: one row for each frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from func.session.attention_score import DEFAULT_FPS, SessionNumbers
from func.session.gaze_track import Records
from gaze_core.gaze import screen_to_video
from gaze_core.ports import Session
from gaze_core.types import GazePoint, Validity, Viewport
from gaze_core.video_times import VideoTimes

COLUMNS: Mapping[str, str] = {
    "frame_number": "Number of the webcam frame, from 1.",
    "time_s": "Position in the video: reported by the client, or between those of the frames beside it if only they "
    "have one; without any, computed from frame number and frame rate.",
    "video_frame": "Video frame shown at that time; its saliency map is used.",
    "status": "scored, or the reason why not: missing, no_face, eyes_closed, low_quality, old_format, unreadable, "
    "no_map, bad_map or no_time.",
    "screen_x": "Horizontal point of gaze on the screen: 0 left edge, 1 right edge; may lie outside.",
    "screen_y": "Vertical point of gaze on the screen: 0 top edge, 1 bottom edge; may lie outside.",
    "video_x": "Horizontal point of gaze on the video: 0 left edge, 1 right edge.",
    "video_y": "Vertical point of gaze on the video: 0 top edge, 1 bottom edge.",
    "hit": "1 if the gaze was in the most salient 30 % of the map, otherwise 0.",
    "rank": "Fraction of the map that is less salient than the point of gaze, ties half; chance 0.5.",
    "nss": "Saliency at the point of gaze, in standard deviations above the mean of the map; chance 0.",
    "chance": "Fraction of the map that counts as a hit.",
    "shuffled": "Fraction of this viewer's other points of gaze that are less salient on this map; chance 0.5.",
    "fixation": "Number of the fixation that the frame belongs to.",
    "saccade": "Number of the saccade that ends with this frame.",
    "blink": "Number of the blink that the frame belongs to.",
    "distance_mm": "Distance from the camera to the eyes.",
}
"""Columns of the trace and their meaning."""

STATUSES = (
    *("scored", "eyes_closed", "low_quality", "no_face", "missing", "no_map", "bad_map", "no_time", "old_format"),
    "unreadable",
)
"""Values of the column `status`, in drawing order."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One frame; `COLUMNS` describes the values, which are None where unknown."""

    frame_number: int
    time_s: float
    video_frame: int
    status: str
    screen_x: float | None = None
    screen_y: float | None = None
    video_x: float | None = None
    video_y: float | None = None
    hit: int | None = None
    rank: float | None = None
    nss: float | None = None
    chance: float | None = None
    shuffled: float | None = None
    fixation: int | None = None
    saccade: int | None = None
    blink: int | None = None
    distance_mm: float | None = None


def make_rows(
    session: Session,
    records: Records,
    gazes: Mapping[int, GazePoint],
    viewport: Viewport,
    times: VideoTimes,
    *,
    missing: int,
) -> list[TraceRow]:
    """Return a row for each expected frame, without scores and events.

    Args:
        session: Session with the stored frames.
        records: Parsed records by frame number.
        gazes: Point of gaze by frame number.
        viewport: Position of the video on the screen, for frames without their own.
        times: Presentation times of the video's frames.
        missing: Number of frames that the session's result counts as missing.
    """
    rows = []
    numbers = _expected_frames(session, records, missing)
    for number, (time_s, video_frame) in zip(numbers, _find_moments(numbers, records, times), strict=True):
        record = records.get(number)
        if record is None:
            status = "unreadable" if number in records else "missing"
            rows.append(TraceRow(number, time_s, video_frame, status))
            continue
        gaze = gazes.get(number)
        if gaze is None:
            validity = Validity.LOW_QUALITY if record.validity is Validity.OK else record.validity
            rows.append(TraceRow(number, time_s, video_frame, "old_format" if validity is None else str(validity)))
            continue
        point = screen_to_video(gaze, record.viewport or viewport)
        value = session.frames[number]
        distance_mm = _number(value.get("distance_mm")) if isinstance(value, Mapping) else None
        places = (gaze.x, gaze.y, point.x, point.y)
        rows.append(TraceRow(number, time_s, video_frame, "no_map", *places, distance_mm=distance_mm))
    return rows


def add_scores(rows: Sequence[TraceRow], numbers: SessionNumbers) -> list[TraceRow]:
    """Return the rows with the scores of each frame."""
    scored, trace = list(rows), numbers.trace
    places = {} if trace is None else {number: place for place, number in enumerate(trace.frame_number)}
    for index, row in enumerate(rows):
        place = places.get(row.frame_number)
        if row.frame_number in numbers.bad_maps:
            scored[index] = replace(row, status="bad_map")
        elif row.frame_number in numbers.untimed:
            scored[index] = replace(row, status="no_time")
        elif trace is not None and place is not None and trace.hit[place] is not None:
            values = {name: getattr(trace, name)[place] for name in ("hit", "rank", "nss", "chance", "shuffled")}
            scored[index] = replace(row, status="scored", **values)
    return scored


def _find_moments(numbers: Sequence[int], records: Records, times: VideoTimes) -> list[tuple[float, int]]:
    """Return the position in the video and the video frame of each frame.

    The number of a webcam frame is no clock if others have a position: those without one lie between the frames beside
    them.
    """
    reported_ms = {
        number: record.video_time_ms
        for number in numbers
        if (record := records.get(number)) is not None and record.video_time_ms is not None
    }
    if not reported_ms:
        return [((number - 1) / (times.fps or DEFAULT_FPS), number) for number in numbers]
    known = np.array(list(reported_ms))
    known_ms = np.array(list(reported_ms.values()))
    steps_ms = np.diff(known_ms) / np.diff(known)
    step_ms = float(np.median(steps_ms)) if steps_ms.size else 1000 / (times.fps or DEFAULT_FPS)
    asked = np.array(numbers)
    beyond = asked - np.clip(asked, known[0], known[-1])
    positions_ms = np.interp(asked, known, known_ms) + step_ms * beyond
    return [
        (position_ms / 1000, times.find_frame(position_ms) if times.is_known else number)
        for number, position_ms in zip(numbers, positions_ms.tolist(), strict=True)
    ]


def _expected_frames(session: Session, records: Records, missing: int) -> list[int]:
    """Return the numbers of the expected frames; gaps count as missing only as far as the result says so."""
    received = {number for number in records if number >= 1}
    gaps = sorted(set(range(1, max(received, default=0) + missing + 1)) - set(session.frames)) if missing else []
    return sorted(received | set(gaps[:missing]))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not math.isfinite(value):
        return None
    return float(value)
