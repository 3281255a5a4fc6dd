"""The eyeball: its dimensions and its rotation.

Eye frame: origin in the centre of rotation, z along the optical axis out of the eye, and for an eye that looks
straight ahead x to the person's left and y up, mm. The cornea is a cap of a sphere; it meets the sclera's sphere at the
limbus without a step.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.gaze import gaze_direction
from gaze_core.types import Floats, Matrix, Vector

CORNEA_RADIUS_MM = 7.8
APEX_MM = 13.5
"""Distance from the centre of rotation to the cornea's apex; Fry and Hill, The center of rotation of the eye, 1962."""

IRIS_PLANE_MM = 10.0
"""Distance from the centre of rotation to the iris plane; the anterior chamber with the cornea is about 3.5 mm deep."""

REFRACTIVE_INDEX = 1.336
"""Refractive index of the aqueous humour; Gullstrand's schematic eye."""

LEFT, RIGHT = 0, 1  # the person's own left and right; the order of all pairs of eyes
SIDES = (1.0, -1.0)
"""Sign of the head frame's x towards the temple, for the left and the right eye."""


@dataclass(frozen=True, slots=True)
class Eyeball:
    """Dimensions of one person's eyes.

    Attributes:
        sclera_radius_mm: Radius of the globe.
        iris_diameter_mm: Horizontal visible diameter, limbus to limbus.
        pupil_diameter_mm: Diameter of the real pupil, which the cornea magnifies.
    """

    sclera_radius_mm: float = 11.8
    iris_diameter_mm: float = 11.7
    pupil_diameter_mm: float = 3.5

    @property
    def cornea_centre_mm(self) -> float:
        """Position of the centre of the cornea's sphere on the optical axis."""
        return APEX_MM - CORNEA_RADIUS_MM

    @property
    def limbus_mm(self) -> float:
        """Position of the limbus plane on the optical axis."""
        return self.cornea_centre_mm + math.sqrt(CORNEA_RADIUS_MM**2 - (self.iris_diameter_mm / 2) ** 2)

    @property
    def sclera_centre_mm(self) -> float:
        """Position of the centre of the sclera's sphere on the optical axis; it meets the cornea at the limbus."""
        return self.limbus_mm - math.sqrt(self.sclera_radius_mm**2 - (self.iris_diameter_mm / 2) ** 2)


@dataclass(frozen=True, slots=True)
class Kappa:
    """Angle between the optical and the visual axis of one eye.

    Attributes:
        nasal_deg: Component towards the nose, about 5 degrees in adults.
        up_deg: Component upwards, about 1.5 degrees.

    Source: Guestrin and Eizenman, General theory of remote gaze estimation, IEEE TBME 53, 2006.
    """

    nasal_deg: float
    up_deg: float


def eye_rotation(target_mm: Vector, centre_mm: Vector, kappa: Kappa, side: int) -> Matrix:
    """Return the rotation from the eye frame to the head frame of an eye whose visual axis meets the target.

    Both axes are assumed to pass through the centre of rotation; the real visual axis misses it by 0.5 mm, which is
    0.06 degrees at 500 mm. The eye turns about the vertical axis and then its own horizontal one (Fick).

    Args:
        target_mm: Head frame, shape (3,).
        centre_mm: Centre of rotation, head frame, shape (3,).
        kappa: Angle kappa of this eye.
        side: `LEFT` or `RIGHT`.
    """
    left_deg, up_deg = fick_angles_deg(target_mm - centre_mm).tolist()
    # The visual axis lies nasally of the optical axis: the left eye's optical axis points further left.
    return fick_rotation(left_deg + SIDES[side] * kappa.nasal_deg, up_deg - kappa.up_deg)


def fick_angles_deg(direction: ArrayLike) -> Floats:
    """Return the angles of head-frame directions to the person's left and up, degrees, shape (..., 2).

    Args:
        direction: Vectors of any length, head frame, shape (..., 3).
    """
    return np.asarray(gaze_direction(direction) * np.array([-1.0, 1.0]))


def fick_rotation(left_deg: float, up_deg: float) -> Matrix:
    """Return the rotation from the eye frame to the head frame of an optical axis with those angles, shape (3, 3)."""
    left, up = math.radians(left_deg), math.radians(up_deg)
    forward = np.array([math.cos(up) * math.sin(left), -math.sin(up), -math.cos(up) * math.cos(left)])
    across = np.array([math.cos(left), 0.0, math.sin(left)])
    return np.stack([across, np.cross(forward, across), forward], axis=1)


def surface_distance_mm(directions: NDArray[np.float64], optical_axis: Vector, eyeball: Eyeball) -> NDArray[np.float64]:
    """Return the distance of the eye's surface from the centre of rotation, shape (n,).

    Args:
        directions: Unit vectors from the centre of rotation, any frame, shape (n, 3).
        optical_axis: Unit vector in the same frame, shape (3,).
        eyeball: Dimensions of the eye.
    """
    cosine = np.clip(directions @ optical_axis, -1.0, 1.0)
    sine_squared = 1.0 - cosine**2

    def sphere(centre_mm: float, radius_mm: float) -> NDArray[np.float64]:
        inside = radius_mm**2 - centre_mm**2 * sine_squared
        return np.asarray(np.where(inside > 0, centre_mm * cosine + np.sqrt(np.maximum(inside, 0)), 0.0))

    cornea = np.where(cosine > 0.5, sphere(eyeball.cornea_centre_mm, CORNEA_RADIUS_MM), 0.0)
    return np.maximum(cornea, sphere(eyeball.sclera_centre_mm, eyeball.sclera_radius_mm))
