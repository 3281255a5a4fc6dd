"""The protocol of saliency models."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # RGB, shape (height, width, 3)
Floats = NDArray[np.float32]


class SaliencyModel(Protocol):
    """A model that makes the saliency maps of one video at a time; not thread-safe.

    A map depends only on its frame and on the `memory_frames` before it. A run that resumes in the middle of a video
    gets the same maps if it first passes these frames to `see`.
    """

    name: str
    """Name on the command line."""
    version: int
    """Incremented whenever the maps change."""
    source: str
    """Publication."""
    memory_frames: int
    """Number of preceding frames that a map depends on."""

    def start(self, *, height: int, width: int) -> None:
        """Start a new video.

        Args:
            height: Height of the maps in pixels.
            width: Width of the maps in pixels.
        """
        ...

    def see(self, frame: Frame) -> None:
        """Process a frame without returning a map.

        Args:
            frame: Next frame of the video, RGB, shape (height, width, 3).
        """
        ...

    def map_frame(self, frame: Frame) -> Floats:
        """Process a frame and return its map, 0 to 1, of the size given to `start`; all 0 if nothing is salient.

        Args:
            frame: Next frame of the video, RGB, shape (height, width, 3).
        """
        ...


def stretch(saliency: NDArray[np.floating]) -> Floats:
    """Return a map rescaled to 0..1; all 0 if it is flat."""
    lowest, highest = float(saliency.min()), float(saliency.max())
    if not highest > lowest:
        return np.zeros(saliency.shape, dtype=np.float32)
    stretched: Floats = ((saliency - lowest) / (highest - lowest)).astype(np.float32)
    return stretched
