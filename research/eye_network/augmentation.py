"""Augmentation of batches of eye images: wider than life in what rendered people do not vary enough.

The steps follow the light: the eye is placed and turned, lit, given reflections and shadows, partly covered, and then
photographed again by a worse camera. Mirroring is left out because the network is mirror symmetric by construction.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from func.adapters.eye_network_opencv import GAZE_UNIT_DEG, HEAD_UNIT_DEG
from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX
from research.eye_network.contract import TO_CANONICAL
from research.eye_network.network import normalise
from research.eye_network.overlays import OverlayOptions, draw_overlays
from research.eye_network.recamera import CameraOptions, photograph_again


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far training images are varied; standard deviations unless stated otherwise, lengths in eye-image px.

    Attributes:
        shift_px: Displacement common to both eyes: right in the true image, and down.
        eye_shift_px: Further displacement of each eye.
        scale: Relative size, common to both eyes.
        eye_scale: Further relative size of each eye.
        stretch: Relative height of both eyes at equal width.
        roll_deg: Rotation common to both eyes; the directions turn with it.
        eye_roll_deg: Further rotation of each eye, as slanted eyes have; the directions stay.
        pitch_deg: Error of the head's pitch.
        yaw_deg: Error of the head's yaw.
        gain: Exposure, natural logarithm; highlights saturate.
        gamma: Exponent of the tone curve, natural logarithm.
        overlays: Shading, reflections and covered parts.
        camera: Second camera: resolution, blur, noise, compression.
    """

    shift_px: tuple[float, float] = (0.4, 0.5)
    eye_shift_px: tuple[float, float] = (0.6, 0.6)
    scale: float = 0.05
    eye_scale: float = 0.04
    stretch: float = 0.05
    roll_deg: float = 2.0
    eye_roll_deg: float = 2.5
    pitch_deg: float = 6.0
    yaw_deg: float = 2.5
    gain: float = 0.25
    gamma: float = 0.25
    overlays: OverlayOptions = field(default_factory=OverlayOptions)
    camera: CameraOptions = field(default_factory=CameraOptions)

    def describe(self) -> dict[str, Any]:
        """Return the values for the card."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the network sees of n pairs of eyes, and what it should answer.

    Attributes:
        images: Eye images, shape (n, 2, 48, 72): grey levels in a set, normalised at the network's input.
        head: Pitch and yaw of the head divided by `HEAD_UNIT_DEG`, shape (n, 2).
        eyes: Directions of the eyes, each in its canonical frame, divided by `GAZE_UNIT_DEG`, shape (n, 2, 2).
        both: Direction from the midpoint between the eyes, true frame, divided by `GAZE_UNIT_DEG`, shape (n, 2).
    """

    images: Tensor
    head: Tensor
    eyes: Tensor
    both: Tensor

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.images)

    def at(self, rows: Tensor) -> "Batch":
        """Return the pairs at rows."""
        return Batch(self.images[rows], self.head[rows], self.eyes[rows], self.both[rows])


def make_batch(images: Tensor, head_deg: Tensor, eyes_deg: Tensor, both_deg: Tensor) -> Batch:
    """Return pairs in the network's frames and units, images unchanged.

    Args:
        images: Eye images as in the eye image set, shape (n, 2, 48, 72).
        head_deg: Pitch and yaw of the head, shape (n, 2).
        eyes_deg: Directions of the left and the right eye in the true frame, shape (n, 2, 2).
        both_deg: Direction from the midpoint between the eyes, true frame, shape (n, 2).
    """
    return Batch(
        images,
        head_deg / HEAD_UNIT_DEG,
        eyes_deg * torch.tensor(TO_CANONICAL) / GAZE_UNIT_DEG,
        both_deg / GAZE_UNIT_DEG,
    )


def to_input(batch: Batch) -> Batch:
    """Return a batch with normalised images, not augmented."""
    return Batch(normalise(batch.images.float()), batch.head, batch.eyes, batch.both)


def augment(batch: Batch, options: Augmentation, generator: torch.Generator) -> Batch:
    """Return a varied batch with normalised images.

    Args:
        batch: Pairs with grey levels 0..255.
        options: How far to vary.
        generator: Source of randomness.
    """
    count = len(batch)
    roll = torch.randn(count, generator=generator) * math.radians(options.roll_deg)
    images = _move(batch.images.float(), roll, options, generator)
    images = _expose(images, options, generator)
    images = draw_overlays(images, options.overlays, generator)
    images = photograph_again(images, options.camera, generator)
    error_deg = torch.tensor([options.pitch_deg, options.yaw_deg])
    head = batch.head + torch.randn(count, 2, generator=generator) * error_deg / HEAD_UNIT_DEG
    eyes = turn(batch.eyes, roll[:, None] * torch.tensor([-1.0, 1.0]))
    return Batch(normalise(images), head, eyes, turn(batch.both, roll))


def turn(directions: Tensor, roll: Tensor) -> Tensor:
    """Return small directions (right, up) turned as an image turns that is rotated clockwise.

    Args:
        directions: Directions, shape (..., 2).
        roll: Angle in radians, shape (...).
    """
    cosine, sine = torch.cos(roll), torch.sin(roll)
    right, up = directions.unbind(-1)
    # right = -x and up = -y in the image, so this is the rotation of (x, y).
    return torch.stack([right * cosine - up * sine, right * sine + up * cosine], dim=-1)


def _move(images: Tensor, roll: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Return the eyes displaced, scaled and rotated about the middle of their images."""
    count = len(images)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    mirror = torch.tensor([-1.0, 1.0])
    x_px = draw(count, 1) * options.shift_px[0] * mirror + draw(count, 2) * options.eye_shift_px[0]
    y_px = draw(count, 1) * options.shift_px[1] + draw(count, 2) * options.eye_shift_px[1]
    angle = roll[:, None] * mirror + draw(count, 2) * math.radians(options.eye_roll_deg)
    size = torch.exp(draw(count, 1) * options.scale + draw(count, 2) * options.eye_scale)
    height = size * torch.exp(draw(count, 1) * options.stretch)
    return warp(images, x_px=x_px, y_px=y_px, angle=angle, width=size, height=height)


def warp(images: Tensor, *, x_px: Tensor, y_px: Tensor, angle: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Return images scaled, rotated clockwise about their middle, and displaced; borders are repeated.

    Args:
        images: Images, shape (n, 2, 48, 72).
        x_px: Displacement to the right, shape (n, 2).
        y_px: Displacement down, shape (n, 2).
        angle: Rotation in radians, shape (n, 2).
        width: Factor of the width, shape (n, 2).
        height: Factor of the height, shape (n, 2).
    """
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # From a place in the result to its place in the source, both in px from the middle.
    back = torch.stack([cosine / width, sine / width, -sine / height, cosine / height], dim=-1).reshape(-1, 2, 2)
    offset = -(back @ torch.stack([x_px, y_px], dim=-1).reshape(-1, 2, 1))
    half = torch.tensor([EYE_IMAGE_WIDTH_PX / 2, EYE_IMAGE_HEIGHT_PX / 2])
    matrix = torch.cat([back * half / half[:, None], offset / half[:, None]], dim=2)
    flat = images.reshape(-1, 1, *images.shape[2:])
    grid = nn.functional.affine_grid(matrix, list(flat.shape), align_corners=False)
    moved = nn.functional.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return moved.reshape(images.shape)


def _expose(images: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    """Return images with another exposure, saturating, and another tone curve."""
    shape = (len(images), 2, 1, 1)
    gain = torch.exp(torch.randn(shape, generator=generator) * options.gain)
    gamma = torch.exp(torch.randn(shape, generator=generator) * options.gamma)
    return (images * (gain / 255)).clamp_(1e-3, 1.0).pow_(gamma).mul_(255)
