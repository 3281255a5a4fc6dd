"""Saliency as what a picture's spectrum has beyond the usual."""

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_WIDTH_PX = 64
"""The published method works at this width: larger, it finds edges instead of objects."""


def spectral_residual(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the saliency map of a picture, shape (height, width) of the picture, from 0 to 1.

    Args:
        frame: RGB uint8, shape (height, width, 3). Each colour channel is worked on alone and the maps are averaged,
            so that a coloured object on a ground of its own brightness is seen too.

    Source: Hou and Zhang, Saliency Detection: A Spectral Residual Approach, CVPR 2007.
    """
    height, width = frame.shape[:2]
    working_height = max(1, round(WORKING_WIDTH_PX * height / width))
    small = cv2.resize(frame, (WORKING_WIDTH_PX, working_height), interpolation=cv2.INTER_AREA).astype(np.float64)
    saliency = np.mean([_residual(small[..., channel]) for channel in range(3)], axis=0)
    saliency = cv2.GaussianBlur(saliency, (0, 0), sigmaX=2.5)
    full = cv2.resize(saliency, (width, height), interpolation=cv2.INTER_LINEAR)
    span = float(np.ptp(full))
    if span == 0:
        return np.zeros((height, width))
    scaled: NDArray[np.float64] = (full - full.min()) / span
    return scaled


def _residual(channel: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.fft2(channel)
    log_amplitude = np.log(np.abs(spectrum) + 1e-8)
    residual = log_amplitude - cv2.blur(log_amplitude, (3, 3))
    squared: NDArray[np.float64] = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return squared
