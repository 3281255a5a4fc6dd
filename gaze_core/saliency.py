"""How much of what matters in a video a gaze hits."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.types import SaliencyMap

SALIENT_SHARE = 0.30
"""The upper 30 % of a map are its salient places."""

MAX_MAP_PIXELS = 4096 * 2304


@dataclass(frozen=True, slots=True, eq=False)
class MapScore:
    """What one saliency map says about gaze points.

    Attributes:
        hits: Whether each gaze point hits a salient place, shape (n,); a point off the map hits nothing.
        ranks: Share of the map's pixels below the value at each point, ties counted half, shape (n,); NaN off the map.
        chance: Share of the map's pixels that would be a hit.
    """

    hits: NDArray[np.bool_]
    ranks: NDArray[np.float64]
    chance: float


def check_map(saliency_map: ArrayLike) -> SaliencyMap:
    """Return a saliency map as an array, shape (height, width).

    Raises:
        SaliencyMapError: Not two-dimensional, empty, too large, or with a value that is negative or not finite.
    """
    array = np.asarray(saliency_map)
    if array.ndim != 2 or array.size == 0:
        raise SaliencyMapError(f"a saliency map must have shape (height, width), not {array.shape}")
    if array.size > MAX_MAP_PIXELS:
        raise SaliencyMapError(f"a saliency map of {array.size} pixels is over the limit of {MAX_MAP_PIXELS}")
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise SaliencyMapError("a saliency map must hold numbers")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise SaliencyMapError("a saliency map holds a value that is not finite")
    if array.dtype != np.uint8 and (array < 0).any():
        raise SaliencyMapError("a saliency map holds a negative value")
    return array


def calc(gaze_points: ArrayLike, saliency_map: ArrayLike) -> MapScore:
    """Return which gaze points hit a salient place of a frame's map, and how likely that is by chance.

    A point hits when the share of pixels below its value, plus half of those equal to it, is at least 0.70. So a flat
    map is hit by nothing. A point lies in pixel floor(coordinate × size); 1.0 falls into the last.

    Args:
        gaze_points: Normalised to the map: x, y with the origin top-left, shape (n, 2); outside 0..1 is off the map.
        saliency_map: Non-negative, shape (height, width).

    Raises:
        ValueError: The points have another shape or are not finite.
        SaliencyMapError: The map cannot be used.
    """
    array = check_map(saliency_map)
    points = np.asarray(gaze_points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"gaze_points must have shape (n, 2), not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("gaze_points must be finite")
    values, counts = _count_values(array)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # In halves of a pixel, so that the comparison is exact.
    half_ranks = 2 * below + counts
    is_salient = half_ranks * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * array.size
    chance = float(counts[is_salient].sum() / array.size)
    height, width = array.shape
    on_map = ((points >= 0) & (points <= 1)).all(axis=1)
    columns = np.minimum(np.floor(points[on_map, 0] * width).astype(int), width - 1)
    rows = np.minimum(np.floor(points[on_map, 1] * height).astype(int), height - 1)
    positions = np.searchsorted(values, array[rows, columns])
    hits = np.zeros(len(points), dtype=np.bool_)
    ranks = np.full(len(points), math.nan)
    hits[on_map] = is_salient[positions]
    ranks[on_map] = half_ranks[positions] / (2 * array.size)
    return MapScore(hits, ranks, chance)


def _count_values(array: SaliencyMap) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values in rising order and how many pixels have each."""
    if array.dtype == np.uint8:
        histogram = np.bincount(array.ravel(), minlength=256)
        present = np.flatnonzero(histogram)
        return present, histogram[present].astype(np.int64)
    values, counts = np.unique(array, return_counts=True)
    return values, counts.astype(np.int64)
