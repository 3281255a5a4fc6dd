"""Which frame of a video is on screen at a position."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING_MS = 0.5
"""Positions and presentation times are often rounded to milliseconds."""

END_TOLERANCE_S = 0.25
"""Within this time after the end of a video, the position still means its last frame.

Players report a position up to a few hundredths of a second beyond the last frame, because the audio track is longer,
and clients extrapolate positions from `timeupdate` events, which come every 250 ms.
"""

_MAX_VIDEO_FRAMES = 1e15
"""Limit of computed frame numbers, which fits into 64 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoTimes:
    """Presentation times of the frames of a video.

    Attributes:
        fps: Frame rate in frames per second, the mean one if it varies; None if unknown.
        frame_count: Number of frames; None if unknown.
        duration_s: Position at which the video ends; its last frame stays on screen until then. None if unknown.
        starts_s: Presentation time of each frame from frame 1 on, not falling, at least one; None if frame n starts at
            (n - 1) / fps.
        held_every: Number of frames that a map is valid for, starting with its own.
    """

    fps: float | None = None
    frame_count: int | None = None
    duration_s: float | None = None
    starts_s: NDArray[np.float64] | None = None
    held_every: int = 1

    @property
    def is_known(self) -> bool:
        """Whether frames can be found by position."""
        return self.starts_s is not None or self.fps is not None

    @property
    def end_s(self) -> float | None:
        """Position at which the video ends; None if unknown."""
        if self.starts_s is not None:
            return max(self.duration_s or 0.0, float(self.starts_s[-1]))
        if self.fps is None or self.frame_count is None:
            return None
        return max(self.duration_s or 0.0, self.frame_count / self.fps)

    def find_frame(self, position_ms: float) -> int:
        """Return the number of the frame on screen at a position, from 1.

        This is the last frame that starts at or before the position. Before the first frame starts, it is frame 1. From
        the last frame to the end of the video and `END_TOLERANCE_S` beyond, it is the last frame. Later positions get
        a larger number, after every held map unless only `frame_count` is known. Positions before 0 get 0 or less.

        Raises:
            ValueError: Neither presentation times nor a frame rate are known.
        """
        position_s = (position_ms + ROUNDING_MS) / 1000
        end_s, last = self.end_s, self.frame_count
        if self.starts_s is not None:
            number = self._find_listed(position_s)
            last = self.starts_s.size
        elif self.fps is not None:
            number = 1 + _whole(position_s * self.fps)
        else:
            raise ValueError("the frame rate of the video is unknown")
        if last is None or end_s is None or number < last:
            return number
        if position_s <= end_s + END_TOLERANCE_S + ROUNDING_MS / 1000:
            return last
        if self.starts_s is None and self.duration_s is None:
            return number  # the last frame that is known may be that of the last map, which is held further
        return max(number, last + self.held_every)

    def _find_listed(self, position_s: float) -> int:
        assert self.starts_s is not None  # noqa: S101  checked by the caller
        if position_s < 0:
            return 0
        return max(1, int(np.searchsorted(self.starts_s, position_s, side="right")))


def _whole(number: float) -> int:
    return math.floor(min(max(number, -_MAX_VIDEO_FRAMES), _MAX_VIDEO_FRAMES))
