"""The prior of the calibration, on synthetic people with a known spread."""

import numpy as np
import pytest
from pytest import approx

from gaze_core import calibration_prior
from gaze_core.correction import HORIZONTAL_TERMS, VERTICAL_TERMS
from gaze_core.correction_fit import AxisPrior, read_priors
from research.training.calibration_prior import (
    FIXATION_SHARE,
    LIDS_FACTOR,
    MIRRORED_HORIZONTAL,
    MIRRORED_VERTICAL,
    OFFSET_FACTOR,
    find_priors,
    fit_random_effects,
    predict_unseen,
    render_priors,
)
from tests.fakes.synthetic_table import make_table

EITHER = np.array([1.0, 1.0])
ALL, NONE = np.array([True, True]), np.array([False, False])


def make_people(mean=(0.0, 0.0), spread=(4.0, 2.0), people=400):
    rng = np.random.default_rng(0)
    designs = [np.column_stack([np.ones(30), rng.normal(0, 1, 30)]) for _ in range(people)]
    return designs, [design @ rng.normal(mean, spread) + rng.normal(0, 1.5, 30) for design in designs]


def test_variances_that_were_put_in_come_out():
    prior = fit_random_effects(*make_people(), EITHER, NONE)

    assert np.sqrt(np.diag(prior.covariance)) == approx([4.0, 2.0], rel=0.1)
    assert prior.covariance[0, 1] == approx(0, abs=1.0)
    assert prior.scatter_deg == approx(1.5, rel=0.05)
    assert prior.scatter_spread < 0.1


def test_a_mean_that_was_put_in_comes_out():
    prior = fit_random_effects(*make_people(mean=(1.0, 3.0)), EITHER, ALL)

    assert prior.mean == approx([1.0, 3.0], abs=0.4)


def test_a_mean_that_is_not_wanted_is_zero_and_becomes_variance():
    prior = fit_random_effects(*make_people(mean=(1.0, 3.0)), EITHER, np.array([True, False]))

    assert prior.mean[1] == 0
    assert np.sqrt(prior.covariance[1, 1]) == approx(np.hypot(2, 3), rel=0.1)


def test_a_coefficient_that_changes_its_sign_in_the_mirror_has_no_mean_and_no_covariance_with_others():
    prior = fit_random_effects(*make_people(mean=(1.0, 3.0)), np.array([-1.0, 1.0]), ALL)

    assert prior.mean[0] == 0
    assert prior.covariance[0, 1] == approx(0, abs=1e-9)


def test_a_term_that_no_image_has_is_switched_off():
    designs, missing_deg = make_people(people=50)
    designs = [np.column_stack([design, np.zeros(30)]) for design in designs]

    prior = fit_random_effects(designs, missing_deg, np.ones(3), np.ones(3, dtype=bool))

    assert (prior.mean[2], prior.covariance[2, 2]) == (0, approx(1e-6))


def test_people_with_personal_offsets_give_a_prior_of_that_spread():
    # Personal offsets have a standard deviation of 3 degrees, which no model can know for an unseen person.
    priors = find_priors(predict_unseen(make_table(identities=40, frames=8, offset_deg=3.0, held_out=4), folds=3))

    for prior in priors:
        assert np.sqrt(prior.covariance[0, 0] / OFFSET_FACTOR) == approx(3.0, rel=0.5)


def test_with_the_eye_network_the_priors_cover_its_differences():
    table = make_table(identities=24, frames=8, offset_deg=3.0, held_out=4, network_sd_deg=1.0, shapes_sd_deg=2.0)

    seen = predict_unseen(table, folds=3)
    horizontal, vertical = find_priors(seen)

    assert seen.cues is not None
    assert seen.cues.has_network.all()
    assert (len(horizontal.mean), len(vertical.mean)) == (6, 7)
    # The personal offset is in the landmarks, not in the network: their difference tells it.
    assert np.abs([horizontal.mean[4], vertical.mean[5]]).max() > 0.1


def test_every_term_has_a_sign_in_the_mirror():
    assert (len(MIRRORED_HORIZONTAL), len(MIRRORED_VERTICAL)) == (len(HORIZONTAL_TERMS), len(VERTICAL_TERMS))


def test_reality_is_allowed_for():
    assert (FIXATION_SHARE, OFFSET_FACTOR, LIDS_FACTOR) == (0.7, 1.5, 0.25)


def test_written_priors_are_read_again(monkeypatch):
    written = tuple(
        AxisPrior(np.arange(count, dtype=float), np.eye(count) * 2.5, scatter, 0.6)
        for count, scatter in ((3, 1.25), (4, 1.5))
    )
    found: dict = {}
    exec(render_priors(written, None), found)
    monkeypatch.setattr(calibration_prior, "WITHOUT_NETWORK", found["WITHOUT_NETWORK"])
    monkeypatch.setattr(calibration_prior, "WITH_NETWORK", found["WITH_NETWORK"])

    read = read_priors(with_network=False)

    assert read_priors(with_network=True) is None
    for axis in (0, 1):
        assert read[axis].mean.tolist() == written[axis].mean.tolist()
        assert read[axis].covariance.tolist() == written[axis].covariance.tolist()
        assert (read[axis].scatter_deg, read[axis].scatter_spread) == (written[axis].scatter_deg, 0.6)


@pytest.mark.parametrize("with_network", [False, True])
def test_the_shipped_priors_fit_their_terms(with_network):
    priors = read_priors(with_network=with_network)

    if priors is None:
        assert with_network
        return
    cues = 3 if with_network else 0
    assert [len(prior.mean) for prior in priors] == [3 + cues, 4 + cues]
    for prior in priors:
        assert (np.linalg.eigvalsh(prior.covariance) > 0).all()
