"""How much of what matters in a video a gaze hits, and how well a map tells where people look.

`calc` says what one frame's map says about gaze points; `nss`, `auc` and `auc_judd` compare a map with fixations, `cc`,
`sim` and `kl_divergence` with a fixation density, as the MIT/Tübingen saliency benchmark defines them (Bylinskii, Judd,
Oliva, Torralba and Durand, What do different evaluation metrics tell us about saliency models?, TPAMI 41, 2019). Where
a number has no meaning, such as the NSS of a flat map, it is NaN.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.types import SaliencyMap, Screen, Viewport

SALIENT_SHARE = 0.30
"""The upper 30 % of a map are its salient places."""

MAX_MAP_PIXELS = 4096 * 2304

_BLUR_RADIUS = 4.0  # in standard deviations: beyond lies 0.006 % of a Gaussian
_BLUR_NOTHING_PX = 0.05  # below, the neighbours weigh nothing
_BLUR_LEVELS = 65535  # a multiple of 255, so that every value of a byte is a level


@dataclass(frozen=True, slots=True, eq=False)
class MapScore:
    """What one saliency map says about gaze points.

    Attributes:
        hits: Whether each gaze point hits a salient place, shape (n,); a point off the map hits nothing.
        ranks: Share of the map's pixels below the value at each point, ties counted half, shape (n,); NaN off the map.
            The mean over points is the tie-averaged AUC, the mean over all pixels is 0.5.
        nss: Value at each point in standard deviations above the map's mean, shape (n,); NaN off the map and on a flat
            map. The mean over all pixels is 0.
        chance: Share of the map's pixels that would be a hit.
    """

    hits: NDArray[np.bool_]
    ranks: NDArray[np.float64]
    nss: NDArray[np.float64]
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
    if not np.issubdtype(array.dtype, np.unsignedinteger) and (array < 0).any():
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
    half_ranks = _half_ranks(counts)
    is_salient = half_ranks * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * array.size
    chance = float(counts[is_salient].sum() / array.size)
    height, width = array.shape
    on_map = ((points >= 0) & (points <= 1)).all(axis=1)
    columns = np.minimum(np.floor(points[on_map, 0] * width).astype(int), width - 1)
    rows = np.minimum(np.floor(points[on_map, 1] * height).astype(int), height - 1)
    positions = np.searchsorted(values, array[rows, columns])
    hits = np.zeros(len(points), dtype=np.bool_)
    ranks = np.full(len(points), math.nan)
    nss_values = np.full(len(points), math.nan)
    hits[on_map] = is_salient[positions]
    ranks[on_map] = half_ranks[positions] / (2 * array.size)
    nss_values[on_map] = _standardise(values, counts)[positions]
    return MapScore(hits, ranks, nss_values, chance)


def nss(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return the normalised scanpath saliency: the mean over fixations of the map, standardised over its pixels.

    Chance is 0. The standard deviation is the sample one (n - 1), as in the benchmark. NaN without a fixation and on a
    flat map.

    Args:
        saliency_map: Non-negative, shape (height, width).
        fixations: Row and column, integers, shape (n, 2); a pixel fixated twice counts twice.

    Raises:
        ValueError: The fixations have another shape or type, or lie off the map.
        SaliencyMapError: The map cannot be used.

    Source: Peters, Iyer, Itti and Koch, Components of bottom-up gaze allocation in natural images, Vision Research 45,
    2005.
    """
    array = check_map(saliency_map)
    rows, columns = _check_fixations(fixations, array)
    if rows.size == 0:
        return math.nan
    values, counts = _count_values(array)
    return float(_standardise(values, counts)[np.searchsorted(values, array[rows, columns])].mean())


def auc(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return the tie-averaged AUC: how often a fixated pixel has a higher value than a pixel anywhere, ties half.

    Chance is 0.5, and a flat map has exactly that. NaN without a fixation.

    Args:
        saliency_map: Non-negative, shape (height, width).
        fixations: As in `nss`.

    Raises:
        ValueError, SaliencyMapError: As in `nss`.
    """
    array = check_map(saliency_map)
    rows, columns = _check_fixations(fixations, array)
    if rows.size == 0:
        return math.nan
    values, counts = _count_values(array)
    ranks = _half_ranks(counts) / (2 * array.size)
    return float(ranks[np.searchsorted(values, array[rows, columns])].mean())


def auc_judd(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return AUC-Judd as the benchmark computes it, without its random jitter.

    The curve has one step for each fixated pixel, at whose value the map is thresholded, and its ends at (0, 0) and
    (1, 1). Chance depends on the number of fixations (0.75 for one) and comes near 0.5 only for many; `auc` has no
    such bias. The benchmark breaks ties by jitter, so the two agree only on maps without ties at the fixations. NaN
    without a fixation, on a flat map and when every pixel is fixated.

    Args:
        saliency_map: Non-negative, shape (height, width).
        fixations: As in `nss`, but a pixel fixated twice counts once.

    Raises:
        ValueError, SaliencyMapError: As in `nss`.

    Source: Judd, Ehinger, Durand and Torralba, Learning to predict where humans look, ICCV 2009.
    """
    array = check_map(saliency_map)
    rows, columns = _check_fixations(fixations, array)
    fixated = np.unique(rows * array.shape[1] + columns)
    if fixated.size in (0, array.size) or array.min() == array.max():
        return math.nan
    in_order = np.sort(array, axis=None)
    thresholds = np.sort(array.ravel()[fixated])[::-1]
    at_least = array.size - np.searchsorted(in_order, thresholds, side="left")
    found = np.arange(1, fixated.size + 1)
    true_positives = np.concatenate([[0.0], found / fixated.size, [1.0]])
    false_positives = np.concatenate([[0.0], (at_least - found) / (array.size - fixated.size), [1.0]])
    return float(np.trapezoid(true_positives, false_positives))


def cc(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return Pearson's correlation of a map and a fixation density over their pixels; NaN when one of them is flat.

    Args:
        saliency_map: Non-negative, shape (height, width).
        density: Fixation density, likewise and of the same shape.

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: One of them cannot be used.
    """
    one, other = _check_pair(saliency_map, density)
    if one.min() == one.max() or other.min() == other.max():
        return math.nan
    # Scaled to 0..1 first: values near the ends of the number range would overflow in the squares.
    one, other = _stretch(one), _stretch(other)
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / math.sqrt((one * one).sum() * (other * other).sum()))


def sim(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return the similarity: the sum over pixels of the smaller of the two distributions, 0 to 1.

    Both are stretched to 0..1 and then divided by their sums, as in the benchmark. NaN when one of them is flat.

    Args:
        saliency_map: Non-negative, shape (height, width).
        density: Fixation density, likewise and of the same shape.

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: One of them cannot be used.
    """
    one, other = _check_pair(saliency_map, density)
    if one.min() == one.max() or other.min() == other.max():
        return math.nan
    one, other = _stretch(one), _stretch(other)
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def kl_divergence(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return the Kullback-Leibler divergence of a fixation density from a map, in nats; 0 when they agree.

    Both are divided by their sums; the benchmark's epsilon, 2.2e-16, stands in for zeros of the map, so that a fixated
    place to which the map gives nothing costs about 36 nats times its share. NaN when one of them is zero everywhere.

    Args:
        saliency_map: Non-negative, shape (height, width).
        density: Fixation density, likewise and of the same shape.

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: One of them cannot be used.
    """
    model, truth = _check_pair(saliency_map, density)
    if not (model.any() and truth.any()):
        return math.nan
    model, truth = model / model.max(), truth / truth.max()
    model, truth = model / model.sum(), truth / truth.sum()
    epsilon = np.finfo(np.float64).eps
    return float((truth * np.log(epsilon + truth / (model + epsilon))).sum())


def blur_map(saliency_map: ArrayLike, sigma_rows_px: float, sigma_columns_px: float) -> SaliencyMap:
    """Return a map blurred by a Gaussian, shape (height, width): what a gaze of limited accuracy may have seen.

    Each pixel becomes the weighted mean of the pixels around it that lie on the map, so that nothing is assumed about
    what lies beyond its edges. The weights end at 4 standard deviations. The result is in levels of 1/65535 of the
    map's largest value, uint16, so that places that were equal stay equal: a gain changes no score. A flat map, and one
    that need not be blurred, comes back as it is.

    Args:
        saliency_map: Non-negative, shape (height, width).
        sigma_rows_px: Standard deviation along a column, in rows; 0 leaves that direction alone.
        sigma_columns_px: Standard deviation along a row, in columns.

    Raises:
        ValueError: A standard deviation is negative or not finite.
        SaliencyMapError: The map cannot be used.
    """
    array = check_map(saliency_map)
    for sigma in (sigma_rows_px, sigma_columns_px):
        if not (math.isfinite(sigma) and sigma >= 0):
            raise ValueError("a standard deviation must be finite and not negative")
    largest = float(array.max())
    if largest == array.min() or max(sigma_rows_px, sigma_columns_px) < _BLUR_NOTHING_PX:
        return array
    levels = (array / largest * _BLUR_LEVELS).astype(np.float32)
    levels = _blur_columns(_blur_columns(levels, sigma_rows_px).T, sigma_columns_px).T
    blurred: SaliencyMap = np.clip(np.rint(levels), 0, _BLUR_LEVELS).astype(np.uint16)
    return blurred


def blur_sigma_px(
    accuracy_deg: float,
    distance_mm: float,
    map_shape: tuple[int, int],
    *,
    screen: Screen | None = None,
    viewport: Viewport | None = None,
) -> tuple[float, float]:
    """Return the standard deviations, in rows and in columns, that blur a map to the accuracy of a gaze.

    Accuracy is the mean distance between measured and true gaze; of an error that scatters alike in all directions it
    is sqrt(pi / 2) standard deviations (the mean of a Rayleigh distribution).

    Args:
        accuracy_deg: Mean error of the gaze as an angle at the eye.
        distance_mm: From the eyes to the screen.
        map_shape: Height and width of the map.
        screen: The viewer's.
        viewport: Where the video lies on it.

    Raises:
        ValueError: The accuracy lies outside 0 to 45 degrees or the distance is not positive.
    """
    if not 0 <= accuracy_deg <= 45:
        raise ValueError("accuracy_deg must lie between 0 and 45")
    if not (math.isfinite(distance_mm) and distance_mm > 0):
        raise ValueError("distance_mm must be a positive number")
    screen, viewport = screen or Screen(), viewport or Viewport()
    sigma_mm = distance_mm * math.tan(math.radians(accuracy_deg)) * math.sqrt(2 / math.pi)
    height, width = map_shape
    rows_per_mm = height / (screen.height_mm * viewport.height)
    columns_per_mm = width / (screen.width_mm * viewport.width)
    return sigma_mm * rows_per_mm, sigma_mm * columns_per_mm


def _count_values(array: SaliencyMap) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values in rising order and how many pixels have each."""
    if array.dtype in (np.uint8, np.uint16):
        histogram = np.bincount(array.ravel())
        present = np.flatnonzero(histogram)
        return present, histogram[present].astype(np.int64)
    values, counts = np.unique(array, return_counts=True)
    return values, counts.astype(np.int64)


def _half_ranks(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return twice the mid-rank of each distinct value: in halves of a pixel, so that comparisons are exact."""
    ranks: NDArray[np.int64] = 2 * np.cumsum(counts) - counts
    return ranks


def _standardise(values: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each distinct value in sample standard deviations above the mean of all pixels; NaN on a flat map."""
    if len(values) == 1:
        return np.full(1, math.nan)
    # The benchmark's numbers do not depend on gain and offset; stretched to 0..1 nothing overflows.
    stretched = _stretch(values)
    pixels = counts.sum()
    deviations = stretched - (stretched * counts).sum() / pixels
    standardised: NDArray[np.float64] = deviations / math.sqrt((deviations**2 * counts).sum() / (pixels - 1))
    return standardised


def _stretch(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return an array that is not flat stretched to 0..1."""
    floats = array.astype(np.float64)
    scaled: NDArray[np.float64] = (floats - floats.min()) / (floats.max() - floats.min())
    return scaled


def _check_fixations(fixations: ArrayLike, array: SaliencyMap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pixels = np.asarray(fixations)
    if pixels.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if pixels.ndim != 2 or pixels.shape[1] != 2:
        raise ValueError(f"fixations must have shape (n, 2), not {pixels.shape}")
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError("fixations must be integers: row and column")
    if (pixels < 0).any() or (pixels >= array.shape).any():
        raise ValueError("a fixation lies off the map")
    return pixels[:, 0].astype(np.int64), pixels[:, 1].astype(np.int64)


def _check_pair(saliency_map: ArrayLike, density: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, other = check_map(saliency_map), check_map(density)
    if one.shape != other.shape:
        raise ValueError(f"the map has shape {one.shape}, the density {other.shape}")
    return one.astype(np.float64), other.astype(np.float64)


def _blur_columns(array: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Return every column blurred, as products of a band matrix with strip after strip, cut to what lies on the map."""
    if sigma_px < _BLUR_NOTHING_PX:
        return array
    height = len(array)
    radius = min(math.ceil(_BLUR_RADIUS * sigma_px), height - 1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    strip = min(height, 64)
    band = np.zeros((strip, strip + 2 * radius), dtype=np.float32)
    for row in range(strip):
        band[row, row : row + 2 * radius + 1] = kernel
    sums = np.empty_like(array)
    for start in range(0, height, strip):
        stop, first, last = start + strip, max(0, start - radius), min(height, start + strip + radius)
        weights = band[: height - start, first - (start - radius) : last - (start - radius)]
        sums[start:stop] = weights @ array[first:last]
    rows = np.arange(height)
    beyond = np.concatenate([[0.0], np.cumsum(kernel)])
    on_map = beyond[np.minimum(height - rows, radius + 1) + radius] - beyond[np.maximum(radius - rows, 0)]
    blurred: NDArray[np.float32] = sums / on_map.astype(np.float32)[:, None]
    return blurred
