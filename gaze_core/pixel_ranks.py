"""Exact ranks of a few values among all pixels of a map of real numbers, without sorting the map.

The bit patterns of non-negative doubles are in the order of the numbers, and about proportional to their logarithm.
Their range is divided into bins of equal width, and the pixels in each bin are counted. Only pixels that share a bin
with one of the given values, or with the value at which the salient share begins, are compared further: bins with a
single value are finished, small ones are sorted, and large ones are divided again. The ranks are those of a full sort.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Floats

_Patterns = NDArray[np.int64]

_BINS = 32768
"""Bins whose numbers of pixels fit into a processor's cache."""

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2

_SAMPLES = 1000
"""Pixels that are sorted to see where most of them lie."""

_OUTLIERS = 3
"""Number of these samples below, and above, the bins: pixels far from the others would make the bins too wide."""

_WORTH_CLIPPING = 8
"""Pixels above the bins are only kept apart if all bins would otherwise be so many times as wide."""

_FEW = 10_000
"""Fewer pixels are sorted faster than divided."""

_LARGE_BIN = 1000
"""In larger bins, most pixels usually have the same value."""

_MAX_DIVIDED_BINS = 50
"""Dividing a bin again reads all pixels, which takes as long as sorting about a hundredth of them."""

_FEW_VALUES = 4
"""So many values are compared with all pixels faster than their bins are examined."""


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


def rank_values(pixels: NDArray[Any], values: NDArray[Any], middle: int) -> PixelRanks | None:
    """Return the ranks of values among pixels; None if all pixels are equal.

    Args:
        pixels: Finite numbers from 0, of a type that `is_rankable` accepts, shape (m,).
        values: Some of them, shape (n,).
        middle: Place among the pixels in ascending order, from 0, of the one to count around.
    """
    numbers, wanted = pixels.astype(np.float64, copy=False), values.astype(np.float64, copy=False)
    lowest, highest = numbers.min(), numbers.max()
    if lowest == highest:
        return None
    patterns, sought = _to_patterns(numbers, lowest), _to_patterns(wanted, lowest)
    if patterns.size < _FEW:
        ascending = np.sort(patterns)
        sought = np.append(sought, ascending[middle])
        below, through = np.searchsorted(ascending, sought, "left"), np.searchsorted(ascending, sought, "right")
    else:
        limits = _to_patterns(np.array([lowest, highest]), lowest)
        divided = _divide(patterns, int(limits[0]), int(limits[1]), outliers=_OUTLIERS)
        distinct, places = np.unique(np.append(sought, divided.find(middle)), return_inverse=True)
        below, through = (counts[places] for counts in divided.count(distinct))
    # In place, for the cache: deviations from the mean, then their squares.
    deviations = numbers - lowest
    deviations /= highest - lowest
    mean = deviations.mean()
    deviations -= mean
    deviations *= deviations
    standardised = ((wanted - lowest) / (highest - lowest) - mean) / np.sqrt(deviations.sum() / (numbers.size - 1))
    return PixelRanks(below[:-1], through[:-1], standardised, int(below[-1]), int(through[-1]))


def _to_patterns(numbers: Floats, lowest: float) -> _Patterns:
    """Return integers in the order of numbers from `lowest`, which is not negative."""
    patterns = np.ascontiguousarray(numbers).view(np.int64)
    # The pattern of -0.0 is negative.
    return np.maximum(patterns, 0) if lowest == 0 else patterns


@dataclass(frozen=True, slots=True, eq=False)
class _DividedPixels:
    """Pixels in bins of equal width, except for those with the lowest value, which may be most of a sparse map.

    Attributes:
        patterns: Pixels, shape (m,).
        lowest: Lowest value.
        lowest_count: Number of pixels with it.
        start: Lower limit of the bins; the first bin has all pixels below it too.
        stop: Upper limit of the bins; the last bin has all pixels above it too.
        shift: Width of the bins, as a power of two.
        bins: Bin of each pixel, shape (m,).
        counts: Pixels in each bin, shape (bins,).
        ends: Pixels in and below each bin, shape (bins,).
    """

    patterns: _Patterns
    lowest: int
    lowest_count: int
    start: int
    stop: int
    shift: int
    bins: NDArray[np.int64]
    counts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def find(self, place: int) -> int:
        """Return the value of the pixel in a place in ascending order, from 0."""
        if place < self.lowest_count:
            return self.lowest
        found = int(np.searchsorted(self.ends, place, side="right"))
        is_inside = self._is_inside(found)
        if self.counts[found] > _LARGE_BIN:
            likely = int(self.patterns[np.argmax(is_inside)])
            if np.count_nonzero(self.patterns < likely) <= place < np.count_nonzero(self.patterns <= likely):
                return likely
        place -= int(self.ends[found] - self.counts[found])
        return int(np.partition(np.compress(is_inside, self.patterns), place)[place])

    def count(self, wanted: _Patterns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of pixels below, and up to, some of the values, each once, shape (n,)."""
        bins = (np.clip(wanted, self.start, self.stop) - self.start) >> self.shift
        # Valid for bins with a single value.
        is_lowest = wanted == self.lowest
        below = np.where(is_lowest, 0, (self.ends - self.counts)[bins])
        through = np.where(is_lowest, self.lowest_count, self.ends[bins])
        is_open = ~is_lowest & (self.counts[bins] > 1)
        is_open &= ~self._finish_large(wanted, bins, is_open, below, through)
        is_mixed = np.zeros(_BINS, dtype=np.bool_)
        is_mixed[bins[is_open]] = True
        worth_dividing = max(_FEW, self.patterns.size // _MAX_DIVIDED_BINS)
        for each in np.flatnonzero(is_mixed & (self.counts > worth_dividing)).tolist():
            members = np.flatnonzero(is_open & (bins == each))
            inside = np.compress(self._is_inside(each), self.patterns)
            divided = _divide(inside, int(inside.min()), int(inside.max()), outliers=0)
            below[members], through[members] = (below[members] + counts for counts in divided.count(wanted[members]))
            is_open[members] = is_mixed[each] = False
        if is_open.any():
            members, mixed_counts = np.flatnonzero(is_open), np.where(is_mixed, self.counts, 0)
            few = np.sort(np.compress(np.take(is_mixed, self.bins), self.patterns))
            # Among the sorted pixels, those in bins below, and the lowest, which are not counted in the first bin.
            before = (np.cumsum(mixed_counts) - mixed_counts)[bins[members]] + np.searchsorted(
                few, self.lowest, "right"
            )
            through[members] = below[members] + np.searchsorted(few, wanted[members], "right") - before
            below[members] += np.searchsorted(few, wanted[members], "left") - before
        return below, through

    def _finish_large(
        self,
        wanted: _Patterns,
        bins: NDArray[np.int64],
        is_open: NDArray[np.bool_],
        below: NDArray[np.int64],
        through: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Count pixels for values in large bins, and return which values are finished, shape (n,)."""
        is_large = is_open & (self.counts[bins] > _LARGE_BIN)
        large = np.flatnonzero(is_large)
        if large.size <= _FEW_VALUES:
            for each in large.tolist():
                below[each] = np.count_nonzero(self.patterns < wanted[each])
                through[each] = np.count_nonzero(self.patterns <= wanted[each])
            return is_large
        single = np.full(_BINS, -1)
        single[bins[large]] = wanted[large]
        is_single = np.take(single, self.bins) == self.patterns
        if np.count_nonzero(is_single) == self.counts[np.unique(bins[large])].sum():
            return is_large
        is_uniform = np.bincount(np.compress(is_single, self.bins), minlength=_BINS) == self.counts
        is_large &= is_uniform[bins]
        return is_large

    def _is_inside(self, number: int) -> NDArray[np.bool_]:
        """Return which pixels are counted in a bin, shape (m,)."""
        is_inside: NDArray[np.bool_] = self.bins == number
        if number == 0:
            is_inside &= self.patterns != self.lowest
        return is_inside


def _divide(patterns: _Patterns, lowest: int, highest: int, *, outliers: int) -> _DividedPixels:
    """Divide pixels.

    Args:
        patterns: Pixels, shape (m,).
        lowest: Lowest value.
        highest: Highest value.
        outliers: Number of samples below the bins, and above them.
    """
    start, stop = lowest, highest
    if outliers:
        # Not in columns of the map, as equal distances could be.
        places = np.arange(_SAMPLES) * _GOLDEN_RATIO % 1.0 * patterns.size
        samples = np.sort(patterns[places.astype(np.int64)])
        higher = samples[samples > lowest]
        start = max(int(samples[outliers]), int(higher[0]) if higher.size else lowest)
        stop = max(start, int(samples[-1 - outliers]))
        if highest - start < _WORTH_CLIPPING * (stop - start):
            stop = highest
    shift = max(0, (stop - start).bit_length() - (_BINS - 1).bit_length())
    bins = np.maximum(patterns, start)
    if stop < highest:
        np.minimum(bins, stop, out=bins)
    bins -= start
    bins >>= shift
    counts = np.bincount(bins, minlength=_BINS)
    lowest_count = int(np.count_nonzero(patterns == lowest))
    counts[0] -= lowest_count
    ends = np.cumsum(counts) + lowest_count
    return _DividedPixels(patterns, lowest, lowest_count, start, stop, shift, bins, counts, ends)
