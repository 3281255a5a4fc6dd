"""The seven features, on synthetic faces with known gaze."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.eye_region import PAIRS, EyeRegionModel
from gaze_core.features import (
    FEATURE_NAMES,
    combine_features,
    estimate_from_landmarks,
    find_quality_issues,
    find_usable_eyes,
    measure_face,
)
from gaze_core.fusion import fuse_eyes
from gaze_core.gaze import correct_gaze_vector, gaze_direction, gaze_vector, visual_angle_deg
from gaze_core.landmarks import IRIS, LEFT, RIGHT, Landmarks, eye_aspect_ratio
from gaze_core.one_eye import direction_from_midpoint
from gaze_core.types import GazeDirection
from tests.fakes.eye_network import make_gazes
from tests.fakes.synthetic_face import make_face, mirror

places = st.tuples(st.floats(-80, 80), st.floats(-60, 60), st.floats(400, 800))
targets = st.tuples(st.floats(-250, 250), st.floats(-50, 250), st.just(0.0))
ZERO = np.zeros((len(PAIRS), 2))
turns = st.tuples(st.floats(-15, 15), st.floats(-25, 25), st.floats(-10, 10))


def face(turn=(0, 0, 0), **kwargs):
    return make_face(pitch_deg=turn[0], yaw_deg=turn[1], roll_deg=turn[2], **kwargs)


def test_eye_shapes_are_seven_for_each_of_two_eyes():
    with pytest.raises(ValueError, match=r"eye_shapes must have shape \(2, 7\), not \(14,\)"):
        make_face(eye_shapes=np.zeros(14))


def test_the_features_have_the_order_that_the_model_was_trained_with():
    assert FEATURE_NAMES == (
        "iris_x",
        "iris_y",
        "iris_z",
        "head_rotation_x",
        "head_rotation_y",
        "head_rotation_z",
        "distance",
    )


def test_the_head_rotation_features_are_pitch_yaw_and_roll():
    features = measure_face(face((8, -12, 5))).features

    assert features[3:6] == approx((8, -12, 5), abs=0.01)


def test_the_distance_feature_is_that_of_the_midpoint_between_the_eyes():
    geometry = measure_face(face(place_mm=(0, 26.2462, 600 + 28.6566)))

    assert geometry.features[6] == geometry.distance_mm == approx(600, rel=0.02)
    assert geometry.origin_mm == approx([0, 0, 600], rel=0.02, abs=1)


def iris_error_deg(turn, place_mm, target_mm):
    geometry = measure_face(face(turn, place_mm=place_mm, target_mm=target_mm), eye_region=None)

    truth = gaze_direction(np.array(target_mm) - geometry.origin_mm)
    return visual_angle_deg(gaze_direction(geometry.features[:3]), truth)


def test_the_iris_geometry_points_at_the_fixated_target():
    draw = np.random.default_rng(0)
    errors_deg = [
        iris_error_deg(
            draw.uniform((-15, -25, -10), (15, 25, 10)),
            draw.uniform((-80, -60, 400), (80, 60, 800)),
            draw.uniform((-250, -50, 0), (250, 250, 0)),
        )
        for _ in range(300)
    ]

    assert np.percentile(errors_deg, [50, 95, 100]) == approx([0.54, 1.09, 1.80], abs=0.1)


@given(turns, places, targets)
def test_the_iris_geometry_is_worst_for_a_close_face_that_is_turned_away(turn, place_mm, target_mm):
    worst_deg = iris_error_deg((15, -25, 10), (-80, 60, 400), (-250, 250, 0))

    assert worst_deg == approx(3.97, abs=0.01)
    assert iris_error_deg(turn, place_mm, target_mm) <= worst_deg + 1e-6


@given(turns, places, targets)
def test_mirroring_the_image_negates_iris_x_yaw_and_roll_only(turn, place_mm, target_mm):
    landmarks = face(turn, place_mm=place_mm, target_mm=target_mm)

    features = np.array(measure_face(landmarks).features)
    mirrored = np.array(measure_face(mirror(landmarks)).features)

    assert mirrored == approx(features * [-1, 1, 1, 1, -1, -1, 1], rel=1e-3, abs=0.02)


@given(turns, places, targets)
def test_the_size_of_the_image_does_not_matter(turn, place_mm, target_mm):
    small = measure_face(face(turn, place_mm=place_mm, target_mm=target_mm, width_px=640, height_px=480))
    large = measure_face(face(turn, place_mm=place_mm, target_mm=target_mm, width_px=1600, height_px=1200))

    assert large.features == approx(small.features, abs=1e-6)


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_with_one_eye_shut_the_other_gives_the_gaze(side):
    landmarks = face(target_mm=(100, 100, 0))
    points = landmarks.points.copy()
    lids = {LEFT: [(387, 373), (385, 380)], RIGHT: [(160, 144), (158, 153)]}[side]
    for upper, lower in lids:
        points[upper] = points[lower]

    geometry = measure_face(Landmarks(points, 640, 480), eye_region=None)

    assert geometry.eye_openness[0 if side == LEFT else 1] == 0.0
    assert geometry.eye_region_mm is None
    assert geometry.features == approx(measure_face(landmarks, eye_region=None).features, abs=0.02)


@pytest.mark.parametrize(
    ("yaw_deg", "is_hidden"), [(-42, True), (-38, False), (0, False), (30, False), (38, False), (42, True)]
)
def test_beyond_40_degrees_of_yaw_an_eye_is_hidden(yaw_deg, is_hidden):
    assert (measure_face(face((0, yaw_deg, 0))).eye_region_mm is None) == is_hidden


@pytest.mark.parametrize(("yaw_deg", "iris"), [(45, RIGHT), (-45, LEFT)])
def test_the_hidden_eye_is_the_far_one(yaw_deg, iris):
    landmarks = face((0, yaw_deg, 0))
    points = landmarks.points.copy()
    points[IRIS[iris][0], 0] += 0.01

    # The moved iris of the near eye would turn the gaze by more than 70 degrees.
    assert measure_face(Landmarks(points, 640, 480)).irises == approx(measure_face(landmarks).irises, abs=0.1)


def test_a_visible_eye_is_used_when_the_hidden_one_is_shut():
    landmarks = face((0, 45, 0))
    points = landmarks.points.copy()
    points[[160, 158]] = points[[144, 153]]

    assert measure_face(Landmarks(points, 640, 480)).irises == measure_face(landmarks).irises


@pytest.mark.parametrize("vertical_fov_deg", [45.0, 63.0, 80.0])
def test_the_distance_accounts_for_the_field_of_view(vertical_fov_deg):
    landmarks = face(place_mm=(0, 26.2462, 600 + 28.6566), vertical_fov_deg=vertical_fov_deg)

    assert measure_face(landmarks, vertical_fov_deg=vertical_fov_deg).distance_mm == approx(600, rel=0.02)


def test_a_single_eye_uses_the_weights_for_a_single_eye():
    landmarks = face(target_mm=(100, 100, 0))
    points = landmarks.points.copy()
    points[[387, 385]] = points[[373, 380]]
    level = EyeRegionModel(ZERO, ZERO, np.zeros(3), np.zeros(4), alone_upwards=np.array([5.0, 0.0, 0.0, 0.0]))

    alone = measure_face(Landmarks(points, 640, 480), eye_region=level)
    irises = measure_face(Landmarks(points, 640, 480), eye_region=None)

    up_deg = [gaze_direction(each.features[:3])[1] for each in (alone, irises)]
    assert up_deg[0] - up_deg[1] == approx(5.0, abs=0.01)


def test_the_eye_region_correction_turns_with_the_head():
    # Five degrees are added upwards in the head frame; at a roll of 10 degrees a part of them is horizontal.
    level = EyeRegionModel(ZERO, ZERO, np.zeros(3), np.array([5.0, 0.0, 0.0, 0.0]))
    tilted = face((0, 0, 10))

    with_it, without = (gaze_direction(measure_face(tilted, eye_region=each).features[:3]) for each in (level, None))

    right_deg, up_deg = with_it - without
    assert up_deg == approx(5 * np.cos(np.radians(10)), abs=0.05)
    assert abs(right_deg) == approx(5 * np.sin(np.radians(10)), abs=0.05)


def test_the_eye_region_is_measured_in_mm_of_the_head():
    # The corners of an eye of the canonical face lie 26 mm from each other, 44 and 19 mm beside its middle.
    points_mm = measure_face(face((5, 20, -8), place_mm=(40, 20, 700))).eye_region_mm

    right_corners, left_corners = points_mm[[0, 8]], points_mm[len(PAIRS) + np.array([0, 8])]
    assert right_corners[:, 0] == approx([-44.5, -18.6], abs=2.0)
    assert left_corners[:, 0] == approx([44.5, 18.6], abs=2.0)


def test_two_shut_eyes_give_no_features():
    assert measure_face(face(lid_opening_mm=1.0)).features is None


def test_an_eye_open_9_mm_over_26_mm_has_an_aspect_ratio_of_a_third():
    assert eye_aspect_ratio(face(), LEFT) == approx(0.345, abs=0.01)


@pytest.fixture
def grey_noise():
    grey = np.random.default_rng(0).integers(90, 160, (480, 640, 1), dtype=np.uint8)
    return np.repeat(grey, 3, axis=2)


def issues_of(frame, landmarks):
    return find_quality_issues(frame, landmarks, measure_face(landmarks))


def test_a_well_lit_face_near_the_camera_has_no_issues(grey_noise):
    assert issues_of(grey_noise, face()) == ()


def test_a_black_image_has_no_contrast():
    assert issues_of(np.zeros((480, 640, 3), np.uint8), face()) == ("no_contrast",)


@pytest.mark.parametrize(
    ("darkest", "brightest", "issues"),
    [
        (100, 112, ("no_contrast",)),  # standard deviation 3.5
        (100, 116, ()),  # 4.6
        (2, 21, ("too_dark",)),  # mean 11
        (4, 23, ()),  # 13
    ],
)
def test_eyes_need_a_standard_deviation_of_4_and_a_mean_of_12(darkest, brightest, issues):
    grey = np.random.default_rng(0).integers(darkest, brightest, (480, 640, 1), dtype=np.uint8)

    assert issues_of(np.repeat(grey, 3, axis=2), face()) == issues


def test_contrast_is_measured_around_the_eyes(grey_noise):
    # The eye corners lie 31 pixels to both sides of the image centre and 18 above it; the box is 9 pixels larger.
    around_the_eyes = np.s_[212:231, 280:360]
    flat_eyes, flat_elsewhere = grey_noise.copy(), np.full_like(grey_noise, 120)
    flat_eyes[around_the_eyes] = 120
    flat_elsewhere[around_the_eyes] = grey_noise[around_the_eyes]

    assert issues_of(flat_eyes, face()) == ("no_contrast",)
    assert issues_of(flat_elsewhere, face()) == ()


def test_a_dim_image_is_too_dark(grey_noise):
    assert issues_of((grey_noise - 90) // 3, face()) == ("too_dark",)


@pytest.mark.parametrize(
    ("distance_mm", "issues"), [(1050, ()), (1250, ("face_too_small",)), (3000, ("face_too_small",))]
)
def test_a_face_whose_iris_has_less_than_4_pixels_is_too_small(grey_noise, distance_mm, issues):
    # 4 pixels are 1,145 mm.
    assert issues_of(grey_noise, face(place_mm=(0, 0, distance_mm))) == issues


@pytest.mark.parametrize(
    ("turn", "issues"),
    [
        ((0, 53, 0), ()),
        ((0, 57, 0), ("head_turned_away",)),
        ((0, -57, 0), ("head_turned_away",)),
        ((43, 0, 0), ()),
        ((47, 0, 0), ("head_turned_away",)),
        ((-47, 0, 0), ("head_turned_away",)),
    ],
)
def test_a_head_is_turned_away_beyond_55_degrees_of_yaw_or_45_of_pitch(grey_noise, turn, issues):
    assert issues_of(grey_noise, face(turn)) == issues


@pytest.mark.parametrize(("axis", "position"), [(0, -0.1), (0, 1.1), (1, -0.1), (1, 1.1)])
def test_a_face_with_a_tenth_of_its_points_outside_the_image_is_cut_off(grey_noise, axis, position):
    landmarks = face()
    points = landmarks.points.copy()
    points[:468:10, axis] = position

    assert issues_of(grey_noise, Landmarks(points, 640, 480)) == ("face_cut_off",)


@pytest.mark.parametrize(
    ("openness", "yaw_deg", "usable"),
    [
        ((0.3, 0.3), 0.0, (True, True)),
        ((0.09, 0.3), 0.0, (False, True)),
        ((0.3, 0.09), 0.0, (True, False)),
        ((0.10, 0.10), 0.0, (True, True)),
        ((0.09, 0.09), 0.0, (False, False)),
        ((0.3, 0.3), 41.0, (True, False)),
        ((0.3, 0.3), -41.0, (False, True)),
        ((0.3, 0.3), 39.0, (True, True)),
        # The near eye is shut: the far one is better than none.
        ((0.05, 0.3), 41.0, (False, True)),
    ],
)
def test_an_eye_is_usable_when_it_is_open_and_visible(openness, yaw_deg, usable):
    assert find_usable_eyes(openness, yaw_deg) == usable


def eyes_in_head(geometry, features):
    """Return the direction of the features' gaze vector in the head frame."""
    return gaze_direction(geometry.head_pose.head_rotation.T @ features[:3])


NETWORK = make_gazes(left_deg=(12.0, 3.0), right_deg=(8.0, 4.0), both_deg=(10.0, -5.0))


def test_without_other_estimates_the_features_are_those_of_the_landmarks():
    geometry = measure_face(face((5, 10, 3)), eye_region=None)

    assert combine_features(geometry, None) == geometry.features


def test_the_features_fuse_landmarks_network_and_blendshapes():
    geometry, shapes = measure_face(face((5, 10, 3)), eye_region=None), GazeDirection(7.0, 2.0)

    features = combine_features(geometry, None, network=NETWORK, blendshapes=shapes)

    fused = fuse_eyes(estimate_from_landmarks(geometry, None), NETWORK, shapes)
    assert eyes_in_head(geometry, features) == approx(fused)
    assert features[3:] == geometry.features[3:]


def test_the_features_gaze_is_in_the_camera_frame():
    geometry = measure_face(face((5, 10, 3)), eye_region=None)

    features = combine_features(geometry, None, network=NETWORK)

    fused = fuse_eyes(geometry.irises, NETWORK, None)
    assert features[:3] == approx(correct_gaze_vector(gaze_vector(fused), geometry.head_pose.head_rotation))


def test_of_a_far_turned_head_the_network_is_believed_about_the_near_eye_only():
    geometry = measure_face(face((0, 45, 0)), eye_region=None)

    features = combine_features(geometry, None, network=NETWORK)

    near = direction_from_midpoint(NETWORK.eyes_deg[0], 0, geometry.distance_mm)
    alone = make_gazes(both_deg=near)
    assert eyes_in_head(geometry, features) == approx(fuse_eyes(geometry.irises, alone, None))


def test_two_shut_eyes_give_no_features_even_with_a_network():
    geometry = measure_face(face(lid_opening_mm=1.0))

    assert combine_features(geometry, None, network=NETWORK) is None
