"""The gaze of both eyes when only one of them can be seen."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.gaze import IPD_MM, gaze_direction, gaze_vector
from gaze_core.types import EyeGazes, Floats

_SIDES = (1.0, -1.0)
"""Sign of x in the head frame of the left and the right eye."""


def direction_from_midpoint(
    eye_deg: ArrayLike, index: int, distance_mm: ArrayLike, *, ipd_mm: float = IPD_MM
) -> Floats:
    """Return the direction from the midpoint between the eyes to the point that one eye looks at, shape (..., 2).

    Eyes converge on near points: at 600 mm, the line of sight of an eye and that of the midpoint are 3 degrees apart.
    The line of sight is followed for `distance_mm`, as in `gaze.calculate_combined_gaze`.

    Args:
        eye_deg: Line of sight of the eye, head frame, shape (..., 2).
        index: 0 for the left eye, 1 for the right one.
        distance_mm: Distance from the eyes to the fixated point, shape (...); the screen is about as far as the camera.
        ipd_mm: Distance between the eyes.

    Raises:
        ValueError: A distance is not positive.
    """
    distances = np.asarray(distance_mm, dtype=np.float64)
    if not (distances > 0).all():
        raise ValueError("distance_mm must be positive")
    from_midpoint = distances[..., None] * gaze_vector(eye_deg)
    from_midpoint[..., 0] += _SIDES[index] * ipd_mm / 2
    return gaze_direction(from_midpoint)


def leave_out_hidden_eye(gazes: EyeGazes, usable: tuple[bool, bool], distance_mm: float) -> EyeGazes:
    """Return the eye network's answer with the direction of both eyes taken from the only usable one.

    The network's own `both_deg` rests on the image of the other eye too, which shows a nose or a lid. With both eyes
    usable, or none, the answer stays as it is.

    Args:
        gazes: Answer of the eye network, head frame.
        usable: Whether the left and the right eye are open and visible.
        distance_mm: Distance from the camera to the midpoint between the eyes.
    """
    if usable[0] == usable[1]:
        return gazes
    index = usable.index(True)
    return replace(
        gazes,
        both_deg=direction_from_midpoint(gazes.eyes_deg[index], index, distance_mm),
        both_spread_deg=gazes.eyes_spread_deg[index],
    )
