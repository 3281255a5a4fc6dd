"""The ranges for which accuracy is stated; docs/accuracy.md lists them."""

import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import point_of_gaze
from gaze_core.types import GazePoint
from research.dataset.table import LandmarkTable

DISTANCE_MM = (400.0, 800.0)
"""Range of the distance from the camera to the eyes."""

POSE_DEG = (15.0, 25.0, 10.0)
"""Largest absolute pitch, yaw and roll."""


def find_in_range(table: LandmarkTable, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each row lies within the ranges for which accuracy is stated, shape (n,)."""
    distance_mm = table.distance_mm[rows]
    at_distance = (distance_mm >= DISTANCE_MM[0]) & (distance_mm <= DISTANCE_MM[1])
    facing_camera = (np.abs(table.pose_deg[rows]) <= POSE_DEG).all(axis=1)
    on_screen = np.array([distance_from_centre(table, row) <= 0.5 for row in rows.tolist()], dtype=np.bool_)
    return np.asarray(at_distance & facing_camera & on_screen)


def true_point(table: LandmarkTable, row: int) -> GazePoint | None:
    """Return the true point of gaze; None if the gaze misses the screen's plane."""
    return point_of_gaze(table.gaze_deg[row], table.origin_mm[row], table.screen_of(row), table.camera_of(row))


def distance_from_centre(table: LandmarkTable, row: int) -> float:
    """Return the distance of the true point of gaze from the screen's centre, 0.5 at the edge."""
    point = true_point(table, row)
    return np.inf if point is None else max(abs(point.x - 0.5), abs(point.y - 0.5))
