"""Drawn faces, which are no person's: emoji, line drawings, comic figures, dolls."""

from typing import Any

import cv2
import numpy as np

from gaze_core.types import Frame

STYLES = ("emoji", "line drawing", "comic", "big eyes", "doll")


def draw_face(style: str, rng: np.random.Generator, *, height_px: int = 480, width_px: int = 640) -> Frame:
    """Return a drawn face in the middle of an image.

    Args:
        style: One of `STYLES`.
        rng: Source of randomness.
        height_px: Height of the image.
        width_px: Width of the image.
    """
    scale = 4  # drawn larger and reduced, for smooth edges
    size = np.array([width_px, height_px]) * scale
    face = rng.uniform(0.28, 0.4) * size[1]
    centre = size / 2 + rng.uniform(-0.05, 0.05, 2) * size
    background = rng.uniform(150, 255, 3) if style != "line drawing" else np.full(3, 255.0)
    image = np.full((size[1], size[0], 3), background, np.uint8)
    line = max(int(face * rng.uniform(0.012, 0.03)), 2)
    skin = {
        "emoji": np.array([255, 205, 60]),
        "line drawing": background,
        "comic": np.array([235, 190, 160]) * rng.uniform(0.45, 1.05),
        "big eyes": np.array([250, 220, 200]) * rng.uniform(0.6, 1.0),
        "doll": np.array([230, 185, 165]) * rng.uniform(0.6, 1.05),
    }[style]
    ink = (20, 20, 20)

    def ellipse(
        at: tuple[float, float],
        axes: tuple[float, float],
        colour: Any,  # noqa: ANN401  RGB, any sequence
        thickness: int = -1,
        arc: tuple[int, int] = (0, 360),
    ) -> None:
        paint = tuple(float(min(max(value, 0), 255)) for value in np.asarray(colour, dtype=np.float64))
        middle = (int(centre[0] + at[0] * face), int(centre[1] + at[1] * face))
        axes_px = (max(int(axes[0] * face), 1), max(int(axes[1] * face), 1))
        cv2.ellipse(image, middle, axes_px, 0, *arc, paint, thickness, cv2.LINE_AA)

    ellipse((0, 0), (1.0 if style == "emoji" else rng.uniform(0.72, 0.85), 1.0), skin)
    if style != "emoji":
        hair = rng.uniform(10, 160) * np.array([1.1, 0.9, 0.7])
        if style == "line drawing":
            ellipse((0, 0), (0.78, 1.0), ink, line)
            ellipse((0, -0.5), (0.75, 0.55), ink, line, (180, 360))
        else:
            ellipse((0, -0.45), (0.82, 0.62), hair, -1, (180, 360))
            ellipse((0, -0.35), (0.7, 0.3), skin)
    eye_wide = {"big eyes": 0.24, "emoji": 0.13}.get(style, 0.17) * rng.uniform(0.85, 1.15)
    eye_high = eye_wide * {"big eyes": 1.2, "emoji": 1.3, "doll": 0.5, "comic": 0.7}.get(style, 0.55)
    iris = rng.uniform(30, 150, 3)
    look = rng.uniform(-0.25, 0.25, 2) * eye_wide
    for side in (-1, 1):
        x, y = side * 0.33, -0.12
        ellipse((x, y), (eye_wide, eye_high), (255, 255, 255))
        ellipse((x, y), (eye_wide, eye_high), ink, line)
        radius = min(eye_wide * 0.5, eye_high * 0.95)
        ellipse((x + look[0], y + look[1] * 0.4), (radius, radius), ink if style in ("emoji", "line drawing") else iris)
        ellipse((x + look[0], y + look[1] * 0.4), (radius * 0.5, radius * 0.5), ink)
        ellipse((x + look[0] + 0.3 * radius, y - 0.3 * radius), (radius * 0.2, radius * 0.2), (255, 255, 255))
        ellipse((x, y - eye_high - 0.1), (eye_wide * 1.1, 0.07), ink, 2 * line, (200, 340))
    if style == "emoji":
        ellipse((0, 0.2), (0.5, 0.45), ink, 2 * line, (20, 160))
    else:
        ellipse((0.02, 0.2), (0.1, 0.12), np.asarray(skin) * 0.7 if style != "line drawing" else ink, line, (10, 170))
        ellipse((0, 0.5), (0.28, 0.1), (190, 70, 80) if style != "line drawing" else ink, line * 2, (0, 180))
        ellipse((0, 0.52), (0.28, 0.03), (150, 50, 60) if style != "line drawing" else ink, line)
    small = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    if style == "doll":
        light = cv2.GaussianBlur(small, (0, 0), 0.02 * height_px).astype(np.float32)
        ramp = np.linspace(1.1, 0.7, width_px, dtype=np.float32)[None, :, None]
        small = np.clip((0.5 * small + 0.5 * light) * ramp, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(small).astype(np.uint8, copy=False)
