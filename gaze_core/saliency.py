"""Score of gaze points on one saliency map."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.pixel_ranks import is_rankable, rank_values
from gaze_core.types import Floats, SaliencyMap

SALIENT_SHARE = 0.30
"""Share of a map's pixels, those with the highest values, that count as salient."""

MAX_MAP_PIXELS = 4096 * 2304
"""Largest accepted map: a 4K frame."""

MAX_MAP_SIDE = 8192
"""Longest accepted side. Blurring computes a matrix whose size is that of a side squared."""

_MANY_PIXELS = 10_000
"""Fewer real numbers are sorted faster than binned."""


_MANY_BYTES = 100_000
"""Fewer bytes are counted faster one by one than in pairs."""


@dataclass(frozen=True, slots=True, eq=False)
class MapScore:
    """Score of gaze points on one saliency map.

    Attributes:
        hits: Whether each point hits a salient pixel, shape (n,); a point off the map is a miss.
        ranks: Share of the pixels with a lower value than the one at each point, ties counted half, shape (n,); NaN off
            the map. The mean over points is the tie-averaged AUC; the mean over all pixels is 0.5.
        nss: Value at each point in standard deviations above the mean of the map, shape (n,); NaN off the map and on a
            flat map. The mean over all pixels is 0.
        chance: Share of the pixels that would be a hit.
    """

    hits: NDArray[np.bool_]
    ranks: Floats
    nss: Floats
    chance: float


def check_map(saliency_map: ArrayLike) -> SaliencyMap:
    """Return a saliency map as an array, shape (height, width).

    Raises:
        SaliencyMapError: The map is not two-dimensional, is empty or too large, or has a value that is negative or not
            finite.
    """
    array = np.asarray(saliency_map)
    if array.ndim != 2 or array.size == 0:
        raise SaliencyMapError(f"a saliency map must have shape (height, width), not {array.shape}")
    if array.size > MAX_MAP_PIXELS:
        raise SaliencyMapError(f"a saliency map must have at most {MAX_MAP_PIXELS} pixels, not {array.size}")
    if max(array.shape) > MAX_MAP_SIDE:
        raise SaliencyMapError(
            f"the sides of a saliency map must have at most {MAX_MAP_SIDE} pixels, not {array.shape}"
        )
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise SaliencyMapError(f"a saliency map must contain real numbers, not {array.dtype}")
    if array.dtype.kind == "u":
        return array
    lowest = array.min()  # NaN if there is any
    if array.dtype.kind == "f" and not np.isfinite([lowest, array.max()]).all():
        raise SaliencyMapError("a saliency map contains a value that is not finite")
    if lowest < 0:
        raise SaliencyMapError("a saliency map contains a negative value")
    return array


def calc(gaze_points: ArrayLike, saliency_map: ArrayLike) -> MapScore:
    """Score gaze points against the saliency map of one frame.

    A point is a hit when at least 70 % of the pixels have a lower value, ties counted half. A flat map therefore has no
    hits. A point lies in pixel floor(coordinate × size); 1.0 belongs to the last pixel.

    Args:
        gaze_points: x and y normalised to the map, origin top left, shape (n, 2); points outside 0..1 are off the map.
        saliency_map: Saliency map, shape (height, width).

    Raises:
        ValueError: The points have the wrong shape or are not finite.
        SaliencyMapError: The map is unusable, see `check_map`.
    """
    array = check_map(saliency_map)
    pixels = find_pixels(gaze_points, (array.shape[0], array.shape[1]))
    return rank_pixels(pixels, array, pixels.rows.size)[1]


@dataclass(frozen=True, slots=True, eq=False)
class MapPixels:
    """Pixels of points on a map.

    Attributes:
        on_map: Whether each point is on the map, shape (n,).
        rows: Row of each point, 0 off the map, shape (n,).
        columns: Column of each point, 0 off the map, shape (n,).
    """

    on_map: NDArray[np.bool_]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def take(self, positions: NDArray[np.int64]) -> "MapPixels":
        """Return the pixels of some points, in the given order."""
        return MapPixels(self.on_map[positions], self.rows[positions], self.columns[positions])


def find_pixels(gaze_points: ArrayLike, map_shape: tuple[int, int]) -> MapPixels:
    """Return the pixels of gaze points.

    Args:
        gaze_points: x and y normalised to the map, origin top left, shape (n, 2).
        map_shape: Height and width of the map.

    Raises:
        ValueError: The points have the wrong shape or are not finite.
    """
    points = np.asarray(gaze_points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"gaze_points must have shape (n, 2), not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("gaze_points must be finite")
    height, width = map_shape
    on_map = np.all((points >= 0) & (points <= 1), axis=1)
    inside = np.where(on_map[:, None], points, 0.0)
    columns = np.minimum(np.floor(inside[:, 0] * width).astype(np.int64), width - 1)
    rows = np.minimum(np.floor(inside[:, 1] * height).astype(np.int64), height - 1)
    return MapPixels(on_map, rows, columns)


def rank_pixels(pixels: MapPixels, array: SaliencyMap, scored: int) -> tuple[Floats, MapScore]:
    """Return the ranks of pixels, shape (n,), any number off the map, and the scores of the first of them.

    Args:
        pixels: Pixels of gaze points, which `calc` describes.
        array: Saliency map, as `check_map` returns it.
        scored: Number of pixels to score, from the first.
    """
    size = array.size
    values = array[pixels.rows, pixels.columns]
    if size >= _MANY_PIXELS and array.dtype not in (np.uint8, np.uint16) and is_rankable(array.dtype):
        ranked = rank_values(array.ravel(), values, middle=_salient_place(size))
        if ranked is not None:
            salient = _count_salient(ranked.middle_below, ranked.middle_through, size)
            return _make_scores(
                pixels.on_map[:scored],
                ranked.below + ranked.through,
                size,
                ranked.standardised[:scored],
                float(salient / size),
            )
    distinct, counts = _count_values(array)
    half_ranks = _half_ranks(counts)
    chance = float(counts[_is_salient(half_ranks, size)].sum() / size)
    positions = np.searchsorted(distinct, values)
    standardised = _standardise(distinct, counts)[positions[:scored]]
    return _make_scores(pixels.on_map[:scored], half_ranks[positions], size, standardised, chance)


def rank_among(
    values: NDArray[np.uint16], on_map: NDArray[np.bool_], samples: NDArray[np.uint16], scored: int
) -> tuple[Floats, MapScore]:
    """Return the ranks of values among a sample of a map's pixels, shape (n,), and the scores of the first of them.

    Args:
        values: Value at each point; any number off the map, shape (n,).
        on_map: Whether each point is on the map, shape (n,).
        samples: Values at pixels spread evenly over the map, ascending, shape (m,).
        scored: Number of points to score, from the first.
    """
    size = samples.size
    middle = samples[_salient_place(size)]
    sought = np.append(values, middle)
    below, through = samples.searchsorted(sought, "left"), samples.searchsorted(sought, "right")
    standardised = np.full(scored, math.nan)
    if samples[0] < samples[-1]:
        numbers = samples.astype(np.int64)
        total, squares = int(numbers.sum()), int(numbers.dot(numbers))
        standardised = (values[:scored] - total / size) / math.sqrt((squares * size - total**2) / size / (size - 1))
    salient = _count_salient(int(below[-1]), int(through[-1]), size)
    return _make_scores(on_map[:scored], (below + through)[:-1], size, standardised, salient / size)


def _salient_place(size: int) -> int:
    """Return the place in ascending order, from 0, of a pixel above which all others are a hit, and below none."""
    return size * round((1 - SALIENT_SHARE) * 100) // 100


def _count_salient(below: int, through: int, size: int) -> int:
    """Return how many pixels would be a hit, from those below and up to the value of the `_salient_place`."""
    return size - (below if _is_salient(np.array([below + through]), size)[0] else through)


def rescale(values: NDArray[Any]) -> Floats:
    """Return values that are not all equal, rescaled linearly to 0..1."""
    floats = values.astype(np.float64)
    rescaled: Floats = (floats - floats.min()) / (floats.max() - floats.min())
    return rescaled


def _make_scores(
    on_map: NDArray[np.bool_], half_ranks: NDArray[np.int64], size: int, nss: Floats, chance: float
) -> tuple[Floats, MapScore]:
    """Return ranks and scores from twice the mid-ranks among `size` pixels, shape (n,).

    Args:
        on_map: Whether the points to score are on the map, shape (m,); they are the first of the n.
        half_ranks: Twice the mid-ranks.
        size: Number of pixels of the map.
        nss: Standardised values of the points to score, shape (m,).
        chance: Share of the pixels that would be a hit.
    """
    ranks: Floats = half_ranks / (2 * size)
    own, hits = ranks[: on_map.size], _is_salient(half_ranks[: on_map.size], size)
    if not on_map.all():
        hits, own, nss = hits & on_map, np.where(on_map, own, math.nan), np.where(on_map, nss, math.nan)
    return ranks, MapScore(hits, own, nss, chance)


def _is_salient(half_ranks: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Return whether twice a mid-rank among `size` pixels belongs to the salient share; in exact integers."""
    return np.asarray(half_ranks * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * size)


def _count_values(array: SaliencyMap) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values in ascending order and the number of pixels with each."""
    if array.dtype in (np.uint8, np.uint16):
        pixels = array.ravel()
        if array.dtype == np.uint8 and array.size >= _MANY_BYTES and array.size % 2 == 0:
            # Two pixels at once: half as many to count, in a table that fits into the processor's cache.
            pairs = np.bincount(pixels.view(np.uint16), minlength=2**16).reshape(2**8, 2**8)
            histogram = pairs.sum(axis=0) + pairs.sum(axis=1)
        else:
            histogram = np.bincount(pixels)
        present = np.flatnonzero(histogram)
        return present, histogram[present].astype(np.int64)
    values, counts = np.unique(array, return_counts=True)
    return values, counts.astype(np.int64)


def _half_ranks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return twice the mid-rank of each distinct value; integers make comparisons exact."""
    ranks: NDArray[np.int64] = 2 * np.cumsum(counts) - counts
    return ranks


def _standardise(values: NDArray[Any], counts: NDArray[np.int64]) -> Floats:
    """Return the distinct values in sample standard deviations above the mean over all pixels; NaN for a flat map."""
    if len(values) == 1:
        return np.full(1, math.nan)
    # Gain and offset cancel; rescaling to 0..1 first avoids overflow.
    stretched = rescale(values)
    pixels = counts.sum()
    deviations = stretched - (stretched * counts).sum() / pixels
    standardised: Floats = deviations / math.sqrt((deviations**2 * counts).sum() / (pixels - 1))
    return standardised
