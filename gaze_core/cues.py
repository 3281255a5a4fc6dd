"""Differences between the estimates of one gaze, which tell a calibration more about a viewer than their fusion alone.

How far the two eyes disagree, and how far landmarks and blendshapes differ from the eye network, depends on the shape
of a viewer's face and eyes. So does the error of the fused estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze_core.one_eye import direction_from_midpoint
from gaze_core.types import Floats

CUES = ("eyes", "landmarks", "blendshapes")
"""Order of the differences: left minus right eye, landmarks minus network, blendshapes minus network."""

MAX_DIFFERENCE_DEG = 15.0
"""Larger differences are cut to this angle: they come from a wrong estimate, not from the viewer."""

FAR_EYE_YAW_DEG = 30.0
"""Beyond this yaw, the far eye is seen too obliquely to compare it with the other one."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeCues:
    """Differences between the estimates of the gaze in n frames, head frame, degrees; NaN where one is missing.

    Attributes:
        differences_deg: Right and up, in the order of `CUES`, shape (n, 3, 2).
        spread_deg: The network's predicted standard deviation of its direction, shape (n, 2).
    """

    differences_deg: Floats
    spread_deg: Floats

    def __post_init__(self) -> None:
        count = len(self.spread_deg)
        for name, shape in (("differences_deg", (count, len(CUES), 2)), ("spread_deg", (count, 2))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.spread_deg)

    @property
    def has_network(self) -> NDArray[np.bool_]:
        """Whether the eye network answered in each frame, shape (n,)."""
        return np.asarray(np.isfinite(self.spread_deg).all(axis=1))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "GazeCues":
        """Return some of the frames, given by mask or positions."""
        return GazeCues(self.differences_deg[rows], self.spread_deg[rows])

    @staticmethod
    def join(parts: Sequence["GazeCues"]) -> "GazeCues":
        """Return the frames of all parts, in order."""
        return GazeCues(
            np.concatenate([part.differences_deg for part in parts]),
            np.concatenate([part.spread_deg for part in parts]),
        )


def no_cues(count: int) -> GazeCues:
    """Return the cues of frames that only have landmarks."""
    return GazeCues(np.full((count, len(CUES), 2), np.nan), np.full((count, 2), np.nan))


def find_cues(
    estimates_deg: Floats, eyes_deg: Floats, spread_deg: Floats, distance_mm: Floats, yaw_deg: Floats
) -> GazeCues:
    """Return the differences between estimates. What the eyes converge is taken away from theirs.

    Args:
        estimates_deg: Landmarks, network and blendshapes, head frame, NaN where missing, shape (n, 3, 2).
        eyes_deg: The network's lines of sight of the left and right eye, head frame, NaN where missing, shape (n, 2,
            2).
        spread_deg: The network's predicted standard deviation of its direction, NaN where missing, shape (n, 2).
        distance_mm: Distance from the eyes to the camera, positive, shape (n,).
        yaw_deg: Yaw of the head, shape (n,).
    """
    eyes = np.full((len(eyes_deg), 2), np.nan)
    both = np.isfinite(eyes_deg).all(axis=(1, 2)) & (np.abs(yaw_deg) <= FAR_EYE_YAW_DEG)
    left, right = (direction_from_midpoint(eyes_deg[both, side], side, distance_mm[both]) for side in (0, 1))
    eyes[both] = left - right
    landmarks, network, blendshapes = np.moveaxis(estimates_deg, 1, 0)
    differences = np.stack([eyes, landmarks - network, blendshapes - network], axis=1)
    return GazeCues(np.clip(differences, -MAX_DIFFERENCE_DEG, MAX_DIFFERENCE_DEG), spread_deg)
