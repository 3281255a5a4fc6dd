"""Linear correction of the iris direction by the shape of lids, brows and irises.

An eye's centre of rotation is invisible. The iris geometry places it straight behind the middle of the eye corners. The
true position differs by a millimetre between people and poses, and one millimetre changes the gaze by five degrees.
Lids and brows carry the missing information: lids follow the eye up and down, and their shape, together with corners
and irises, shows where the eye lies in its socket.

The weights are fitted to rendered people by ridge regression. The constant is not penalised: irises of rendered people
lie about 12 degrees above the middle of the corners when they look straight ahead. Only a calibration can find how much
of that applies to a given face.

The model is symmetric by construction. The common position of two mirrored points moves the gaze vertically, their
difference moves it horizontally, so a mirrored image yields the mirrored gaze.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from gaze_core import eye_region_weights
from gaze_core.types import Floats, GazeDirection

PAIRS = (
    # The viewer's right point, then the left one. Eye corners and lids.
    *((33, 263), (7, 249), (163, 390), (144, 373), (145, 374), (153, 380), (154, 381), (155, 382)),
    *((133, 362), (173, 398), (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (246, 466)),
    # Irises: centre, then the rim towards nose, brow, temple and cheek.
    *((468, 473), (469, 476), (470, 475), (471, 474), (472, 477)),
    # Brows.
    *((55, 285), (65, 295), (52, 282), (105, 334)),
)
"""Pairs of mirrored landmarks."""

RIGHT_POINTS, LEFT_POINTS = (tuple(pair[side] for pair in PAIRS) for side in (0, 1))

PLANE_MM = 8.0
"""Distance from the eyes' centres of rotation forwards to the plane on which the points are measured, near the lids."""

REFERENCE_DISTANCE_MM = 600.0
"""Viewing distance at which the distance term is zero."""


@dataclass(frozen=True, slots=True, eq=False)
class EyeRegionModel:
    """Weights of the correction, in degrees, head frame.

    Attributes:
        sideways: Horizontal weights of the asymmetric part of each pair (see `split_pairs`), per mm, shape (pairs, 2).
        upwards: Vertical weights of the symmetric part of each pair, per mm, shape (pairs, 2).
        sideways_terms: Horizontal weights of the iris direction, yaw and roll, per degree, shape (3,).
        upwards_terms: Vertical constant, and vertical weights of the iris direction and pitch, per degree, and of the
            distance, per mm, shape (4,).
        alone_sideways: Replaces `sideways_terms` when only one eye is visible; fitted to faces with both eyes open.
        alone_upwards: Replaces `upwards_terms` when only one eye is visible; fitted to faces with both eyes open.
    """

    sideways: Floats
    upwards: Floats
    sideways_terms: Floats
    upwards_terms: Floats
    alone_sideways: Floats = field(default_factory=lambda: np.zeros(3))
    alone_upwards: Floats = field(default_factory=lambda: np.zeros(4))

    def __post_init__(self) -> None:
        for name, shape in (
            ("sideways", (len(PAIRS), 2)),
            ("upwards", (len(PAIRS), 2)),
            ("sideways_terms", (3,)),
            ("upwards_terms", (4,)),
            ("alone_sideways", (3,)),
            ("alone_upwards", (4,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {getattr(self, name).shape}")

    def correct(
        self,
        irises: GazeDirection,
        head_deg: tuple[float, float, float],
        distance_mm: float,
        points_mm: ArrayLike | None,
    ) -> GazeDirection:
        """Return the corrected gaze direction in the head frame.

        Args:
            irises: Gaze direction from the iris geometry, head frame.
            head_deg: Pitch, yaw and roll of the head.
            distance_mm: Distance from the camera to the midpoint between the eyes.
            points_mm: `RIGHT_POINTS`, then `LEFT_POINTS`, projected to the plane `PLANE_MM` in front of the eyes: x
                and y of the head frame relative to the midpoint between the eyes, shape (2 × pairs, 2). None when one
                eye is hidden or shut.
        """
        sideways_terms, upwards_terms = describe_pose(irises, head_deg, distance_mm)
        if points_mm is None:
            right_deg = float(self.alone_sideways @ sideways_terms)
            up_deg = float(self.alone_upwards @ upwards_terms)
        else:
            apart, common = split_pairs(points_mm)
            right_deg = float(self.sideways_terms @ sideways_terms + (self.sideways * apart).sum())
            up_deg = float(self.upwards_terms @ upwards_terms + (self.upwards * common).sum())
        return GazeDirection(irises.gaze_x_deg + right_deg, irises.gaze_y_deg + up_deg)


def describe_pose(
    irises: GazeDirection, head_deg: tuple[float, float, float], distance_mm: float
) -> tuple[Floats, Floats]:
    """Return the inputs of `sideways_terms` and `upwards_terms`, shapes (3,) and (4,)."""
    pitch_deg, yaw_deg, roll_deg = head_deg
    sideways = np.array([irises.gaze_x_deg, yaw_deg, roll_deg])
    upwards = np.array([1.0, irises.gaze_y_deg, pitch_deg, distance_mm - REFERENCE_DISTANCE_MM])
    return sideways, upwards


def split_pairs(points_mm: ArrayLike) -> tuple[Floats, Floats]:
    """Return the asymmetric and the symmetric part of the mirrored points, each of shape (pairs, 2).

    The asymmetric part is zero for a symmetric face: mean x of a pair, and half the y of the right point minus that of
    the left one. The symmetric part is half the x of the right point minus that of the left one, and the mean y.

    Args:
        points_mm: As in `EyeRegionModel.correct`.
    """
    right, left = np.asarray(points_mm, dtype=np.float64).reshape(2, len(PAIRS), 2)
    mirrored = left * [-1.0, 1.0]
    return (right - mirrored) / 2, (right + mirrored) / 2


_PAIR_WEIGHTS = np.array(eye_region_weights.PAIRS)
EYE_REGION_MODEL = EyeRegionModel(
    sideways=_PAIR_WEIGHTS[:, 0:2],
    upwards=_PAIR_WEIGHTS[:, 2:4],
    sideways_terms=np.array(eye_region_weights.SIDEWAYS),
    upwards_terms=np.array(eye_region_weights.UPWARDS),
    alone_sideways=np.array(eye_region_weights.ALONE_SIDEWAYS),
    alone_upwards=np.array(eye_region_weights.ALONE_UPWARDS),
)
"""The model behind the features of the shipped gaze model."""
