"""Geometry of irises, head and screen, on values that a reader can check."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.gaze import (
    calculate_combined_gaze,
    calculate_distance,
    correct_gaze_vector,
    direction_to,
    estimate_gaze,
    gaze_direction,
    gaze_vector,
    point_of_gaze,
    screen_point_mm,
    screen_to_video,
    visual_angle_deg,
)
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Camera, GazeDirection, GazePoint, Screen, Viewport

AHEAD = np.array([0.0, 0.0, -1.0])
LAPTOP = Screen(width_mm=345, height_mm=194)
CAMERA = Camera(offset_x_mm=0, offset_y_mm=8)

directions = st.builds(GazeDirection, st.floats(-40, 40), st.floats(-40, 40))


def iris(diameter_px, *, narrowed=1.0):
    r = diameter_px / 2
    return [[320, 240], [320 + narrowed * r, 240], [320, 240 - r], [320 - narrowed * r, 240], [320, 240 + r]]


class TestDistance:
    def test_an_iris_of_8_pixels_in_480_rows_at_63_degrees_is_573_mm_away(self):
        assert calculate_distance(iris(8), 480) == approx(572.77, abs=0.01)

    def test_half_the_diameter_is_twice_the_distance(self):
        assert calculate_distance(iris(4), 480) == approx(2 * calculate_distance(iris(8), 480))

    def test_an_iris_turned_away_is_not_farther(self):
        assert calculate_distance(iris(8, narrowed=0.7), 480) == approx(572.77, abs=0.01)

    def test_an_iris_turned_away_along_a_diagonal_is_not_farther(self):
        # Half a circle's radius of 4 pixels along one diagonal: the points that lay right and on top move to these.
        moved = [[320, 240], [323, 239], [321, 237], [317, 241], [319, 243]]

        assert calculate_distance(moved, 480) == approx(572.77, abs=0.01)

    def test_a_larger_image_of_the_same_scene_gives_the_same_distance(self):
        assert calculate_distance(iris(12), 720) == approx(calculate_distance(iris(8), 480))

    @pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((4, 2)), np.zeros(5)])
    def test_landmarks_that_form_no_iris_are_misuse(self, points):
        with pytest.raises(ValueError, match="iris_landmarks"):
            calculate_distance(points, 480)


class TestOneEye:
    def test_an_iris_on_the_line_to_the_camera_looks_into_the_camera(self):
        assert estimate_gaze([0, 0, 1], [0, 0, 1], 600) == approx(AHEAD)

    def test_an_iris_5_mm_to_the_side_of_the_camera_axis_is_an_eye_turned_30_degrees(self):
        # The iris's centre is then at (5, 0, 600 - 8.66) mm: sin 30 degrees of 10 mm.
        gaze = estimate_gaze([0, 0, 600], [5, 0, 591.34], 600)

        assert gaze == approx([0.5, 0, -0.86603], abs=1e-5)

    def test_rays_may_have_any_length(self):
        assert estimate_gaze([0, 0, 0.1], [0.05, 0, 5.9134], 600) == approx([0.5, 0, -0.86603], abs=1e-5)

    def test_a_ray_that_misses_the_eye_is_replaced_by_its_nearest_point(self):
        gaze = estimate_gaze([0, 0, 600], [30, 0, 600], 600)

        assert gaze == approx([0.9988, 0, -0.0499], abs=1e-4)

    @given(directions, st.floats(300, 1000), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
    def test_the_gaze_behind_an_image_is_found(self, direction, distance_mm, x, y):
        towards = gaze_vector(direction)
        eye_mm = distance_mm * np.array([x, y, 1.0]) / math.hypot(x, y, 1.0)

        assert estimate_gaze(eye_mm, eye_mm + 10.0 * towards, distance_mm) == approx(towards, abs=1e-6)

    def test_an_eye_nearer_than_its_own_radius_is_misuse(self):
        with pytest.raises(ValueError, match="estimated_distance"):
            estimate_gaze([0, 0, 1], [0, 0, 1], 9)

    def test_a_ray_without_length_is_misuse(self):
        with pytest.raises(ValueError, match="iris_center"):
            estimate_gaze([0, 0, 1], [0, 0, 0], 600)


def optical_axes(target):
    """Return the optical axes of eyes 63 mm apart that fixate a target, each 4.7 degrees outside its line of sight."""
    left, right = target - np.array([31.5, 0, 0]), target - np.array([-31.5, 0, 0])
    return rotation_matrix(0, -4.7, 0) @ left, rotation_matrix(0, 4.7, 0) @ right


class TestBothEyes:
    def test_turning_the_head_turns_the_gaze_with_it(self):
        # Nose 10 degrees to the viewer's right, eyes straight ahead in the head.
        corrected = correct_gaze_vector(AHEAD, rotation_matrix(0, 10, 0))

        assert gaze_direction(corrected) == approx([10, 0])

    def test_a_matrix_that_is_not_a_rotation_is_misuse(self):
        with pytest.raises(ValueError, match="rotation"):
            correct_gaze_vector(AHEAD, 2 * np.eye(3))

    def test_eyes_that_converge_on_a_point_ahead_have_a_gaze_straight_ahead(self):
        left, right = optical_axes([0, 0, -500])

        assert calculate_combined_gaze(left, right, np.eye(3), 500) == approx(AHEAD, abs=1e-4)

    def test_the_line_of_sight_is_closer_to_the_nose_than_the_optical_axis(self):
        # The nose is to the right of the viewer's left eye.
        one = calculate_combined_gaze(AHEAD, None, np.eye(3), 1e9)

        assert gaze_direction(one)[0] == approx(4.7, abs=0.001)

    @pytest.mark.parametrize("hidden", ["left", "right"])
    def test_one_eye_alone_gives_the_same_direction_as_both(self, hidden):
        target = np.array([80.0, -40.0, -500.0])
        left, right = optical_axes(target)
        distance_mm = float(np.linalg.norm(target))

        both = calculate_combined_gaze(left, right, np.eye(3), distance_mm)
        one = calculate_combined_gaze(
            None if hidden == "left" else left, None if hidden == "right" else right, np.eye(3), distance_mm
        )

        assert visual_angle_deg(gaze_direction(one), gaze_direction(both)) < 0.1

    def test_a_distance_of_zero_is_misuse(self):
        with pytest.raises(ValueError, match="distance"):
            calculate_combined_gaze(AHEAD, AHEAD, np.eye(3), 0.0)

    def test_no_eye_at_all_is_misuse(self):
        with pytest.raises(ValueError, match="left_gaze or right_gaze"):
            calculate_combined_gaze(None, None, np.eye(3), 500)


class TestDirection:
    def test_the_viewers_right_is_the_left_of_the_image(self):
        assert gaze_direction([-1, 0, -1]) == approx([45, 0])

    def test_up_is_towards_the_first_row_of_the_image(self):
        assert gaze_direction([0, -1, -1]) == approx([0, 45])

    @given(directions)
    def test_a_direction_survives_the_round_trip_through_its_vector(self, direction):
        assert gaze_direction(gaze_vector(direction)) == approx(direction, abs=1e-9)

    def test_many_vectors_keep_their_shape(self):
        vectors = [[[-1, 0, -1], [0, -1, -1]], [[0, 0, -2], [1, 0, -1]]]

        assert gaze_direction(vectors) == approx(np.array([[[45, 0], [0, 45]], [[0, 0], [-45, 0]]]))

    def test_many_directions_keep_their_shape(self):
        assert gaze_vector([[[0, 0], [90, 0]], [[0, 90], [0, -90]]]) == approx(
            np.array([[[0, 0, -1], [-1, 0, 0]], [[0, -1, 0], [0, 1, 0]]])
        )

    @pytest.mark.parametrize("vectors", [[0, -1], [[0, 0, 0]], [[0, 0, -1], [0, 0, math.nan]], [0, 0, math.inf]])
    def test_an_array_without_directions_is_misuse(self, vectors):
        with pytest.raises(ValueError, match="gaze_vector"):
            gaze_direction(vectors)

    def test_a_vector_is_not_a_direction(self):
        with pytest.raises(ValueError, match="direction_deg"):
            gaze_vector([0, 0, -1])


class TestVisualAngle:
    def test_horizontal_angles_at_eye_level_subtract(self):
        assert visual_angle_deg(GazeDirection(10, 0), GazeDirection(-5, 0)) == approx(15)

    def test_at_60_degrees_above_the_camera_horizontal_angles_count_half(self):
        # cos 60 degrees is one half.
        assert visual_angle_deg([0, 60], [0.1, 60]) == approx(0.05, abs=1e-5)

    def test_small_horizontal_and_vertical_angles_add_like_the_sides_of_a_triangle(self):
        assert visual_angle_deg([0, 0], [0.3, 0.4]) == approx(0.5, abs=1e-5)

    def test_opposite_directions_are_180_degrees_apart(self):
        assert visual_angle_deg([0, 0], [180, 0]) == approx(180)

    def test_one_direction_is_compared_with_many(self):
        assert visual_angle_deg([0, 0], [[10, 0], [0, -20], [0, 0]]) == approx([10, 20, 0])

    def test_a_lost_direction_has_no_angle(self):
        assert np.isnan(visual_angle_deg([[0, 0]], [[math.nan, 0]])).all()


class TestScreen:
    def test_looking_into_the_camera_is_a_point_above_the_screen(self):
        point = point_of_gaze(GazeDirection(0, 0), (0, 0, 600), LAPTOP, CAMERA)

        assert (point.x, point.y) == approx((0.5, -8 / 194))
        assert not point.on_screen

    def test_10_degrees_down_at_600_mm_is_106_mm_below_the_camera(self):
        point = point_of_gaze(GazeDirection(0, -10), (0, 0, 600), LAPTOP, CAMERA)

        assert point.y * 194 == approx(105.796 - 8, abs=1e-3)
        assert point.on_screen

    def test_10_degrees_to_the_viewers_right_is_the_right_half_of_the_screen(self):
        point = point_of_gaze(GazeDirection(10, -10), (0, 0, 600), LAPTOP, CAMERA)

        assert (point.x - 0.5) * 345 == approx(105.796, abs=1e-3)

    def test_a_viewer_to_the_right_of_the_camera_who_looks_straight_ahead_looks_at_the_right_half(self):
        # Their right is the image's left: negative x in the camera frame.
        point = point_of_gaze(GazeDirection(0, -10), (-100, 0, 600), LAPTOP, CAMERA)

        assert (point.x - 0.5) * 345 == approx(100)

    def test_a_camera_tilted_up_sees_the_viewer_too_low(self):
        # The viewer is at the camera's height; tilted up by 10 degrees it sees them 10 degrees below its axis.
        below_mm = 600 * math.sin(math.radians(10))
        origin_mm = (0, below_mm, 600 * math.cos(math.radians(10)))
        camera = Camera(offset_y_mm=8, tilt_deg=10)

        point = point_of_gaze(GazeDirection(0, 10), origin_mm, LAPTOP, camera)

        # In the tilted camera's frame the level gaze points up by 10 degrees; it meets the screen at the camera.
        assert point.y * 194 == approx(-8, abs=1e-6)

    def test_gaze_away_from_the_screen_has_no_point(self):
        assert point_of_gaze(GazeDirection(120, 0), (0, 0, 600), LAPTOP, CAMERA) is None

    @given(
        st.builds(GazePoint, st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
        st.tuples(st.floats(-150, 150), st.floats(-100, 100), st.floats(300, 900)),
        st.builds(Camera, st.just(60.0), st.floats(-200, 200), st.floats(-300, 50), st.floats(-25, 25)),
    )
    def test_the_point_looked_at_is_the_point_of_gaze(self, point, origin_mm, camera):
        found = point_of_gaze(direction_to(point, origin_mm, LAPTOP, camera), origin_mm, LAPTOP, camera)

        assert found is not None
        assert (found.x, found.y) == approx((point.x, point.y), abs=1e-6)

    def test_the_middle_of_the_screen_is_105_mm_below_a_camera_8_mm_above_its_edge(self):
        assert screen_point_mm(GazePoint(0.5, 0.5), LAPTOP, CAMERA) == approx([0, 105, 0])

    def test_a_video_in_the_right_half_of_the_screen(self):
        viewport = Viewport(x=0.5, y=0, width=0.5, height=1)

        assert screen_to_video(GazePoint(0.75, 0.5), viewport) == GazePoint(0.5, 0.5)
        assert not screen_to_video(GazePoint(0.25, 0.5), viewport).on_screen

    def test_a_video_in_the_lower_half_of_the_screen(self):
        viewport = Viewport(x=0, y=0.5, width=1, height=0.5)

        assert screen_to_video(GazePoint(0.25, 0.75), viewport) == GazePoint(0.25, 0.5)
