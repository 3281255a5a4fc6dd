import dataclasses

import numpy as np
import pytest
from pytest import approx

from gaze_core.gaze import screen_point_mm
from gaze_core.types import GazePoint
from research.rendering.identity import sample_identity
from research.rendering.sampling import CALIBRATION_TARGETS, NO_TARGET, sample_fixation, sample_scene, sample_session


@pytest.fixture(scope="module")
def scenes():
    result = []
    for number in range(150):
        identity = sample_identity(number, seed=3)
        session = sample_session(identity, number, seed=3)
        result += [sample_scene(session, identity, frame, NO_TARGET) for frame in range(6)]
    return result


def test_a_scene_is_the_same_for_the_same_numbers():
    identity = sample_identity(2, seed=3)
    first, second = (sample_scene(sample_session(identity, 5, 3), identity, 1, NO_TARGET) for _ in range(2))

    assert first == second
    assert first != sample_scene(sample_session(identity, 5, 3), identity, 2, NO_TARGET)


def test_the_fixated_point_is_the_calibration_target():
    identity = sample_identity(2, seed=3)
    session = sample_session(identity, 5, 3)
    scene = sample_scene(session, identity, 0, target_index=8)

    assert CALIBRATION_TARGETS[8] == GazePoint(0.9, 0.9)
    assert scene.target_mm == approx(screen_point_mm(CALIBRATION_TARGETS[8], session.screen, session.camera))


def test_the_head_sways_during_a_fixation_and_moves_between_fixations():
    identity = sample_identity(2, seed=3)
    session = sample_session(identity, 5, 3)
    fixations = [[sample_fixation(session, identity, target, frame) for frame in range(10)] for target in range(9)]
    places = np.array([[scene.origin_mm for scene in fixation] for fixation in fixations])

    assert all(
        scene.target_mm == approx(screen_point_mm(CALIBRATION_TARGETS[target], session.screen, session.camera))
        for target, scenes in enumerate(fixations)
        for scene in scenes
    )
    assert 0.5 < places.std(axis=1).mean() < 3.0
    assert places.mean(axis=1).std(axis=0).mean() > 4.0


def test_after_a_calibration_the_person_has_moved_and_fixates_random_points_on_the_screen():
    shifts_mm, points = [], set()
    for number in range(40):
        identity = sample_identity(number, seed=3)
        session = sample_session(identity, number, 3)
        before, after = (
            np.mean([sample_fixation(session, identity, target, 0).origin_mm for target in targets], axis=0)
            for targets in (range(9), range(9, 15))
        )
        shifts_mm.append(after - before)
        points.add(sample_fixation(session, identity, 9, 0).target_mm)

    assert np.std(shifts_mm, axis=0) == approx([30, 20, 40], rel=0.5)
    assert len(points) == 40


def test_the_truth_of_a_mirrored_scene_is_mirrored(scenes):
    scene = scenes[0]
    mirrored = dataclasses.replace(
        scene,
        target_mm=(-scene.target_mm[0], *scene.target_mm[1:]),
        origin_mm=(-scene.origin_mm[0], *scene.origin_mm[1:]),
    )

    assert mirrored.direction.gaze_x_deg == approx(-scene.direction.gaze_x_deg)
    assert mirrored.direction.gaze_y_deg == approx(scene.direction.gaze_y_deg)


def test_looking_into_the_camera_is_direction_zero(scenes):
    scene = dataclasses.replace(scenes[0], target_mm=(0.0, 0.0, 0.0), origin_mm=(0.0, 0.0, 500.0))

    assert (scene.direction.gaze_x_deg, scene.direction.gaze_y_deg) == approx((0.0, 0.0))
    assert scene.distance_mm == approx(500.0)


def test_a_target_on_the_left_of_the_image_is_on_the_viewer_s_right(scenes):
    scene = dataclasses.replace(scenes[0], target_mm=(-500.0, 0.0, 0.0), origin_mm=(0.0, 0.0, 500.0))

    assert scene.direction.gaze_x_deg == approx(45.0)


def test_scenes_cover_the_ranges_that_webcams_see(scenes):
    distance = np.array([scene.distance_mm for scene in scenes])
    yaw = np.array([scene.yaw_deg for scene in scenes])
    pitch = np.array([scene.pitch_deg for scene in scenes])
    gaze = np.array([scene.direction.gaze_x_deg for scene in scenes])

    assert distance.min() < 430
    assert distance.max() > 750
    assert yaw.min() == approx(-30, abs=4)
    assert yaw.max() == approx(30, abs=4)
    assert pitch.min() == approx(-18, abs=1)
    assert np.ptp(gaze) > 60
    assert abs(np.corrcoef(yaw, gaze)[0, 1]) < 0.85  # eyes and head do not always move together


def test_every_face_lies_inside_the_image(scenes):
    for scene in scenes:
        edges = np.array(scene.origin_mm) + np.array([[-75.0, 0, 0], [75.0, 0, 0], [0, -75.0, 0], [0, 110.0, 0]])
        pixels = scene.project(edges)

        assert pixels.min() > -2
        assert (pixels < np.array([scene.image_width_px, scene.image_height_px]) + 2).all()
