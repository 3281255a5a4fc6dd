"""The gaze of both eyes from one eye, on literal positions."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.gaze import gaze_direction
from gaze_core.one_eye import direction_from_midpoint, leave_out_hidden_eye
from tests.fakes.eye_network import make_gazes

LEFT_EYE_MM, RIGHT_EYE_MM = np.array([31.5, 0.0, 0.0]), np.array([-31.5, 0.0, 0.0])
TARGET_MM = np.array([-100.0, 80.0, -590.0])
"""A point 100 mm to the viewer's right and 80 mm below the eyes, head frame; 604 mm away."""


def test_the_left_eye_at_600_mm_turns_three_degrees_to_the_nose():
    # atan(31.5 / 600) = 3.0 degrees to the viewer's right.
    assert direction_from_midpoint([3.005, 0.0], 0, 600.8) == approx([0.0, 0.0], abs=0.01)


def test_the_right_eye_at_600_mm_turns_three_degrees_to_the_nose():
    assert direction_from_midpoint([-3.005, 0.0], 1, 600.8) == approx([0.0, 0.0], abs=0.01)


@pytest.mark.parametrize(("index", "eye_mm"), [(0, LEFT_EYE_MM), (1, RIGHT_EYE_MM)])
def test_either_eye_alone_gives_the_direction_from_the_midpoint(index, eye_mm):
    towards = TARGET_MM - eye_mm

    found = direction_from_midpoint(gaze_direction(towards), index, np.linalg.norm(towards))

    assert found == approx(gaze_direction(TARGET_MM))


def test_an_error_of_the_distance_of_ten_percent_changes_little():
    near, far = (direction_from_midpoint([0.0, 0.0], 0, distance_mm) for distance_mm in (540.0, 660.0))

    assert near[0] - far[0] == approx(-0.6, abs=0.02)


def test_many_directions_at_once_are_those_of_each():
    directions_deg = np.array([[3.0, 0.0], [10.0, -5.0]])

    both = direction_from_midpoint(directions_deg, 1, np.array([500.0, 700.0]))

    assert both[1] == approx(direction_from_midpoint([10.0, -5.0], 1, 700.0))


@pytest.mark.parametrize("distance_mm", [0.0, -1.0, np.nan])
def test_a_distance_must_be_positive(distance_mm):
    with pytest.raises(ValueError, match="positive"):
        direction_from_midpoint([0.0, 0.0], 0, distance_mm)


GAZES = make_gazes(left_deg=(5.0, 1.0), right_deg=(-4.0, 2.0), both_deg=(20.0, 20.0), spread_deg=7.0)


@pytest.mark.parametrize("usable", [(True, True), (False, False)])
def test_two_usable_eyes_keep_the_networks_own_direction(usable):
    assert leave_out_hidden_eye(GAZES, usable, 600.0).both_deg == approx([20.0, 20.0])


@pytest.mark.parametrize(("usable", "index"), [((True, False), 0), ((False, True), 1)])
def test_the_only_usable_eye_gives_the_direction(usable, index):
    alone = leave_out_hidden_eye(GAZES, usable, 600.0)

    assert alone.both_deg == approx(direction_from_midpoint(GAZES.eyes_deg[index], index, 600.0))


def test_the_only_usable_eye_gives_the_spread():
    gazes = make_gazes()
    gazes.eyes_spread_deg[1] = (3.0, 9.0)

    assert leave_out_hidden_eye(gazes, (False, True), 600.0).both_spread_deg == approx([3.0, 9.0])


def test_the_answers_of_the_eyes_stay():
    assert leave_out_hidden_eye(GAZES, (False, True), 600.0).eyes_deg == approx(GAZES.eyes_deg)
