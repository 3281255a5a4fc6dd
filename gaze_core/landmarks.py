"""The 478 landmarks of MediaPipe's face mesh, and the indices of the ones that matter here."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARK_COUNT = 478

LEFT, RIGHT = "left", "right"  # the viewer's own left and right

IRIS = {
    # Iris centre, then four points on its rim.
    LEFT: (473, 474, 475, 476, 477),
    RIGHT: (468, 469, 470, 471, 472),
}
EYE_CORNERS = {
    # Outer (lateral) canthus, inner (medial) canthus.
    LEFT: (263, 362),
    RIGHT: (33, 133),
}
LIDS = {
    # Pairs of upper and lower lid points: p2-p6 and p3-p5 of Soukupova and Cech.
    LEFT: ((387, 373), (385, 380)),
    RIGHT: ((160, 144), (158, 153)),
}
EYE_SHAPES = ("look_in", "look_out", "look_up", "look_down", "blink", "squint", "wide")
"""Blendshapes of one eye: how far it is turned to the nose, to the temple, up and down, and how far its lids are shut,
narrowed and opened wide, each from 0 to 1; ARFaceAnchor.BlendShapeLocation of Apple's ARKit defines them."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Landmarks of one face in one image.

    Attributes:
        points: Shape (478, 3). x and y are normalised to the image's width and height, origin top left; z is in units
            of the image width, negative towards the camera, zero near the middle of the head. Values may lie outside
            0..1.
        image_width_px: Width of the image.
        image_height_px: Height of the image.
        eye_shapes: Blendshapes of the left and right eye in the order of `EYE_SHAPES`, shape (2, 7); None if the engine
            does not estimate them.
    """

    points: NDArray[np.float64]
    image_width_px: int
    image_height_px: int
    eye_shapes: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.points.shape != (LANDMARK_COUNT, 3):
            raise ValueError(f"points must have shape ({LANDMARK_COUNT}, 3), not {self.points.shape}")
        if self.image_width_px <= 0 or self.image_height_px <= 0:
            raise ValueError(f"image size must be positive, not {self.image_width_px} x {self.image_height_px}")
        if self.eye_shapes is not None and self.eye_shapes.shape != (2, len(EYE_SHAPES)):
            raise ValueError(f"eye_shapes must have shape (2, {len(EYE_SHAPES)}), not {self.eye_shapes.shape}")

    def pixels(self, indices: tuple[int, ...] | NDArray[np.intp]) -> NDArray[np.float64]:
        """Return some landmarks in image pixels, z included, shape (n, 3)."""
        pixels: NDArray[np.float64] = self.points.take(indices, axis=0)
        pixels *= (self.image_width_px, self.image_height_px, self.image_width_px)
        return pixels

    @property
    def area_px(self) -> float:
        """Area of the face's bounding box, in square pixels."""
        width, height = np.ptp(self.points[:, :2], axis=0)
        return float(width * self.image_width_px * height * self.image_height_px)


def eye_aspect_ratio(landmarks: Landmarks, side: str) -> float:
    """Return the eye aspect ratio: lid opening divided by eye width, in the image.

    About 0.3 for an open eye and below 0.15 for a shut one; it falls when the eye looks down.

    Args:
        landmarks: Landmarks of one face.
        side: `LEFT` or `RIGHT`, the viewer's own.

    Source: Soukupova and Cech, Real-Time Eye Blink Detection using Facial Landmarks, CVWW 2016, equation 1.
    """
    points = landmarks.pixels((*EYE_CORNERS[side], *LIDS[side][0], *LIDS[side][1]))[:, :2].tolist()
    outer, inner, first_upper, first_lower, second_upper, second_lower = points
    width = math.dist(outer, inner)
    opening = (math.dist(first_upper, first_lower) + math.dist(second_upper, second_lower)) / 2
    return opening / width if width > 0 else 0.0
