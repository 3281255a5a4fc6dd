"""The background behind the person: a wall, objects on it, sometimes a window."""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from research.rendering.scene import Backdrop
from research.rendering.window import Window

Layer = NDArray[np.float32]

_GRAIN_PX = 256
"""Side of the pattern that makes the wall rough; it repeats."""


def draw_backdrop(backdrop: Backdrop, width: int, height: int, window: Window | None = None) -> Layer:
    """Return the backdrop in linear light, shape (h, w, 3).

    Args:
        backdrop: The backdrop.
        width: Width of the whole image, px.
        height: Height of the whole image, px.
        window: Part of the image to draw; None draws all of it.
    """
    window = window or Window.of_image(width, height)
    rng = np.random.default_rng([backdrop.seed, 5])
    blur_px = max(backdrop.blur_px * width / 640, 0.4)
    drawn = window.padded(math.ceil(4 * blur_px) + 1)
    corner = np.array([drawn.left_px, drawn.top_px])
    coarse = rng.uniform(0.75, 1.25, (3, 4, 1)) * rng.uniform(0.95, 1.05, (3, 4, 3))
    across, down = (
        _enlargement(4, width, drawn.left_px, drawn.right_px),
        _enlargement(3, height, drawn.top_px, drawn.bottom_px),
    )
    wall = np.einsum("yr,xc,rck->yxk", down, across, coarse.astype(np.float32), optimize=True)
    image = np.ascontiguousarray(wall * np.asarray(backdrop.brightness * rng.normal(1, 0.07, 3), dtype=np.float32))
    for _ in range(int(rng.integers(0, 14))):
        shade = rng.uniform(0.05, 1.3) * backdrop.brightness * np.clip(rng.normal(1, 0.2, 3), 0.3, 1.6)
        left, top = rng.uniform(-0.2, 1.0) * width, rng.uniform(-0.2, 1.0) * height
        size = rng.uniform(0.03, 0.5) * width, rng.uniform(0.05, 0.8) * height
        box = cv2.boxPoints(((left + size[0] / 2, top + size[1] / 2), size, float(rng.normal(0, 3))))
        if rng.random() < 0.75:
            cv2.fillConvexPoly(image, np.round(box).astype(np.int32) - corner, shade.tolist(), cv2.LINE_AA)
        else:
            middle = int(left) - drawn.left_px, int(top) - drawn.top_px
            cv2.circle(image, middle, int(size[0] / 3) + 2, shade.tolist(), -1, cv2.LINE_AA)
    if backdrop.window > 0:
        _draw_glass(image, backdrop, (width, height), corner, rng)
    margin = window.left_px - drawn.left_px
    image = cv2.GaussianBlur(image, (0, 0), blur_px)
    image = image[margin : margin + window.height_px, margin : margin + window.width_px]
    rows, columns = (
        np.arange(*span) // 2 + rng.integers(_GRAIN_PX)
        for span in ((window.top_px, window.bottom_px), (window.left_px, window.right_px))
    )
    grain = _grain()[np.ix_(rows % _GRAIN_PX, columns % _GRAIN_PX)]
    return np.asarray(np.maximum(image * grain[..., None], 0.0), dtype=np.float32)


def _draw_glass(
    image: Layer, backdrop: Backdrop, size: tuple[int, int], corner: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Draw a bright window with one bar."""
    width, height = size
    left, top = rng.uniform(-0.1, 0.7) * width, rng.uniform(-0.2, 0.2) * height
    across, down = rng.uniform(0.25, 0.6) * width, rng.uniform(0.5, 1.0) * height
    light = (backdrop.window * np.array([0.95, 1.0, 1.08])).tolist()
    x, y = corner.tolist()
    first, last = (int(left) - x, int(top) - y), (int(left + across) - x, int(top + down) - y)
    cv2.rectangle(image, first, last, light, -1)
    bar = int(left + across * rng.uniform(0.3, 0.7)) - x
    cv2.line(image, (bar, first[1]), (bar, last[1]), [0.2, 0.2, 0.2], max(2, width // 90))


def _enlargement(count: int, size_px: int, start_px: int, stop_px: int) -> NDArray[np.float32]:
    """Return the matrix of a cubic enlargement from `count` values to some of `size_px` pixels, edges repeated."""
    whole = _whole_enlargement(count, size_px)
    return whole[np.clip(np.arange(start_px, stop_px), 0, size_px - 1)]


@lru_cache(maxsize=16)
def _whole_enlargement(count: int, size_px: int) -> NDArray[np.float32]:
    identity = np.eye(count, dtype=np.float32)
    return np.asarray(cv2.resize(identity, (count, size_px), interpolation=cv2.INTER_CUBIC))


@lru_cache(maxsize=1)
def _grain() -> Layer:
    return np.random.default_rng(29).normal(1, 0.025, (_GRAIN_PX, _GRAIN_PX)).astype(np.float32)
