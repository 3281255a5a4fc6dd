"""Saliency metrics: how well a saliency map predicts fixations or a fixation density.

`nss`, `auc` and `auc_judd` take fixated pixels; `cc`, `sim` and `kl_divergence` take a fixation density. All but `auc`
are defined as in the MIT/Tübingen saliency benchmark: Bylinskii, Judd, Oliva, Torralba and Durand, What do different
evaluation metrics tell us about saliency models?, TPAMI 41, 2019. An undefined value, such as the NSS of a flat map, is
NaN.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.saliency import calc, check_map, rescale
from gaze_core.types import Floats, SaliencyMap


def nss(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return the normalised scanpath saliency: mean value at the fixations of the map standardised over its pixels.

    Chance is 0. Uses the sample standard deviation (n - 1), like the benchmark. NaN without a fixation and on a flat
    map.

    Args:
        saliency_map: Saliency map, shape (height, width).
        fixations: Row and column of fixated pixels, integers, shape (n, 2); a pixel fixated twice counts twice.

    Raises:
        ValueError: The fixations have the wrong shape or type, or lie off the map.
        SaliencyMapError: The map is unusable.

    Source: Peters, Iyer, Itti and Koch, Components of bottom-up gaze allocation in natural images, Vision Research 45,
    2005.
    """
    array = check_map(saliency_map)
    points = _pixel_centres(_check_fixations(fixations, array), array)
    return float(calc(points, array).nss.mean()) if len(points) else math.nan


def auc(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return the tie-averaged AUC: probability that a fixated pixel has a higher value than a random one, ties half.

    Chance is 0.5, and a flat map scores exactly 0.5. NaN without a fixation.

    Args:
        saliency_map: Saliency map, shape (height, width).
        fixations: Row and column of fixated pixels, integers, shape (n, 2); a pixel fixated twice counts twice.

    Raises:
        ValueError: The fixations have the wrong shape or type, or lie off the map.
        SaliencyMapError: The map is unusable.
    """
    array = check_map(saliency_map)
    points = _pixel_centres(_check_fixations(fixations, array), array)
    return float(calc(points, array).ranks.mean()) if len(points) else math.nan


def auc_judd(saliency_map: ArrayLike, fixations: ArrayLike) -> float:
    """Return AUC-Judd as the benchmark defines it, without its random jitter.

    The ROC curve has one threshold per fixated pixel and the end points (0, 0) and (1, 1). Chance depends on the
    number of fixations: 0.75 for one, close to 0.5 for many; `auc` has no such bias. The benchmark breaks ties by
    jitter, so the results agree only without ties at the fixations. NaN without a fixation, on a flat map and when
    every pixel is fixated.

    Args:
        saliency_map: Saliency map, shape (height, width).
        fixations: Row and column of fixated pixels, integers, shape (n, 2); a pixel fixated twice counts once.

    Raises:
        ValueError: The fixations have the wrong shape or type, or lie off the map.
        SaliencyMapError: The map is unusable.

    Source: Judd, Ehinger, Durand and Torralba, Learning to predict where humans look, ICCV 2009.
    """
    array = check_map(saliency_map)
    rows, columns = _check_fixations(fixations, array).T
    fixated = np.unique(rows * array.shape[1] + columns)
    if fixated.size in (0, array.size) or array.min() == array.max():
        return math.nan
    ascending = np.sort(array, axis=None)
    thresholds = np.sort(array.ravel()[fixated])[::-1]
    at_least = array.size - np.searchsorted(ascending, thresholds, side="left")
    found = np.arange(1, fixated.size + 1)
    true_positives = np.concatenate([[0.0], found / fixated.size, [1.0]])
    false_positives = np.concatenate([[0.0], (at_least - found) / (array.size - fixated.size), [1.0]])
    return float(np.trapezoid(true_positives, false_positives))


def cc(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return Pearson's correlation of a map and a fixation density over pixels; NaN if one of them is flat.

    Args:
        saliency_map: Saliency map, shape (height, width).
        density: Fixation density, non-negative, shape (height, width).

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: The map or the density is unusable.
    """
    one, other = _check_pair(saliency_map, density)
    if one.min() == one.max() or other.min() == other.max():
        return math.nan
    # Rescaled first: very large values would overflow when squared.
    one, other = rescale(one), rescale(other)
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / math.sqrt((one * one).sum() * (other * other).sum()))


def sim(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return the similarity: sum over pixels of the smaller of two distributions, 0 to 1; NaN if one of them is flat.

    Map and density are rescaled to 0..1 and divided by their sums, as in the benchmark.

    Args:
        saliency_map: Saliency map, shape (height, width).
        density: Fixation density, non-negative, shape (height, width).

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: The map or the density is unusable.
    """
    one, other = _check_pair(saliency_map, density)
    if one.min() == one.max() or other.min() == other.max():
        return math.nan
    one, other = rescale(one), rescale(other)
    return float(np.minimum(one / one.sum(), other / other.sum()).sum())


def kl_divergence(saliency_map: ArrayLike, density: ArrayLike) -> float:
    """Return the Kullback-Leibler divergence of a fixation density from a map, in nats; 0 for equal distributions.

    Map and density are divided by their sums. The benchmark's epsilon, 2.2e-16, replaces zeros of the map: density at a
    pixel where the map is zero costs about 36 nats times its share. NaN if one of them is zero everywhere.

    Args:
        saliency_map: Saliency map, shape (height, width).
        density: Fixation density, non-negative, shape (height, width).

    Raises:
        ValueError: The shapes differ.
        SaliencyMapError: The map or the density is unusable.
    """
    model, truth = _check_pair(saliency_map, density)
    if not (model.any() and truth.any()):
        return math.nan
    model, truth = model / model.max(), truth / truth.max()
    model, truth = model / model.sum(), truth / truth.sum()
    epsilon = np.finfo(np.float64).eps
    return float((truth * np.log(epsilon + truth / (model + epsilon))).sum())


def _check_fixations(fixations: ArrayLike, array: SaliencyMap) -> NDArray[np.int64]:
    pixels = np.asarray(fixations)
    if pixels.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if pixels.ndim != 2 or pixels.shape[1] != 2:
        raise ValueError(f"fixations must have shape (n, 2), not {pixels.shape}")
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError(f"fixations must be integers (row and column), not {pixels.dtype}")
    if (pixels < 0).any() or (pixels >= array.shape).any():
        raise ValueError(f"a fixation lies off the map of shape {array.shape}")
    return pixels.astype(np.int64)


def _pixel_centres(pixels: NDArray[np.int64], array: SaliencyMap) -> Floats:
    """Return the normalised x and y of pixel centres, shape (n, 2)."""
    centres: Floats = (pixels[:, ::-1] + 0.5) / array.shape[::-1]
    return centres


def _check_pair(saliency_map: ArrayLike, density: ArrayLike) -> tuple[Floats, Floats]:
    one, other = check_map(saliency_map), check_map(density)
    if one.shape != other.shape:
        raise ValueError(f"saliency_map and density must have the same shape, not {one.shape} and {other.shape}")
    return one.astype(np.float64), other.astype(np.float64)
