"""Saliency as what a picture's spectrum has beyond the usual."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.saliency.models.model import Floats, Frame

WORKING_WIDTH_PX = 64
"""The published method works at this width: larger, it finds edges instead of objects."""

FAINT = 2.0
"""Standard deviation in grey levels up to which a picture is taken as empty: its spectrum is the encoder's noise."""


class SpectralResidual:
    """Each frame for itself: fast, blind to motion.

    Source: Hou and Zhang, Saliency Detection: A Spectral Residual Approach, CVPR 2007.
    """

    name = "spectral_residual"
    version = 1
    source = "Hou and Zhang 2007"
    memory_frames = 0

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def start(self, *, height: int, width: int) -> None:
        """See `SaliencyModel`."""
        self._size = (height, width)

    def see(self, frame: Frame) -> None:
        """See `SaliencyModel`; nothing is remembered."""

    def map_frame(self, frame: Frame) -> Floats:
        """See `SaliencyModel`."""
        if self._size is None:
            raise ValueError("start comes first")
        return spectral_residual(frame, size=self._size).astype(np.float32)


def spectral_residual(frame: Frame, *, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Return the saliency map of a picture, from 0 to 1; all 0 when the picture is empty.

    Args:
        frame: RGB uint8, shape (height, width, 3). Each colour channel is worked on alone and the maps are averaged,
            so that a coloured object on a ground of its own brightness is seen too.
        size: Height and width of the map; None means those of the picture.

    Source: Hou and Zhang, Saliency Detection: A Spectral Residual Approach, CVPR 2007.
    """
    height, width = frame.shape[:2]
    map_height, map_width = size or (height, width)
    working_height = max(1, round(WORKING_WIDTH_PX * height / width))
    small = cv2.resize(frame, (WORKING_WIDTH_PX, working_height), interpolation=cv2.INTER_AREA).astype(np.float64)
    if small.std(axis=(0, 1)).max() <= FAINT:
        return np.zeros((map_height, map_width))
    saliency = np.mean([_residual(small[..., channel]) for channel in range(3)], axis=0)
    saliency = cv2.GaussianBlur(saliency, (0, 0), sigmaX=2.5)
    full = cv2.resize(saliency, (map_width, map_height), interpolation=cv2.INTER_LINEAR)
    span = float(np.ptp(full))
    if span == 0:
        return np.zeros((map_height, map_width))
    scaled: NDArray[np.float64] = (full - full.min()) / span
    return scaled


def _residual(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.fft2(channel)
    # Plus 1, a grey level of one pixel: else the zeros in the spectrum of a drawn picture outweigh all the rest.
    log_amplitude = np.log(np.abs(spectrum) + 1)
    residual = log_amplitude - cv2.blur(log_amplitude, (3, 3))
    squared: NDArray[np.float64] = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return squared
