"""Exact ranks of a few values among all pixels of a map of real numbers, without sorting the map.

A monotone function puts the pixels into bins. Only the bins of the given values, and the one in which the salient share
begins, are sorted; everything else is counted. The ranks are those of a full sort, to the last bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Floats

_LAST_BIN = 65535

_FEW_SHARE = 8
"""More pixels than one in so many are searched for plateaus before they are sorted."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelRanks:
    """Ranks of values among the pixels of a map.

    Attributes:
        below: Number of pixels with a lower value, shape (n,).
        through: Number of pixels with a lower or the same value, shape (n,).
        standardised: Values in sample standard deviations above the mean of the map, shape (n,).
        middle_below: Number of pixels below the value of the pixel in the place asked for.
        middle_through: Number of pixels up to and including that value.
    """

    below: NDArray[np.int64]
    through: NDArray[np.int64]
    standardised: Floats
    middle_below: int
    middle_through: int


def is_rankable(dtype: np.dtype[Any]) -> bool:
    """Return whether doubles represent all numbers of a type exactly."""
    return (dtype.kind == "f" and dtype.itemsize <= 8) or (dtype.kind in "iu" and dtype.itemsize <= 4)


def rank_values(pixels: NDArray[Any], values: NDArray[Any], middle: int) -> PixelRanks:
    """Return the ranks of values among pixels that are not all equal.

    Args:
        pixels: Finite numbers of a type that `is_rankable` accepts, shape (m,).
        values: Some of them, shape (n,).
        middle: Place among the pixels in ascending order, from 0, of the one to count around.
    """
    numbers, wanted = pixels.astype(np.float64, copy=False), values.astype(np.float64, copy=False)
    lowest, highest = numbers.min(), numbers.max()
    scaled, wanted_scaled = (numbers - lowest) / (highest - lowest), (wanted - lowest) / (highest - lowest)
    # Rounding keeps the order: a lower number never lies in a higher bin.
    bins, wanted_bins = _find_bins(scaled), _find_bins(wanted_scaled)
    counts = np.bincount(bins, minlength=_LAST_BIN + 1)
    ends = np.cumsum(counts)
    starts = ends - counts
    middle_bin = int(np.searchsorted(ends, middle, side="right"))
    is_sorted = np.zeros(_LAST_BIN + 1, dtype=np.bool_)
    is_sorted[wanted_bins] = True
    is_sorted[middle_bin] = True
    plateau = lowest
    # Most pixels of a sparse map have its lowest value.
    is_sorted[0] &= np.count_nonzero(numbers == lowest) != counts[0]
    if counts[is_sorted].sum() > pixels.size // _FEW_SHARE:
        # Plateaus: bins with a single value need no sorting.
        among = is_sorted[bins]
        sought, sought_bins = numbers[among], bins[among]
        of_bin = np.zeros(_LAST_BIN + 1)
        of_bin[sought_bins] = sought
        is_sorted[:] = False
        is_sorted[sought_bins[of_bin[sought_bins] != sought]] = True
        if not is_sorted[middle_bin] and middle_bin > 0:
            plateau = of_bin[middle_bin]
    few = np.sort(numbers[is_sorted[bins]])
    sorted_counts = np.where(is_sorted, counts, 0)
    shift = starts - (np.cumsum(sorted_counts) - sorted_counts)

    def count(found: Floats, bins_of: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        below = np.searchsorted(few, found, "left") + shift[bins_of]
        through = np.searchsorted(few, found, "right") + shift[bins_of]
        is_whole = ~is_sorted[bins_of]
        return np.where(is_whole, starts[bins_of], below), np.where(is_whole, ends[bins_of], through)

    below, through = count(wanted, wanted_bins)
    value = few[middle - shift[middle_bin]] if is_sorted[middle_bin] else plateau
    middle_below, middle_through = count(np.array([value]), np.array([middle_bin]))
    standardised = (wanted_scaled - scaled.mean()) / scaled.std(ddof=1)
    return PixelRanks(below, through, standardised, int(middle_below[0]), int(middle_through[0]))


def _find_bins(scaled: Floats) -> NDArray[np.uint16]:
    """Return the bin of numbers from 0 to 1. The root spreads small numbers, of which most maps have many."""
    bins = np.sqrt(scaled)
    bins *= _LAST_BIN
    return np.ceil(bins, out=bins).astype(np.uint16)
