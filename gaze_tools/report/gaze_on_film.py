"""Which gaze each frame of a film shows in an overlay."""

import math
from dataclasses import dataclass

import numpy as np

from gaze_core.video_times import END_TOLERANCE_S
from gaze_tools.film_times import FilmTimes
from gaze_tools.report.examination import Report
from gaze_tools.report.heat import find_distance_mm, find_step_s
from gaze_tools.report.trace import TraceRow

TAIL_S = 0.6
"""Time that the tail reaches back."""

MIN_HOLD_S = 0.1
"""A gaze is shown for at least this long, or for one and a half of the usual time between frames of the webcam."""

_MAX_TAIL_POINTS = 100

_LOST = {
    "missing": "frame missing",
    "no_face": "no face",
    "eyes_closed": "eyes closed",
    "low_quality": "image unusable",
    "old_format": "unreadable",
    "unreadable": "unreadable",
}


@dataclass(frozen=True, slots=True)
class TailPoint:
    """An earlier point of gaze.

    Attributes:
        x: Horizontal position, normalised to the film; may lie outside.
        y: Vertical position, normalised to the film; may lie outside.
        age: 0 now, 1 at the end of the tail.
    """

    x: float
    y: float
    age: float


@dataclass(frozen=True, slots=True)
class ShownGaze:
    """What an overlay shows on a frame of the film.

    Attributes:
        point: Point of gaze, normalised to the film; may lie outside. None if there is none.
        tail: Points of gaze before it, the newest first.
        accuracy: Horizontal and vertical radius of the usual error, normalised to the film; None if unknown.
        is_blink: Whether the eyes blink.
        lost: Why there is no gaze; None if there is one.
    """

    point: tuple[float, float] | None = None
    tail: tuple[TailPoint, ...] = ()
    accuracy: tuple[float, float] | None = None
    is_blink: bool = False
    lost: str | None = None


class GazeOnFilm:
    """The gaze of a session by frame of its film.

    A film frame shows the last webcam frame that was taken while it was on screen. If there is none, it shows the one
    before, unless that is too old.

    Args:
        report: Report on the session.
        times: When the frames of the film are shown.
    """

    def __init__(self, report: Report, times: FilmTimes) -> None:
        self._report = report
        self._rows = report.rows
        self._starts_s = times.starts_s
        self._end_s = max(times.duration_s, float(times.starts_s[-1]))
        ends_s = np.append(times.starts_s[1:], self._end_s)
        self._distance_mm = find_distance_mm(report.rows)
        self._hold_s = max(MIN_HOLD_S, 1.5 * find_step_s(report.rows)) if report.rows else 0.0
        # Numbers of film frames are those of the maps only if these are of the same frames.
        is_numbered = report.film_frames == times.starts_s.size
        self._frames = [row.video_frame if is_numbered else self._find_frame(row) for row in self._rows]
        self._times_s = [
            float(np.clip(row.time_s, self._starts_s[frame - 1], ends_s[frame - 1]))
            if 1 <= frame <= self._starts_s.size
            else math.nan
            for row, frame in zip(self._rows, self._frames, strict=True)
        ]
        last = {frame: index for index, frame in enumerate(self._frames) if 1 <= frame <= self._starts_s.size}
        self._seen = np.array(sorted(last), dtype=np.int64)
        self._last = last

    def at(self, number: int) -> ShownGaze:
        """Return what a frame of the film shows.

        Args:
            number: Number of the film frame, from 1.
        """
        place = int(np.searchsorted(self._seen, number, side="right")) - 1
        if place < 0:
            return ShownGaze(lost="no data")
        frame = int(self._seen[place])
        index = self._last[frame]
        now_s = self._times_s[index] if frame == number else float(self._starts_s[number - 1])
        if now_s - self._times_s[index] > self._hold_s:
            return ShownGaze(lost="no data")
        row = self._rows[index]
        is_blink = row.blink is not None
        if row.video_x is None or row.video_y is None:
            return ShownGaze(is_blink=is_blink, lost=_LOST.get(row.status, row.status.replace("_", " ")))
        return ShownGaze(
            (row.video_x, row.video_y), self._find_tail(index, now_s), self._find_accuracy(row), is_blink=is_blink
        )

    def _find_frame(self, row: TraceRow) -> int:
        if row.time_s > self._end_s + END_TOLERANCE_S:
            return self._starts_s.size + 1
        # Positions are rounded to milliseconds.
        return int(np.searchsorted(self._starts_s, row.time_s + 0.0005, side="right"))

    def _find_tail(self, last: int, now_s: float) -> tuple[TailPoint, ...]:
        """Return the points of gaze before a row, in the order of the webcam, until a gap or a jump of the film."""
        tail: list[TailPoint] = []
        later_s = self._times_s[last]
        for index in range(last - 1, max(-1, last - 1 - _MAX_TAIL_POINTS), -1):
            row, time_s = self._rows[index], self._times_s[index]
            if row.video_x is None or row.video_y is None or not now_s - TAIL_S < time_s <= later_s:
                break
            if later_s - time_s > self._hold_s:
                break
            tail.append(TailPoint(row.video_x, row.video_y, (now_s - time_s) / TAIL_S))
            later_s = time_s
        return tuple(tail)

    def _find_accuracy(self, row: TraceRow) -> tuple[float, float] | None:
        if self._report.accuracy is None:
            return None
        screen, viewport = self._report.setup_of(row.frame_number)
        error_mm = (row.distance_mm or self._distance_mm) * math.tan(
            math.radians(min(self._report.accuracy.accuracy_deg, 45.0))
        )
        return error_mm / (screen.width_mm * viewport.width), error_mm / (screen.height_mm * viewport.height)
