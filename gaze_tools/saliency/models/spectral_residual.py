"""Saliency as the deviation of an image's spectrum from the average spectrum."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.saliency.models.model import Floats, Frame

WORKING_WIDTH_PX = 64
"""Width of the published method; at larger widths it detects edges instead of objects."""

FAINT = 2.0
"""Standard deviation in grey levels up to which an image counts as empty; its spectrum is encoder noise."""


class SpectralResidual:
    """Processes each frame independently: fast, but insensitive to motion.

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
        """See `SaliencyModel`; the model has no memory."""

    def map_frame(self, frame: Frame) -> Floats:
        """See `SaliencyModel`."""
        if self._size is None:
            raise ValueError("call start before map_frame")
        return spectral_residual(frame, size=self._size).astype(np.float32)


def spectral_residual(frame: Frame, *, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Return the saliency map of an image, from 0 to 1; all 0 if the image is empty.

    Args:
        frame: RGB image, shape (height, width, 3). The colour channels are processed separately and averaged, so that a
            coloured object on a background of equal brightness is found, too.
        size: Height and width of the map; None means those of the image.

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
    # Plus 1, the amplitude of one grey level in one pixel: otherwise zeros in the spectrum of a drawing dominate.
    log_amplitude = np.log(np.abs(spectrum) + 1)
    residual = log_amplitude - cv2.blur(log_amplitude, (3, 3))
    squared: NDArray[np.float64] = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return squared
