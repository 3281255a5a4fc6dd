"""The ranges that accuracy is stated for, as docs/accuracy.md fixes them."""

import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import point_of_gaze
from gaze_core.types import GazePoint
from research.dataset.table import Table

DISTANCE_MM = (400.0, 800.0)
"""From the camera to the eyes."""

POSE_DEG = (15.0, 25.0, 10.0)
"""Pitch, yaw and roll, either way."""


def find_in_range(table: Table, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows lie within the ranges that accuracy is stated for, shape (n,)."""
    distance_mm = table.distance_mm[rows]
    near_enough = (distance_mm >= DISTANCE_MM[0]) & (distance_mm <= DISTANCE_MM[1])
    turned_little = (np.abs(table.pose_deg[rows]) <= POSE_DEG).all(axis=1)
    on_screen = np.array([distance_from_middle(table, row) <= 0.5 for row in rows.tolist()], dtype=np.bool_)
    return np.asarray(near_enough & turned_little & on_screen)


def true_point(table: Table, row: int) -> GazePoint | None:
    """Return where somebody really looks; None when that is not on the screen's plane."""
    return point_of_gaze(table.gaze_deg[row], table.origin_mm[row], table.screen_of(row), table.camera_of(row))


def distance_from_middle(table: Table, row: int) -> float:
    """Return how far the true point of gaze lies from the screen's middle, 0.5 at the edge."""
    point = true_point(table, row)
    return np.inf if point is None else max(abs(point.x - 0.5), abs(point.y - 0.5))
