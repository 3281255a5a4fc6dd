"""A channel that makes faces salient in the maps of any model."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from gaze_tools.saliency.face_search import FaceBox, FaceSearch, open_face_search
from gaze_tools.saliency.models.model import Floats, Frame, SaliencyModel

CHANNEL_VERSION = 1
"""Incremented whenever the maps of frames with faces change."""

SOURCE = "faces: Cerf, Frady and Koch 2009"

RADII = 1.0
"""Standard deviation of a face's Gaussian, in half widths and half heights of the face."""

WEIGHT = 2.0
"""Weight of the channel relative to a map from 0 to 1.

At the edges of a face the Gaussian is exp(-1/2) = 0.61, so the face outranks everything else in the frame, as people
look at faces 16.6 times as often as at similar regions. More weight would only take levels from the rest of the map.
"""


class FaceAwareModel:
    """Adds a face channel to another model; a frame without a face gets the other model's map unchanged.

    Source: Cerf, Frady and Koch, Faces and text attract gaze independent of the task: Experimental data and computer
    model, Journal of Vision 9(12):10, 1-15, 2009.
    """

    def __init__(self, inner: SaliencyModel, open_search: Callable[[], FaceSearch] = open_face_search) -> None:
        """Wrap a model.

        Args:
            inner: Model of the low-level saliency.
            open_search: Returns the search for faces; called at the first `start`.
        """
        self.name = inner.name
        self.version = inner.version
        self.source = f"{inner.source}; {SOURCE}"
        self.memory_frames = inner.memory_frames
        self.faces_found = 0
        """Number of faces in the last mapped frame."""
        self._inner = inner
        self._open_search = open_search
        self._search: FaceSearch | None = None

    def start(self, *, height: int, width: int) -> None:
        """See `SaliencyModel`.

        Raises:
            LandmarkerError: The face landmarker cannot be created.
        """
        self._search = self._search or self._open_search()
        self._inner.start(height=height, width=width)

    def see(self, frame: Frame) -> None:
        """See `SaliencyModel`."""
        self._inner.see(frame)

    def map_frame(self, frame: Frame) -> Floats:
        """See `SaliencyModel`."""
        if self._search is None:
            raise ValueError("call start before map_frame")
        faces = self._search.find(frame)
        self.faces_found = len(faces)
        return add_faces(self._inner.map_frame(frame), faces)


def add_faces(saliency_map: Floats, faces: Sequence[FaceBox]) -> Floats:
    """Return a map with salient faces, 0 to 1; without faces the same map.

    Each face is a Gaussian as wide and high as the face. Its peak is between the eyes and the middle of the face, where
    people look first (Peterson and Eckstein, Looking just below the eyes is optimal across face recognition tasks, PNAS
    109, 2012).

    Args:
        saliency_map: Map from 0 to 1, shape (height, width).
        faces: Faces of the frame.
    """
    if not faces:
        return saliency_map
    height, width = saliency_map.shape
    columns = (np.arange(width, dtype=np.float32) + 0.5) / width
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    channel: Floats = np.zeros((height, width), dtype=np.float32)
    for face in faces:
        x = (face.left + face.right) / 2
        y = (face.eyes_y + (face.top + face.bottom) / 2) / 2
        horizontal = _gaussian(columns, x, RADII * (face.right - face.left) / 2)
        vertical = _gaussian(rows, y, RADII * (face.bottom - face.top) / 2)
        channel = np.maximum(channel, vertical[:, None] * horizontal[None, :])
    total = saliency_map + np.float32(WEIGHT) * channel
    scaled: Floats = (total / total.max()).astype(np.float32)
    return scaled


def _gaussian(places: Floats, middle: float, deviation: float) -> Floats:
    values: Floats = np.exp(-(((places - np.float32(middle)) / np.float32(deviation * math.sqrt(2))) ** 2))
    return values
