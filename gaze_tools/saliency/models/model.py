"""What every model of saliency does."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # RGB, shape (height, width, 3)
Floats = NDArray[np.float32]


class SaliencyModel(Protocol):
    """Makes the saliency maps of one video after the other; not safe for several threads at once.

    What a map shows depends on its frame and on the `memory_frames` before it, on nothing else. So whoever goes on in
    the middle of a video gets the same maps when these few frames are shown first.
    """

    name: str
    """As users call it."""
    version: int
    """Rises whenever the maps change."""
    source: str
    """The paper."""
    memory_frames: int
    """How many frames before a frame its map depends on."""

    def start(self, *, height: int, width: int) -> None:
        """Begin a video and forget the one before.

        Args:
            height: Of the maps, in pixels.
            width: Likewise.
        """
        ...

    def see(self, frame: Frame) -> None:
        """Take in a frame that needs no map of its own.

        Args:
            frame: The next one of the video, RGB uint8, shape (height, width, 3).
        """
        ...

    def map_frame(self, frame: Frame) -> Floats:
        """Take in a frame and return its map, 0 to 1, all 0 when nothing stands out; of the size given to `start`.

        Args:
            frame: As in `see`.
        """
        ...


def stretch(saliency: NDArray[np.floating]) -> Floats:
    """Return a map stretched to 0..1; all 0 when it is flat."""
    lowest, highest = float(saliency.min()), float(saliency.max())
    if not highest > lowest:
        return np.zeros(saliency.shape, dtype=np.float32)
    stretched: Floats = ((saliency - lowest) / (highest - lowest)).astype(np.float32)
    return stretched
