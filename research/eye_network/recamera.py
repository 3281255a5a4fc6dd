"""A second, worse camera for eye images: blur, fewer pixels, noise and JPEG compression, and back to the first size."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX

BLOCK_PX = 8
"""Size of JPEG's blocks."""

LUMINANCE_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation of luminance at quality 50. Source: ITU-T T.81, annex K, table K.1."""


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """The second camera; lengths in eye-image px.

    Attributes:
        share: Probability that an eye image goes through it.
        coarseness: Range of the size of its pixels; log-uniform.
        blur_px: Largest standard deviation of its blur, along each axis alone, so that it also stands for motion.
        noise_levels: Largest standard deviation of its noise in grey levels; small values are more frequent.
        jpeg: Probability of compression.
        jpeg_quality: Range of the quality, as libjpeg counts it.
    """

    share: float = 0.5
    coarseness: tuple[float, float] = (1.0, 3.6)
    blur_px: float = 1.4
    noise_levels: float = 14.0
    jpeg: float = 0.5
    jpeg_quality: tuple[float, float] = (35.0, 95.0)


def photograph_again(images: Tensor, options: CameraOptions, generator: torch.Generator) -> Tensor:
    """Return the images as a worse camera gives them, clipped to 0..255.

    Args:
        images: Grey levels, shape (n, 2, 48, 72).
        options: The camera.
        generator: Source of randomness.
    """
    flat = images.clamp(0.0, 255.0).reshape(-1, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX)
    rows = torch.nonzero(torch.rand(len(flat), generator=generator) < options.share)[:, 0]
    low, high = (math.log(limit) for limit in options.coarseness)
    size = torch.exp(torch.rand(len(rows), generator=generator) * (high - low) + low)
    down_y, up_y = make_sampling(size, _draw_blur(size, options, generator), EYE_IMAGE_HEIGHT_PX, generator)
    down_x, up_x = make_sampling(size, _draw_blur(size, options, generator), EYE_IMAGE_WIDTH_PX, generator)
    seen = down_y @ flat[rows] @ down_x.transpose(1, 2)
    strength = torch.rand(2, len(rows), 1, 1, generator=generator).prod(dim=0) * options.noise_levels
    seen += torch.randn(seen.shape, generator=generator) * strength
    compressed = torch.nonzero(torch.rand(len(rows), generator=generator) < options.jpeg)[:, 0]
    quality = torch.rand(len(compressed), generator=generator)
    quality = quality * (options.jpeg_quality[1] - options.jpeg_quality[0]) + options.jpeg_quality[0]
    seen[compressed] = compress(seen[compressed], quality)
    flat[rows] = up_y @ seen.clamp_(0.0, 255.0) @ up_x.transpose(1, 2)
    return flat.reshape(images.shape)


def make_sampling(size: Tensor, blur: Tensor, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return matrices from a row of eye-image pixels to camera pixels and back, each of shape (n, length, length).

    The first samples every `size` pixels from a random start under a Gaussian as wide as the pixel and the blur;
    samples beyond the end repeat the last place. The second interpolates linearly.

    Args:
        size: Size of the camera's pixels in eye-image px, at least 1, shape (n,).
        blur: Standard deviation of the blur in eye-image px, shape (n,).
        length: Pixels in the row.
        generator: Source of randomness.
    """
    places = torch.arange(length, dtype=torch.float32)
    start = torch.rand(len(size), 1, generator=generator) - 0.5
    centres = ((places + 0.5 + start) * size[:, None] - 0.5).clamp(0, length - 1)
    width = torch.sqrt((PIXEL_BLUR * size) ** 2 + blur**2)[:, None, None]
    down = torch.exp(-0.5 * ((places - centres[:, :, None]) / width) ** 2)
    down /= down.sum(dim=2, keepdim=True)
    wanted = ((places + 0.5) / size[:, None] - 0.5 - start).clamp(0, length - 1)
    return down, (1 - (wanted[:, :, None] - places).abs()).clamp_(min=0)


PIXEL_BLUR = 0.4
"""Standard deviation of the Gaussian that stands for a camera's pixel, in its own size."""


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Return images after JPEG's quantisation of luminance.

    Args:
        images: Grey levels 0..255, shape (n, 48, 72).
        quality: Quality as libjpeg counts it, 1..99, shape (n,).
    """
    dct_y, dct_x = _block_dct(EYE_IMAGE_HEIGHT_PX), _block_dct(EYE_IMAGE_WIDTH_PX)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    table = torch.tensor(LUMINANCE_STEPS, dtype=torch.float32)
    table = table.repeat(EYE_IMAGE_HEIGHT_PX // BLOCK_PX, EYE_IMAGE_WIDTH_PX // BLOCK_PX)
    steps = (table * percent[:, None, None] / 100).clamp_(1, 255)
    coefficients = dct_y @ (images - 128) @ dct_x.T
    return dct_y.T @ (torch.round(coefficients / steps) * steps) @ dct_x + 128


@lru_cache(maxsize=2)
def _block_dct(length: int) -> Tensor:
    """Return the matrix of the orthonormal DCT of each block of a row, shape (length, length)."""
    places, orders = torch.arange(BLOCK_PX) + 0.5, torch.arange(BLOCK_PX)[:, None]
    block = torch.cos(math.pi / BLOCK_PX * places * orders) * math.sqrt(2 / BLOCK_PX)
    block[0] /= math.sqrt(2)
    return torch.block_diag(*[block] * (length // BLOCK_PX))


def _draw_blur(size: Tensor, options: CameraOptions, generator: torch.Generator) -> Tensor:
    return torch.rand(len(size), generator=generator) * options.blur_px
