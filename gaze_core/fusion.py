"""Fusion of the estimates of where the eyes look: landmarks, network and blendshapes.

The estimates err by different causes, so their weighted mean errs less than each of them. The weights are those of the
best linear unbiased combination, w = C⁻¹1 / (1ᵀC⁻¹1). C is the covariance of the estimates' errors; the horizontal and
the vertical angle each have their own. Negative weights would stake the result on small differences between
covariances. They are replaced by zero, and the others computed without that estimate. An estimate that is missing drops
out in the same way: the others keep their covariances.

The network predicts its own spread for every frame. Its error is assumed to grow in proportion, with the same
correlations, so its weight falls where it is unsure.

Source: Bates and Granger, The combination of forecasts, Operational Research Quarterly 20, 1969.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core import fusion_weights
from gaze_core.landmarks import EYE_SHAPES
from gaze_core.types import EyeGazes, Floats, GazeDirection

ESTIMATES = ("landmarks", "network", "blendshapes")
"""Order of the estimates in arrays."""

_IDENTITY = np.eye(len(ESTIMATES))

NETWORK = ESTIMATES.index("network")

SPREAD_LIMITS = (0.5, 4.0)
"""Smallest and largest ratio of the predicted to the usual spread that is believed."""


LOOK_DEG = 40.0
"""Degrees for each unit of looking in, out, up or down. Measured on a recording of a real person who fixated known
targets (225 frames; the directions correlate 0.975 sideways and 0.985 vertically). Rendered people give 35 to 38
sideways; vertically their lids follow the gaze less than real ones, so they say nothing about the scale."""

STRAIGHT_DEG = 4.1
"""Horizontal direction when both eyes have the same blendshapes. MediaPipe's network is not symmetric: with these
scales, portraits and their mirror images, turned back, differ by twice this angle (102 portraits)."""


@dataclass(frozen=True, slots=True, eq=False)
class FusionModel:
    """Covariances of the errors of the estimates, head frame.

    Attributes:
        covariances_deg2: Covariances of the horizontal and of the vertical errors in the order of `ESTIMATES`, shape
            (2, 3, 3).
        network_spread_deg: Horizontal and vertical spread predicted by the network, root mean square, at which these
            covariances were measured, shape (2,).
    """

    covariances_deg2: Floats
    network_spread_deg: Floats

    def __post_init__(self) -> None:
        count = len(ESTIMATES)
        for name, shape in (("covariances_deg2", (2, count, count)), ("network_spread_deg", (2,))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {getattr(self, name).shape}")

    def weigh(self, is_known: NDArray[np.bool_], network_spread_deg: Floats) -> Floats:
        """Return the weights of the estimates, shape (..., 3, 2); each axis of each row sums to one.

        Args:
            is_known: Whether there is each estimate, shape (..., 3); at least one in each row.
            network_spread_deg: Horizontal and vertical spread predicted by the network, shape (..., 2); ignored in rows
                without its estimate.
        """
        smallest, largest = SPREAD_LIMITS
        # np.clip takes four times as long for few numbers.
        ratios = np.minimum(np.maximum(network_spread_deg / self.network_spread_deg, smallest), largest)
        factors = np.ones((*ratios.shape, len(ESTIMATES)))
        factors[..., NETWORK] = np.where(is_known[..., NETWORK, None], ratios, 1.0)
        covariances = self.covariances_deg2 * factors[..., :, None] * factors[..., None, :]
        is_used = np.repeat(is_known[..., None, :], 2, axis=-2)
        weights = _combine(covariances, is_used)
        while (weights < 0).any():  # at most once for each estimate but one
            is_used = is_used & (weights > 0)
            weights = _combine(covariances, is_used)
        return weights.swapaxes(-1, -2)

    def weigh_frame(self, known: Sequence[int], network_spread_deg: Sequence[float]) -> list[list[float]]:
        """Return the weights of the estimates of one frame for each axis; numpy takes many times as long for one.

        Args:
            known: Indices of the estimates that there are, at least one.
            network_spread_deg: Horizontal and vertical spread predicted by the network; ignored without its estimate.
        """
        smallest, largest = SPREAD_LIMITS
        weights = []
        for rows, usual_deg, spread_deg in zip(
            self.covariances_deg2.tolist(), self.network_spread_deg.tolist(), network_spread_deg, strict=True
        ):
            if NETWORK in known:
                ratio = min(max(spread_deg / usual_deg, smallest), largest)
                rows[NETWORK] = [ratio * value for value in rows[NETWORK]]
                for row in rows:
                    row[NETWORK] *= ratio
            weights.append(_combine_few(rows, list(known)))
        return weights


@dataclass(frozen=True, slots=True, eq=False)
class ShapeModel:
    """Linear map from the eyes' blendshapes to the gaze direction in the head frame, symmetric but for a constant.

    Attributes:
        sideways_deg: Horizontal weights of half the difference of right and left eye, in the order of `EYE_SHAPES`,
            shape (7,).
        straight_deg: Horizontal direction when both eyes have the same blendshapes.
        upwards_deg: Vertical weights of the mean of both eyes, shape (7,).
        level_deg: Vertical direction when all blendshapes are zero.
    """

    sideways_deg: Floats
    straight_deg: float
    upwards_deg: Floats
    level_deg: float

    def __post_init__(self) -> None:
        for name in ("sideways_deg", "upwards_deg"):
            if getattr(self, name).shape != (len(EYE_SHAPES),):
                raise ValueError(f"{name} must have shape ({len(EYE_SHAPES)},), not {getattr(self, name).shape}")

    def predict(self, eye_shapes: ArrayLike) -> Floats:
        """Return gaze directions in the head frame, degrees, shape (..., 2).

        Args:
            eye_shapes: Blendshapes as in `Landmarks.eye_shapes`, shape (..., 2, 7).
        """
        apart, common = split_shapes(eye_shapes)
        right_deg = self.straight_deg + apart @ self.sideways_deg
        return np.stack([right_deg, self.level_deg + common @ self.upwards_deg], axis=-1)


def split_shapes(eye_shapes: ArrayLike) -> tuple[Floats, Floats]:
    """Return half the difference of right and left eye, and their mean, shape (..., 7) each.

    Args:
        eye_shapes: Blendshapes as in `Landmarks.eye_shapes`, shape (..., 2, 7).
    """
    shapes = np.asarray(eye_shapes, dtype=np.float64)
    if shapes.shape[-2:] != (2, len(EYE_SHAPES)):
        raise ValueError(f"eye_shapes must have shape (..., 2, {len(EYE_SHAPES)}), not {shapes.shape}")
    left, right = shapes[..., 0, :], shapes[..., 1, :]
    return (right - left) / 2, (right + left) / 2


FUSION_MODEL = FusionModel(
    covariances_deg2=np.array([fusion_weights.COVARIANCE_RIGHT, fusion_weights.COVARIANCE_UP]),
    network_spread_deg=np.array(fusion_weights.NETWORK_SPREAD),
)
"""The fusion behind the features of the shipped gaze model."""

SHAPE_MODEL = ShapeModel(
    sideways_deg=np.array([-LOOK_DEG, LOOK_DEG, 0.0, 0.0, 0.0, 0.0, 0.0]),
    straight_deg=STRAIGHT_DEG,
    upwards_deg=np.array([0.0, 0.0, LOOK_DEG, -LOOK_DEG, 0.0, 0.0, 0.0]),
    level_deg=0.0,
)
"""The map behind the features of the shipped gaze model: how much more the eyes look out than in, and up than down."""


def blendshape_gaze(eye_shapes: ArrayLike, *, model: ShapeModel = SHAPE_MODEL) -> GazeDirection:
    """Return the gaze direction of both eyes in the head frame.

    Args:
        eye_shapes: Blendshapes of one face as in `Landmarks.eye_shapes`, shape (2, 7).
        model: The linear map.

    Raises:
        ValueError: The shape is wrong.
    """
    return GazeDirection(*model.predict(eye_shapes).tolist())


def fuse_eyes(
    landmark_deg: GazeDirection | None,
    network: EyeGazes | None,
    blendshape_deg: GazeDirection | None,
    *,
    model: FusionModel = FUSION_MODEL,
) -> GazeDirection:
    """Return the gaze direction of both eyes in the head frame, from all estimates that there are.

    Args:
        landmark_deg: Direction from irises and eye region, head frame; None if both eyes are shut.
        network: Directions from the eye images, turned into the head frame; None without them.
        blendshape_deg: Direction from the blendshapes, head frame; None if the landmarker does not estimate them.
        model: The covariances of the estimates.

    Raises:
        ValueError: All estimates are None.
    """
    estimates_deg = [landmark_deg, None if network is None else network.both_deg.tolist(), blendshape_deg]
    known = [at for at, each in enumerate(estimates_deg) if each is not None and all(map(math.isfinite, each))]
    if not known:
        raise ValueError("at least one estimate must be given")
    spread_deg = model.network_spread_deg if network is None else network.both_spread_deg
    right, up = model.weigh_frame(known, spread_deg.tolist())
    given = [(right[at], up[at], *estimate) for at, estimate in enumerate(estimates_deg) if estimate is not None]
    return GazeDirection(
        sum(weight * right_deg for weight, _, right_deg, _ in given if weight > 0),
        sum(weight * up_deg for _, weight, _, up_deg in given if weight > 0),
    )


def fuse_directions(
    estimates_deg: ArrayLike, network_spread_deg: ArrayLike, *, model: FusionModel = FUSION_MODEL
) -> Floats:
    """Return the combined gaze directions, degrees, shape (..., 2).

    Args:
        estimates_deg: Gaze directions of one frame of reference in the order of `ESTIMATES`, NaN for a missing one,
            shape (..., 3, 2).
        network_spread_deg: Spread predicted by the network, shape (..., 2).
        model: The covariances of the estimates.

    Raises:
        ValueError: A row has no estimate.
    """
    estimates = np.asarray(estimates_deg, dtype=np.float64)
    is_known: NDArray[np.bool_] = np.asarray(np.isfinite(estimates).all(axis=-1))
    if not is_known.any(axis=-1).all():
        raise ValueError("at least one estimate must be given")
    weights = model.weigh(is_known, np.asarray(network_spread_deg, dtype=np.float64))
    fused: Floats = (weights * np.where(is_known[..., None], estimates, 0.0)).sum(axis=-2)
    return fused


def _combine(covariances: Floats, is_used: NDArray[np.bool_]) -> Floats:
    """Return the best weights of the used estimates, and 0 for the others, shape (..., 3)."""
    both = is_used[..., :, None] & is_used[..., None, :]
    # Without the unused rows and columns, but with a diagonal that keeps the matrix invertible.
    kept = np.where(both, covariances, np.where(is_used[..., None], 0.0, _IDENTITY))
    weights = np.linalg.solve(kept, is_used[..., None].astype(np.float64))[..., 0]
    combined: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return combined


def _combine_few(rows: Sequence[Sequence[float]], used: list[int]) -> list[float]:
    """Return the best weights of one frame's estimates without negative ones.

    The weights have the same product with every row of the covariances, so they are orthogonal to the differences of
    rows.

    Args:
        rows: Covariances of three estimates.
        used: Indices of those that there are.
    """
    parts: tuple[float, ...] = (1.0,)
    if len(used) == 3:
        a, b, c = map(operator.sub, rows[1], rows[0])
        d, e, f = map(operator.sub, rows[2], rows[0])
        parts = (b * f - c * e, c * d - a * f, a * e - b * d)
    elif len(used) == 2:
        first, second = used
        shared = rows[first][second]
        parts = (rows[second][second] - shared, rows[first][first] - shared)
    weights, total = [0.0] * len(rows), sum(parts)
    for at, part in zip(used, parts, strict=True):
        weights[at] = part / total
    positive = [at for at in used if weights[at] > 0]
    return weights if min(weights) >= 0 else _combine_few(rows, positive)
