"""Windows: rectangular parts of a camera's image."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

JPEG_BLOCK_PX = 16
"""Side of the blocks of a JPEG file with halved colour resolution."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image, in whole pixels; it may reach beyond the image.

    Attributes:
        left_px: First column.
        top_px: First row.
        width_px: Number of columns.
        height_px: Number of rows.
    """

    left_px: int
    top_px: int
    width_px: int
    height_px: int

    @property
    def right_px(self) -> int:
        """First column beyond the window."""
        return self.left_px + self.width_px

    @property
    def bottom_px(self) -> int:
        """First row below the window."""
        return self.top_px + self.height_px

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an image in the window; the window must lie inside the image."""
        return slice(self.top_px, self.bottom_px), slice(self.left_px, self.right_px)

    def padded(self, margin_px: int) -> "Window":
        """Return the window with a margin on all sides."""
        return Window(
            self.left_px - margin_px,
            self.top_px - margin_px,
            self.width_px + 2 * margin_px,
            self.height_px + 2 * margin_px,
        )

    def on_blocks(self, width_px: int, height_px: int) -> "Window":
        """Return the smallest window of whole JPEG blocks around this one, cut off at the edges of an image.

        Args:
            width_px: Width of the image.
            height_px: Height of the image.

        Raises:
            ValueError: The window lies outside the image.
        """
        block = JPEG_BLOCK_PX
        left, top = (max(edge, 0) // block * block for edge in (self.left_px, self.top_px))
        right = min(-(-self.right_px // block) * block, width_px)
        bottom = min(-(-self.bottom_px // block) * block, height_px)
        if right <= left or bottom <= top:
            raise ValueError("the window lies outside the image")
        return Window(left, top, right - left, bottom - top)

    @classmethod
    def around(cls, points_px: NDArray[np.float64]) -> Self:
        """Return the smallest window that covers points of an image, shape (n, 2)."""
        left, top = np.floor(points_px.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(points_px.max(axis=0)).astype(int).tolist()
        return cls(left, top, max(right - left, 1), max(bottom - top, 1))

    @classmethod
    def of_image(cls, width_px: int, height_px: int) -> Self:
        """Return the window that is the whole image."""
        return cls(0, 0, width_px, height_px)


def distortion_factor(strength: float, squared_px: NDArray[np.float32], width_px: int, height_px: int) -> np.ndarray:
    """Return by how much the lens moves a point of the image away from the centre: source radius / image radius.

    Args:
        strength: `Optics.distortion`.
        squared_px: Squared distance of the point in the image from the centre.
        width_px: Width of the image.
        height_px: Height of the image.
    """
    return np.asarray(1 - strength * squared_px / (0.25 * (width_px * width_px + height_px * height_px)))


def before_distortion(points_px: NDArray[np.float64], strength: float, width_px: int, height_px: int) -> np.ndarray:
    """Return where an ideal pinhole camera would show what the lens shows at points of the image, shape (n, 2)."""
    middle = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    offsets = points_px - middle
    factor = distortion_factor(strength, (offsets**2).sum(axis=-1), width_px, height_px)
    return np.asarray(middle + offsets * factor[..., None])


def after_distortion(points_px: NDArray[np.float64], strength: float, width_px: int, height_px: int) -> np.ndarray:
    """Return where the lens shows what an ideal pinhole camera shows at points, shape (n, 2)."""
    middle = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    shown = points_px.copy()
    for _ in range(4):  # the factor is within a few percent of 1, so this converges quickly
        factor = distortion_factor(strength, ((shown - middle) ** 2).sum(axis=-1), width_px, height_px)
        shown = middle + (points_px - middle) / factor[..., None]
    return np.asarray(shown)


def blur_reach_px(defocus_px: float, motion_px: float) -> int:
    """Return how far the blur of the optics reaches, for sizes in pixels of the image at hand."""
    return math.ceil(4 * defocus_px) + math.ceil(motion_px / 2) + 2
