"""A distribution in three numbers."""

from dataclasses import dataclass

import numpy as np

from research.realism.measures import Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution: its median, where its middle 90 % lie, and of how many values."""

    median: float
    low: float
    high: float
    count: int


def spread_of(values: Floats) -> Spread:
    """Return the distribution of values; NaN among them are left out."""
    kept = values[np.isfinite(values)]
    low, median, high = np.percentile(kept, [5, 50, 95]).tolist()
    return Spread(median, low, high, len(kept))
