"""Acceptance thresholds of the calibration, on synthetic people with personal offsets."""

import numpy as np
from pytest import approx

from research.evaluation.calibration_trials import find_fold_priors, try_threshold
from research.training.calibration_prior import predict_unseen
from tests.fakes.synthetic_table import make_table


def make_people(offset_deg):
    """Return a table in which the first nine images of each person count as the calibration targets."""
    table = make_table(identities=12, frames=20, held_out=2, offset_deg=offset_deg)
    table.target_index[:] = np.where(table.frame < 9, table.frame, -1)
    return table


def test_the_test_group_is_not_used():
    unseen = predict_unseen(make_people(3.0), folds=3)

    assert sorted(set(unseen.identity.tolist())) == list(range(10))
    assert len(unseen.rows) == len(unseen.uncalibrated_deg) == 200


def test_a_threshold_that_accepts_nothing_changes_nothing():
    table = make_people(3.0)

    found = try_threshold(table, predict_unseen(table, folds=3), range(9), max_loss=-1.0)

    assert (found["people"], found["used"], found["much_worse"]) == (10, 0, 0)
    assert found["with_deg"] == approx(found["without_deg"])


def test_a_higher_threshold_accepts_at_least_as_many():
    table = make_people(3.0)
    unseen = predict_unseen(table, folds=3)

    used = [try_threshold(table, unseen, range(9), max_loss)["used"] for max_loss in (-0.5, 0.0, 10.0)]

    assert used == sorted(used)
    assert used[-1] == 10


def test_the_priors_of_a_person_come_from_other_people():
    unseen = predict_unseen(make_people(3.0), folds=3)

    priors = find_fold_priors(unseen, folds=2)

    assert sorted(priors) == np.unique(unseen.identity).tolist()
    assert len({id(each) for each in priors.values()}) == 2
