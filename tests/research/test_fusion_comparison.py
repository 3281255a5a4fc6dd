"""Comparison of ways to fuse, on people whose errors are known."""

import numpy as np
from pytest import approx

from gaze_core.features import measure_face
from gaze_core.fusion import FusionModel
from gaze_core.types import EyeEstimates, GazeDirection
from research.estimates import GazeEstimates
from research.evaluation.fusion import (
    SUBSETS,
    combine,
    combine_by_halves,
    compare_maps,
    compare_weights,
    make_variants,
    stack_portraits,
)
from research.evaluation.portraits import Portrait
from research.training.examples import measure_table
from research.training.fusion import EyeDirections, fit_fusion, select_rendered
from tests.fakes.eye_network import make_gazes
from tests.fakes.synthetic_face import make_face
from tests.fakes.synthetic_table import make_table

COVARIANCE = np.array([[4.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 4.0]])
MODEL = FusionModel(np.array([COVARIANCE, COVARIANCE]), np.array([2.0, 2.0]))


def directions(errors_deg, *, spread_deg=2.0, person=None):
    """Images of people who look straight ahead; `errors_deg` are errors of each estimate to the right, shape (n, 3)."""
    errors = np.array(errors_deg, dtype=float)
    count = len(errors)
    estimates = np.stack([errors, np.zeros_like(errors)], axis=-1)
    people = np.arange(count) if person is None else np.array(person)
    return EyeDirections(estimates, np.full((count, 2), spread_deg), np.zeros((count, 2)), people)


def test_there_are_three_single_estimates_three_pairs_and_all():
    assert [len(subset) for subset in SUBSETS] == [1, 1, 1, 2, 2, 2, 3]


def test_equal_weights_give_the_mean():
    model, by_spread = make_variants(MODEL)["equal"]

    assert combine(directions([[3, 6, 9]]), ("landmarks", "network"), model, by_spread=by_spread)[0, 0] == approx(4.5)
    assert combine(directions([[3, 6, 9]]), ("network",), model, by_spread=by_spread)[0, 0] == approx(6)


def test_weights_by_inverse_variance_ignore_correlations():
    model, by_spread = make_variants(MODEL)["inverse variance"]

    fused = combine(directions([[5, 0, 0]]), ("landmarks", "network"), model, by_spread=by_spread)

    assert fused[0, 0] == approx(5 * 0.2)


def test_best_weights_use_correlations():
    model, by_spread = make_variants(MODEL)["best"]

    fused = combine(directions([[5, 1, 0]]), ("landmarks", "network"), model, by_spread=by_spread)

    assert fused[0, 0] == approx(1)  # all weight on the network: (1 - 1) / (4 + 1 - 2)


def test_only_the_last_variant_believes_the_predicted_spread():
    sure, unsure = directions([[4, 0, 0]], spread_deg=2.0), directions([[4, 0, 0]], spread_deg=6.0)
    for name, (model, by_spread) in make_variants(MODEL).items():
        same = combine(sure, ("landmarks", "network"), model, by_spread=by_spread)
        other = combine(unsure, ("landmarks", "network"), model, by_spread=by_spread)
        assert (name == "best, by predicted spread") == (abs(same - other).max() > 0.1)


def test_each_half_gets_the_weights_of_the_other_half():
    rng = np.random.default_rng(0)
    errors = rng.normal(0, 1, (400, 3)) * np.where(np.arange(400)[:, None] % 2 == 0, [1, 3, 9], [9, 3, 1])
    both = directions(errors)
    both.estimates_deg[..., 1] = both.estimates_deg[..., 0]
    second = both.of(np.arange(400) % 2 == 1)

    fused = combine_by_halves(both, ("landmarks", "network", "blendshapes"))

    expected = combine(
        second, ("landmarks", "network", "blendshapes"), fit_fusion(both.of(np.arange(400) % 2 == 0)), by_spread=False
    )
    assert fused[1::2] == approx(expected)


def test_the_table_has_errors_bias_and_scatter_of_each_combination():
    table = compare_weights(directions([[1, 2, 4], [3, 2, 4]]), MODEL, by_halves=False).splitlines()

    assert table[2] == "| landmarks | – | 2.00 | 1.00 to 3.00 | 2.00 | 0.00 | 1.00 | 0.00 |"
    assert len(table) == 2 + 3 + 3 * 4 + 4


def test_maps_are_compared_on_people_that_they_were_not_fitted_to():
    table = make_table(identities=12, frames=10, shapes_sd_deg=1.0)
    rendered = select_rendered(table, measure_table(table), held_out=False)

    lines = compare_maps(rendered, [], folds=3).splitlines()

    errors_deg = {line.split(" | ")[0].strip("| "): float(line.split(" | ")[1]) for line in lines[2:]}
    assert list(errors_deg)[-1] == "look up − look down, 40°"
    # The synthetic map has 40 degrees and no asymmetry; the mean of a two-dimensional error of 1 degree is 1.25.
    assert errors_deg["rendered: look up, look down"] == approx(1.25, rel=0.2)
    assert errors_deg["look up − look down, 40°"] == approx(4.0, rel=0.2)  # the asymmetry of the real network


def test_portraits_without_a_gaze_are_left_out():
    geometry = measure_face(make_face())
    eyes = EyeEstimates(GazeDirection(1.0, 2.0), make_gazes(both_deg=(3.0, 4.0)), GazeDirection(5.0, 6.0))
    seen = Portrait("7_neutral.jpg", "ok", {}, np.array([0.0, 0.0]), GazeEstimates(geometry, eyes))

    stacked = stack_portraits([Portrait("6_neutral.jpg", "no_face"), seen])

    assert stacked.estimates_deg.tolist() == [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]
    assert stacked.person.tolist() == [1]
