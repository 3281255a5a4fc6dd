"""Score of gaze points on one saliency map."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.types import Floats, SaliencyMap

SALIENT_SHARE = 0.30
"""Share of a map's pixels, those with the highest values, that count as salient."""

MAX_MAP_PIXELS = 4096 * 2304
"""Largest accepted map: a 4K frame."""


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
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise SaliencyMapError(f"a saliency map must contain real numbers, not {array.dtype}")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise SaliencyMapError("a saliency map contains a value that is not finite")
    if not np.issubdtype(array.dtype, np.unsignedinteger) and (array < 0).any():
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
    on_map, rows, columns = find_pixels(gaze_points, (array.shape[0], array.shape[1]))
    values, counts = _count_values(array)
    half_ranks = _half_ranks(counts)
    is_salient = _is_salient(half_ranks, array.size)
    chance = float(counts[is_salient].sum() / array.size)
    positions = np.searchsorted(values, array[rows, columns])
    hits, ranks, nss_values = _no_scores(len(on_map))
    hits[on_map] = is_salient[positions]
    ranks[on_map] = half_ranks[positions] / (2 * array.size)
    nss_values[on_map] = _standardise(values, counts)[positions]
    return MapScore(hits, ranks, nss_values, chance)


def find_pixels(
    gaze_points: ArrayLike, map_shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return whether each point is on the map, shape (n,), and the row and column of those that are.

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
    columns = np.minimum(np.floor(points[on_map, 0] * width).astype(np.int64), width - 1)
    rows = np.minimum(np.floor(points[on_map, 1] * height).astype(np.int64), height - 1)
    return on_map, rows, columns


def score_values(values: Floats, on_map: NDArray[np.bool_], samples: Floats) -> MapScore:
    """Return the score of points from their values and a sample of the map's pixels.

    Args:
        values: Value at each point on the map.
        on_map: Whether each point is on the map, shape (n,).
        samples: Values at pixels spread evenly over the map, ascending, shape (m,).
    """
    hits, ranks, nss_values = _no_scores(len(on_map))
    half_ranks = np.searchsorted(samples, values, "left") + np.searchsorted(samples, values, "right")
    hits[on_map] = _is_salient(half_ranks, samples.size)
    ranks[on_map] = half_ranks / (2 * samples.size)
    deviations = samples - samples.mean()
    if samples[0] < samples[-1]:
        spread = math.sqrt(float(deviations @ deviations) / (samples.size - 1))
        nss_values[on_map] = (values - samples.mean()) / spread
    return MapScore(hits, ranks, nss_values, _salient_share(samples))


def _salient_share(samples: Floats) -> float:
    """Return the share of ascending samples that would be a hit: some, none or all of those equal to the 70 % one."""
    middle = samples[math.floor((1 - SALIENT_SHARE) * samples.size)]
    first, last = np.searchsorted(samples, middle, "left"), np.searchsorted(samples, middle, "right")
    are_equal_salient = _is_salient(np.array([first + last]), samples.size)[0]
    return float(samples.size - (first if are_equal_salient else last)) / samples.size


def rescale(values: NDArray[Any]) -> Floats:
    """Return values that are not all equal, rescaled linearly to 0..1."""
    floats = values.astype(np.float64)
    rescaled: Floats = (floats - floats.min()) / (floats.max() - floats.min())
    return rescaled


def _no_scores(count: int) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Return hits, ranks and NSS of points off the map."""
    return np.zeros(count, dtype=np.bool_), np.full(count, math.nan), np.full(count, math.nan)


def _is_salient(half_ranks: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Return whether twice a mid-rank among `size` pixels belongs to the salient share; in exact integers."""
    return np.asarray(half_ranks * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * size)


def _count_values(array: SaliencyMap) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values in ascending order and the number of pixels with each."""
    if array.dtype in (np.uint8, np.uint16):
        histogram = np.bincount(array.ravel())
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
