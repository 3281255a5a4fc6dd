"""Median and middle 90 % of a distribution."""

from dataclasses import dataclass

import numpy as np

from research.realism.measures import Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, limits of the middle 90 %, and number of values."""

    median: float
    low: float
    high: float
    count: int


def spread_of(values: Floats) -> Spread:
    """Return the spread of the finite values."""
    kept = values[np.isfinite(values)]
    low, median, high = np.percentile(kept, [5, 50, 95]).tolist()
    return Spread(median, low, high, len(kept))
