"""Errors broken down by quantity, by position on the screen and by stage of calibration, ready to plot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from research.evaluation.statistics import resample_people

GOAL_5_TARGETS_DEG, GOAL_9_TARGETS_DEG = 2.0, 1.5
"""Goals for the mean error of the median gaze after 5 and after 9 targets."""

MIN_IMAGES = 10
"""A mean over fewer images is not shown as reliable."""

MIN_PEOPLE = 5
"""Fewer people give no interval: resampling them says nothing about other people."""

COLUMNS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ROWS = (0.0, 1 / 3, 2 / 3, 1.0)
"""Edges of the cells of the screen map; the outer cells lie beyond the screen's edges."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageErrors:
    """Uncalibrated errors on single images of people that the model has never seen.

    Attributes:
        point: True point of gaze, normalised to the screen, NaN where the gaze misses the plane, shape (n, 2).
        angular_deg: Angle at the eyes between prediction and truth, shape (n,).
        offset_deg: Predicted minus true gaze_x and gaze_y, shape (n, 2).
        pose_deg: True pitch, yaw and roll of the head, shape (n, 3).
        distance_mm: Distance from the camera to the eyes, shape (n,).
        iris_diameter_px: Diameter of the irises in the image, shape (n,).
        identity: Number of the person, shape (n,).
        is_in_range: Whether the image lies within the ranges that accuracy is stated for, shape (n,).

    Raises:
        ValueError: There is no image, the shapes differ, or an error is not finite.
    """

    point: NDArray[np.float64]
    angular_deg: NDArray[np.float64]
    offset_deg: NDArray[np.float64]
    pose_deg: NDArray[np.float64]
    distance_mm: NDArray[np.float64]
    iris_diameter_px: NDArray[np.float64]
    identity: NDArray[np.int64]
    is_in_range: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.angular_deg)
        if count == 0:
            raise ValueError("there is no image")
        for name, shape in (("point", (2,)), ("offset_deg", (2,)), ("pose_deg", (3,))):
            if getattr(self, name).shape != (count, *shape):
                raise ValueError(f"{name} must have the shape {(count, *shape)}")
        for name in ("distance_mm", "iris_diameter_px", "identity", "is_in_range"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{name} must have the shape {(count,)}")
        if not (np.isfinite(self.angular_deg).all() and np.isfinite(self.offset_deg).all()):
            raise ValueError("every error must be finite")


@dataclass(frozen=True, slots=True, eq=False)
class ErrorsByCalibration:
    """Each person's mean error at validation targets, NaN where there is none.

    Attributes:
        uncalibrated_deg: Without calibration, shape (p,).
        five_targets_deg: After 5 calibration targets, shape (p,).
        nine_targets_deg: After 9 calibration targets, shape (p,).

    Raises:
        ValueError: The shapes differ.
    """

    uncalibrated_deg: NDArray[np.float64]
    five_targets_deg: NDArray[np.float64]
    nine_targets_deg: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.uncalibrated_deg),)
        if not shape == self.uncalibrated_deg.shape == self.five_targets_deg.shape == self.nine_targets_deg.shape:
            raise ValueError("every person needs an error uncalibrated, after 5 and after 9 targets")

    @property
    def stages_deg(self) -> NDArray[np.float64]:
        """Errors by person and stage of calibration, shape (p, 3)."""
        return np.column_stack([self.uncalibrated_deg, self.five_targets_deg, self.nine_targets_deg])


@dataclass(frozen=True, slots=True)
class MeanError:
    """Mean error of a group of images.

    Attributes:
        images: Number of images.
        people: Number of people in them.
        mean_deg: Mean angular error, NaN without an image.
        interval_deg: 95 % interval of the mean over people; None with too few people.
    """

    images: int
    people: int
    mean_deg: float
    interval_deg: tuple[float, float] | None

    @property
    def is_uncertain(self) -> bool:
        """Whether it rests on too few images or people."""
        return self.images < MIN_IMAGES or self.interval_deg is None


@dataclass(frozen=True, slots=True, eq=False)
class ScreenMap:
    """Errors by position on the screen, each of shape (rows, columns), NaN where there is no image.

    Attributes:
        images: Number of images.
        mean_deg: Mean angular error.
        offset_deg: Mean error to the right and up, shape (rows, columns, 2).
    """

    images: NDArray[np.int64]
    mean_deg: NDArray[np.float64]
    offset_deg: NDArray[np.float64]


def find_mean_error(angular_deg: NDArray[np.float64], identity: NDArray[np.int64]) -> MeanError:
    """Return the mean error of some images with its interval over people."""
    people = len(np.unique(identity))
    mean_deg = float(angular_deg.mean()) if len(angular_deg) else np.nan
    interval_deg = None if people < MIN_PEOPLE else resample_people(angular_deg, identity)
    return MeanError(len(angular_deg), people, mean_deg, interval_deg)


def bin_errors(
    values: NDArray[np.float64],
    angular_deg: NDArray[np.float64],
    identity: NDArray[np.int64],
    edges: Sequence[float],
) -> list[MeanError]:
    """Return the mean error per bin: below the first edge, from each edge to below the next, from the last edge.

    Values that are not finite belong to no bin.
    """
    number = np.where(np.isfinite(values), np.searchsorted(np.asarray(edges, float), values, side="right"), -1)
    return [find_mean_error(angular_deg[number == each], identity[number == each]) for each in range(len(edges) + 1)]


def map_errors(errors: ImageErrors) -> ScreenMap:
    """Return the errors by position on the screen; a cell includes its lower edges of `ROWS` and `COLUMNS`."""
    known = np.isfinite(errors.point).all(axis=1)
    column = np.searchsorted(np.array(COLUMNS), errors.point[known, 0], side="right")
    row = np.searchsorted(np.array(ROWS), errors.point[known, 1], side="right")
    shape = (len(ROWS) + 1, len(COLUMNS) + 1)
    cell = row * shape[1] + column

    def add_up(values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return np.bincount(cell, weights=values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)

    images = add_up()
    divisor = np.where(images > 0, images, np.nan)
    right, up = (add_up(errors.offset_deg[known, axis]) / divisor for axis in (0, 1))
    return ScreenMap(
        images=images.astype(np.int64),
        mean_deg=add_up(errors.angular_deg[known]) / divisor,
        offset_deg=np.stack([right, up], axis=-1),
    )
