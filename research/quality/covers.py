"""Covers pasted over the eyes of a face, with random sizes and colours.

All lengths are in widths of the eye. A place is (u, v): u along the line from the right to the left eye, v down the
face.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.landmarks import EYE_CORNERS, LEFT, RIGHT, Landmarks
from gaze_core.types import Frame

Plane = NDArray[np.float32]  # shape (height, width)
Colour = NDArray[np.float32]  # RGB, shape (3,)


@dataclass(frozen=True, slots=True, eq=False)
class EyePlace:
    """Where an eye is in an image.

    Attributes:
        centre_px: Midpoint of the eye's corners, shape (2,).
        width_px: Distance between the corners.
        axis: Unit vector from the viewer's right to their left, shape (2,).
    """

    centre_px: NDArray[np.float64]
    width_px: float
    axis: NDArray[np.float64]

    def grid(self, frame: Frame) -> tuple[Plane, Plane]:
        """Return u and v of every pixel of an image."""
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
        x, y = (x - np.float32(self.centre_px[0])), (y - np.float32(self.centre_px[1]))
        along, down = (np.float32(part / self.width_px) for part in self.axis.tolist())
        return x * along + y * down, y * along - x * down


def find_eyes(landmarks: Landmarks) -> tuple[EyePlace, EyePlace]:
    """Return the places of the left and the right eye."""
    corners = {side: landmarks.pixels(EYE_CORNERS[side])[:, :2] for side in (LEFT, RIGHT)}
    axis = corners[LEFT].mean(axis=0) - corners[RIGHT].mean(axis=0)
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    left, right = (
        EyePlace(corners[side].mean(axis=0), max(float(np.linalg.norm(corners[side][0] - corners[side][1])), 1.0), axis)
        for side in (LEFT, RIGHT)
    )
    return left, right


Cover = Callable[[Frame, Sequence[EyePlace], np.random.Generator], Frame]

_REACH = 4.0
"""Covers draw within this distance from an eye."""


def cover_eyes(cover: Cover, frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Return an image with covered eyes.

    Args:
        cover: One of `OPAQUE` or `PARTIAL`.
        frame: RGB image.
        eyes: The eyes to cover.
        rng: Source of randomness.
    """
    centres = np.array([eye.centre_px for eye in eyes])
    margin = _REACH * max(eye.width_px for eye in eyes)
    left, top = np.maximum(centres.min(axis=0) - margin, 0).astype(int)
    right, bottom = np.maximum(centres.max(axis=0) + margin, 1).astype(int)
    part = np.ascontiguousarray(frame[top:bottom, left:right])
    moved = [EyePlace(eye.centre_px - (left, top), eye.width_px, eye.axis) for eye in eyes]
    covered = frame.copy()
    covered[top:bottom, left:right] = cover(part, moved, rng)
    return covered


def _blend(frame: Frame, paint: NDArray[Any], cover: NDArray[Any]) -> Frame:
    mixed = frame + (paint - frame) * cover[..., None]
    blended: Frame = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return blended


def _soft(distance: Plane, width_px: float, edge_px: float = 0.7) -> Plane:
    """Return the cover of a shape from the signed distance to its edge in eye widths, negative inside."""
    cover: Plane = np.clip(0.5 - distance * width_px / (2 * edge_px), 0, 1)
    return cover


def _ellipse(eye: EyePlace, frame: Frame, half_width: float, half_height: float, power: float = 2.0) -> Plane:
    u, v = eye.grid(frame)
    radius = (np.abs(u / half_width) ** power + np.abs(v / half_height) ** power) ** (1 / power)
    return _soft((radius - 1) * min(half_width, half_height), eye.width_px)


def _skin(frame: Frame, eye: EyePlace) -> Colour:
    """Return the colour of the cheek below an eye."""
    down = np.array([-eye.axis[1], eye.axis[0]])
    x, y = (eye.centre_px + 1.1 * eye.width_px * down).astype(int)
    reach = max(int(0.2 * eye.width_px), 1)
    patch = frame[max(y - reach, 0) : max(y + reach, 1), max(x - reach, 0) : max(x + reach, 1)]
    if patch.size == 0:
        return np.array([190, 150, 130], np.float32)
    colour: Colour = np.median(patch.reshape(-1, 3), axis=0).astype(np.float32)
    return colour


def _any_colour(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0, 255) if rng.random() < 0.5 else rng.uniform(0, 60)
    return np.clip(grey + rng.normal(0, 25, 3), 0, 255).astype(np.float32)


def _textured(frame: Frame, colour: Colour, rng: np.random.Generator, amount: float, grain_px: float) -> Plane:
    """Return a plain colour with smooth noise, shape (height, width, 3)."""
    height, width = frame.shape[:2]
    cells = (max(int(height / grain_px), 2), max(int(width / grain_px), 2))
    noise = cv2.resize(rng.normal(0, 1, cells).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    shaded: Plane = colour * (1 + np.float32(amount) * noise[..., None])
    return shaded


def disc(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Opaque ellipses of one colour, from the size of an open eye to that of a lens."""
    scale = rng.uniform(0.5, 1.0)
    colour = _any_colour(rng)
    for eye in eyes:
        paint = np.broadcast_to(colour, frame.shape).astype(np.float32)
        frame = _blend(frame, paint, _ellipse(eye, frame, 0.85 * scale, 0.62 * scale))
    return frame


def dark_disc(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Opaque dark ellipses whose half axes are 0.85 and 0.62 eye widths."""
    for eye in eyes:
        paint = np.full(frame.shape, rng.uniform(5, 40), np.float32)
        frame = _blend(frame, paint, _ellipse(eye, frame, 0.85, 0.62))
    return frame


def small_dark_disc(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Opaque dark ellipses that just hide the opening: 0.85 × 0.62 eye widths across."""
    for eye in eyes:
        paint = np.full(frame.shape, rng.uniform(5, 40), np.float32)
        frame = _blend(frame, paint, _ellipse(eye, frame, 0.425, 0.31))
    return frame


def lenses(opacity: float) -> Cover:
    """Return dark lenses with a frame, a gradient and a weak reflection.

    Args:
        opacity: Share of the light behind a lens that it takes away.
    """

    def draw(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
        size = rng.uniform(0.8, 1.15)
        half_width, half_height, power = 0.95 * size, rng.uniform(0.6, 0.85) * size, rng.uniform(2, 4)
        colour = np.clip(rng.uniform(3, 45) + rng.normal(0, 8, 3), 0, 255).astype(np.float32)
        gradient, drop = rng.uniform(0, 0.6), rng.uniform(0.0, 0.25)
        glint = rng.uniform(0, 60) if rng.random() < 0.6 else 0.0
        slant = rng.uniform(-1, 1)
        for eye in eyes:
            u, v = eye.grid(frame)
            lowered = EyePlace(eye.centre_px + drop * eye.width_px * np.array([0, 1]), eye.width_px, eye.axis)
            cover = _ellipse(lowered, frame, half_width, half_height, power)
            paint = colour * (1 + gradient * v[..., None])
            band = np.exp(-(((u * slant + v + 0.3) / 0.25) ** 2))
            paint = paint + glint * band[..., None]
            frame = _blend(frame, paint.astype(np.float32), cover * np.float32(opacity))
            rim = np.abs(cover - 0.5) < 0.45
            frame = frame.copy()
            frame[rim] = (frame[rim] * 0.4).astype(np.uint8)
        return frame

    return draw


def mirror_lenses(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Opaque lenses in which a scene is reflected: a blurred, turned part of the image."""
    scene = cv2.GaussianBlur(frame[::-1, ::-1].astype(np.float32), (0, 0), 0.2 * eyes[0].width_px)
    scene = np.roll(scene, (int(rng.integers(frame.shape[0])), int(rng.integers(frame.shape[1]))), axis=(0, 1))
    scene = scene * np.float32(rng.uniform(0.3, 0.9)) + np.float32(rng.uniform(0, 40))
    for eye in eyes:
        frame = _blend(frame, scene, _ellipse(eye, frame, 0.95, 0.75, 2.5))
    return frame


def bar(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """An opaque bar across the eyes, as newspapers draw it."""
    half = rng.uniform(0.3, 0.7)
    colour = np.full(3, rng.choice([0, 0, 15, 120, 255]), np.float32)
    for eye in eyes:
        u, v = eye.grid(frame)
        reach = np.maximum(np.abs(u) - (1.6 if len(eyes) > 1 else 0.8), np.abs(v) - half)
        frame = _blend(frame, np.broadcast_to(colour, frame.shape).astype(np.float32), _soft(reach, eye.width_px))
    return frame


def sleep_mask(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """A mask of cloth from the brows to the cheeks."""
    cloth = _textured(frame, _any_colour(rng), rng, rng.uniform(0.02, 0.25), rng.uniform(0.05, 0.5) * eyes[0].width_px)
    for eye in eyes:
        u, v = eye.grid(frame)
        cloth_here = cloth * (1 - np.float32(rng.uniform(0, 0.4)) * (u**2 + v**2)[..., None])
        frame = _blend(frame, cloth_here, _ellipse(eye, frame, 1.35, rng.uniform(0.8, 1.0), 2.6))
    return frame


def skin_patch(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Patches of the colour of the cheek, with soft edges and a little texture."""
    for eye in eyes:
        size = rng.uniform(0.9, 1.5)
        paint = _textured(frame, _skin(frame, eye), rng, rng.uniform(0, 0.05), 0.15 * eye.width_px)
        cover = cv2.GaussianBlur(_ellipse(eye, frame, 0.65 * size, 0.4 * size), (0, 0), 0.05 * eye.width_px)
        frame = _blend(frame, paint, cover)
    return frame


def cheek_patch(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """A copy of the cheek in place of the eye."""
    for eye in eyes:
        down = np.array([-eye.axis[1], eye.axis[0]]) * rng.uniform(1.0, 1.3) * eye.width_px
        shift = np.array([[1, 0, -down[0]], [0, 1, -down[1]]])
        moved = cv2.warpAffine(frame, shift, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.GaussianBlur(_ellipse(eye, frame, 0.75, 0.5), (0, 0), 0.05 * eye.width_px)
        frame = _blend(frame, moved.astype(np.float32), cover)
    return frame


def blur(sigma: float) -> Cover:
    """Return a blur of the eyes.

    Args:
        sigma: Standard deviation in eye widths; the iris is 0.45 across.
    """

    def draw(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
        reach = rng.uniform(0.8, 1.3)
        for eye in eyes:
            soft = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), sigma * eye.width_px)
            frame = _blend(frame, soft, _ellipse(eye, frame, reach, 0.75 * reach, 4))
        return frame

    return draw


def pixelate(block: float) -> Cover:
    """Return eyes shown as coarse squares.

    Args:
        block: Side of a square in eye widths.
    """

    def draw(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
        height, width = frame.shape[:2]
        side = max(block * eyes[0].width_px, 2.0)
        shift = rng.integers(0, int(side) + 1, 2)
        moved = np.roll(frame, shift, axis=(0, 1))
        cells = (max(round(width / side), 1), max(round(height / side), 1))
        small = cv2.resize(moved, cells, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        coarse = np.roll(coarse, -shift, axis=(0, 1)).astype(np.float32)
        for eye in eyes:
            frame = _blend(frame, coarse, _ellipse(eye, frame, 1.0, 0.8, 6))
        return frame

    return draw


def hand(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Fingers of the colour of the face that lie side by side over the eyes."""
    skin = _skin(frame, eyes[0]) * np.float32(rng.uniform(0.75, 1.1))
    paint = _textured(frame, skin, rng, 0.03, 0.2 * eyes[0].width_px)
    turn = math.radians(rng.uniform(-35, 35) + rng.choice([0, 90]))
    for eye in eyes:
        u, v = eye.grid(frame)
        along = u * math.cos(turn) + v * math.sin(turn)
        across = v * math.cos(turn) - u * math.sin(turn)
        width = rng.uniform(0.45, 0.65)
        place = across / width + rng.uniform(0, 1)
        # A finger is a cylinder: darker towards its sides, with a dark line between two.
        side = np.abs(place - np.floor(place) - 0.5) * 2
        shade = 1 - 0.25 * side**2 - 0.35 * np.clip((side - 0.88) / 0.12, 0, 1)
        reach = np.maximum(np.abs(along) - rng.uniform(1.0, 1.8), np.abs(across) - rng.uniform(0.7, 1.1))
        frame = _blend(frame, (paint * shade[..., None]).astype(np.float32), _soft(reach, eye.width_px, 1.5))
    return frame


def hair(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """A dense fringe: strands that hang over the eyes and leave no gap."""
    base = rng.choice([20.0, 45.0, 90.0, 150.0]) * np.array([1.1, 0.95, 0.8])
    drawn = frame.astype(np.float32)
    for eye in eyes:
        u, v = eye.grid(frame)
        slant, waves = rng.uniform(-0.6, 0.6), rng.uniform(0, 0.1)
        across = u + slant * v + waves * np.sin(4 * v + rng.uniform(0, 6))
        tone = sum(rng.uniform(0.1, 0.3) * np.sin(across * rng.uniform(15, 60) + rng.uniform(0, 6)) for _ in range(5))
        strands = base.astype(np.float32) * (1 + np.float32(1) * np.asarray(tone, np.float32)[..., None] * 0.6)
        reach = np.maximum(np.abs(u) - 1.0, np.maximum(v - rng.uniform(0.5, 0.9), -v - 2.0))
        drawn = drawn + (strands - drawn) * _soft(reach, eye.width_px, 2.0)[..., None]
    covered: Frame = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)
    return covered


def clutter(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """Another part of the image, turned and scaled, as an object held before the eyes."""
    height, width = frame.shape[:2]
    for eye in eyes:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(0, 360), rng.uniform(0.7, 2.5))
        far = rng.uniform(1.5, 3.0) * eye.width_px * rng.choice([-1, 1], 2)
        matrix = matrix + np.column_stack([np.zeros((2, 2)), far])
        other = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        frame = _blend(frame, other.astype(np.float32), _ellipse(eye, frame, 0.95, 0.75, 8))
    return frame


def pattern(frame: Frame, eyes: Sequence[EyePlace], rng: np.random.Generator) -> Frame:
    """A printed pattern: stripes or noise of two colours."""
    first, second = _any_colour(rng), _any_colour(rng)
    kind, turn, period = rng.integers(3), rng.uniform(0, math.pi), rng.uniform(0.15, 0.6)
    for eye in eyes:
        u, v = eye.grid(frame)
        along = u * math.cos(turn) + v * math.sin(turn)
        across = v * math.cos(turn) - u * math.sin(turn)
        stripes = np.sin(2 * math.pi * along / period + 1)
        share = (
            stripes > 0,
            (stripes > 0) ^ (np.sin(2 * math.pi * across / period + 2) > 0),
            rng.random(u.shape) > 0.5,
        )[kind]
        paint = first + (second - first) * share[..., None]
        frame = _blend(frame, paint.astype(np.float32), _ellipse(eye, frame, 0.9, 0.7, 4))
    return frame


OPAQUE: Mapping[str, Cover] = {
    "dark disc, 0.85 × 0.62 half axes": dark_disc,
    "dark disc, 0.85 × 0.62 across": small_dark_disc,
    "disc of any colour": disc,
    "opaque lenses": lenses(1.0),
    "mirrored lenses": mirror_lenses,
    "bar": bar,
    "sleep mask": sleep_mask,
    "skin-coloured patch": skin_patch,
    "copy of the cheek": cheek_patch,
    "strong blur": blur(0.35),
    "coarse pixels": pixelate(0.4),
    "hand": hand,
    "hair": hair,
    "object": clutter,
    "pattern": pattern,
}
"""Covers that hide the eyes completely."""

PARTIAL: Mapping[str, Cover] = {
    "lenses, opacity 0.3": lenses(0.3),
    "lenses, opacity 0.5": lenses(0.5),
    "lenses, opacity 0.7": lenses(0.7),
    "lenses, opacity 0.85": lenses(0.85),
    "lenses, opacity 0.95": lenses(0.95),
    "blur of 0.06 eye widths": blur(0.06),
    "blur of 0.12 eye widths": blur(0.12),
    "blur of 0.2 eye widths": blur(0.2),
    "pixels of 0.12 eye widths": pixelate(0.12),
    "pixels of 0.25 eye widths": pixelate(0.25),
}
"""Covers through which an iris can be seen more or less."""
