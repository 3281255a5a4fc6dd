"""Calibration of predicted spreads."""

import numpy as np
import pytest
from pytest import approx

from research.eye_network.spreads import bin_spreads, fit_spread

RNG = np.random.default_rng(4)
SPREADS = np.exp(RNG.normal(0.5, 0.6, 40_000))
ERRORS = RNG.normal(0, SPREADS)


def test_right_spreads_are_left_as_they_are():
    correction = fit_spread(ERRORS, np.log(SPREADS))

    assert (correction.slope, correction.offset) == (approx(1, abs=0.02), approx(0, abs=0.02))


def test_spreads_that_are_half_of_the_errors_are_doubled():
    correction = fit_spread(ERRORS, np.log(SPREADS / 2))

    assert (correction.slope, correction.offset) == (approx(1, abs=0.02), approx(np.log(2), abs=0.02))


def test_spreads_that_vary_twice_as_much_as_the_errors_are_drawn_together():
    assert fit_spread(ERRORS, 2 * np.log(SPREADS)).slope == approx(0.5, abs=0.01)


def test_one_spread_for_all_errors_becomes_their_root_mean_square():
    correction = fit_spread([1.0, -1.0, 7.0, 7.0], np.zeros(4))

    assert np.exp(correction.offset) == approx(5)


@pytest.mark.parametrize(("factor", "slope"), [(0.2, 1.5), (10, 0.3)])
def test_the_slope_is_limited(factor, slope):
    assert fit_spread(ERRORS, factor * np.log(SPREADS)).slope == approx(slope)


@pytest.mark.parametrize("errors", [[1.0], [1.0, np.nan]])
def test_too_few_or_infinite_errors_are_refused(errors):
    with pytest.raises(ValueError, match="at least two finite errors"):
        fit_spread(errors, np.zeros(len(errors)))


def test_bins_hold_equally_many_errors_in_the_order_of_their_spreads():
    bins = bin_spreads([3.0, 1.0, -4.0, 1.0], [2.0, 1.0, 2.0, 1.0], bins=2)

    assert bins.predicted.tolist() == [1, 2]
    assert bins.real.tolist() == [1, approx(np.sqrt(12.5))]
