"""Views of the eyes, on faces of known position and pose."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.eye_images import (
    EYE_IMAGE_HEIGHT_PX,
    EYE_IMAGE_PX_PER_MM,
    EYE_IMAGE_WIDTH_PX,
    eye_views,
    virtual_rotation,
)
from gaze_core.features import measure_face
from gaze_core.gaze import gaze_direction, rotate_directions
from gaze_core.head_pose import focal_length_px, rotation_matrix
from gaze_core.landmarks import EYE_CORNERS, LEFT, RIGHT
from gaze_core.types import HeadPose
from tests.fakes.eye_network import make_gazes
from tests.fakes.synthetic_face import make_face

FOV_DEG = 63.0
CENTRE_PX = (35.5, 23.5)
"""Middle of a 72 × 48 image, counted in centres of pixels."""


def place_geometry(*, pitch_deg=0.0, yaw_deg=0.0, roll_deg=0.0, origin_mm=(0.0, 0.0, 600.0), half_mm=31.5):
    """Return the geometry of a face whose eyes are exactly `half_mm` beside `origin_mm`."""
    rotation = rotation_matrix(pitch_deg, yaw_deg, roll_deg)
    origin = np.array(origin_mm)
    across = half_mm * rotation[:, 0]
    return replace(
        measure_face(make_face()),
        head_pose=HeadPose(pitch_deg, yaw_deg, roll_deg, rotation, origin),
        origin_mm=origin,
        eyes_mm=np.array([origin + across, origin - across]),
    )


def look(geometry, *, width_px=640, height_px=480, vertical_fov_deg=FOV_DEG):
    return eye_views(geometry, width_px, height_px, vertical_fov_deg)


def project(point_mm, *, width_px=640, height_px=480):
    """Return the image position of a point in the camera frame, counted in centres of pixels."""
    focal_px = focal_length_px(height_px, FOV_DEG)
    x, y, z = point_mm
    return width_px / 2 + focal_px * x / z - 0.5, height_px / 2 + focal_px * y / z - 0.5


def apply(homography, xy):
    x, y, w = homography @ [*xy, 1.0]
    return x / w, y / w


def find_in_eye_image(views, side, point_mm):
    return apply(views.homographies[side], project(point_mm))


def middle_of_corners(geometry, side):
    return geometry.eyes_mm[side] + geometry.head_pose.head_rotation @ [0.0, 0.0, -6.0]


def test_an_eye_image_is_72_by_48_px_at_1_5_px_per_mm():
    assert (EYE_IMAGE_WIDTH_PX, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_PX_PER_MM) == (72, 48, 1.5)


@pytest.mark.parametrize("side", [0, 1])
def test_the_middle_of_the_eye_image_is_the_midpoint_of_the_corners(side):
    geometry = place_geometry()

    assert find_in_eye_image(look(geometry), side, middle_of_corners(geometry, side)) == approx(CENTRE_PX)


@pytest.mark.parametrize("index", [0, 1])
def test_the_corners_of_a_measured_face_lie_symmetrically_about_the_middle(index):
    face = make_face()
    views = look(measure_face(face))
    corners = face.pixels(EYE_CORNERS[(LEFT, RIGHT)[index]])[:, :2] - 0.5

    xy = np.array([apply(views.homographies[index], corner) for corner in corners])

    assert xy.mean(axis=0) == approx(CENTRE_PX, abs=0.3)


def test_one_mm_at_the_eye_is_1_5_px():
    geometry = place_geometry(half_mm=0.0)
    middle_mm = middle_of_corners(geometry, 1)
    views = look(geometry)

    assert find_in_eye_image(views, 1, middle_mm + np.array([1.0, 0.0, 0.0])) == approx((37.0, 23.5))
    assert find_in_eye_image(views, 1, middle_mm + np.array([0.0, 1.0, 0.0])) == approx((35.5, 25.0))


def test_the_left_eye_is_mirrored_and_the_right_eye_is_not():
    geometry = place_geometry()
    views = look(geometry)
    to_the_right_of_the_image = [10.0, 0.0, 0.0]

    left_x, _ = find_in_eye_image(views, 0, middle_of_corners(geometry, 0) + to_the_right_of_the_image)
    right_x, _ = find_in_eye_image(views, 1, middle_of_corners(geometry, 1) + to_the_right_of_the_image)

    assert (left_x, right_x) == approx((20.5, 50.5), abs=0.01)


def test_both_images_show_the_nose_on_the_right():
    geometry = place_geometry()
    views = look(geometry)
    nose_mm = geometry.origin_mm - [0.0, 0.0, 6.0]

    assert find_in_eye_image(views, 0, nose_mm)[0] == approx(35.5 + 1.5 * 31.5, abs=0.01)
    assert find_in_eye_image(views, 1, nose_mm)[0] == approx(35.5 + 1.5 * 31.5, abs=0.01)


@pytest.mark.parametrize("roll_deg", [-30.0, 20.0])
def test_the_eyes_of_a_rolled_head_are_upright(roll_deg):
    geometry = place_geometry(roll_deg=roll_deg)
    chinwards_mm = geometry.head_pose.head_rotation @ [0.0, 5.0, 0.0]

    below = find_in_eye_image(look(geometry), 1, middle_of_corners(geometry, 1) + chinwards_mm)

    assert below == approx((35.5, 31.0), abs=0.01)


def test_distance_does_not_change_the_size_of_the_eye():
    near, far = place_geometry(origin_mm=(0, 0, 300)), place_geometry(origin_mm=(0, 0, 900))

    sizes = [
        find_in_eye_image(look(face), 1, middle_of_corners(face, 1) + np.array([5.0, 0.0, 0.0]))[0]
        for face in (near, far)
    ]

    assert sizes == approx([43.0, 43.0], abs=0.01)


def test_looking_into_the_camera_is_straight_ahead_for_the_virtual_camera():
    geometry = place_geometry(origin_mm=(120.0, -80.0, 500.0), pitch_deg=5, yaw_deg=20, roll_deg=-10)
    into_the_camera = gaze_direction(-geometry.origin_mm)

    assert look(geometry).from_camera_frame(into_the_camera) == approx([0.0, 0.0], abs=1e-9)


def test_a_face_straight_ahead_has_the_camera_frame_as_its_virtual_camera_frame():
    views = look(place_geometry())

    assert views.rotation == approx(np.eye(3))
    assert views.head_deg == approx([0.0, 0.0])


def test_the_heads_pitch_and_yaw_are_those_towards_the_virtual_camera():
    # The head looks along the camera's axis, and the camera sees it from 10 degrees to its left and 5 degrees above.
    right, down = np.tan(np.radians(10.0)), np.tan(np.radians(5.0))
    views = look(place_geometry(origin_mm=(-600 * right, 600 * down, 600.0)))

    assert views.head_deg == approx([-5.0, 10.0], abs=0.2)


def test_scale_is_eye_image_px_per_image_px():
    # At 600 mm, 391.64 px of focal length give 0.659 px per mm at the corners, 6 mm nearer.
    assert look(place_geometry()).scales == approx([1.5 * 594 / 391.64] * 2, abs=0.001)


def test_scale_is_that_of_the_homography_for_a_face_beside_the_axis():
    geometry = place_geometry(origin_mm=(250.0, 100.0, 500.0))
    views = look(geometry)
    x, y = project(middle_of_corners(geometry, 0))
    a, b, c = (np.array(apply(views.homographies[0], xy)) for xy in ((x, y), (x + 0.01, y), (x, y + 0.01)))

    area = abs(np.linalg.det(np.stack([b - a, c - a]))) / 0.01**2

    assert views.scales[0] == approx(np.sqrt(area), rel=1e-3)


def test_a_larger_image_of_the_same_scene_gives_the_same_eye_image():
    geometry = place_geometry(origin_mm=(80.0, 40.0, 500.0), yaw_deg=10)
    point_mm = middle_of_corners(geometry, 0) + np.array([3.0, -2.0, 0.0])
    large = look(geometry, width_px=1280, height_px=960)

    assert apply(large.homographies[0], project(point_mm, width_px=1280, height_px=960)) == approx(
        find_in_eye_image(look(geometry), 0, point_mm)
    )


def test_an_eye_behind_the_camera_has_no_view():
    with pytest.raises(ValueError, match="in front of the camera"):
        look(place_geometry(origin_mm=(0.0, 0.0, -600.0)))


def test_a_head_in_profile_has_no_virtual_camera():
    with pytest.raises(ValueError, match="x axis"):
        virtual_rotation([0.0, 0.0, 600.0], rotation_matrix(0, 90, 0))


def test_a_midpoint_in_the_camera_has_no_virtual_camera():
    with pytest.raises(ValueError, match="zero"):
        virtual_rotation([0.0, 0.0, 0.0], np.eye(3))


@given(
    st.tuples(st.floats(-300, 300), st.floats(-200, 200), st.floats(250, 900)),
    st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(-40, 40)),
)
def test_the_virtual_rotation_is_a_rotation_without_roll_of_the_head(origin_mm, head_deg):
    head_rotation = rotation_matrix(*head_deg)

    rotation = virtual_rotation(origin_mm, head_rotation)

    assert rotation @ rotation.T == approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(rotation) == approx(1.0)
    assert (rotation @ head_rotation)[1, 0] == approx(0.0, abs=1e-9)


def test_many_virtual_rotations_at_once_are_those_of_each():
    origins_mm = np.array([[0.0, 0.0, 600.0], [100.0, -50.0, 400.0]])
    heads = np.stack([rotation_matrix(5, 10, 15), rotation_matrix(-5, -20, 3)])

    both = virtual_rotation(origins_mm, heads)

    assert both[1] == approx(virtual_rotation(origins_mm[1], heads[1]))
    assert both.shape == (2, 3, 3)


def test_directions_survive_the_way_to_the_camera_frame_and_back():
    views = look(place_geometry(origin_mm=(120.0, -80.0, 500.0), yaw_deg=20, roll_deg=-10))
    directions_deg = np.array([[10.0, 5.0], [-3.0, -12.0]])

    assert views.from_camera_frame(views.to_camera_frame(directions_deg)) == approx(directions_deg)


def test_the_networks_answer_in_the_head_frame_keeps_its_target():
    geometry = place_geometry(origin_mm=(120.0, -80.0, 500.0), pitch_deg=5, yaw_deg=20, roll_deg=-10)
    views, head_rotation = look(geometry), geometry.head_pose.head_rotation
    target_mm = np.array([-60.0, 90.0, 10.0])
    towards = target_mm - geometry.origin_mm
    seen_deg = views.from_camera_frame(gaze_direction(towards))
    gazes = make_gazes(seen_deg, seen_deg, seen_deg, spread_deg=3.0)

    in_head = views.to_head_frame(gazes, head_rotation)

    expected = gaze_direction(head_rotation.T @ towards)
    assert in_head.both_deg == approx(expected)
    assert in_head.eyes_deg == approx(np.array([expected, expected]))
    assert in_head.both_spread_deg == approx([3.0, 3.0])


def test_a_direction_in_the_frame_of_a_turned_head_gains_its_yaw():
    # The nose points 10 degrees to the viewer's right, and so do eyes that look straight ahead.
    assert rotate_directions([0.0, 0.0], rotation_matrix(0, 10, 0)) == approx([10.0, 0.0])


def test_each_direction_can_have_its_own_rotation():
    rotations = np.stack([rotation_matrix(0, 10, 0), rotation_matrix(20, 0, 0)])

    assert rotate_directions(np.zeros((2, 2)), rotations) == approx(np.array([[10.0, 0.0], [0.0, 20.0]]), abs=1e-9)
