"""Statistics of errors: quantiles and intervals over people."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def describe(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return mean, median and 95th percentile, each None without values."""
    if len(values) == 0:
        return {"mean": None, "median": None, "p95": None}
    return {
        "mean": round_number(values.mean()),
        "median": round_number(float(np.median(values))),
        "p95": round_number(float(np.percentile(values, 95))),
    }


def bootstrap_interval(values: NDArray[np.float64], identity: NDArray[np.int64], *, seed: int = 0) -> list[float]:
    """Return the interval of `resample_people`, rounded for the card."""
    return [round_number(value) for value in resample_people(values, identity, seed=seed)]


def resample_people(values: NDArray[np.float64], identity: NDArray[np.int64], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean over people, by a bootstrap that resamples whole people.

    Args:
        values: One value per image, shape (n,).
        identity: Number of the person in each image, shape (n,).
        seed: Seed of the resampling.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval). Images of
    one person are correlated, so the clusters are resampled.
    """
    people, member = np.unique(identity, return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    drawn = np.random.default_rng(seed).integers(0, len(people), (RESAMPLES, len(people)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def round_number(value: float) -> float:
    """Return a number rounded for the card."""
    return round(float(value), 3)
