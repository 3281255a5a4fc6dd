"""How much viewers differ from session to session, on people with known traits."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.viewer_change import TRAITS, ViewerPrior, compare_viewers
from research.training.viewer_prior import fit_viewer_prior, measure_alarms, render_viewer_prior

COUNT = len(TRAITS)


def make_traits(people=300, sessions=2, between=3.0, within=1.0):
    rng = np.random.default_rng(0)
    found = {}
    for person in range(people):
        own = rng.normal(5.0, between, COUNT)
        for session in range(sessions):
            found[person, session] = own + rng.normal(0, within, COUNT)
    return found


@pytest.mark.slow
def test_variances_that_were_put_in_come_out():
    prior = fit_viewer_prior(make_traits())

    assert np.sqrt(np.diag(prior.people)) == approx(np.full(COUNT, 3.0), rel=0.15)
    assert np.sqrt(np.diag(prior.sessions)) == approx(np.full(COUNT, 1.0), rel=0.15)


def test_a_trait_that_a_session_lacks_has_no_prior():
    traits = make_traits(people=30)
    traits[0, 0] = np.where(np.arange(COUNT) == 4, np.nan, traits[0, 0])

    prior = fit_viewer_prior(traits)

    assert np.isnan(np.diag(prior.people)).tolist() == [index == 4 for index in range(COUNT)]


def test_people_in_one_session_each_are_not_enough():
    with pytest.raises(ValueError, match="nobody in two sessions"):
        fit_viewer_prior(make_traits(people=5, sessions=1))


def test_alarms_are_counted_over_all_pairs_of_people():
    prior = ViewerPrior(9 * np.eye(COUNT), np.eye(COUNT))
    first = {(person, 0): np.full(COUNT, 10.0 * person) for person in range(3)}
    second = {(person, 1): np.full(COUNT, 10.0 * person) for person in range(1, 4)}

    found = measure_alarms(first, second, prior)

    assert found == {"people": 2, "false_alarms": 0, "detections": 1}


def test_a_written_prior_is_read_again():
    prior = fit_viewer_prior(make_traits(people=30))
    found: dict = {}
    exec(render_viewer_prior(prior), found)

    read = ViewerPrior(np.array(found["PEOPLE"]), np.array(found["SESSIONS"]))

    assert read.people == approx(prior.people, rel=1e-3)
    compared = compare_viewers(np.zeros(COUNT), np.ones(COUNT), read)
    assert compared.traits == COUNT
