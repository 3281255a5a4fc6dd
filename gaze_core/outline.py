"""What the outline of eyes and brows adds to the geometry of the irises.

Where an eye's centre of rotation lies cannot be seen: the geometry takes it to be straight behind the middle of the
eye's corners, which is off by a millimetre from person to person and pose to pose, and one millimetre is five degrees.
Lids and brows tell more: lids follow the eye up and down, and their shape, with the corners' and the irises', tells
where in its socket the eye is. How much each point counts is learnt (`python -m models.outline`), linearly and with a
strong pull towards zero. The constant is not pulled: rendered irises lie some 12 degrees above the middle of the
corners when they look straight ahead. How much of that a given face has only a calibration can tell.

Symmetric by construction: what two mirrored points have in common moves the gaze up or down, what tells them apart
moves it sideways. So mirroring the picture mirrors the gaze.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core import outline_weights
from gaze_core.types import GazeDirection

PAIRS = (
    # The viewer's right, then left. Eyes: corners and lids.
    *((33, 263), (7, 249), (163, 390), (144, 373), (145, 374), (153, 380), (154, 381), (155, 382)),
    *((133, 362), (173, 398), (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (246, 466)),
    # Irises: centre, then the rim, towards the nose, up, towards the temple, down.
    *((468, 473), (469, 476), (470, 475), (471, 474), (472, 477)),
    # Brows.
    *((55, 285), (65, 295), (52, 282), (105, 334)),
)
"""Landmarks that mirror each other."""

RIGHT_POINTS, LEFT_POINTS = (tuple(pair[side] for pair in PAIRS) for side in (0, 1))

PLANE_MM = 8.0
"""How far before the eyes' centres of rotation the plane lies on which the outline is measured: about the lids."""

USUAL_DISTANCE_MM = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """How much each point and angle counts; all in degrees, head frame.

    Attributes:
        sideways: Per mm by which a pair lies to one side, and by which its right point lies lower than the left one,
            halved; shape (pairs, 2).
        upwards: Per mm between a pair's points, halved, and per mm by which both lie low, shape (pairs, 2).
        sideways_terms: Per degree of the irises' direction, of yaw and of roll, shape (3,).
        upwards_terms: Always; per degree of the irises' direction, of pitch; per mm of distance, shape (4,).
        alone_sideways: As `sideways_terms`, with one eye alone and no outline; learnt from faces with both eyes open.
        alone_upwards: As `upwards_terms`, likewise.
    """

    sideways: NDArray[np.float64]
    upwards: NDArray[np.float64]
    sideways_terms: NDArray[np.float64]
    upwards_terms: NDArray[np.float64]
    alone_sideways: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    alone_upwards: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

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
        """Return where the eyes are turned in the head.

        Args:
            irises: What the geometry of the irises says, in the head frame.
            head_deg: Pitch, yaw and roll of the head.
            distance_mm: From the camera to the midpoint between the eyes.
            points_mm: `RIGHT_POINTS`, then `LEFT_POINTS`, on a plane `PLANE_MM` before the eyes, x and y of the head
                frame about the midpoint between the eyes, shape (2 × pairs, 2); None when one eye is hidden or shut.
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
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what `sideways_terms` and `upwards_terms` of an `Outline` multiply, shapes (3,) and (4,)."""
    pitch_deg, yaw_deg, roll_deg = head_deg
    sideways = np.array([irises.gaze_x_deg, yaw_deg, roll_deg])
    upwards = np.array([1.0, irises.gaze_y_deg, pitch_deg, distance_mm - USUAL_DISTANCE_MM])
    return sideways, upwards


def split_pairs(points_mm: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what tells mirrored points apart and what they have in common, each of shape (pairs, 2).

    Args:
        points_mm: As in `Outline.correct`.
    """
    right, left = np.asarray(points_mm, dtype=np.float64).reshape(2, len(PAIRS), 2)
    mirrored = left * [-1.0, 1.0]
    return (right - mirrored) / 2, (right + mirrored) / 2


_PAIR_WEIGHTS = np.array(outline_weights.PAIRS)
OUTLINE = Outline(
    sideways=_PAIR_WEIGHTS[:, 0:2],
    upwards=_PAIR_WEIGHTS[:, 2:4],
    sideways_terms=np.array(outline_weights.SIDEWAYS),
    upwards_terms=np.array(outline_weights.UPWARDS),
    alone_sideways=np.array(outline_weights.ALONE_SIDEWAYS),
    alone_upwards=np.array(outline_weights.ALONE_UPWARDS),
)
"""The one that the features use."""
