import math

import numpy as np
import pytest
from pytest import approx

from research.rendering.eye import LEFT, RIGHT, Eyeball, Kappa, eye_rotation, fick_angles_deg, surface_distance_mm

NO_KAPPA = Kappa(nasal_deg=0.0, up_deg=0.0)
LEFT_EYE_MM = np.array([31.5, 0.0, 0.0])
RIGHT_EYE_MM = np.array([-31.5, 0.0, 0.0])


def optical_axis(target_mm, centre_mm, kappa, side):
    return eye_rotation(np.array(target_mm), centre_mm, kappa, side)[:, 2]


def angle_deg(a, b):
    return math.degrees(math.acos(float(a @ b)))


def test_an_eye_without_kappa_points_at_its_target():
    axis = optical_axis([31.5, 0.0, -500.0], LEFT_EYE_MM, NO_KAPPA, LEFT)

    assert axis == approx([0.0, 0.0, -1.0])


def test_eyes_63_mm_apart_converge_by_7_2_degrees_at_500_mm():
    left = optical_axis([0.0, 0.0, -500.0], LEFT_EYE_MM, NO_KAPPA, LEFT)
    right = optical_axis([0.0, 0.0, -500.0], RIGHT_EYE_MM, NO_KAPPA, RIGHT)

    assert angle_deg(left, right) == approx(7.21, abs=0.01)
    assert left[0] < 0 < right[0]  # both towards the nose; x is to the person's left


@pytest.mark.parametrize(("side", "left_deg"), [(LEFT, 5.0), (RIGHT, -5.0)])
def test_the_optical_axis_points_temporally_and_below_the_target(side, left_deg):
    centre = LEFT_EYE_MM if side == LEFT else RIGHT_EYE_MM
    straight_ahead = np.array([0.0, 0.0, -500.0])
    axis = optical_axis(centre + straight_ahead, centre, Kappa(nasal_deg=5.0, up_deg=1.5), side)

    assert fick_angles_deg(axis) == approx((left_deg, -1.5))


def test_the_iris_moves_0_17_mm_per_degree():
    rotation = eye_rotation(np.array([500.0 * math.tan(math.radians(1)), 0.0, -500.0]), np.zeros(3), NO_KAPPA, LEFT)

    iris_mm = rotation @ [0.0, 0.0, 10.0]

    assert iris_mm[0] == approx(0.175, abs=0.001)


def test_mirrored_targets_turn_mirrored_eyes_alike():
    kappa = Kappa(nasal_deg=4.0, up_deg=1.0)
    left = optical_axis([40.0, -60.0, -500.0], LEFT_EYE_MM, kappa, LEFT)
    right = optical_axis([-40.0, -60.0, -500.0], RIGHT_EYE_MM, kappa, RIGHT)

    assert right == approx(left * [-1.0, 1.0, 1.0])


def test_rotations_are_proper():
    rotation = eye_rotation(np.array([80.0, 120.0, -400.0]), LEFT_EYE_MM, Kappa(5.0, 1.5), LEFT)

    assert rotation @ rotation.T == approx(np.eye(3))
    assert np.linalg.det(rotation) == approx(1.0)


def test_the_cornea_stands_2_6_mm_proud_of_the_limbus():
    assert 13.5 - Eyeball(iris_diameter_mm=11.7).limbus_mm == approx(2.64, abs=0.01)


@pytest.mark.parametrize(("off_axis_deg", "distance_mm"), [(0.0, 13.5), (28.3, 12.34), (90.0, 11.79)])
def test_the_surface_has_anatomical_distances(off_axis_deg, distance_mm):
    turn = math.radians(off_axis_deg)
    direction = np.array([[math.sin(turn), 0.0, -math.cos(turn)]])

    assert surface_distance_mm(direction, np.array([0.0, 0.0, -1.0]), Eyeball()) == approx(distance_mm, abs=0.02)
