"""Acceptance thresholds of the calibration, on synthetic people with personal offsets."""

import numpy as np
import pytest
from pytest import approx

from research.evaluation.calibration_trials import find_fold_priors, try_threshold
from research.training.calibration_prior import predict_unseen
from tests.fakes.synthetic_table import make_table


@pytest.fixture(scope="module")
def table():
    """A table in which the first nine images of each person count as the calibration targets."""
    made = make_table(identities=12, frames=20, held_out=2, offset_deg=3.0)
    made.target_index[:] = np.where(made.frame < 9, made.frame, -1)
    return made


@pytest.fixture(scope="module")
def unseen(table):
    return predict_unseen(table, folds=3)


def test_the_test_group_is_not_used(unseen):
    assert sorted(set(unseen.identity.tolist())) == list(range(10))
    assert len(unseen.rows) == len(unseen.uncalibrated_deg) == 200


def test_a_threshold_that_accepts_nothing_changes_nothing(table, unseen):
    found = try_threshold(table, unseen, range(9), max_loss=-1.0)

    assert (found["people"], found["used"], found["much_worse"]) == (10, 0, 0)
    assert found["with_deg"] == approx(found["without_deg"])


def test_a_higher_threshold_accepts_at_least_as_many(table, unseen):
    used = [try_threshold(table, unseen, range(9), max_loss)["used"] for max_loss in (-0.5, 0.0, 10.0)]

    assert used == sorted(used)
    assert used[-1] == 10


def test_the_priors_of_a_person_come_from_other_people(unseen):
    priors = find_fold_priors(unseen, folds=2)

    assert sorted(priors) == np.unique(unseen.identity).tolist()
    assert len({id(each) for each in priors.values()}) == 2
