"""Differences between the estimates of the gaze in the rows of a table, as the service finds them in its records."""

import numpy as np
from numpy.typing import NDArray

from gaze_core.cues import GazeCues, find_cues
from gaze_core.features import find_usable_eyes
from gaze_core.one_eye import leave_out_hidden_eye
from research.training.examples import Measurements


def find_table_cues(measured: Measurements, rows: NDArray[np.int64]) -> GazeCues | None:
    """Return the cues of some rows; None if none of them has an answer of the eye network.

    Args:
        measured: Measurements of the table.
        rows: Rows with a face, shape (n,).
    """
    count = len(rows)
    estimates_deg, eyes_deg = np.full((count, 3, 2), np.nan), np.full((count, 2, 2), np.nan)
    spread_deg, yaw_deg = np.full((count, 2), np.nan), np.zeros(count)
    for index, row in enumerate(rows.tolist()):
        eyes, geometry = measured.eyes[row], measured.geometries[row]
        if eyes is None or geometry is None or eyes.network is None:
            continue
        yaw_deg[index] = geometry.head_pose.yaw_deg
        usable = find_usable_eyes(geometry.eye_openness, geometry.head_pose.yaw_deg)
        network = leave_out_hidden_eye(eyes.network, usable, geometry.distance_mm)
        eyes_deg[index], spread_deg[index] = eyes.network.eyes_deg, network.both_spread_deg
        for place, direction in enumerate((eyes.landmarks, network.both_deg, eyes.blendshapes)):
            if direction is not None:
                estimates_deg[index, place] = direction
    if not np.isfinite(spread_deg).any():
        return None
    distance_mm = np.linalg.norm(measured.origin_mm[rows], axis=1)
    return find_cues(estimates_deg, eyes_deg, spread_deg, distance_mm, yaw_deg)
