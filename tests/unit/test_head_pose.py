"""Signs and frames of the head pose, on known rotations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.head_pose import (
    CANONICAL_FACE,
    estimate_head_pose,
    focal_length_px,
    head_angles_deg,
    rotation_matrices,
    rotation_matrix,
    undo_oblique_view,
)
from gaze_core.landmarks import Landmarks
from gaze_core.types import HeadPose
from tests.fakes.synthetic_face import make_face, mirror

NOSE = np.array([0.0, 0.0, -1.0])
LEFT_EAR = np.array([1.0, 0.0, 0.0])

angles = st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-60, 60))


def test_nose_up_is_positive_pitch():
    assert rotation_matrix(10, 0, 0) @ NOSE == approx([0, -0.17365, -0.98481], abs=1e-5)


def test_nose_towards_the_viewers_own_right_is_positive_yaw():
    # The viewer's right is the left of the unmirrored image.
    assert rotation_matrix(0, 10, 0) @ NOSE == approx([-0.17365, 0, -0.98481], abs=1e-5)


def test_head_tilted_to_the_viewers_right_shoulder_is_positive_roll():
    # Their left ear goes up.
    assert rotation_matrix(0, 0, 10) @ LEFT_EAR == approx([0.98481, -0.17365, 0], abs=1e-5)


def test_pitch_turns_first_then_yaw_then_roll():
    assert rotation_matrix(0, 90, 90) @ NOSE == approx([0, 1, 0], abs=1e-12)


@given(angles)
def test_angles_survive_the_round_trip_through_the_matrix(pitch_yaw_roll):
    assert head_angles_deg(rotation_matrix(*pitch_yaw_roll)) == approx(pitch_yaw_roll, abs=1e-9)


@given(st.lists(angles, min_size=1, max_size=4))
def test_many_rotations_at_once_are_those_of_each(heads_deg):
    each = [rotation_matrix(*head_deg) for head_deg in heads_deg]

    assert rotation_matrices(heads_deg) == approx(np.array(each), abs=1e-12)


def test_focal_length_of_a_480_row_image_at_63_degrees():
    assert focal_length_px(480, 63) == approx(391.64, abs=0.01)


@pytest.mark.parametrize("yaw_deg", [-30.0, 0.0, 30.0])
def test_turning_the_head_changes_yaw_only(yaw_deg):
    pose = estimate_head_pose(make_face(yaw_deg=yaw_deg))

    assert (pose.pitch_deg, pose.yaw_deg, pose.roll_deg) == approx((0, yaw_deg, 0), abs=0.2)


@given(
    st.floats(-30, 30),
    st.floats(-40, 40),
    st.floats(-30, 30),
    st.tuples(st.floats(-100, 100), st.floats(-60, 60), st.floats(350, 900)),
    st.sampled_from([(640, 480, 63.0), (1280, 720, 45.0), (720, 1280, 80.0)]),
)
def test_pose_of_the_canonical_face_is_found_wherever_it_is(pitch_deg, yaw_deg, roll_deg, place_mm, camera):
    width_px, height_px, vertical_fov_deg = camera
    face = make_face(
        pitch_deg=pitch_deg, yaw_deg=yaw_deg, roll_deg=roll_deg, place_mm=place_mm, width_px=width_px,
        height_px=height_px, vertical_fov_deg=vertical_fov_deg, target_mm=(0, 0, -1000), depth_along="axis",
    )  # fmt: skip

    pose = estimate_head_pose(face, vertical_fov_deg=vertical_fov_deg)

    assert (pose.pitch_deg, pose.yaw_deg, pose.roll_deg) == approx((pitch_deg, yaw_deg, roll_deg), abs=1e-3)
    assert pose.translation_mm == approx(np.array(place_mm), abs=0.01)


@given(st.floats(-25, 25), st.floats(-35, 35), st.floats(-25, 25))
def test_mirroring_the_image_negates_yaw_and_roll(pitch_deg, yaw_deg, roll_deg):
    face = make_face(pitch_deg=pitch_deg, yaw_deg=yaw_deg, roll_deg=roll_deg)

    pose, mirrored = estimate_head_pose(face), estimate_head_pose(mirror(face))

    assert (mirrored.pitch_deg, -mirrored.yaw_deg, -mirrored.roll_deg) == approx(
        (pose.pitch_deg, pose.yaw_deg, pose.roll_deg), abs=0.01
    )


def seen(yaw_deg, *, pitch_deg=0.0, place_mm):
    return HeadPose(pitch_deg, yaw_deg, 0.0, rotation_matrix(pitch_deg, yaw_deg, 0.0), np.array(place_mm))


@pytest.mark.parametrize(
    ("place_mm", "pitch_deg", "yaw_deg"),
    [
        # 22.62 degrees to the right in the image, of which 56 % appear as head rotation.
        ((250.0, 0.0, 600.0), 0.0, -12.67),
        ((-250.0, 0.0, 600.0), 0.0, 12.67),
        # 14.04 degrees below the middle of the image.
        ((0.0, 150.0, 600.0), -7.86, 0.0),
    ],
)
def test_the_apparent_rotation_of_a_head_away_from_the_image_centre_is_undone(place_mm, pitch_deg, yaw_deg):
    pose = undo_oblique_view(seen(yaw_deg, pitch_deg=pitch_deg, place_mm=place_mm))

    assert (pose.pitch_deg, pose.yaw_deg, pose.roll_deg) == approx((0, 0, 0), abs=0.01)


def test_a_head_in_the_image_centre_keeps_its_pose():
    pose = seen(20.0, pitch_deg=5.0, place_mm=(0.0, 0.0, 600.0))

    assert undo_oblique_view(pose) == pose


def test_depths_along_the_ray_make_a_head_appear_turned_outwards():
    assert estimate_head_pose(make_face(place_mm=(-250, 0, 600), depth_along="ray")).yaw_deg > 10
    assert estimate_head_pose(make_face(place_mm=(-250, 0, 600), depth_along="axis")).yaw_deg == approx(0, abs=0.01)


def test_the_rotation_is_a_rotation_and_never_a_reflection():
    rotation = estimate_head_pose(make_face(pitch_deg=20, yaw_deg=-30, roll_deg=15)).head_rotation

    assert np.linalg.det(rotation) == approx(1.0)
    assert rotation @ rotation.T == approx(np.eye(3))


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_landmarks_that_form_no_face_are_misuse(value):
    with pytest.raises(ValueError, match="landmarks"):
        estimate_head_pose(Landmarks(np.full((478, 3), value), 640, 480))


def test_a_constant_added_to_all_depths_changes_nothing():
    face = make_face(pitch_deg=5, yaw_deg=10, roll_deg=-3)

    pose = estimate_head_pose(Landmarks(face.points + np.array([0.0, 0.0, 0.2]), 640, 480))

    assert (pose.pitch_deg, pose.yaw_deg, pose.roll_deg) == approx((5, 10, -3), abs=1e-6)
    assert pose.translation_mm == approx([0, 0, 600], abs=1e-6)


def test_the_fit_is_that_of_a_singular_value_decomposition():
    weights = np.array([row[4] for row in CANONICAL_FACE])
    canonical_mm = np.array([row[1:4] for row in CANONICAL_FACE])
    points = make_face(pitch_deg=10, yaw_deg=-20, roll_deg=30).points.copy()
    points[:, :2] += np.random.default_rng(0).normal(0, 0.01, (478, 2))
    face = Landmarks(points, 640, 480)

    pose = estimate_head_pose(face)

    focal_px = focal_length_px(480)
    on_plane = (face.pixels(tuple(int(row[0]) for row in CANONICAL_FACE)) - (320, 240, 0)) / focal_px
    depths = on_plane[:, 2] - points[:468, 2].mean() * 640 / focal_px + 1
    lifted = np.column_stack([on_plane[:, :2], np.ones(len(depths))]) * depths[:, None]
    centred_mm = canonical_mm - weights @ canonical_mm / weights.sum()
    left, _, right = np.linalg.svd((weights[:, None] * lifted).T @ centred_mm)
    assert np.linalg.det(left @ right) == approx(1)
    assert pose.head_rotation == approx(left @ right, abs=1e-10)


def test_landmarks_on_a_line_are_misuse():
    points = np.zeros((478, 3))
    points[:, 0] = np.linspace(0.4, 0.6, 478)

    with pytest.raises(ValueError, match="do not span space"):
        estimate_head_pose(Landmarks(points, 640, 480))


def make_line(thickness):
    points = thickness * np.random.default_rng(0).normal(size=(478, 3))
    points[:, 0] += np.linspace(0.4, 0.6, 478)
    return Landmarks(points, 640, 480)


def test_landmarks_nearly_on_a_line_still_give_a_rotation():
    rotation = estimate_head_pose(make_line(thickness=1e-9)).head_rotation

    assert rotation @ rotation.T == approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize("thickness", [1e-11, 1e-12])
def test_landmarks_too_near_to_a_line_for_a_rotation_are_misuse(thickness):
    with pytest.raises(ValueError, match="do not span space"):
        estimate_head_pose(make_line(thickness))


@pytest.mark.parametrize("exponent", [40, 65, 75, 100])
def test_landmarks_that_overflow_are_misuse(exponent):
    points = 10.0**exponent * np.random.default_rng(0).normal(size=(478, 3))

    with pytest.raises(ValueError, match="do not span space"):
        estimate_head_pose(Landmarks(points, 640, 480))
