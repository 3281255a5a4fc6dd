"""What the outline of the eyes adds, on weights that a reader can follow."""

import numpy as np
import pytest
from pytest import approx

from gaze_core import outline_weights
from gaze_core.outline import LEFT_POINTS, OUTLINE, PAIRS, RIGHT_POINTS, Outline, split_pairs
from gaze_core.types import GazeDirection

STRAIGHT, LEVEL = GazeDirection(0.0, 0.0), (0.0, 0.0, 0.0)


def make_outline(**weights):
    nothing = {
        "sideways": np.zeros((len(PAIRS), 2)),
        "upwards": np.zeros((len(PAIRS), 2)),
        "sideways_terms": np.zeros(3),
        "upwards_terms": np.zeros(4),
    }
    return Outline(**nothing | weights)


def weigh(pair, column):
    """Return weights of 1 for one column of one pair, 0 for all others."""
    weights = np.zeros((len(PAIRS), 2))
    weights[pair, column] = 1.0
    return weights


def place(pair, right, left):
    """Return an outline all of whose points but those of one pair lie at the origin."""
    points = np.zeros((2, len(PAIRS), 2))
    points[0, pair], points[1, pair] = right, left
    return points.reshape(-1, 2)


def test_every_point_is_named_once():
    assert len(set(RIGHT_POINTS + LEFT_POINTS)) == 2 * len(PAIRS) == 50


def test_a_symmetric_face_has_nothing_apart():
    apart, common = split_pairs(place(3, (-30.0, 4.0), (30.0, 4.0)))

    assert apart.tolist() == np.zeros((25, 2)).tolist()
    assert common[3].tolist() == [-30.0, 4.0]


def test_both_points_2_mm_to_one_side_are_2_mm_apart():
    apart, _ = split_pairs(place(3, (-28.0, 4.0), (32.0, 4.0)))

    assert apart[3].tolist() == [2.0, 0.0]


def test_what_a_pair_has_in_common_moves_the_gaze_up_or_down_alone():
    outline = make_outline(upwards=weigh(3, 1))

    corrected = outline.correct(STRAIGHT, LEVEL, 600.0, place(3, (-30.0, 4.0), (30.0, 4.0)))

    assert corrected == GazeDirection(0.0, 4.0)


def test_what_tells_a_pair_apart_moves_the_gaze_sideways_alone():
    outline = make_outline(sideways=weigh(3, 0))

    corrected = outline.correct(STRAIGHT, LEVEL, 600.0, place(3, (-28.0, 4.0), (32.0, 4.0)))

    assert corrected == GazeDirection(2.0, 0.0)


def test_yaw_and_roll_move_it_sideways_and_pitch_and_distance_up():
    outline = make_outline(sideways_terms=np.array([0.1, 0.2, 0.3]), upwards_terms=np.array([1.0, 0.1, 0.2, 0.01]))

    corrected = outline.correct(GazeDirection(10.0, 20.0), (5.0, 6.0, 7.0), 650.0, np.zeros((50, 2)))

    assert (corrected.gaze_x_deg, corrected.gaze_y_deg) == approx((10 + 1 + 1.2 + 2.1, 20 + 1 + 2 + 1 + 0.5))


def test_one_eye_alone_has_weights_of_its_own():
    outline = make_outline(upwards_terms=np.array([9.0, 0, 0, 0]), alone_upwards=np.array([-12.0, 0, 0, 0]))

    assert outline.correct(STRAIGHT, LEVEL, 600.0, None) == GazeDirection(0.0, -12.0)


def test_the_shipped_outline_mirrors_a_mirrored_face():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 20, (2, len(PAIRS), 2))
    mirrored = points[::-1] * [-1.0, 1.0]

    one = OUTLINE.correct(GazeDirection(7.0, -3.0), (4.0, 5.0, -6.0), 550.0, points)
    other = OUTLINE.correct(GazeDirection(-7.0, -3.0), (4.0, -5.0, 6.0), 550.0, mirrored)

    assert (other.gaze_x_deg, other.gaze_y_deg) == approx((-one.gaze_x_deg, one.gaze_y_deg))


def test_the_shipped_outline_lets_no_millimetre_count_for_more_than_six_degrees():
    # The eye's own lever gives five; a larger weight would be one point played off against its neighbours.
    assert np.abs(outline_weights.PAIRS).max() < 6


def test_weights_of_another_shape_are_misuse():
    with pytest.raises(ValueError, match="upwards must have shape"):
        make_outline(upwards=np.zeros((3, 2)))
