"""What is known of how accurate the gaze model is, in a shape that can be drawn.

`research.evaluation` fills an `Evaluation`, `research.evaluation.figures` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from research.evaluation.statistics import draw_people_again

TARGET_DEG, TARGET_5_DOTS_DEG, TARGET_9_DOTS_DEG = 4.0, 2.0, 1.5
"""Of mean errors: without calibration and in range; of the median over a dot's frames after 5 and after 9 dots."""

FEW_PICTURES = 10
"""With fewer, a mean is shown as little known."""

FEW_PEOPLE = 5
"""With fewer, drawing people again tells nothing about others: there is no interval."""

COLUMNS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ROWS = (0.0, 1 / 3, 2 / 3, 1.0)
"""Where the cells of the map of the screen meet; the outer cells are beyond the screen's edges."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Single pictures of people whom the model never saw, answered without calibration.

    Attributes:
        point: True point of regard, normalised to the screen, NaN where the gaze meets no screen, shape (n, 2).
        angular_deg: Angle at the eyes between prediction and truth, shape (n,).
        offset_deg: gaze_x and gaze_y, prediction minus truth: to the right and up, shape (n, 2).
        pose_deg: True pitch, yaw and roll of the head, shape (n, 3).
        distance_mm: From the camera to the eyes, shape (n,).
        iris_diameter_px: In the picture, shape (n,).
        identity: Number of the person, shape (n,).
        is_in_range: Whether it lies within the ranges that accuracy is promised for, shape (n,).

    Raises:
        ValueError: There is no picture, the shapes differ, or an error is not a number.
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
            raise ValueError("there is no picture to draw anything of")
        for name, shape in (("point", (2,)), ("offset_deg", (2,)), ("pose_deg", (3,))):
            if getattr(self, name).shape != (count, *shape):
                raise ValueError(f"{name} must have the shape {(count, *shape)}")
        for name in ("distance_mm", "iris_diameter_px", "identity", "is_in_range"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{name} must have the shape {(count,)}")
        if not (np.isfinite(self.angular_deg).all() and np.isfinite(self.offset_deg).all()):
            raise ValueError("every picture needs an error")


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Mean error of each person at places that took no part in their calibration, NaN where there is none.

    Attributes:
        generic_deg: Without calibration, shape (p,).
        five_dots_deg: After 5 dots, likewise.
        nine_dots_deg: After 9 dots, likewise.

    Raises:
        ValueError: The shapes differ.
    """

    generic_deg: NDArray[np.float64]
    five_dots_deg: NDArray[np.float64]
    nine_dots_deg: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.generic_deg),)
        if not shape == self.generic_deg.shape == self.five_dots_deg.shape == self.nine_dots_deg.shape:
            raise ValueError("every person needs an error before and after 5 and 9 dots")

    @property
    def table_deg(self) -> NDArray[np.float64]:
        """All of them, shape (p, 3)."""
        return np.column_stack([self.generic_deg, self.five_dots_deg, self.nine_dots_deg])


@dataclass(frozen=True, slots=True)
class LearningStep:
    """What training on fewer people gives: mean error on test people, least and largest mean over repeats."""

    people: int
    mean_deg: float
    low_deg: float
    high_deg: float


@dataclass(frozen=True, slots=True)
class Rung:
    """Mean error when what the label names is true and not measured; the first rung is the model as it is."""

    label: str
    mean_deg: float


@dataclass(frozen=True, slots=True)
class Ablation:
    """Mean error of a model without one feature, and of the model with all."""

    feature: str
    without_deg: float
    with_all_deg: float

    @property
    def rise_deg(self) -> float:
        """How much worse it is without."""
        return self.without_deg - self.with_all_deg


@dataclass(frozen=True, slots=True)
class Estimator:
    """Mean error of a kind of model on the same features, and how long one prediction takes."""

    name: str
    mean_deg: float
    prediction_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What is drawn; what is None or empty is left out.

    Attributes:
        pictures: Single pictures, uncalibrated.
        of_medians: Errors of the median over each place's frames.
        of_frames: Errors of single frames, mean over each place's.
        learning: By rising number of people.
        ladder: In the order to draw, the model as it is first.
        ablation: In any order.
        estimators: Likewise.
    """

    pictures: Pictures
    of_medians: Calibrated | None = None
    of_frames: Calibrated | None = None
    learning: tuple[LearningStep, ...] = ()
    ladder: tuple[Rung, ...] = ()
    ablation: tuple[Ablation, ...] = ()
    estimators: tuple[Estimator, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """Errors of some pictures.

    Attributes:
        images: How many.
        people: Of how many.
        mean_deg: NaN without a picture.
        interval_deg: 95 % interval of the mean over people; None where there are too few.
    """

    images: int
    people: int
    mean_deg: float
    interval_deg: tuple[float, float] | None

    @property
    def is_little_known(self) -> bool:
        """Whether too few pictures or people stand behind it."""
        return self.images < FEW_PICTURES or self.interval_deg is None


@dataclass(frozen=True, slots=True, eq=False)
class ScreenMap:
    """Errors by place on the screen, each of shape (rows, columns), NaN where there is no picture.

    Attributes:
        images: How many pictures.
        mean_deg: Mean angular error.
        offset_deg: Mean error to the right and up, shape (rows, columns, 2).
    """

    images: NDArray[np.int64]
    mean_deg: NDArray[np.float64]
    offset_deg: NDArray[np.float64]


def summarise(angular_deg: NDArray[np.float64], identity: NDArray[np.int64]) -> Summary:
    """Return how many pictures of how many people there are, their mean error and its interval."""
    people = len(np.unique(identity))
    mean_deg = float(angular_deg.mean()) if len(angular_deg) else np.nan
    return Summary(len(angular_deg), people, mean_deg, interval_over_people(angular_deg, identity))


def interval_over_people(angular_deg: NDArray[np.float64], identity: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean over other people; None with fewer than `FEW_PEOPLE`."""
    if len(np.unique(identity)) < FEW_PEOPLE:
        return None
    return draw_people_again(angular_deg, identity)


def bin_errors(
    values: NDArray[np.float64],
    angular_deg: NDArray[np.float64],
    identity: NDArray[np.int64],
    edges: Sequence[float],
) -> list[Summary]:
    """Return the errors in each bin: below the first edge, from each edge to below the next, from the last on.

    Values that are not finite are in none.
    """
    number = np.where(np.isfinite(values), np.searchsorted(np.asarray(edges, float), values, side="right"), -1)
    return [summarise(angular_deg[number == each], identity[number == each]) for each in range(len(edges) + 1)]


def map_errors(pictures: Pictures) -> ScreenMap:
    """Return the errors by place on the screen; a cell of `ROWS` and `COLUMNS` begins with its lower edge."""
    known = np.isfinite(pictures.point).all(axis=1)
    column = np.searchsorted(np.array(COLUMNS), pictures.point[known, 0], side="right")
    row = np.searchsorted(np.array(ROWS), pictures.point[known, 1], side="right")
    shape = (len(ROWS) + 1, len(COLUMNS) + 1)
    cell = row * shape[1] + column

    def add_up(values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return np.bincount(cell, weights=values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)

    images = add_up()
    divisor = np.where(images > 0, images, np.nan)
    right, up = (add_up(pictures.offset_deg[known, axis]) / divisor for axis in (0, 1))
    return ScreenMap(
        images=images.astype(np.int64),
        mean_deg=add_up(pictures.angular_deg[known]) / divisor,
        offset_deg=np.stack([right, up], axis=-1),
    )
