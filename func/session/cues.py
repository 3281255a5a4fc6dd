"""Differences between the estimates of the gaze in stored frames."""

from collections.abc import Collection, Iterable

import numpy as np

from func.session.measured import Measured, stack_eyes
from gaze_core.cues import GazeCues, find_cues
from gaze_core.features import FEATURE_NAMES

FAR_MM = 1e6
"""Distance of a frame whose own is impossible: eyes that look so far away do not converge."""

_YAW, _DISTANCE = FEATURE_NAMES.index("head_rotation_y"), FEATURE_NAMES.index("distance")


def stack_cues(measured: Iterable[Measured], estimates: Collection[str]) -> GazeCues | None:
    """Return the cues of frames; None if the gaze model or all frames do without the eye network.

    Args:
        measured: Measurements of n frames.
        estimates: Estimates that the gaze model was trained with, `GazeModel.estimates`.
    """
    rows = list(measured)
    if "network" not in estimates or not any(row.has_network for row in rows):
        return None
    eyes = stack_eyes(rows)
    estimates_deg = eyes.estimates_deg.copy()
    if "blendshapes" not in estimates:
        estimates_deg[:, 2] = np.nan
    features = np.array([row.features for row in rows])
    distance_mm = np.where(features[:, _DISTANCE] > 0, features[:, _DISTANCE], FAR_MM)
    return find_cues(estimates_deg, eyes.eyes_deg, eyes.network_spread_deg, distance_mm, features[:, _YAW])
