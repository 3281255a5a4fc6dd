"""Shading, reflections and covered parts drawn over eye images.

Each is a sum of products of a profile along y and a profile along x, so that a few matrix products draw all of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX

ROUND, BOX, RING = range(3)
"""Kinds of spots: a lamp, a window or screen, a ring light."""

EDGE_PX = 0.4
"""Softness of a rectangle's edge."""

RING_INSIDE = 0.6
"""Size of a ring's dark inside relative to the ring."""

RING_GAIN = 2.5
"""Makes a ring about as bright as a lamp of the same level."""


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """How often and how strongly; probabilities are for each eye, lengths in eye-image px.

    Attributes:
        ramp: Standard deviation of the shading from the middle to an edge, relative, along each axis.
        lid_shadow: Standard deviation of the brightness of the band above the upper lid's edge, relative.
        lid_edge_px: Range of that edge, rows from the top.
        patch: Probability of a patch of glare or shadow, round or rectangular.
        patch_levels: Range of its grey levels.
        patch_px: Range of its half width and of its half height.
        glints: Largest number of reflections on the cornea.
        glint: Probability of each of them.
        glint_levels: Range of their grey levels.
        glint_px: Range of their half width and of their half height.
        glint_spread_px: Standard deviation of their places around the middle, along x and y.
        shared: Probability that both eyes have the same reflections and patches, as from one lamp.
        cover: Probability that a part is covered.
        cover_px: Range of the covered part's half width and half height; the largest hide the eye.
        drop: Probability, for each pair, that one eye is hidden entirely.
    """

    ramp: float = 0.15
    lid_shadow: float = 0.25
    lid_edge_px: tuple[float, float] = (8.0, 22.0)
    patch: float = 0.2
    patch_levels: tuple[float, float] = (-60.0, 110.0)
    patch_px: tuple[float, float] = (3.0, 18.0)
    glints: int = 3
    glint: float = 0.3
    glint_levels: tuple[float, float] = (20.0, 190.0)
    glint_px: tuple[float, float] = (0.6, 2.6)
    glint_spread_px: tuple[float, float] = (6.0, 4.0)
    shared: float = 0.5
    cover: float = 0.04
    cover_px: tuple[float, float] = (5.0, 40.0)
    drop: float = 0.03


def draw_overlays(images: Tensor, options: OverlayOptions, generator: torch.Generator) -> Tensor:
    """Return grey levels, not clipped, with shading, patches, reflections and covered parts.

    Args:
        images: Grey levels 0..255, shape (n, 2, 48, 72).
        options: How often and how strongly.
        generator: Source of randomness.
    """
    y_px, x_px = torch.arange(EYE_IMAGE_HEIGHT_PX) + 0.5, torch.arange(EYE_IMAGE_WIDTH_PX) + 0.5
    lit = images * _shade(len(images), y_px, x_px, options, generator)
    lit += _render_spots(_draw_spots(len(images), options, generator), y_px, x_px)
    return _cover(lit, y_px, x_px, options, generator)


def _shade(count: int, y_px: Tensor, x_px: Tensor, options: OverlayOptions, generator: torch.Generator) -> Tensor:
    """Return the factor of the brightness, shape (n, 2, 48, 72): ramps and a band above the upper lid's edge."""
    along_y = torch.randn(count, 2, 1, generator=generator) * options.ramp * (y_px / EYE_IMAGE_HEIGHT_PX * 2 - 1)
    along_x = torch.randn(count, 2, 1, generator=generator) * options.ramp * (x_px / EYE_IMAGE_WIDTH_PX * 2 - 1)
    edge = _uniform((count, 2, 1), options.lid_edge_px, generator)
    band = torch.randn(count, 2, 1, generator=generator) * options.lid_shadow * torch.sigmoid((edge - y_px) / 1.5)
    return (1 + along_y + band)[..., :, None] + along_x[..., None, :]


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Patches and reflections: places from the middle and half sizes in px, shape (n, 2, spots) each.

    The first spot of an eye is a patch, the others are reflections on the cornea.
    """

    x_px: Tensor
    y_px: Tensor
    half_x_px: Tensor
    half_y_px: Tensor
    level: Tensor
    kind: Tensor


def _draw_spots(count: int, options: OverlayOptions, generator: torch.Generator) -> _Spots:
    """Return random spots; spots that do not appear have level 0."""

    def draw(patch: tuple[float, float], glint: tuple[float, float]) -> Tensor:
        glints = _uniform((count, 2, options.glints), glint, generator)
        return torch.cat([_uniform((count, 2, 1), patch, generator), glints], dim=2)

    def place(length: int, spread: float) -> Tensor:
        glints = torch.randn(count, 2, options.glints, generator=generator) * spread
        return torch.cat([_uniform((count, 2, 1), (-length / 2, length / 2), generator), glints], dim=2)

    chance = torch.tensor([options.patch] + [options.glint] * options.glints)
    shape = (count, 2, len(chance))
    appears = torch.rand(shape, generator=generator) < chance
    drawn = _Spots(
        x_px=place(EYE_IMAGE_WIDTH_PX, options.glint_spread_px[0]),
        y_px=place(EYE_IMAGE_HEIGHT_PX, options.glint_spread_px[1]),
        half_x_px=draw(options.patch_px, options.glint_px),
        half_y_px=draw(options.patch_px, options.glint_px),
        level=draw(options.patch_levels, options.glint_levels) * appears,
        kind=torch.randint(3, shape, generator=generator),
    )
    shared = torch.rand(count, 1, generator=generator) < options.shared
    for values in (drawn.x_px, drawn.y_px, drawn.half_x_px, drawn.half_y_px, drawn.level, drawn.kind):
        values[:, 0] = torch.where(shared, values[:, 1], values[:, 0])
    # One lamp reflects at the same side of both eyes, and the left image is mirrored.
    drawn.x_px[:, 0] *= torch.where(shared, -1.0, 1.0)
    return drawn


def _render_spots(spots: _Spots, y_px: Tensor, x_px: Tensor) -> Tensor:
    """Return the added grey levels, shape (n, 2, 48, 72)."""
    along_y = y_px - EYE_IMAGE_HEIGHT_PX / 2 - spots.y_px[..., None]
    along_x = x_px - EYE_IMAGE_WIDTH_PX / 2 - spots.x_px[..., None]
    is_box, is_ring = spots.kind == BOX, spots.kind == RING

    def profile(distance: Tensor, half: Tensor) -> Tensor:
        box = torch.sigmoid((half[..., None] - distance.abs()) / EDGE_PX)
        bell = torch.exp(-math.log(2) * (distance / half[..., None]) ** 2)
        return torch.where(is_box[..., None], box, bell)

    def render(level: Tensor, size: float) -> Tensor:
        weighted = profile(along_y, spots.half_y_px * size) * level[..., None]
        return weighted.transpose(2, 3) @ profile(along_x, spots.half_x_px * size)

    # A ring is a bell with a narrower one taken out.
    outside = torch.where(is_ring, RING_GAIN * spots.level, spots.level)
    inside = torch.where(is_ring, -RING_GAIN * spots.level, 0.0)
    return render(outside, 1.0) + render(inside, RING_INSIDE)


def _cover(images: Tensor, y_px: Tensor, x_px: Tensor, options: OverlayOptions, generator: torch.Generator) -> Tensor:
    """Cover parts of some images by a flat grey, and all of one eye in some pairs."""
    count = len(images)
    covered = torch.rand(count, 2, generator=generator) < options.cover
    dropped = (torch.rand(count, generator=generator) < options.drop)[:, None] & (
        torch.arange(2) == torch.randint(2, (count, 1), generator=generator)
    )
    rows = torch.nonzero((covered | dropped).flatten())[:, 0]
    hides = dropped.flatten()[rows]
    flat = images.reshape(count * 2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX)
    masks = []
    for places, length in ((y_px, EYE_IMAGE_HEIGHT_PX), (x_px, EYE_IMAGE_WIDTH_PX)):
        centre = torch.rand(len(rows), 1, generator=generator) * length
        half = torch.where(hides[:, None], 4.0 * length, _uniform((len(rows), 1), options.cover_px, generator))
        masks.append(torch.sigmoid((half - (places - centre).abs()) / 0.6))
    mask = masks[0][:, :, None] * masks[1][:, None, :]
    flat[rows] = torch.lerp(flat[rows], _uniform((len(rows), 1, 1), (0.0, 255.0), generator).expand_as(mask), mask)
    return images


def _uniform(shape: tuple[int, ...], limits: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = limits
    return torch.rand(shape, generator=generator) * (high - low) + low
