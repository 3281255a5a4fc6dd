"""Find faces in the frames of a video.

MediaPipe's detector misses faces below about a ninth of the image's longer side, so overlapping squares of the frame
are searched too. Of 23 portraits pasted into photographs of 1280×720 pixels, all were found at 8 % of the frame's
height, 16 at 7 % and 1 at 6 %. Such faces are smaller than the error of a webcam's gaze.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from gaze_core.landmarks import Landmarks
from gaze_core.ports import FaceLandmarker
from gaze_core.types import Frame
from gaze_tools.command_line import without_native_output
from models import FACE_LANDMARKER_PATH

WORKING_SIDE_PX = 360
"""Shorter side to which frames are shrunk before the search; the detector itself works on 128 pixels."""

SQUARE = 0.6
"""Side of the searched squares, as a share of the frame's shorter side."""

STEP = 0.4
"""Distance between squares. Their overlap is larger than the faces that only the squares show."""

CHECKS = (2.0, 3.2)
"""Sides of the two squares around a face in which it must be found again, in face sizes.

Clouds and letters can look like a face: of 121 frames without one, 6 seemed to have a face before the checks, 2 after
the first, and none after both.
"""

_EYES = ((33, 133), (362, 263))
"""Corners of either eye among the landmarks."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Rectangle around the landmarks of a face, in shares of the frame's width and height.

    Attributes:
        left: Left edge.
        top: Upper edge, at the forehead.
        right: Right edge.
        bottom: Lower edge, at the chin.
        eyes_y: Height of the middle between the eyes.
    """

    left: float
    top: float
    right: float
    bottom: float
    eyes_y: float

    def contains(self, x: float, y: float) -> bool:
        """Return whether a point is in the rectangle."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@dataclass(frozen=True, slots=True)
class _Window:
    """Part of an image, in pixels."""

    left: int
    top: int
    width: int
    height: int


class FaceSearch:
    """Finds faces in frames, each frame on its own."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker

    def find(self, frame: Frame) -> list[FaceBox]:
        """Return the faces of a frame, largest first.

        Args:
            frame: RGB uint8, shape (height, width, 3).

        Raises:
            LandmarkerError: The landmarker failed.
        """
        small = _shrink(frame)
        height, width = small.shape[:2]
        candidates = [face for window in _windows(height, width) for face in self._search(small, window)]
        faces: list[FaceBox] = []
        for face in sorted(candidates, key=_area, reverse=True):
            x, y = _middle(face)
            if not any(other.contains(x, y) for other in faces) and self._is_found_again(frame, face):
                faces.append(face)
        return faces

    def _is_found_again(self, frame: Frame, face: FaceBox) -> bool:
        height, width = frame.shape[:2]
        x, y = _middle(face)
        for side in CHECKS:
            reach = side / 2 * max((face.right - face.left) * width, (face.bottom - face.top) * height)
            left, top = (max(0, int(at - reach)) for at in (x * width, y * height))
            right, bottom = min(width, int(x * width + reach)), min(height, int(y * height + reach))
            found = self._search(frame, _Window(left, top, right - left, bottom - top))
            if not any(face.contains(*_middle(other)) for other in found):
                return False
        return True

    def _search(self, image: Frame, window: _Window) -> Iterator[FaceBox]:
        rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
        height, width = image.shape[:2]
        part = np.ascontiguousarray(image[rows, columns])
        for face in self._landmarker.detect(part) if part.size else ():
            points = _points(face) * (window.width, window.height) + (window.left, window.top)
            shares: NDArray[np.float64] = points / (width, height)
            (left, top), (right, bottom) = shares.min(axis=0).tolist(), shares.max(axis=0).tolist()
            yield FaceBox(left, top, right, bottom, float(shares[np.ravel(_EYES), 1].mean()))


def open_face_search() -> FaceSearch:
    """Return a search with the packaged landmarker, which is created and tried at once.

    Raises:
        LandmarkerError: The landmarker cannot be created, usually because a system library is missing.
    """
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=0)
    with without_native_output():
        landmarker.warm_up()
    return FaceSearch(landmarker)


def share_with_faces(search: FaceSearch, frames: Iterable[Frame]) -> float | None:
    """Return the share of the frames that show a face; None without frames."""
    found = [bool(search.find(frame)) for frame in frames]
    return sum(found) / len(found) if found else None


def _shrink(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    scale = WORKING_SIDE_PX / min(height, width)
    if scale >= 1:
        return frame
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _windows(height: int, width: int) -> Iterator[_Window]:
    """Yield the whole image and the squares that cover it."""
    yield _Window(0, 0, width, height)
    shorter = min(height, width)
    side = max(1, round(SQUARE * shorter))
    for top in _starts(height, side, STEP * shorter):
        for left in _starts(width, side, STEP * shorter):
            yield _Window(left, top, side, side)


def _starts(length: int, side: int, step: float) -> list[int]:
    """Return the evenly spaced starts of intervals that cover a length."""
    count = int(np.ceil(round((length - side) / step, 6))) + 1
    return [round(start) for start in np.linspace(0, length - side, count).tolist()]


def _points(face: Landmarks) -> NDArray[np.float64]:
    return np.asarray(face.points[:, :2], dtype=np.float64)


def _middle(face: FaceBox) -> tuple[float, float]:
    return (face.left + face.right) / 2, (face.top + face.bottom) / 2


def _area(face: FaceBox) -> float:
    return (face.right - face.left) * (face.bottom - face.top)
