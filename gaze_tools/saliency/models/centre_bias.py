"""The baseline that every model must beat: people look at the centre."""

import numpy as np

from gaze_tools.saliency.models.model import Floats, Frame, stretch

HORIZONTAL_VARIANCE = 0.22
"""Horizontal variance, in units of half the image width squared."""

VERTICAL_SHARE = 0.45
"""Vertical variance as a fraction of the horizontal one."""


class CentreBias:
    """The same Gaussian for every frame.

    Source: Clarke and Tatler, Deriving an appropriate baseline for describing fixation behaviour, Vision Research 102,
    2014; fitted to ten data sets of people viewing images.
    """

    name = "centre_bias"
    version = 1
    source = "Clarke and Tatler 2014"
    memory_frames = 0

    def __init__(self) -> None:
        self._map: Floats | None = None

    def start(self, *, height: int, width: int) -> None:
        """See `SaliencyModel`."""
        columns = (np.arange(width) + 0.5) / width * 2 - 1
        rows = ((np.arange(height) + 0.5) / height * 2 - 1) * height / width
        exponent = columns[None, :] ** 2 + rows[:, None] ** 2 / VERTICAL_SHARE
        self._map = stretch(np.exp(-exponent / (2 * HORIZONTAL_VARIANCE)))

    def see(self, frame: Frame) -> None:
        """See `SaliencyModel`; the frame is ignored."""

    def map_frame(self, frame: Frame) -> Floats:
        """See `SaliencyModel`."""
        if self._map is None:
            raise ValueError("call start before map_frame")
        return self._map
