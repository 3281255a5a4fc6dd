"""Differences between the estimates of a gaze."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.correction import Correction
from gaze_core.cues import GazeCues, find_cues, no_cues
from gaze_core.gaze import IPD_MM, gaze_direction

AHEAD = np.zeros(2)


def find_one(*, landmarks=AHEAD, network=AHEAD, shapes=AHEAD, eyes=(AHEAD, AHEAD), distance_mm=1e6, yaw_deg=0.0):
    estimates = np.array([[landmarks, network, shapes]], dtype=float)
    spread = np.array([[1.0, 2.0]])
    return find_cues(estimates, np.array([eyes], dtype=float), spread, np.array([distance_mm]), np.array([yaw_deg]))


def test_landmarks_and_blendshapes_are_compared_with_the_network():
    (cues,) = find_one(landmarks=(5, 1), network=(2, -1), shapes=(1, 3)).differences_deg

    assert cues[1].tolist() == [3, 2]
    assert cues[2].tolist() == [-1, 4]


def test_the_left_eye_is_compared_with_the_right_one():
    (cues,) = find_one(eyes=((2.0, 1.0), (-1.0, 0.5))).differences_deg

    assert cues[0] == approx([3.0, 0.5], abs=0.01)


@pytest.mark.parametrize("distance_mm", [250.0, 600.0])
def test_eyes_that_converge_on_the_same_point_do_not_differ(distance_mm):
    ahead_mm = np.array([0.0, 0.0, -distance_mm])
    # The left eye is at positive x in the head frame.
    lines = [gaze_direction(ahead_mm - [side * IPD_MM / 2, 0, 0]) for side in (1, -1)]

    (cues,) = find_one(eyes=lines, distance_mm=distance_mm).differences_deg

    assert lines[0][0] - lines[1][0] > 5
    assert cues[0] == approx([0, 0], abs=0.3)


@pytest.mark.parametrize(("yaw_deg", "is_known"), [(30.0, True), (30.1, False), (-30.1, False)])
def test_the_eyes_of_a_turned_head_are_not_compared(yaw_deg, is_known):
    assert np.isfinite(find_one(yaw_deg=yaw_deg).differences_deg[0, 0]).all() == is_known


def test_a_difference_is_cut_to_15_degrees():
    (cues,) = find_one(landmarks=(15.1, -40.0)).differences_deg

    assert cues[1].tolist() == [15, -15]


def test_a_missing_estimate_leaves_its_difference_unknown():
    (cues,) = find_one(shapes=(np.nan, np.nan)).differences_deg

    assert np.isnan(cues[2]).all()
    assert np.isfinite(cues[:2]).all()


def test_frames_are_selected_and_joined():
    cues = GazeCues.join([find_one(), no_cues(2)])

    assert cues.has_network.tolist() == [True, False, False]
    assert cues.select(np.array([2, 0])).has_network.tolist() == [False, True]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"differences_deg must have shape \(2, 3, 2\)"):
        GazeCues(np.zeros((2, 2, 2)), np.zeros((2, 2)))


def test_a_difference_that_is_missing_moves_the_gaze_no_more_than_a_usual_one():
    correction = Correction(
        offset_deg=(1.0, -2.0),
        cue_shares=((0.5, 0.4), (0.3, 0.2), (0.1, 0.6)),
        usual_differences_deg=((2.0, 1.0), (-1.0, 3.0), (4.0, -2.0)),
    )
    usual = GazeCues(np.array([correction.usual_differences_deg]), np.ones((1, 2)))
    missing = GazeCues(np.full((1, 3, 2), np.nan), np.ones((1, 2)))
    frame = ([[3.0, 1.0]], [[0.0, 0.0, 0.0]], [0.3])

    expected = correction.apply(*frame, usual)

    assert correction.apply(*frame, missing) == approx(expected)
    assert correction.apply(*frame, None) == approx(expected)
    assert correction.apply(*frame, GazeCues(np.zeros((1, 3, 2)), np.ones((1, 2)))) != approx(expected)


def test_a_frame_without_the_network_has_no_difference_of_the_eyes():
    nowhere = np.full(2, np.nan)

    (cues,) = find_one(network=nowhere, eyes=(nowhere, nowhere)).differences_deg

    assert np.isnan(cues).all()
