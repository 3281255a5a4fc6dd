"""Heat maps: how long the gaze was where.

The gaze time of each point is spread by a Gaussian. Its standard deviation is 1 degree of visual angle, about the size
of the fovea, or that of the error of the gaze if that is larger. Source: Le Meur and Baccino, Methods for comparing
scanpaths and saliency maps: strengths and weaknesses, Behavior Research Methods 45(1), 251-266, 2013. Weighting by
time: Holmqvist et al., Eye Tracking, Oxford University Press, 2011, chapter 7 (attention maps).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Screen, Viewport
from gaze_tools.report.trace import TraceRow

FOVEA_DEG = 1.0
"""Smallest standard deviation of a heat map."""

MAX_SIGMA_DEG = 20.0

USUAL_DISTANCE_MM = 600.0
"""Distance from the eyes to the screen, if no frame states one."""

MAX_STEP_S = 0.5
"""Longest time to the next frame for which a gaze stands, unless frames are usually further apart."""

_USUAL_STEP_S = 0.05
_SIZE_STEP = 0.1
_MIN_SIGMA_PX = 0.7  # the sum of a narrower Gaussian's pixels is not 1


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """How long the gaze was where on the video.

    Attributes:
        density: Seconds of gaze per square degree of visual angle, shape (height, width).
        sigma_deg: Standard deviation of the Gaussian.
        on_video_s: Gaze time on the video.
        off_video_s: Gaze time beside it, which is not part of the density.
    """

    density: NDArray[np.float64]
    sigma_deg: float
    on_video_s: float
    off_video_s: float


@dataclass(frozen=True, slots=True)
class TimedGaze:
    """A point of gaze on the video.

    Attributes:
        x: Horizontal position, normalised to the video; may lie outside.
        y: Vertical position, normalised to the video; may lie outside.
        width_mm: Width of the video on the screen.
        height_mm: Height of the video on the screen.
        duration_s: Time for which it stands.
    """

    x: float
    y: float
    width_mm: float
    height_mm: float
    duration_s: float

    @classmethod
    def of(cls, row: TraceRow, setup: tuple[Screen, Viewport], duration_s: float) -> "TimedGaze | None":
        """Return the point of gaze of a row, watched on this screen for this long; None if it has none."""
        if row.video_x is None or row.video_y is None:
            return None
        screen, viewport = setup
        width_mm, height_mm = screen.width_mm * viewport.width, screen.height_mm * viewport.height
        return cls(row.video_x, row.video_y, width_mm, height_mm, duration_s)


def find_sigma_deg(accuracy_deg: float | None) -> float:
    """Return the standard deviation of the Gaussian.

    Accuracy is the mean angular error, which is sqrt(pi / 2) standard deviations of an isotropic normal error.
    """
    error_deg = 0.0 if accuracy_deg is None else accuracy_deg * math.sqrt(2 / math.pi)
    return min(max(FOVEA_DEG, error_deg), MAX_SIGMA_DEG)


def find_distance_mm(rows: Iterable[TraceRow]) -> float:
    """Return the median distance from the eyes to the screen."""
    distances = [row.distance_mm for row in rows if row.distance_mm is not None and row.distance_mm > 0]
    return float(np.median(distances)) if distances else USUAL_DISTANCE_MM


def find_step_s(rows: Sequence[TraceRow]) -> float:
    """Return the usual time from frame to frame."""
    steps_s = np.diff([row.time_s for row in rows])
    steps_s = steps_s[steps_s > 0]
    return float(np.median(steps_s)) if steps_s.size else _USUAL_STEP_S


def find_durations_s(rows: Sequence[TraceRow]) -> dict[int, float]:
    """Return the time for which each frame stands, by frame number: that to the next frame.

    Where the video pauses or jumps, or no frame comes for longer than `MAX_STEP_S`, it is the usual time. So a webcam
    that slows down in dim light does not make the places seem short that are watched then.
    """
    if not rows:
        return {}
    usual_s = find_step_s(rows)
    steps_s = np.append(np.diff([row.time_s for row in rows]), usual_s)
    steps_s = np.where((steps_s > 0) & (steps_s <= max(MAX_STEP_S, usual_s)), steps_s, usual_s)
    return dict(zip((row.frame_number for row in rows), steps_s.tolist(), strict=True))


def make_heat(gazes: Sequence[TimedGaze], shape: tuple[int, int], *, sigma_deg: float, distance_mm: float) -> HeatMap:
    """Return the heat map of points of gaze.

    Points beside the video do not count, and what the Gaussian spreads beyond its edges is lost.

    Args:
        gazes: Points of gaze.
        shape: Height and width of the map, which covers the video.
        sigma_deg: Standard deviation of the Gaussian.
        distance_mm: Distance from the eyes to the screen.
    """
    height, width = shape
    density = np.zeros(shape)
    sigma_mm = distance_mm * math.tan(math.radians(sigma_deg))
    groups: dict[tuple[int, int], list[TimedGaze]] = {}
    on_video = [each for each in gazes if 0 <= each.x <= 1 and 0 <= each.y <= 1]
    for each in on_video:
        # Videos of about the same size on the screen are blurred together.
        size = (_size_class(each.width_mm), _size_class(each.height_mm))
        groups.setdefault(size, []).append(each)
    for group in groups.values():
        counts = np.zeros(shape)
        columns = np.array([min(int(each.x * width), width - 1) for each in group])
        rows = np.array([min(int(each.y * height), height - 1) for each in group])
        np.add.at(counts, (rows, columns), [each.duration_s for each in group])
        columns_per_mm = width / float(np.mean([each.width_mm for each in group]))
        rows_per_mm = height / float(np.mean([each.height_mm for each in group]))
        sigma_x, sigma_y = sigma_mm * columns_per_mm, sigma_mm * rows_per_mm
        pixels_per_square_deg = sigma_x * sigma_y / sigma_deg**2
        kernels = _make_kernel(sigma_x, width), _make_kernel(sigma_y, height)
        blurred = cv2.sepFilter2D(counts, cv2.CV_64F, *kernels, borderType=cv2.BORDER_CONSTANT)
        density += blurred * pixels_per_square_deg
    on_video_s = sum(each.duration_s for each in on_video)
    return HeatMap(density, sigma_deg, on_video_s, sum(each.duration_s for each in gazes) - on_video_s)


def _size_class(size_mm: float) -> int:
    return round(math.log(size_mm) / _SIZE_STEP)


def _make_kernel(sigma_px: float, pixels: int) -> NDArray[np.float64]:
    """Return a Gaussian that reaches 4 standard deviations or across the map, whichever is less; its whole sum is 1."""
    sigma_px = max(sigma_px, _MIN_SIGMA_PX)
    reach = min(math.ceil(4 * sigma_px), pixels)
    kernel: NDArray[np.float64] = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    return kernel / (sigma_px * math.sqrt(2 * math.pi))
