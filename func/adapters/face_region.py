"""Faces in the answer of MediaPipe's face detector, and the part of a frame around each that the landmarks come from.

Follows the graph of MediaPipe's face landmarker in IMAGE mode.

Source: Bazarevsky et al., BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs, CVPR Workshop on Computer
Vision for Augmented and Virtual Reality 2019; `face_detector_graph.cc` and its calculators in MediaPipe 1.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Frame

DETECTOR_SIZE_PX = 128
"""Side of the detector's input."""

ANCHORS = 896
"""Number of places at which the detector looks for a face."""

SAME_FACE_OVERLAP = 0.5
"""Intersection over union above which two boxes belong to one face."""

REGION_SCALE = 1.5
"""Size of a face's region relative to its box."""

_ANCHOR_GRIDS = ((16, 2), (8, 6))
"""Side of each grid, and anchors per cell."""

_USED = 8
"""Numbers of a box that count: centre, size, and the first two of six key points. These are the viewer's own right eye,
which is on the left of the image, and the left one. They give the rotation."""


@dataclass(frozen=True, slots=True)
class FaceRegion:
    """Rotated rectangle around a face.

    Attributes:
        x_px: Column of the centre; pixel n extends from n to n + 1.
        y_px: Row of the centre.
        width_px: Length of the sides that are horizontal in an upright face.
        height_px: Length of the other sides.
        rotation_rad: Clockwise rotation of the face in the image.
    """

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    rotation_rad: float


class _Box(NamedTuple):
    """A box of the detector's answer.

    Attributes:
        score: Probability of a face.
        corners: Left, top, right and bottom, then x and y of both eyes, normalised to the detector's input.
    """

    score: float
    corners: tuple[float, ...]


def list_anchors() -> NDArray[np.float32]:
    """Return the centres of the detector's anchors, normalised to its input, shape (896, 2)."""
    grids = []
    for cells, per_cell in _ANCHOR_GRIDS:
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        rows, columns = np.meshgrid(centres, centres, indexing="ij")
        grids.append(np.repeat(np.column_stack([columns.ravel(), rows.ravel()]), per_cell, axis=0))
    return np.concatenate(grids)


def find_face_regions(
    boxes: NDArray[np.float32],
    logits: NDArray[np.float32],
    anchors: NDArray[np.float32],
    *,
    width_px: int,
    height_px: int,
    max_faces: int,
) -> list[FaceRegion]:
    """Return the regions of the faces that the detector found, most certain first.

    Boxes that overlap are one face: the mean of their boxes and key points, weighted by their scores.

    Args:
        boxes: The detector's output: centre relative to the anchor, size, six key points relative to the anchor, in px
            of its input, shape (896, 16).
        logits: Logarithmic odds that a face is there, shape (896,).
        anchors: Result of `list_anchors`.
        width_px: Width of the frame. The detector saw the frame centred in a square with its longer side.
        height_px: Height of the frame.
        max_faces: Maximum number of regions.
    """
    found = np.flatnonzero(logits >= 0)  # a probability of at least 0.5
    if found.size == 0:
        return []
    # Lists, because a face has less than ten boxes, and numpy takes longer for so few.
    boxes_found = [
        _read_box(logit, values, cell)
        for logit, values, cell in zip(
            logits[found].tolist(), boxes[found, :_USED].tolist(), anchors[found].tolist(), strict=True
        )
    ]
    boxes_found.sort(key=lambda box: -box.score)
    side_px = max(width_px, height_px)
    regions: list[FaceRegion] = []
    while boxes_found and len(regions) < max_faces:
        first, *others = boxes_found
        same, boxes_found = [first], []
        for box in others:
            (same if _overlap(first, box) > SAME_FACE_OVERLAP else boxes_found).append(box)
        total = sum(box.score for box in same)
        left, top, right, bottom, *eyes = (
            sum(box.score / total * box.corners[at] for box in same) for at in range(_USED)
        )
        if right > left and bottom > top:
            regions.append(
                FaceRegion(
                    x_px=(left + right) / 2 * side_px + (width_px - side_px) / 2,
                    y_px=(top + bottom) / 2 * side_px + (height_px - side_px) / 2,
                    width_px=REGION_SCALE * ((right - left) * side_px),
                    height_px=REGION_SCALE * ((bottom - top) * side_px),
                    rotation_rad=math.atan2(eyes[3] - eyes[1], eyes[2] - eyes[0]),
                )
            )
    return regions


def whole_frame(frame: Frame) -> FaceRegion:
    """Return the square with the frame's longer side around the whole frame, which the detector looks at."""
    height_px, width_px = frame.shape[:2]
    side_px = float(max(height_px, width_px))
    return FaceRegion(width_px / 2, height_px / 2, side_px, side_px, 0.0)


class RegionCutter:
    """Cuts regions out of frames into one square image, whose memory it uses again; used by one thread at once.

    Allocating the maps of positions anew for every frame would take as long as computing them.

    Args:
        size_px: Side of the result.
        repeat_edge: Whether the last pixels of the frame are repeated beyond its edge; otherwise it is black there.
    """

    def __init__(self, size_px: int, *, repeat_edge: bool) -> None:
        self._border = cv2.BORDER_REPLICATE if repeat_edge else cv2.BORDER_CONSTANT
        self._steps = np.arange(size_px) / size_px - 0.5
        self._columns, self._rows = np.empty((2, size_px, size_px), np.float32)
        self._fixed = np.empty((size_px, size_px, 2), np.int16)
        self._fractions = np.empty((size_px, size_px), np.uint16)
        self._image = np.empty((size_px, size_px, 3), np.uint8)
        self._region: FaceRegion | None = None

    def cut(self, frame: Frame, region: FaceRegion) -> Frame:
        """Return a region of a frame, upright and scaled to a square, RGB uint8, shape (size_px, size_px, 3).

        Positions are rounded to 1/32 px, as OpenCV did before version 5 and MediaPipe still does: with exact positions
        the landmarks differ by up to 0.7 px from MediaPipe's.

        Args:
            frame: RGB uint8, shape (height, width, 3).
            region: Region of the frame; may extend beyond it.

        Returns:
            The image, valid until the next call.
        """
        if region != self._region:  # the same for all frames of one size where the region is the whole frame
            self._region = None
            self._find_positions(region)
            self._region = region
        cv2.remap(frame, self._fixed, self._fractions, cv2.INTER_LINEAR, dst=self._image, borderMode=self._border)
        return self._image

    def _find_positions(self, region: FaceRegion) -> None:
        cosine, sine = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
        across_px, down_px = self._steps * region.width_px, self._steps * region.height_px
        np.add.outer(
            (region.x_px - down_px * sine).astype(np.float32),
            (across_px * cosine).astype(np.float32),
            out=self._columns,
        )
        np.add.outer(
            (region.y_px + down_px * cosine).astype(np.float32),
            (across_px * sine).astype(np.float32),
            out=self._rows,
        )
        cv2.convertMaps(self._columns, self._rows, cv2.CV_16SC2, self._fixed, self._fractions)


def place_landmarks(
    points: NDArray[np.float32], region: FaceRegion, *, width_px: int, height_px: int
) -> NDArray[np.float64]:
    """Return landmarks of a region as `Landmarks.points` of the frame, shape (478, 3).

    z keeps MediaPipe's scale, which depends on the rotation in a frame that is not square.

    Args:
        points: x, y and z in a region with sides of length 1, shape (478, 3).
        region: The region.
        width_px: Width of the frame.
        height_px: Height of the frame.
    """
    cosine, sine = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    across_px = (points[:, 0].astype(np.float64) - 0.5) * region.width_px
    down_px = (points[:, 1].astype(np.float64) - 0.5) * region.height_px
    x_px = region.x_px + across_px * cosine - down_px * sine
    y_px = region.y_px + across_px * sine + down_px * cosine
    z_scale = math.hypot(region.width_px * cosine / width_px, region.width_px * sine / height_px)
    placed = np.empty((len(points), 3))
    placed[:, 0], placed[:, 1], placed[:, 2] = x_px / width_px, y_px / height_px, points[:, 2] * z_scale
    return placed


def _read_box(logit: float, values: list[float], cell: list[float]) -> _Box:
    """Return a box of the detector's answer, from its first `_USED` numbers and its anchor."""
    cell_x, cell_y = cell
    x, y, width, height, *eyes = (value / DETECTOR_SIZE_PX for value in values)
    x, y = x + cell_x, y + cell_y
    corners = (
        *(x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        *(eyes[0] + cell_x, eyes[1] + cell_y, eyes[2] + cell_x, eyes[3] + cell_y),
    )
    return _Box(1 / (1 + math.exp(-logit)), corners)


def _overlap(one: _Box, other: _Box) -> float:
    """Return the intersection over union of two boxes."""
    left, top, right, bottom = one.corners[:4]
    other_left, other_top, other_right, other_bottom = other.corners[:4]
    width, height = min(right, other_right) - max(left, other_left), min(bottom, other_bottom) - max(top, other_top)
    common = max(width, 0.0) * max(height, 0.0)
    union = (other_right - other_left) * (other_bottom - other_top) + (right - left) * (bottom - top) - common
    return common / union if union > 0 else 0.0
