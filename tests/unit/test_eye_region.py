"""Correction of the iris direction by the eye region, on simple weights."""

import numpy as np
import pytest
from pytest import approx

from gaze_core import eye_region_weights
from gaze_core.eye_region import EYE_REGION_MODEL, LEFT_POINTS, PAIRS, RIGHT_POINTS, EyeRegionModel, split_pairs
from gaze_core.types import GazeDirection

STRAIGHT, LEVEL = GazeDirection(0.0, 0.0), (0.0, 0.0, 0.0)


def make_model(**weights):
    nothing = {
        "sideways": np.zeros((len(PAIRS), 2)),
        "upwards": np.zeros((len(PAIRS), 2)),
        "sideways_terms": np.zeros(3),
        "upwards_terms": np.zeros(4),
    }
    return EyeRegionModel(**nothing | weights)


def weigh(pair, column):
    """Return weights of 1 for one column of one pair, 0 for all others."""
    weights = np.zeros((len(PAIRS), 2))
    weights[pair, column] = 1.0
    return weights


def place(pair, right, left):
    """Return points that lie at the origin, except for those of one pair."""
    points = np.zeros((2, len(PAIRS), 2))
    points[0, pair], points[1, pair] = right, left
    return points.reshape(-1, 2)


def test_every_landmark_is_listed_once():
    assert len(set(RIGHT_POINTS + LEFT_POINTS)) == 2 * len(PAIRS) == 50


def test_a_symmetric_face_has_no_asymmetric_part():
    apart, common = split_pairs(place(3, (-30.0, 4.0), (30.0, 4.0)))

    assert apart.tolist() == np.zeros((25, 2)).tolist()
    assert common[3].tolist() == [-30.0, 4.0]


def test_both_points_2_mm_to_one_side_are_2_mm_asymmetric():
    apart, _ = split_pairs(place(3, (-28.0, 4.0), (32.0, 4.0)))

    assert apart[3].tolist() == [2.0, 0.0]


def test_the_symmetric_part_moves_the_gaze_vertically():
    model = make_model(upwards=weigh(3, 1))

    corrected = model.correct(STRAIGHT, LEVEL, 600.0, place(3, (-30.0, 4.0), (30.0, 4.0)))

    assert corrected == GazeDirection(0.0, 4.0)


def test_the_asymmetric_part_moves_the_gaze_horizontally():
    model = make_model(sideways=weigh(3, 0))

    corrected = model.correct(STRAIGHT, LEVEL, 600.0, place(3, (-28.0, 4.0), (32.0, 4.0)))

    assert corrected == GazeDirection(2.0, 0.0)


def test_yaw_and_roll_move_the_gaze_horizontally_pitch_and_distance_vertically():
    model = make_model(sideways_terms=np.array([0.1, 0.2, 0.3]), upwards_terms=np.array([1.0, 0.1, 0.2, 0.01]))

    corrected = model.correct(GazeDirection(10.0, 20.0), (5.0, 6.0, 7.0), 650.0, np.zeros((50, 2)))

    assert (corrected.gaze_x_deg, corrected.gaze_y_deg) == approx((10 + 1 + 1.2 + 2.1, 20 + 1 + 2 + 1 + 0.5))


def test_a_single_eye_has_its_own_weights():
    model = make_model(upwards_terms=np.array([9.0, 0, 0, 0]), alone_upwards=np.array([-12.0, 0, 0, 0]))

    assert model.correct(STRAIGHT, LEVEL, 600.0, None) == GazeDirection(0.0, -12.0)


def test_the_shipped_model_mirrors_a_mirrored_face():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 20, (2, len(PAIRS), 2))
    mirrored = points[::-1] * [-1.0, 1.0]

    one = EYE_REGION_MODEL.correct(GazeDirection(7.0, -3.0), (4.0, 5.0, -6.0), 550.0, points)
    other = EYE_REGION_MODEL.correct(GazeDirection(-7.0, -3.0), (4.0, -5.0, 6.0), 550.0, mirrored)

    assert (other.gaze_x_deg, other.gaze_y_deg) == approx((-one.gaze_x_deg, one.gaze_y_deg))


def test_no_shipped_weight_exceeds_six_degrees_per_mm():
    # The geometry of the eye gives five; a much larger weight would cancel against adjacent points.
    assert np.abs(eye_region_weights.PAIRS).max() < 6


def test_weights_of_the_wrong_shape_are_misuse():
    with pytest.raises(ValueError, match="upwards must have shape"):
        make_model(upwards=np.zeros((3, 2)))
