"""The point of gaze of one viewer, smoothed for display. Scores use the gaze as it was measured."""

import math

from gaze_core.smoothing import OneEuroFilter, OneEuroState
from gaze_core.types import Screen
from gaze_tools.client import FrameReply

DISTANCE_MM = 600.0
"""Viewing distance that converts shares of the screen to degrees; the filter's defaults are for degrees."""


class LiveGaze:
    """Smooths replies one by one; keep one for each viewer."""

    def __init__(self, screen: Screen | None = None) -> None:
        screen = screen or Screen()
        self._filter = OneEuroFilter()
        self._state: OneEuroState | None = None
        self._size_deg = tuple(
            math.degrees(2 * math.atan(size_mm / 2 / DISTANCE_MM)) for size_mm in (screen.width_mm, screen.height_mm)
        )

    def update(self, time_s: float, reply: FrameReply) -> tuple[float, float] | None:
        """Return the smoothed point of gaze, normalised to the screen; None if the frame has none.

        Args:
            time_s: Time of the frame, later than that of the one before.
            reply: Reply to the frame.
        """
        if reply.gaze is None:
            return None
        width_deg, height_deg = self._size_deg
        self._state = self._filter.step(self._state, time_s, (reply.gaze.x * width_deg, reply.gaze.y * height_deg))
        x_deg, y_deg = self._state.value
        return x_deg / width_deg, y_deg / height_deg
