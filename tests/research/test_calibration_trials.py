"""Trying the calibration's gate, on people who always look beside what they look at."""

import numpy as np
from pytest import approx

from research.evaluation.calibration_trials import try_gate
from research.training.calibration_prior import predict_strangers
from tests.fakes.synthetic_table import make_table


def make_people(offset_deg):
    """Return a table whose people look at nine dots, as far as the table says, and then at eleven other places."""
    table = make_table(identities=12, frames=20, held_out=2, offset_deg=offset_deg)
    table.target_index[:] = np.where(table.frame < 9, table.frame, -1)
    return table


def test_nobody_of_the_test_group_takes_part():
    strangers = predict_strangers(make_people(3.0), folds=3)

    assert sorted(set(strangers.identity.tolist())) == list(range(10))
    assert len(strangers.rows) == len(strangers.generic_deg) == 200


def test_a_gate_that_lets_nothing_pass_changes_nothing():
    table = make_people(3.0)

    found = try_gate(table, predict_strangers(table, folds=3), range(9), max_loss=-1.0)

    assert (found["people"], found["used"], found["much_worse"]) == (10, 0, 0)
    assert found["with_deg"] == approx(found["without_deg"])


def test_a_wider_gate_is_used_by_no_fewer():
    table = make_people(3.0)
    strangers = predict_strangers(table, folds=3)

    used = [try_gate(table, strangers, range(9), max_loss)["used"] for max_loss in (-0.5, 0.0, 10.0)]

    assert used == sorted(used)
    assert used[-1] == 10
