"""Personal correction of the gaze direction, fitted to calibration targets.

Visual axes, lids and faces differ between people, so the uncalibrated model is wrong by several degrees that are
constant for one viewer, in the head frame. The correction therefore works in the head frame: it adds an offset, a gain
on the eyes' own rotation and, vertically, a term for the lid opening. It moves with the head and is independent of the
screen.

Few targets determine few coefficients. The coefficients have a prior, the spread among rendered people, and the
evidence decides how far they move away from zero: Bayesian linear regression; MacKay, Bayesian interpolation, Neural
Computation 4, 1992.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.gaze import gaze_direction, gaze_vector
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Floats

EXTRAPOLATION_DEG = 10.0
"""The gain applies up to this far beyond the eye rotations seen during calibration and is constant further out."""

# Rounded from the spread of 292 rendered people, with two changes for effects that rendered sessions do not show. The
# offset variances are 50 % larger, because real screens and cameras are described less exactly. The lid variance is a
# quarter, because lids droop over time and would pull the gaze down with them.
PRIOR_HORIZONTAL = np.array([[17.0, 0.0], [0.0, 7.5]])
"""Covariance between people of the horizontal offset (degrees) and gain (degrees per ten degrees)."""

PRIOR_VERTICAL = np.array([[42.0, 8.0, -4.0], [8.0, 20.0, -4.5], [-4.0, -4.5, 9.0]])
"""Covariance between people of the vertical offset, gain and lid term (degrees per 0.1 of eye aspect ratio)."""

SCATTER_GRID_DEG = tuple(float(value) for value in np.geomspace(0.1, 12.0, 12))
"""Candidates for the scatter of the targets around the correction."""

PRIOR_SCATTER_DEG = 2.0
"""Median of the log-normal prior of that scatter."""

PRIOR_SCATTER_SPREAD = 0.8
"""Standard deviation of the logarithm of that scatter."""

_HUBER = 2.0
_ROBUST_STEPS = 4
_PER_DEG = 0.1
_PER_OPENNESS = 10.0


@dataclass(frozen=True, slots=True)
class Correction:
    """Correction of one viewer's gaze direction in the head frame.

    Attributes:
        offset_deg: Offset to the right and up, for eyes that look straight ahead.
        gain: Horizontal and vertical correction per degree of eye rotation in the head.
        lid_deg: Upward correction per unit of eye aspect ratio above `openness`.
        openness: Eye aspect ratio of this viewer at the targets.
        eyes_deg: Smallest and largest eye rotation at the targets, horizontal and vertical; see `EXTRAPOLATION_DEG`.
        openness_range: Smallest and largest eye aspect ratio at the targets; the lid term is constant outside.
    """

    offset_deg: tuple[float, float]
    gain: tuple[float, float] = (0.0, 0.0)
    lid_deg: float = 0.0
    openness: float = 0.3
    eyes_deg: tuple[tuple[float, float], tuple[float, float]] = ((-90.0, 90.0), (-90.0, 90.0))
    openness_range: tuple[float, float] = (0.0, 1.0)

    def apply(self, uncalibrated_deg: ArrayLike, head_deg: ArrayLike, openness: ArrayLike) -> Floats:
        """Return corrected gaze directions in the camera frame, degrees, shape (n, 2).

        Args:
            uncalibrated_deg: Gaze directions of the uncalibrated model, camera frame, shape (n, 2).
            head_deg: Pitch, yaw and roll of the head, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
        """
        rotations = _rotations(np.asarray(head_deg, dtype=np.float64))
        eyes_deg = _into_head(np.asarray(uncalibrated_deg, dtype=np.float64), rotations)
        (left, right), (down, up) = self.eyes_deg
        turned_deg = np.clip(
            eyes_deg,
            [left - EXTRAPOLATION_DEG, down - EXTRAPOLATION_DEG],
            [right + EXTRAPOLATION_DEG, up + EXTRAPOLATION_DEG],
        )
        corrected = eyes_deg + np.array(self.offset_deg) + np.array(self.gain) * turned_deg
        corrected[:, 1] += self.lid_deg * (np.clip(openness, *self.openness_range) - self.openness)
        return _out_of_head(corrected, rotations)


@dataclass(frozen=True, slots=True, eq=False)
class TargetMedians:
    """Medians over the frames of each target.

    Attributes:
        eyes_deg: Eye rotation in the head according to the uncalibrated model, shape (targets, 2).
        missing_deg: True minus uncalibrated direction in the head frame, shape (targets, 2).
        noise_deg: Standard error of `missing_deg`, assuming independent frames, shape (targets, 2).
        openness: Eye aspect ratio, shape (targets,).
    """

    eyes_deg: Floats
    missing_deg: Floats
    noise_deg: Floats
    openness: Floats


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


def design_axes(eyes_deg: Floats, openness: Floats, usual_openness: float) -> tuple[Floats, Floats]:
    """Return the design matrices of the horizontal and vertical regression, shapes (n, 2) and (n, 3).

    Args:
        eyes_deg: Eye rotation in the head, shape (n, 2).
        openness: Mean eye aspect ratio, shape (n,).
        usual_openness: Mean eye aspect ratio of the viewer.
    """
    ones = np.ones(len(eyes_deg))
    right, up = _PER_DEG * eyes_deg.T
    lids = _PER_OPENNESS * (openness - usual_openness)
    return np.column_stack([ones, right]), np.column_stack([ones, up, lids])


def fit_correction(medians: TargetMedians, *, offset_only: bool) -> tuple[Correction, list[Correction]]:
    """Return the correction fitted to all targets, and for each target the one fitted to all others.

    The leave-one-out corrections share scatter, weights and ranges with the full fit, so their error comes out about 3
    % too small. Huber's weights limit the influence of a target that the viewer did not look at.

    Args:
        medians: Measurements at the targets.
        offset_only: Whether to leave out gain and lid term.
    """
    openness = float(medians.openness.mean())
    designs: Sequence[Floats] = design_axes(medians.eyes_deg, medians.openness, openness)
    priors = [PRIOR_HORIZONTAL, PRIOR_VERTICAL]
    if offset_only:
        designs, priors = [design[:, :1] for design in designs], [prior[:1, :1] for prior in priors]
    off_deg = np.linalg.norm(medians.missing_deg - np.median(medians.missing_deg, axis=0), axis=1)
    weights = _huber(off_deg / max(float(np.median(off_deg)), 1.0))
    for _ in range(_ROBUST_STEPS):
        axes = [
            _fit_axis(designs[axis], medians.missing_deg[:, axis], medians.noise_deg[:, axis], weights, priors[axis])
            for axis in (0, 1)
        ]
        weights = _huber(np.hypot(axes[0].standardised, axes[1].standardised))
    smallest_deg, largest_deg = medians.eyes_deg.min(axis=0).tolist(), medians.eyes_deg.max(axis=0).tolist()

    def make(horizontal: Floats, vertical: Floats) -> Correction:
        x, y = [*horizontal.tolist(), 0.0], [*vertical.tolist(), 0.0, 0.0]
        return Correction(
            offset_deg=(x[0], y[0]),
            gain=(_PER_DEG * x[1], _PER_DEG * y[1]),
            lid_deg=_PER_OPENNESS * y[2],
            openness=openness,
            eyes_deg=((smallest_deg[0], largest_deg[0]), (smallest_deg[1], largest_deg[1])),
            openness_range=(float(medians.openness.min()), float(medians.openness.max())),
        )

    left_out = [make(*both) for both in zip(axes[0].left_out, axes[1].left_out, strict=True)]
    return make(axes[0].coefficients, axes[1].coefficients), left_out


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """Fit of one axis.

    Attributes:
        coefficients: Fitted to all targets, shape (k,).
        left_out: Fitted without one target each, shape (targets, k).
        standardised: Residuals in their standard deviations, before robust weighting, shape (targets,).
    """

    coefficients: Floats
    left_out: Floats
    standardised: Floats


def _fit_axis(design: Floats, missing_deg: Floats, noise_deg: Floats, weights: Floats, prior: Floats) -> _Axis:
    """Return the posterior mean for the scatter with the highest evidence."""
    information = np.linalg.inv(prior)
    _, log_prior = np.linalg.slogdet(prior)

    def solve(scatter_deg: float) -> tuple[float, Floats, Floats, Floats]:
        """Return the log evidence, posterior covariance and mean, and the precision of each target."""
        precision = weights / (scatter_deg**2 + noise_deg**2)
        weighted = design.T * precision
        inverse = information + weighted @ design
        posterior: Floats = np.linalg.inv(inverse).astype(np.float64)
        mean = posterior @ weighted @ missing_deg
        # The determinant lemma and Woodbury's identity keep the cost linear in the number of targets.
        log_determinant = float(np.linalg.slogdet(inverse)[1] + log_prior - np.log(precision).sum())
        misfit = missing_deg @ (precision * missing_deg) - mean @ inverse @ mean
        scatter_deviation = math.log(scatter_deg / PRIOR_SCATTER_DEG) / PRIOR_SCATTER_SPREAD
        return -0.5 * float(log_determinant + misfit + scatter_deviation**2), posterior, mean, precision

    _, posterior, coefficients, precision = max((solve(each) for each in SCATTER_GRID_DEG), key=lambda found: found[0])
    residual = missing_deg - design @ coefficients
    # Leave-one-out change by Sherman and Morrison; exact for fixed scatter and weights.
    influence = posterior @ design.T * precision
    leverage = np.einsum("nk,kn->n", design, influence)
    left_out = coefficients - (influence * residual / (1 - leverage)).T
    return _Axis(coefficients, left_out, residual * np.sqrt(precision / weights))


def _huber(distances: Floats) -> Floats:
    weights: Floats = _HUBER / np.maximum(distances, _HUBER)
    return weights


def _rotations(head_deg: Floats) -> Floats:
    """Return the rotations from head frame to camera frame, shape (n, 3, 3)."""
    return np.array([rotation_matrix(*angles) for angles in head_deg.tolist()]).reshape(-1, 3, 3)


def _into_head(direction_deg: Floats, rotations: Floats) -> Floats:
    """Turn gaze directions from the camera frame into the head frame, shape (n, 2)."""
    return gaze_direction(np.einsum("nji,nj->ni", rotations, gaze_vector(direction_deg)))


def _out_of_head(direction_deg: Floats, rotations: Floats) -> Floats:
    """Turn gaze directions from the head frame into the camera frame, shape (n, 2)."""
    return gaze_direction(np.einsum("nij,nj->ni", rotations, gaze_vector(direction_deg)))
