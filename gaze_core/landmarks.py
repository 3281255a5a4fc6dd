"""The 478 face landmarks of MediaPipe's face mesh: what they are and which ones we use."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARK_COUNT = 478

LEFT, RIGHT = "left", "right"  # the viewer's own

IRIS = {
    # Centre first, then four points on the iris's rim.
    LEFT: (473, 474, 475, 476, 477),
    RIGHT: (468, 469, 470, 471, 472),
}
EYE_CORNERS = {
    # Outer (lateral) canthus, inner (medial) canthus.
    LEFT: (263, 362),
    RIGHT: (33, 133),
}
LIDS = {
    # Pairs of upper and lower lid points, p2-p6 and p3-p5 of Soukupova and Cech.
    LEFT: ((387, 373), (385, 380)),
    RIGHT: ((160, 144), (158, 153)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """The landmarks of one face in one picture.

    Attributes:
        points: Shape (478, 3). x and y normalised to the picture's width and height, origin top-left; z in units of
            the picture's width, towards the camera negative, zero about the middle of the head. May lie outside 0..1.
        image_width_px: Width of the picture.
        image_height_px: Its height.
    """

    points: NDArray[np.float64]
    image_width_px: int
    image_height_px: int

    def __post_init__(self) -> None:
        if self.points.shape != (LANDMARK_COUNT, 3):
            raise ValueError(f"points must have shape ({LANDMARK_COUNT}, 3), not {self.points.shape}")
        if self.image_width_px <= 0 or self.image_height_px <= 0:
            raise ValueError("the picture's size must be positive")

    def pixels(self, indices: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the named landmarks in pixels of the picture, z included, shape (n, 3)."""
        scale = np.array([self.image_width_px, self.image_height_px, self.image_width_px], dtype=np.float64)
        pixels: NDArray[np.float64] = self.points[list(indices)] * scale
        return pixels

    @property
    def area_px(self) -> float:
        """Area of the box around the face, in square pixels."""
        width, height = np.ptp(self.points[:, :2], axis=0)
        return float(width * self.image_width_px * height * self.image_height_px)


def eye_aspect_ratio(landmarks: Landmarks, side: str) -> float:
    """Return how far an eye is open: lid opening over the eye's width, in the picture.

    About 0.3 for an open eye, below 0.15 for a shut one; it grows smaller when the eye looks down.

    Args:
        landmarks: One face.
        side: `"left"` or `"right"`, the viewer's own.

    Source: Soukupova and Cech, Real-Time Eye Blink Detection using Facial Landmarks, CVWW 2016, equation 1.
    """
    outer, inner = landmarks.pixels(EYE_CORNERS[side])[:, :2]
    upper, lower = zip(*LIDS[side], strict=True)
    openings = np.linalg.norm(landmarks.pixels(upper)[:, :2] - landmarks.pixels(lower)[:, :2], axis=1)
    width = float(np.linalg.norm(outer - inner))
    return float(openings.mean() / width) if width > 0 else 0.0
