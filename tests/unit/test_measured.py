"""Measurements of frames: in records, packed, and fused again."""

import dataclasses

import numpy as np
import pytest
from pytest import approx

from func.session.frame_record import make_record, read_record
from func.session.measured import Measured, describe_eyes, stack_eyes, stack_measured
from gaze_core.features import combine_features, estimate_from_landmarks, measure_face
from gaze_core.fusion import ESTIMATES, fuse_eyes
from gaze_core.gaze import correct_gaze_vector, gaze_vector
from gaze_core.head_pose import rotation_matrix
from gaze_core.one_eye import direction_from_midpoint
from gaze_core.types import EyeEstimates, GazeDirection, GazePoint, GazeSample, Validity
from tests.fakes.eye_network import make_gazes
from tests.fakes.synthetic_face import make_face

NETWORK = make_gazes(left_deg=(12.0, 3.0), right_deg=(8.0, 4.0), both_deg=(10.0, -5.0), spread_deg=2.5)
EYES = EyeEstimates(GazeDirection(6.0, -1.0), NETWORK, GazeDirection(7.0, 2.0))
ALL = ("landmarks", "network", "blendshapes")
HEAD_DEG = (3.0, -8.0, 0.5)


def make_sample(eyes=EYES, *, head_deg=HEAD_DEG, openness=(0.31, 0.33), features=None):
    return GazeSample(
        validity=Validity.OK,
        gaze=GazePoint(0.5, 0.25),
        features=features or (0.1, 0.2, -0.97, *head_deg, 571.0),
        origin_mm=(1.0, 2.0, 571.0),
        distance_mm=571.0,
        eye_openness=openness,
        eyes=eyes,
    )


def measure(sample):
    return read_record(make_record(sample)).measured


def head_frame_to_features(direction_deg, head_deg=HEAD_DEG):
    return correct_gaze_vector(gaze_vector(direction_deg), rotation_matrix(*head_deg))


def test_a_record_contains_every_estimate_of_the_eyes_direction():
    assert make_record(make_sample())["eyes"] == {
        "landmarks": [6.0, -1.0],
        "left": [12.0, 3.0, 2.5, 2.5],
        "right": [8.0, 4.0, 2.5, 2.5],
        "both": [10.0, -5.0, 2.5, 2.5],
        "blendshapes": [7.0, 2.0],
    }


def test_a_record_without_other_estimates_is_that_of_an_older_version():
    assert "eyes" not in make_record(make_sample(None))


def test_estimates_are_rounded_to_a_thousandth_of_a_degree():
    assert describe_eyes(EyeEstimates(GazeDirection(1.23456, -2.34567))) == {"landmarks": [1.235, -2.346]}


def test_a_record_tells_both_spreads_of_the_network_apart():
    spread = dataclasses.replace(NETWORK, both_spread_deg=np.array([1.5, 4.5]))

    measured = measure(make_sample(EyeEstimates(EYES.landmarks, spread)))

    assert stack_eyes([measured]).network_spread_deg[0] == approx([1.5, 4.5])


def test_estimates_survive_the_way_through_the_record():
    eyes = stack_eyes([measure(make_sample())])

    assert eyes.estimates_deg[0] == approx(np.array([[6.0, -1.0], [10.0, -5.0], [7.0, 2.0]]))
    assert eyes.eyes_deg[0] == approx(np.array([[12.0, 3.0], [8.0, 4.0]]))
    assert eyes.eyes_spread_deg[0] == approx(np.full((2, 2), 2.5))


def test_the_estimates_have_the_order_of_the_fusion():
    assert ESTIMATES == ALL


def test_a_missing_estimate_is_not_a_number():
    eyes = stack_eyes([measure(make_sample(EyeEstimates(GazeDirection(6.0, -1.0), NETWORK)))])

    assert np.isfinite(eyes.estimates_deg[0]).tolist() == [[True, True], [True, True], [False, False]]


def test_the_features_of_a_record_without_estimates_are_its_estimate_by_landmarks():
    features = (*head_frame_to_features((6.0, -1.0)), *HEAD_DEG, 571.0)

    eyes = stack_eyes([measure(make_sample(None, features=features)), measure(make_sample())])

    assert eyes.estimates_deg[0, 0] == approx([6.0, -1.0], abs=1e-3)
    assert np.isnan(eyes.estimates_deg[0, 1:]).all()
    assert eyes.estimates_deg[1, 1] == approx([10.0, -5.0])


@pytest.mark.parametrize(
    ("openness", "yaw_deg", "index"), [((0.05, 0.3), -8.0, 1), ((0.3, 0.05), -8.0, 0), ((0.3, 0.3), 45.0, 0)]
)
def test_of_a_frame_with_one_usable_eye_the_networks_direction_is_that_of_this_eye(openness, yaw_deg, index):
    measured = measure(make_sample(head_deg=(3.0, yaw_deg, 0.5), openness=openness))

    expected = direction_from_midpoint(NETWORK.eyes_deg[index], index, 571.0)
    assert stack_eyes([measured]).estimates_deg[0, 1] == approx(expected, abs=1e-4)


@pytest.mark.parametrize("yaw_deg", [0.0, 45.0])
def test_features_fused_again_are_those_of_the_detector(yaw_deg):
    geometry = measure_face(make_face(pitch_deg=5, yaw_deg=yaw_deg, roll_deg=3))
    pose, shapes = geometry.head_pose, GazeDirection(7.0, 2.0)
    features = combine_features(geometry, None, network=NETWORK, blendshapes=shapes)
    eyes = EyeEstimates(estimate_from_landmarks(geometry, None), NETWORK, shapes)
    sample = make_sample(
        eyes,
        head_deg=(pose.pitch_deg, pose.yaw_deg, pose.roll_deg),
        openness=geometry.eye_openness,
        features=(0.0, 0.0, -1.0, *features[3:]),  # of another version, which fused in another way
    )

    (row,), _, _ = stack_measured([measure(sample)], ALL)

    assert row == approx(features, abs=1e-4)


def test_features_are_fused_from_the_estimates_that_the_model_was_trained_with():
    measured = [measure(make_sample())]

    (by_landmarks,), _, _ = stack_measured(measured, ("landmarks",))
    (without_shapes,), _, _ = stack_measured(measured, ("landmarks", "network"))

    assert by_landmarks[:3] == approx(head_frame_to_features((6.0, -1.0)), abs=1e-6)
    assert without_shapes[:3] == approx(head_frame_to_features(fuse_eyes(EYES.landmarks, NETWORK, None)), abs=1e-6)


def test_a_record_of_an_older_version_keeps_its_features():
    sample = make_sample(None)

    features, origin_mm, openness = stack_measured([measure(sample), measure(make_sample())], ALL)

    assert features[0] == approx(sample.features)
    assert origin_mm[0] == approx([1.0, 2.0, 571.0])
    assert openness == approx([0.32, 0.32])


def test_nothing_is_stacked_to_empty_arrays():
    features, origin_mm, openness = stack_measured([], ALL)

    assert (features.shape, origin_mm.shape, openness.shape) == ((0, 7), (0, 3), (0,))
    assert stack_eyes([]).estimates_deg.shape == (0, 3, 2)


def test_a_record_without_usable_estimates_keeps_its_features():
    measured = measure(make_sample(EyeEstimates(None, NETWORK)))

    (row,), _, _ = stack_measured([measured], ("landmarks",))

    assert row[:3] == approx([0.1, 0.2, -0.97])


@pytest.mark.parametrize(
    ("eyes", "has_network"), [(None, False), (EYES, True), (EyeEstimates(EYES.landmarks, None, EYES.landmarks), False)]
)
def test_a_record_says_whether_the_network_answered(eyes, has_network):
    assert measure(make_sample(eyes)).has_network is has_network


@pytest.mark.parametrize(
    "damage",
    [
        None,
        7,
        [],
        {},
        "left",
        {"left": [1.0, 2.0, 3.0, 4.0]},
        {"left": [1.0] * 4, "right": [1.0] * 4, "both": [1.0] * 3},
        {"left": [1.0] * 4, "right": [1.0] * 4, "both": [1.0, 2.0, "x", 4.0]},
        {"landmarks": [1.0, float("nan")]},
    ],
)
def test_damaged_estimates_are_left_out(damage):
    record = make_record(make_sample()) | {"eyes": damage}

    assert read_record(record).measured == measure(make_sample(None))


@pytest.mark.parametrize("distance_mm", [0.0, -5.0, 1e300])
def test_an_impossible_distance_is_no_error(distance_mm):
    record = make_record(make_sample(openness=(0.05, 0.3))) | {"features": [0.1, 0.2, -0.97, *HEAD_DEG, distance_mm]}

    measured = read_record(record).measured

    assert np.isfinite(stack_measured([measured], ALL)[0]).all()


@pytest.mark.parametrize("huge", [1e300, -1e39, 10**400])
def test_impossible_angles_are_no_error(huge):
    record = make_record(make_sample())
    record["eyes"] |= {"both": [huge, 0.0, 1.0, 1.0], "blendshapes": [0.0, huge]}

    features, _, _ = stack_measured([read_record(record).measured], ALL)

    assert features[0, :3] == approx(head_frame_to_features((6.0, -1.0)), abs=1e-6)


def test_a_spread_of_zero_is_no_error():
    record = make_record(make_sample())
    record["eyes"] |= {"both": [10.0, -5.0, 0.0, -1.0]}

    assert np.isfinite(stack_measured([read_record(record).measured], ALL)[0]).all()


def test_a_frame_takes_88_bytes_and_its_estimates_64():
    alone, together = measure(make_sample(None)), measure(make_sample())

    assert (len(alone.packed), len(together.packed)) == (88, 152)


def test_measurements_are_read_back_as_they_were_packed():
    measured = Measured.pack((0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0), (1.0, 2.0, 571.0), 0.32, (1.0,) * 16)

    assert measured.features == (0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0)
    assert (measured.origin_mm, measured.openness) == ((1.0, 2.0, 571.0), 0.32)


@pytest.mark.parametrize(("covered", "flag", "index"), [(0, "left_eye_covered", 1), (1, "right_eye_covered", 0)])
def test_of_a_covered_eye_the_record_has_a_flag_and_the_network_counts_for_the_other(covered, flag, index):
    sample = dataclasses.replace(make_sample(), covered_eyes=(covered == 0, covered == 1))

    record = make_record(sample)

    eyes = stack_eyes([read_record(record).measured])
    alone = direction_from_midpoint(NETWORK.eyes_deg[index], index, 571.0)
    assert record["flags"] == [flag]
    assert eyes.estimates_deg[0, 1] == approx(alone, abs=1e-3)
