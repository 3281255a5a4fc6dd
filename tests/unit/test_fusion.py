"""Fusion of the estimates, with covariances that can be checked by hand."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.fusion import (
    FUSION_MODEL,
    SHAPE_MODEL,
    FusionModel,
    ShapeModel,
    blendshape_gaze,
    fuse_directions,
    fuse_eyes,
    split_shapes,
)
from gaze_core.types import EyeGazes, GazeDirection

INDEPENDENT = np.diag([4.0, 1.0, 4.0])
MODEL = FusionModel(np.array([INDEPENDENT, INDEPENDENT]), np.array([2.0, 3.0]))
LANDMARKS, BLENDSHAPES = GazeDirection(6.0, 0.0), GazeDirection(0.0, 6.0)


def network(right_deg, up_deg, spread_deg=(2.0, 3.0)):
    return EyeGazes(np.zeros((2, 2)), np.ones((2, 2)), np.array([right_deg, up_deg]), np.array(spread_deg))


def test_independent_errors_are_weighted_by_the_inverse_of_their_variances():
    # 1/4, 1 and 1/4, so one sixth, four sixths and one sixth.
    assert fuse_eyes(LANDMARKS, network(3, 3), BLENDSHAPES, model=MODEL) == approx((1 + 2, 2 + 1))


def test_equal_estimates_stay_as_they_are():
    same = GazeDirection(-7.0, 4.0)

    assert fuse_eyes(same, network(*same), same) == approx(same)


@pytest.mark.parametrize(
    ("estimates", "fused"),
    [
        ((LANDMARKS, None, None), (6.0, 0.0)),
        ((None, network(3, -2), None), (3.0, -2.0)),
        ((None, None, BLENDSHAPES), (0.0, 6.0)),
        ((LANDMARKS, None, BLENDSHAPES), (3.0, 3.0)),
        ((LANDMARKS, network(1, 5), None), (0.2 * 6 + 0.8 * 1, 0.8 * 5)),
        ((None, network(1, 5), BLENDSHAPES), (0.8 * 1, 0.8 * 5 + 0.2 * 6)),
    ],
)
def test_a_missing_estimate_drops_out(estimates, fused):
    assert fuse_eyes(*estimates, model=MODEL) == approx(fused)


def test_without_any_estimate_there_is_no_gaze():
    with pytest.raises(ValueError, match="at least one estimate"):
        fuse_eyes(None, None, None)


def test_a_network_that_is_twice_as_unsure_has_four_times_the_variance():
    # Horizontally 1/4, 1/4 and 1/4; the vertical spread is the usual one.
    assert fuse_eyes(LANDMARKS, network(3, 3, (4.0, 3.0)), BLENDSHAPES, model=MODEL) == approx((3.0, 3.0))
    assert MODEL.weigh(np.ones(3, bool), np.array([4.0, 3.0])) == approx(
        np.array([[1 / 3, 1 / 6], [1 / 3, 4 / 6], [1 / 3, 1 / 6]])
    )


@pytest.mark.parametrize(("spread_deg", "ratio"), [(0.01, 0.5), (1.0, 0.5), (8.0, 4.0), (1000.0, 4.0)])
def test_the_predicted_spread_is_believed_between_half_and_four_times_the_usual_one(spread_deg, ratio):
    weights = MODEL.weigh(np.ones(3, bool), np.array([spread_deg, 3.0]))

    assert weights[1, 0] == approx(1 / ratio**2 / (1 / ratio**2 + 0.5))


def test_correlated_estimates_count_less():
    # Landmarks and blendshapes err together: the inverse covariance times ones is (1/7, 1, 1/7).
    together = np.array([[4.0, 0.0, 3.0], [0.0, 1.0, 0.0], [3.0, 0.0, 4.0]])
    model = FusionModel(np.array([together, INDEPENDENT]), np.ones(2))

    assert model.weigh(np.ones(3, bool), np.ones(2))[:, 0] == approx(np.array([1, 7, 1]) / 9)


def test_a_negative_weight_becomes_zero_and_the_others_are_computed_without_it():
    # The blendshapes are the landmarks with more noise: alone they would have weight -0.25 / 1.5.
    worse = np.array([[1.0, 0.0, 1.5], [0.0, 1.0, 0.0], [1.5, 0.0, 4.0]])
    model = FusionModel(np.array([worse, INDEPENDENT]), np.ones(2))

    assert model.weigh(np.ones(3, bool), np.ones(2))[:, 0] == approx([0.5, 0.5, 0.0])
    assert model.weigh(np.array([True, False, True]), np.ones(2))[:, 0] == approx([1.0, 0.0, 0.0])


def test_many_rows_are_combined_like_single_ones():
    estimates = np.random.default_rng(0).normal(0, 10, (4, 3, 2))
    estimates[1, 1], estimates[2, [0, 2]] = np.nan, np.nan
    spreads = np.random.default_rng(1).uniform(1, 5, (4, 2))

    together = fuse_directions(estimates, spreads)

    assert together.shape == (4, 2)
    for row in range(4):
        assert together[row] == approx(fuse_directions(estimates[row], spreads[row]))


def test_the_shipped_weights_are_positive_and_sum_to_one():
    weights = FUSION_MODEL.weigh(np.ones(3, bool), FUSION_MODEL.network_spread_deg)

    assert (weights >= 0).all()
    assert weights.sum(axis=0) == approx([1.0, 1.0])


def shapes(**values):
    """Blendshapes of left and right eye: names with a prefix `left_` or `right_`."""
    names = ("look_in", "look_out", "look_up", "look_down", "blink", "squint", "wide")
    return np.array([[values.get(f"{side}_{name}", 0.0) for name in names] for side in ("left", "right")])


EXAMPLE = ShapeModel(np.array([-30.0, 50.0, 0, 0, 0, 0, 0]), 1.0, np.array([0, 0, 40.0, -20.0, 1.0, 2.0, 3.0]), -4.0)


def test_each_eye_contributes_half():
    right_eye_out = EXAMPLE.predict(shapes(right_look_out=0.4))
    left_eye_in = EXAMPLE.predict(shapes(left_look_in=0.4))

    assert right_eye_out == approx([1 + 10.0, -4.0])
    assert left_eye_in == approx([1 + 6.0, -4.0])


def test_the_vertical_direction_is_a_sum_over_both_eyes_means():
    looking_up = EXAMPLE.predict(shapes(left_look_up=0.5, right_look_up=0.3, left_blink=1, right_squint=1, left_wide=1))

    assert looking_up == approx([1.0, -4 + 40 * 0.4 + 0.5 + 1.0 + 1.5])


def test_exchanged_eyes_turn_the_gaze_as_far_to_the_other_side_of_straight_ahead():
    values = np.random.default_rng(0).uniform(0, 1, (2, 7))

    right_deg, up_deg = blendshape_gaze(values)

    straight_deg = SHAPE_MODEL.straight_deg
    assert blendshape_gaze(values[::-1]) == approx((straight_deg - (right_deg - straight_deg), up_deg))


def test_a_unit_of_looking_is_40_degrees_in_all_directions():
    right = blendshape_gaze(shapes(right_look_out=0.5, left_look_in=0.5))
    left = blendshape_gaze(shapes(left_look_out=0.25, right_look_in=0.25))

    assert right == approx((4.1 + 20.0, 0.0))
    assert left == approx((4.1 - 10.0, 0.0))
    assert blendshape_gaze(shapes(left_look_up=0.5, right_look_up=0.5)) == approx((4.1, 20.0))
    assert blendshape_gaze(shapes(left_look_down=0.5, right_look_down=0.5)) == approx((4.1, -20.0))


def test_blendshapes_of_one_eye_are_refused():
    with pytest.raises(ValueError, match=r"eye_shapes must have shape \(..., 2, 7\)"):
        split_shapes(np.zeros(7))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: FusionModel(np.zeros((3, 3)), np.ones(2)), "covariances_deg2 must have shape"),
        (lambda: FusionModel(np.zeros((2, 3, 3)), np.ones(3)), "network_spread_deg must have shape"),
        (lambda: ShapeModel(np.zeros(6), 0.0, np.zeros(7), 0.0), "sideways_deg must have shape"),
        (lambda: ShapeModel(np.zeros(7), 0.0, np.zeros(6), 0.0), "upwards_deg must have shape"),
    ],
)
def test_models_of_another_shape_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model()


@pytest.mark.parametrize("spread_deg", [(1.0, 2.0), (4.0, 5.0), (30.0, 40.0)])
@pytest.mark.parametrize("known", [(0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,)])
def test_one_frame_has_the_weights_of_a_row(known, spread_deg):
    is_known = np.isin(np.arange(3), known)

    weights = FUSION_MODEL.weigh_frame(known, spread_deg)

    assert np.transpose(weights) == approx(FUSION_MODEL.weigh(is_known, np.array(spread_deg)), abs=1e-12)
