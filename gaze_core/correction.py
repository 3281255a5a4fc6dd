"""Personal correction of the gaze direction.

Visual axes, lids and faces differ between people, so the uncalibrated model is wrong by several degrees that are
constant for one viewer, in the head frame. The correction therefore works in the head frame: it adds an offset, a gain
on the eyes' own rotation, a share of the head's rotation, a term for the lid opening and shares of the differences
between the estimates of eyes, landmarks and blendshapes. It moves with the head and is independent of the screen.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.cues import CUES, GazeCues
from gaze_core.gaze import gaze_direction, gaze_vector
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Floats

EXTRAPOLATION_DEG = 10.0
"""Gains apply up to this far beyond the eye and head rotations seen during calibration and are constant further out."""

HORIZONTAL_TERMS = ("offset", "eyes", "yaw", *CUES)
VERTICAL_TERMS = ("offset", "eyes", "pitch", "lids", *CUES)
"""Order of the coefficients. The cues come last, so that a fit without the eye network leaves them out."""

_ANYWHERE = ((-90.0, 90.0), (-90.0, 90.0))
_NO_SHARES = ((0.0, 0.0),) * len(CUES)
_PER_DEG = 0.1
_PER_OPENNESS = 10.0


@dataclass(frozen=True, slots=True)
class Correction:
    """Correction of one viewer's gaze direction in the head frame.

    Attributes:
        offset_deg: Offset to the right and up, for eyes that look straight ahead.
        gain: Horizontal and vertical correction per degree of eye rotation in the head.
        head_gain: Correction to the right per degree of yaw, and upwards per degree of pitch.
        lid_deg: Upward correction per unit of eye aspect ratio above `openness`.
        cue_shares: Horizontal and vertical share of each difference in `CUES`.
        usual_differences_deg: Mean of each difference at the targets, right and up, which replaces a missing one.
        openness: Eye aspect ratio of this viewer at the targets.
        eyes_deg: Smallest and largest eye rotation at the targets, horizontal and vertical; see `EXTRAPOLATION_DEG`.
        head_deg: Smallest and largest yaw and pitch at the targets.
        openness_range: Smallest and largest eye aspect ratio at the targets; the lid term is constant outside.
    """

    offset_deg: tuple[float, float]
    gain: tuple[float, float] = (0.0, 0.0)
    head_gain: tuple[float, float] = (0.0, 0.0)
    lid_deg: float = 0.0
    cue_shares: tuple[tuple[float, float], ...] = _NO_SHARES
    usual_differences_deg: tuple[tuple[float, float], ...] = _NO_SHARES
    openness: float = 0.3
    eyes_deg: tuple[tuple[float, float], tuple[float, float]] = _ANYWHERE
    head_deg: tuple[tuple[float, float], tuple[float, float]] = _ANYWHERE
    openness_range: tuple[float, float] = (0.0, 1.0)

    def apply(
        self,
        uncalibrated_deg: ArrayLike,
        head_deg: ArrayLike,
        openness: ArrayLike,
        cues: GazeCues | None = None,
        *,
        offset_deg: ArrayLike = 0.0,
    ) -> Floats:
        """Return corrected gaze directions in the camera frame, degrees, shape (n, 2).

        Args:
            uncalibrated_deg: Gaze directions of the uncalibrated model, camera frame, shape (n, 2).
            head_deg: Pitch, yaw and roll of the head, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
            cues: Differences between the estimates, NaN for a missing one, which counts as usual; None without any.
            offset_deg: Further offset in the head frame, shape (n, 2).
        """
        head = np.asarray(head_deg, dtype=np.float64).reshape(-1, 3)
        rotations = _rotations(head)
        eyes_deg = _into_head(np.asarray(uncalibrated_deg, dtype=np.float64), rotations)
        corrected = eyes_deg + np.array(self.offset_deg) + offset_deg
        corrected += np.array(self.gain) * _clip(eyes_deg, self.eyes_deg)
        corrected += np.array(self.head_gain) * _clip(head[:, [1, 0]], self.head_deg)
        corrected[:, 1] += self.lid_deg * (np.clip(openness, *self.openness_range) - self.openness)
        usual_deg = np.array(self.usual_differences_deg)
        found_deg = np.full_like(usual_deg, np.nan) if cues is None else cues.differences_deg
        differences_deg = np.where(np.isnan(found_deg), usual_deg, found_deg)
        corrected += (np.array(self.cue_shares) * differences_deg).sum(axis=-2)
        return _out_of_head(corrected, rotations)

    def shift(self, offset_deg: ArrayLike) -> Self:
        """Return the correction with a further offset, shape (2,)."""
        right, up = (np.array(self.offset_deg) + offset_deg).tolist()
        return replace(self, offset_deg=(right, up))


def make_correction(horizontal: Floats, vertical: Floats, measured: "HeadGaze") -> Correction:
    """Return the correction with fitted coefficients, in the units of `design_axes`; missing last ones are zero.

    Args:
        horizontal: First coefficients of `HORIZONTAL_TERMS`.
        vertical: First coefficients of `VERTICAL_TERMS`.
        measured: Measurements at the targets, which limit the extrapolation.
    """
    x = np.pad(horizontal, (0, len(HORIZONTAL_TERMS) - len(horizontal))).tolist()
    y = np.pad(vertical, (0, len(VERTICAL_TERMS) - len(vertical))).tolist()
    return Correction(
        offset_deg=(x[0], y[0]),
        gain=(_PER_DEG * x[1], _PER_DEG * y[1]),
        head_gain=(_PER_DEG * x[2], _PER_DEG * y[2]),
        lid_deg=_PER_OPENNESS * y[3],
        cue_shares=tuple((_PER_DEG * right, _PER_DEG * up) for right, up in zip(x[3:], y[4:], strict=True)),
        usual_differences_deg=measured.usual_differences_deg,
        openness=measured.usual_openness,
        eyes_deg=_ranges(measured.eyes_deg),
        head_deg=_ranges(measured.head_deg[:, [1, 0]]),
        openness_range=(float(measured.openness.min()), float(measured.openness.max())),
    )


@dataclass(frozen=True, slots=True, eq=False)
class HeadGaze:
    """What a correction rests on, for n frames or for the medians at n targets.

    Attributes:
        eyes_deg: Uncalibrated gaze direction in the head frame, shape (n, 2).
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        differences_deg: `GazeCues.differences_deg` without missing ones, shape (n, 3, 2); None without the network.
    """

    eyes_deg: Floats
    head_deg: Floats
    openness: Floats
    differences_deg: Floats | None = None

    @property
    def usual_openness(self) -> float:
        """Mean eye aspect ratio of the viewer."""
        return float(self.openness.mean())

    @property
    def usual_differences_deg(self) -> tuple[tuple[float, float], ...]:
        """Mean of each difference, right and up; zeros without the network."""
        if self.differences_deg is None:
            return _NO_SHARES
        return tuple((right, up) for right, up in self.differences_deg.mean(axis=0).tolist())


def missing_in_head_deg(uncalibrated_deg: Floats, true_deg: Floats, head_deg: Floats) -> tuple[Floats, Floats]:
    """Return the uncalibrated direction in the head frame and the true minus the uncalibrated one, shape (n, 2) each.

    Args:
        uncalibrated_deg: Gaze directions of the uncalibrated model, camera frame, shape (n, 2).
        true_deg: Directions to the fixated targets, camera frame, shape (n, 2).
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
    """
    rotations = _rotations(head_deg)
    eyes_deg = _into_head(uncalibrated_deg, rotations)
    return eyes_deg, _into_head(true_deg, rotations) - eyes_deg


def design_axes(measured: HeadGaze, usual_openness: float | None = None) -> tuple[Floats, Floats]:
    """Return the design matrices of the horizontal and vertical regression: angles per 10 degrees, lids per 0.1.

    Args:
        measured: Measurements of one viewer.
        usual_openness: Mean eye aspect ratio of the viewer; None for that of the measurements.

    Returns:
        Columns in the order of `HORIZONTAL_TERMS` and `VERTICAL_TERMS`, without the cues if there are none.
    """
    usual = measured.usual_openness if usual_openness is None else usual_openness
    ones = np.ones(len(measured.openness))
    right, up = _PER_DEG * measured.eyes_deg.T
    pitch, yaw, _ = _PER_DEG * measured.head_deg.T
    lids = _PER_OPENNESS * (measured.openness - usual)
    horizontal, vertical = [ones, right, yaw], [ones, up, pitch, lids]
    if measured.differences_deg is not None:
        horizontal += list(_PER_DEG * measured.differences_deg[:, :, 0].T)
        vertical += list(_PER_DEG * measured.differences_deg[:, :, 1].T)
    return np.column_stack(horizontal), np.column_stack(vertical)


def _clip(values_deg: Floats, ranges_deg: tuple[tuple[float, float], tuple[float, float]]) -> Floats:
    """Limit both columns to their ranges and `EXTRAPOLATION_DEG` beyond."""
    low, high = np.array(ranges_deg).T
    return np.clip(values_deg, low - EXTRAPOLATION_DEG, high + EXTRAPOLATION_DEG)


def _ranges(values_deg: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    (first, second), (third, fourth) = np.stack([values_deg.min(axis=0), values_deg.max(axis=0)], axis=1).tolist()
    return (first, second), (third, fourth)


def _rotations(head_deg: Floats) -> Floats:
    """Return the rotations from head frame to camera frame, shape (n, 3, 3)."""
    return np.array([rotation_matrix(*angles) for angles in head_deg.tolist()]).reshape(-1, 3, 3)


def _into_head(direction_deg: Floats, rotations: Floats) -> Floats:
    """Turn gaze directions from the camera frame into the head frame, shape (n, 2)."""
    return gaze_direction(np.einsum("nji,nj->ni", rotations, gaze_vector(direction_deg)))


def _out_of_head(direction_deg: Floats, rotations: Floats) -> Floats:
    """Turn gaze directions from the head frame into the camera frame, shape (n, 2)."""
    return gaze_direction(np.einsum("nij,nj->ni", rotations, gaze_vector(direction_deg)))
