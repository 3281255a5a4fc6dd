"""Grey values of decoded images: a map has no colour, and a heat map's palette cannot be turned back into values."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import SaliencyMap

MAX_TINT = 24
"""Largest difference between the channels of a grey pixel, in levels of 255, after averaging 5×5 pixels. JPEG and video
encoders tint grey by less; the common palettes differ by 80 to 255."""

COLOURED_SHARE = 0.001
"""Share of coloured pixels from which an image counts as coloured. A palette such as `hot` colours only the peaks."""

_AVERAGED_PX = 5


class ColouredMapError(ValueError):
    """An image is in colour or partly transparent, so that its values are unknown."""


def to_grey(image: NDArray[np.generic], *, name: str, allow_colour: bool = False) -> SaliencyMap:
    """Return the grey values of a decoded image, shape (height, width).

    Args:
        image: Shape (height, width) or (height, width, channels), channels in OpenCV's order: blue, green, red, alpha.
        name: Name of the image in messages.
        allow_colour: Return the brightness of a coloured image, and ignore transparency.

    Raises:
        ColouredMapError: The image is in colour or partly transparent.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels
    if not allow_colour:
        if pixels.shape[2] in {2, 4} and np.ptp(pixels[..., -1]) > 0:
            raise ColouredMapError(
                f"{name} is partly transparent: which values count is unclear. Save the maps without transparency; "
                "--allow-colour ignores it"
            )
        if is_coloured(pixels):
            raise ColouredMapError(
                f"{name} is in colour: the palette of a heat map cannot be turned back into values. Export the maps in "
                "grey; --allow-colour takes the brightness, which is wrong for palettes such as jet and turbo"
            )
    if pixels.shape[2] < 3:
        return np.asarray(pixels[..., 0])
    colours = np.ascontiguousarray(pixels[..., :3])
    if (colours == colours[..., :1]).all():
        return colours[..., 0].copy()
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY))


def is_coloured(image: NDArray[np.generic]) -> bool:
    """Return whether an image is in colour, rather than grey with the tint of an encoder.

    Args:
        image: Shape (height, width, channels), uint8, uint16, or floats from 0 to 1.
    """
    if image.shape[2] < 3:
        return False
    full = 255 if image.dtype == np.uint8 else 65535 if image.dtype == np.uint16 else 1
    colours = image[..., :3].astype(np.float32) * np.float32(255 / full)
    averaged = cv2.blur(np.ascontiguousarray(colours), (_AVERAGED_PX, _AVERAGED_PX))
    return bool(np.mean(np.ptp(averaged, axis=2) > MAX_TINT) > COLOURED_SHARE)
