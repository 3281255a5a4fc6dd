"""The prior of the calibration, on synthetic people with a known spread."""

import numpy as np
from pytest import approx

from research.training.calibration_prior import find_priors, fit_random_effects
from tests.fakes.synthetic_table import make_table


def test_variances_that_were_put_in_come_out():
    rng = np.random.default_rng(0)
    spread = np.array([4.0, 2.0])
    designs = [np.column_stack([np.ones(30), rng.normal(0, 1, 30)]) for _ in range(400)]
    missing_deg = [design @ rng.normal(0, spread) + rng.normal(0, 1.5, 30) for design in designs]

    prior = fit_random_effects(designs, missing_deg)

    assert np.sqrt(np.diag(prior.covariance)) == approx(spread, rel=0.1)
    assert prior.covariance[0, 1] == approx(0, abs=1.0)
    assert (prior.scatter_deg, prior.people) == (approx(1.5, rel=0.05), 400)


def test_people_with_personal_offsets_give_a_prior_of_that_spread():
    # Personal offsets have a standard deviation of 3 degrees, which no model can know for an unseen person.
    horizontal, vertical = find_priors(make_table(identities=40, offset_deg=3.0, held_out=4), folds=3)

    assert horizontal.people == 36
    for prior in (horizontal, vertical):
        assert np.sqrt(prior.covariance[0, 0]) == approx(3.0, rel=0.4)
