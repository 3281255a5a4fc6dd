"""Pixels of a stored saliency map."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from gaze_core.saliency import check_map
from gaze_core.types import SaliencyMap


def quantise(saliency_map: SaliencyMap) -> NDArray[np.uint8]:
    """Return a map as uint8, floats in steps of 1/255.

    Raises:
        ValueError: The map is neither uint8 nor floats from 0 to 1.
        SaliencyMapError: The map is unusable.
    """
    array = check_map(saliency_map)
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) or array.max() > 1:
        raise ValueError("a saliency map must be uint8 or floats from 0 to 1")
    return np.round(array * 255).astype(np.uint8)


def update_digest(digest: "hashlib._Hash", frame_num: int, pixels: NDArray[np.uint8]) -> None:
    """Update the digest of a video's maps with a map."""
    for number in (frame_num, *pixels.shape):
        digest.update(number.to_bytes(8, "big"))
    digest.update(pixels.tobytes())
