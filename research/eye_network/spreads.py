"""Calibration of predicted spreads: whether errors are as large as the network says, and the correction if not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.types import Floats

STEPS = 50
SLOPE_LIMITS = (0.3, 1.5)
"""Slopes beyond these would mean that the predicted spreads are useless."""


@dataclass(frozen=True, slots=True)
class SpreadCorrection:
    """Affine correction of the logarithm of a standard deviation: slope × logarithm + offset.

    Attributes:
        slope: 1 keeps the ratios between spreads.
        offset: 0 keeps them at slope 1.
    """

    slope: float
    offset: float


@dataclass(frozen=True, slots=True, eq=False)
class SpreadBins:
    """Predicted and real spread in bins of equal size, ascending.

    Attributes:
        predicted: Root mean square of the predicted standard deviations, shape (bins,).
        real: Root mean square error, shape (bins,).
    """

    predicted: Floats
    real: Floats


def fit_spread(errors: ArrayLike, log_spreads: ArrayLike) -> SpreadCorrection:
    """Return the correction with which the errors are most likely under normal distributions.

    Newton's method on the mean negative logarithm of the likelihood, which is convex.

    Args:
        errors: Errors, shape (n,).
        log_spreads: Natural logarithms of their predicted standard deviations in the same unit, shape (n,).

    Raises:
        ValueError: There are fewer than two errors, or one is not finite.
    """
    error, log_spread = np.asarray(errors, dtype=np.float64), np.asarray(log_spreads, dtype=np.float64)
    if len(error) < 2 or not (np.isfinite(error).all() and np.isfinite(log_spread).all()):
        raise ValueError("at least two finite errors are needed")
    middle = log_spread.mean()
    inputs = np.column_stack([log_spread - middle, np.ones_like(log_spread)])
    found = np.array([1.0, middle])
    for _ in range(STEPS):
        share = error**2 * np.exp(-2 * (inputs @ found))
        gradient = inputs.T @ (1 - share) / len(error)
        curvature = (inputs * (2 * share)[:, None]).T @ inputs / len(error) + 1e-9 * np.eye(2)
        # Longer steps leave the range in which the exponential is well approximated.
        step = np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
        found = found - step
        found[0] = np.clip(found[0], *SLOPE_LIMITS)
        if np.abs(step).max() < 1e-9:
            break
    slope, at_middle = found.tolist()
    return SpreadCorrection(slope, at_middle - slope * float(middle))


def bin_spreads(errors: ArrayLike, spreads: ArrayLike, bins: int = 10) -> SpreadBins:
    """Return predicted and real spread in bins of equally many errors, ordered by predicted spread.

    Args:
        errors: Errors, shape (n,).
        spreads: Predicted standard deviations, shape (n,).
        bins: Number of bins; fewer if there are fewer errors.
    """
    error, spread = np.asarray(errors, dtype=np.float64), np.asarray(spreads, dtype=np.float64)
    parts: list[NDArray[np.int64]] = np.array_split(np.argsort(spread, kind="stable"), min(bins, len(error)))
    return SpreadBins(
        np.array([np.sqrt(np.mean(spread[part] ** 2)) for part in parts]),
        np.array([np.sqrt(np.mean(error[part] ** 2)) for part in parts]),
    )
