"""Faces painted into an image where landmarks expect them, so that an iris can be seen there."""

from functools import lru_cache

import cv2
import numpy as np

from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, RIGHT
from tests.fakes.synthetic_face import make_face


def make_noise(rng, width_px=640, height_px=480):
    """Return coarse RGB noise under fine noise, so that no area has one colour, as in a photograph."""
    coarse = rng.integers(0, 248, (height_px // 8 + 1, width_px // 8 + 1, 3), dtype=np.uint8)
    coarse = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height_px, :width_px]
    return coarse + rng.integers(0, 8, coarse.shape, dtype=np.uint8)


@lru_cache(maxsize=4)
def make_grain(shape):
    """Return fine noise, the same for every image of a shape."""
    return np.random.default_rng(5).integers(-4, 5, shape).astype(np.int16)


def paint_eyes(image, face=None, sides=(LEFT, RIGHT)):
    """Return an RGB image with brows, nose, mouth and eyes of a face on skin-coloured ground.

    Args:
        image: RGB image.
        face: Landmarks; None for those of `make_face()`, scaled to the image.
        sides: The eyes to paint.
    """
    painted = image.copy()
    height, width = image.shape[:2]
    points = (make_face() if face is None else face).points[:, :2] * (width, height)
    shift = 4  # positions with 4 binary digits after the point

    def ellipse(middle, axes, colour):
        where, size = ((np.array(each) * 2**shift).round().astype(int).tolist() for each in (middle, axes))
        cv2.ellipse(painted, where, size, 0, 0, 360, colour, -1, cv2.LINE_AA, shift)

    eyes = np.array([points[list(EYE_CORNERS[side])].mean(axis=0) for side in (LEFT, RIGHT)]) - 0.5
    across = eyes[0] - eyes[1]
    below, apart = np.array([-across[1], across[0]]), float(np.linalg.norm(across))
    before = painted.copy()
    ellipse(eyes.mean(axis=0) + 0.45 * below, (1.1 * apart, 1.5 * apart), (190, 150, 130))
    ellipse(eyes.mean(axis=0) + 0.62 * below, (0.2 * apart, 0.06 * apart), (120, 80, 70))
    ellipse(eyes.mean(axis=0) + 1.05 * below, (0.4 * apart, 0.1 * apart), (140, 60, 60))
    for eye in eyes:
        ellipse(eye - 0.33 * below, (0.3 * apart, 0.05 * apart), (60, 45, 40))
    # Skin is never of one colour.
    skin = painted != before
    painted[skin] = np.clip(painted[skin] + make_grain(painted.shape)[skin], 0, 255)
    for side in sides:
        outer, inner = points[list(EYE_CORNERS[side])]
        iris, rim = points[IRIS[side][0]] - 0.5, points[list(IRIS[side][1:])]
        radius = np.linalg.norm(rim - rim.mean(axis=0), axis=1).mean()
        middle, half_width = (outer + inner) / 2 - 0.5, np.linalg.norm(outer - inner) / 2
        ellipse(middle - (0, 0.06 * half_width), (1.05 * half_width, 0.5 * half_width), (60, 40, 35))
        ellipse(middle, (half_width, 0.42 * half_width), (225, 220, 215))
        ellipse(iris, (radius, min(radius, 0.42 * half_width)), (70, 50, 40))
        ellipse(iris, (radius / 2, min(radius, 0.42 * half_width) / 2), (15, 12, 10))
    return painted
