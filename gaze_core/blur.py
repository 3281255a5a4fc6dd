"""Blur of a saliency map to the accuracy of the gaze that is scored on it.

A blurred map varies slowly, so it need not be computed in every pixel. `smooth_map` averages the map over small cells
and computes the blur at a grid of nodes. Gaze points are interpolated between them and ranked among them. `blur_map`
computes every pixel; it is for small maps, and the reference in tests.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.saliency import MapPixels, MapScore, check_map, find_pixels, rank_among
from gaze_core.types import Floats, SaliencyMap, Screen, Viewport

_BLUR_RADIUS = 4.0  # in standard deviations; 0.006 % of a Gaussian lies beyond
_BLUR_NOTHING_PX = 0.05  # smaller standard deviations give the neighbours no weight
_BLUR_LEVELS = 65535  # a multiple of 255, so that every uint8 value is a level

CELLS_PER_SIGMA = 4.0
"""Cells are at most this fraction of a standard deviation wide: a twelfth of their squared width, at most half a
percent of the variance, is taken from the Gaussian."""

MIN_CELLS = 16
"""Fewest cells along an axis, so that a blur wider than the map keeps its slope."""

MIN_SAMPLES = 48
"""Fewest samples along an axis to rank a value among, in maps of at least as many pixels."""

INTERPOLATION_NODES = 4
"""Nodes along an axis through which the cubic for a value between them runs."""

MANY_PIXELS = 10_000
"""In smaller maps with narrow blurs, computing every pixel is fast enough."""

MIN_SIGMA_PX = 4.0
"""For narrower blurs, computing every pixel is faster than the many nodes that they need."""

_FEW_NODES = 64
"""So few are not worth splitting into strips."""

_STRIP = 24
"""Rows that are multiplied at once; only cells near any of them have a weight."""

_BYTES_IN_16_BITS = 257

_SINGLE_THREAD_PRODUCT = 250_000
"""OpenBLAS multiplies matrices of up to 4 × 65,536 products in the calling thread (`interface/gemm.c`). Waking its
other threads for a few hundred microseconds of work costs ten times as much, and more when the processors are busy."""


def blur_map(saliency_map: ArrayLike, sigma_rows_px: float, sigma_columns_px: float) -> SaliencyMap:
    """Return a map blurred by a Gaussian, shape (height, width).

    Each pixel becomes the weighted mean of the surrounding pixels that lie on the map; nothing is assumed beyond the
    edges. The weights end at 4 standard deviations. The result is uint16 in steps of 1/65535 of the map's maximum, so
    that equal pixels stay equal; the gain does not affect scores. A flat map, or one with nothing to blur, is returned
    as it is.

    Args:
        saliency_map: Saliency map, shape (height, width).
        sigma_rows_px: Vertical standard deviation, in rows; 0 for no vertical blur.
        sigma_columns_px: Horizontal standard deviation, in columns; 0 for no horizontal blur.

    Raises:
        ValueError: A standard deviation is negative or not finite.
        SaliencyMapError: The map is unusable.
    """
    array = check_map(saliency_map)
    _check_sigmas(sigma_rows_px, sigma_columns_px)
    largest = float(array.max())
    if largest == array.min() or max(sigma_rows_px, sigma_columns_px) < _BLUR_NOTHING_PX:
        return array
    levels = (array / largest * _BLUR_LEVELS).astype(np.float32)
    levels = _blur_columns(_blur_columns(levels, sigma_rows_px).T, sigma_columns_px).T
    blurred: SaliencyMap = np.clip(np.rint(levels), 0, _BLUR_LEVELS).astype(np.uint16)
    return blurred


_Float = TypeVar("_Float", np.float32, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class BlurAxis:
    """Blur of the rows or columns of a map, from its cells to a few of its pixels, the nodes.

    Attributes:
        sizes: Number of pixels of each cell, shape (cells,).
        weights: Weight of each cell in the blurred value of each node, shape (nodes, cells).
        strips: Ranges of nodes, and the range of cells with a weight in them.
        sampled: Nodes that are spread evenly.
        nearest: First of the `INTERPOLATION_NODES` nodes around each pixel, shape (pixels,).
        shares: Weight of each of these in the value of each pixel, shape (`INTERPOLATION_NODES`, pixels).
    """

    sizes: NDArray[np.int64]
    weights: Floats
    strips: tuple[tuple[slice, slice], ...]
    sampled: slice
    nearest: NDArray[np.int64]
    shares: Floats

    def apply(self, cells: Floats) -> Floats:
        """Return the blurred values of the nodes, shape (nodes, columns), from those of the cells, (cells, columns)."""
        parts = [_multiply(self.weights[nodes, near], cells[near]) for nodes, near in self.strips]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True, slots=True, eq=False)
class BlurredMap:
    """Saliency map blurred at a grid of nodes; values between them are interpolated.

    Attributes:
        shape: Height and width of the map.
        cells: Mean of each cell, in steps of 1/65535 of the map's maximum, shape (rows, columns).
        nodes: Blurred values at the nodes, shape (rows, columns).
        rows: Blur of the rows.
        columns: Blur of the columns.
        samples: Values at evenly spread nodes, ascending, shape (n,).
    """

    shape: tuple[int, int]
    cells: Floats
    nodes: Floats
    rows: BlurAxis
    columns: BlurAxis
    samples: NDArray[np.uint16]

    def score(self, gaze_points: ArrayLike) -> MapScore:
        """Score gaze points as `saliency.calc` does, ranked among the samples.

        Args:
            gaze_points: x and y normalised to the map, shape (n, 2); points outside 0..1 are off the map.
        """
        pixels = find_pixels(gaze_points, self.shape)
        return self.rank_pixels(pixels, pixels.rows.size)[1]

    def rank_pixels(self, pixels: MapPixels, scored: int) -> tuple[Floats, MapScore]:
        """Return the ranks of pixels among the samples, shape (n,), and the scores of the first `scored` of them."""
        levels = np.clip(np.rint(self.value_at(pixels)), 0, _BLUR_LEVELS).astype(np.uint16)
        return rank_among(levels, pixels.on_map, self.samples, scored)

    def value_at(self, pixels: MapPixels) -> Floats:
        """Return the blurred values at pixels, shape (n,)."""
        of_rows, of_columns = self.rows.shares[:, pixels.rows], self.columns.shares[:, pixels.columns]
        first = self.rows.nearest[pixels.rows] * self.nodes.shape[1] + self.columns.nearest[pixels.columns]
        around = np.arange(len(of_rows))[:, None, None] * self.nodes.shape[1] + np.arange(len(of_columns))[:, None]
        values = self.nodes.ravel()[around + first]
        values *= of_columns
        blurred: Floats = (values.sum(axis=1) * of_rows).sum(axis=0)
        return blurred


def smooth_map(saliency_map: ArrayLike, sigma_rows_px: float, sigma_columns_px: float) -> BlurredMap | SaliencyMap:
    """Return a map blurred by a Gaussian, as far as scoring needs it.

    The same as `blur_map`, with ranks that differ by about 0.002; all pixels if there is little to blur.

    Args:
        saliency_map: Saliency map, shape (height, width).
        sigma_rows_px: Vertical standard deviation, in rows; 0 for no vertical blur.
        sigma_columns_px: Horizontal standard deviation, in columns; 0 for no horizontal blur.

    Raises:
        ValueError: A standard deviation is negative or not finite.
        SaliencyMapError: The map is unusable.
    """
    array = check_map(saliency_map)
    _check_sigmas(sigma_rows_px, sigma_columns_px)
    largest = float(array.max())
    height, width = array.shape
    row_size, column_size = _cell_size(height, sigma_rows_px), _cell_size(width, sigma_columns_px)
    count = math.ceil(height / row_size) * math.ceil(width / column_size)
    is_sharp = max(sigma_rows_px, sigma_columns_px) < MIN_SIGMA_PX
    if is_sharp or (count > array.size / 2 and count < MANY_PIXELS) or largest == array.min():
        return blur_map(array, sigma_rows_px, sigma_columns_px)
    rows = divide_axis(height, row_size, sigma_rows_px)
    columns = divide_axis(width, column_size, sigma_columns_px)
    cells = _sum_cells(_sum_cells(array, row_size).T, column_size).T * (_BLUR_LEVELS / largest)
    if row_size * column_size > 1:
        cells /= rows.sizes[:, None] * columns.sizes
    nodes = np.ascontiguousarray(columns.apply(rows.apply(cells).T).T)
    levels = np.rint(nodes[rows.sampled, columns.sampled]).astype(np.uint16)
    samples = np.sort(levels, axis=None, kind="stable")  # a radix sort
    return BlurredMap((height, width), cells, nodes, rows, columns, samples)


def _cell_size(pixels: int, sigma_px: float) -> int:
    return max(1, math.floor(min(sigma_px / CELLS_PER_SIGMA, pixels / MIN_CELLS)))


def _sum_cells(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the sum over each cell of `size` rows, the last cell being smaller if they do not fit."""
    if size == 1:
        return array
    whole = len(array) // size
    # Sums of up to 257 bytes fit into 16 bits: exact, and faster.
    kind: type[np.generic] = np.float64
    if array.dtype == np.uint8:
        kind = np.uint16 if size <= _BYTES_IN_16_BITS else np.uint32
    elif array.dtype == np.uint16 and size <= _BYTES_IN_16_BITS:
        kind = np.uint32
    sums = np.empty((math.ceil(len(array) / size), array.shape[1]), dtype=kind)
    np.add(array[: whole * size : size], array[1 : whole * size : size], out=sums[:whole], dtype=kind)
    for row in range(2, size):
        sums[:whole] += array[row : whole * size : size]
    if whole < len(sums):
        sums[whole] = array[whole * size :].sum(axis=0)
    return sums


@lru_cache(maxsize=8)
def divide_axis(pixels: int, size: int, sigma_px: float) -> BlurAxis:
    """Return the blur of an axis.

    Args:
        pixels: Length of the axis.
        size: Length of its cells.
        sigma_px: Standard deviation of the Gaussian.
    """
    starts = np.arange(0, pixels, size)
    sizes = np.minimum(size, pixels - starts)
    taken = min(pixels, max(MIN_SAMPLES, math.ceil(2 * pixels / max(sigma_px, 1.0))))
    samples = ((2 * np.arange(taken) + 1) * pixels // (2 * taken)).astype(np.int64)
    nodes = np.union1d(samples, [0, pixels - 1])
    sampled = slice(int(samples[0] > 0), int(samples[0] > 0) + taken)
    if sigma_px < _BLUR_NOTHING_PX:
        weights = np.eye(pixels)[nodes]
    else:
        # The mean over a cell blurs already; the Gaussian does the rest.
        variance = sigma_px**2 - (sizes**2 - 1) / 12
        middles = starts + (sizes - 1) / 2
        distances = (nodes[:, None] - middles) ** 2 / variance
        # Relative to the nearest cell, so that no row of weights vanishes.
        beyond = distances - distances.min(axis=1, keepdims=True)
        weights = sizes / np.sqrt(variance) * np.exp(-0.5 * beyond) * (beyond <= _BLUR_RADIUS**2)
        weights /= weights.sum(axis=1, keepdims=True)
    nearest, shares = _interpolate(nodes, pixels)
    return BlurAxis(sizes, weights, _find_strips(weights), sampled, nearest, shares)


def _find_strips(weights: Floats) -> tuple[tuple[slice, slice], ...]:
    """Return ranges of rows, and for each the range of columns in which any of them has a weight."""
    strips = []
    step = _STRIP if len(weights) > _FEW_NODES else len(weights)
    for start in range(0, len(weights), step):
        used = np.flatnonzero(weights[start : start + step].any(axis=0))
        strips.append((slice(start, start + step), slice(int(used[0]), int(used[-1]) + 1)))
    return tuple(strips)


def _interpolate(nodes: NDArray[np.int64], pixels: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the first node around each pixel and the weights of Lagrange's cubic through it and the next ones."""
    count = min(INTERPOLATION_NODES, nodes.size)
    at = np.arange(pixels)
    nearest = np.clip(np.searchsorted(nodes, at, side="right") - count // 2, 0, nodes.size - count)
    around = nodes[nearest + np.arange(count)[:, None]].astype(np.float64)
    shares = np.ones((count, pixels))
    for one in range(count):
        for other in range(count):
            if other != one:
                shares[one] *= (at - around[other]) / (around[one] - around[other])
    return nearest, shares


def _multiply(left: NDArray[_Float], right: NDArray[_Float]) -> NDArray[_Float]:
    """Return the product of two matrices, computed in this thread."""
    rows, inner = left.shape
    width = max(1, _SINGLE_THREAD_PRODUCT // max(1, rows * inner))
    if width >= right.shape[1]:
        return left @ right
    product = np.empty((rows, right.shape[1]), dtype=left.dtype)
    for start in range(0, right.shape[1], width):
        product[:, start : start + width] = left @ right[:, start : start + width]
    return product


def _check_sigmas(*sigmas_px: float) -> None:
    for sigma in sigmas_px:
        if not (math.isfinite(sigma) and sigma >= 0):
            raise ValueError(f"a standard deviation must be finite and not negative, not {sigma}")


def blur_sigma_px(
    accuracy_deg: float,
    distance_mm: float,
    map_shape: tuple[int, int],
    *,
    screen: Screen | None = None,
    viewport: Viewport | None = None,
) -> tuple[float, float]:
    """Return the standard deviations, in rows and columns, that blur a map to the accuracy of a gaze.

    Accuracy is the mean angular error. For an isotropic normal error it is sqrt(pi / 2) standard deviations, the mean
    of a Rayleigh distribution.

    Args:
        accuracy_deg: Mean angular error of the gaze.
        distance_mm: Distance from the eyes to the screen.
        map_shape: Height and width of the map.
        screen: Size of the viewer's screen.
        viewport: Rectangle of the screen that shows the video.

    Raises:
        ValueError: The accuracy lies outside 0 to 45 degrees, or the distance is not positive.
    """
    if not 0 <= accuracy_deg <= 45:
        raise ValueError(f"accuracy_deg must lie between 0 and 45, not {accuracy_deg}")
    if not (math.isfinite(distance_mm) and distance_mm > 0):
        raise ValueError(f"distance_mm must be a positive number, not {distance_mm}")
    screen, viewport = screen or Screen(), viewport or Viewport()
    sigma_mm = distance_mm * math.tan(math.radians(accuracy_deg)) * math.sqrt(2 / math.pi)
    height, width = map_shape
    rows_per_mm = height / (screen.height_mm * viewport.height)
    columns_per_mm = width / (screen.width_mm * viewport.width)
    return sigma_mm * rows_per_mm, sigma_mm * columns_per_mm


def _blur_columns(array: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur every column by multiplying a band matrix, cut off at the edges of the map, with strips of rows."""
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
        sums[start:stop] = _multiply(weights, array[first:last])
    rows = np.arange(height)
    beyond = np.concatenate([[0.0], np.cumsum(kernel)])
    on_map = beyond[np.minimum(height - rows, radius + 1) + radius] - beyond[np.maximum(radius - rows, 0)]
    blurred: NDArray[np.float32] = sums / on_map.astype(np.float32)[:, None]
    return blurred
