"""Paint the gaze onto a frame of a film."""

import itertools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.report.gaze_on_film import ShownGaze

Colour = tuple[int, int, int]

MARKER: Colour = (255, 45, 85)
RING: Colour = (255, 255, 255)
TAIL: Colour = (255, 214, 10)
BLINK: Colour = (64, 156, 255)
LOST: Colour = (255, 149, 0)
OUTLINE: Colour = (20, 20, 20)

_SHIFT = 4  # bits behind the point in OpenCV's coordinates
_ONE = 1 << _SHIFT
_MIN_LABELLED_PX = 100
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def paint_gaze(image: NDArray[np.uint8], shown: ShownGaze) -> None:
    """Paint tail, circle of the accuracy, marker, and what is lost onto an RGB image, shape (height, width, 3).

    The marker is a disc with a ring. A gaze beside the film is a triangle at the edge that points to it. Frames with a
    blink or without a gaze have a coloured border and, unless they are small, say why.
    """
    height, width = image.shape[:2]
    radius = marker_radius_px(height, width)
    points = [(each.x * width - 0.5, each.y * height - 0.5, each.age) for each in shown.tail]
    if shown.point is not None:
        centre = (shown.point[0] * width - 0.5, shown.point[1] * height - 0.5)
        _paint_tail(image, [(*centre, shown.tail[0].age if shown.tail else 0.0), *points], max(2.0, radius * 0.7))
        if shown.accuracy is not None:
            _paint_circle(image, centre, (shown.accuracy[0] * width, shown.accuracy[1] * height))
    label, colour = _describe(shown)
    if colour is not None:
        thickness = max(1, round(min(height, width) / 90))
        cv2.rectangle(image, (0, 0), (width - 1, height - 1), colour, 2 * thickness - 1)
    if shown.point is not None:
        if 0 <= shown.point[0] <= 1 and 0 <= shown.point[1] <= 1:
            _paint_disc(image, centre, radius + max(1.0, radius / 4), RING)
            _paint_disc(image, centre, radius, MARKER)
        else:
            _paint_pointer(image, centre, max(5.0, 1.6 * radius))
    if label and colour is not None and min(height, width) >= _MIN_LABELLED_PX:
        _paint_label(image, label, colour)


def marker_radius_px(height: int, width: int) -> float:
    """Return the radius of the marker's disc."""
    return min(max(0.012 * min(height, width), 2.5), 12.0)


def _describe(shown: ShownGaze) -> tuple[str, Colour | None]:
    if shown.is_blink:
        return "blink", BLINK
    if shown.lost is not None:
        return shown.lost, LOST
    if shown.point is not None and not (0 <= shown.point[0] <= 1 and 0 <= shown.point[1] <= 1):
        return "beside the film", TAIL
    return "", None


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(min(max(x, -1e5), 1e5) * _ONE), round(min(max(y, -1e5), 1e5) * _ONE)


def _paint_disc(image: NDArray[np.uint8], centre: tuple[float, float], radius: float, colour: Colour) -> None:
    cv2.circle(image, _fixed(*centre), round(radius * _ONE), colour, -1, cv2.LINE_AA, _SHIFT)


def _paint_circle(image: NDArray[np.uint8], centre: tuple[float, float], radii: tuple[float, float]) -> None:
    most = 4.0 * max(image.shape[:2])
    axes = _fixed(*(min(each, most) for each in radii))
    width = max(1, round(min(image.shape[:2]) / 400))
    for colour, thickness in ((OUTLINE, 2 * width + 1), (RING, width)):
        cv2.ellipse(image, _fixed(*centre), axes, 0, 0, 360, colour, thickness, cv2.LINE_AA, _SHIFT)


def _paint_tail(image: NDArray[np.uint8], points: list[tuple[float, float, float]], thickness: float) -> None:
    """Paint lines through points of x, y and age, which fade with their age."""
    if len(points) < 2:
        return
    height, width = image.shape[:2]
    opacity = np.zeros((height, width), dtype=np.uint8)
    for (x, y, _), (old_x, old_y, age) in reversed(list(itertools.pairwise(points))):
        level = max(0, round(255 * (1 - age)))
        pen = max(1, round(thickness * (1 - 0.6 * age)))
        cv2.line(opacity, _fixed(x, y), _fixed(old_x, old_y), level, pen, cv2.LINE_AA, _SHIFT)
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    if not rows.size:
        return
    area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    share = opacity[area][..., None] / np.float32(255)
    image[area] = np.rint(image[area] * (1 - share) + np.array(TAIL, dtype=np.float32) * share)


def _paint_pointer(image: NDArray[np.uint8], target: tuple[float, float], size: float) -> None:
    """Paint a triangle at the edge that points to a place outside."""
    height, width = image.shape[:2]
    x, y = min(max(target[0], 0.0), width - 1.0), min(max(target[1], 0.0), height - 1.0)
    away = math.atan2(target[1] - y, target[0] - x)
    ahead = np.array([math.cos(away), math.sin(away)])
    aside = np.array([-ahead[1], ahead[0]])
    tip = np.array([x, y])
    corners = [tip, tip - 2 * size * ahead + size * aside, tip - 2 * size * ahead - size * aside]
    polygon = np.array([_fixed(*corner) for corner in corners], dtype=np.int32)
    cv2.fillPoly(image, [polygon], TAIL, cv2.LINE_AA, _SHIFT)
    cv2.polylines(image, [polygon], isClosed=True, color=OUTLINE, thickness=1, lineType=cv2.LINE_AA, shift=_SHIFT)


def _paint_label(image: NDArray[np.uint8], label: str, colour: Colour) -> None:
    height, width = image.shape[:2]
    scale = min(max(min(height, width) / 700, 0.35), 2.0)
    thickness = max(1, round(scale * 1.6))
    (text_width, text_height), below = cv2.getTextSize(label, _FONT, scale, thickness)
    pad = max(2, round(6 * scale))
    top = height - text_height - below - 2 * pad
    cv2.rectangle(image, (0, top), (min(width - 1, text_width + 2 * pad), height - 1), colour, -1)
    cv2.putText(image, label, (pad, height - below - pad), _FONT, scale, OUTLINE, thickness, cv2.LINE_AA)
