"""The error budget, on some people of the shipped table."""

import dataclasses

import numpy as np
import pytest
from pytest import approx

from gaze_core.gaze import gaze_direction
from research.dataset.table import TRAINING_TABLE_PATH, load_table
from research.evaluation.error_budget import STEPS, _place_eyes, regress_landmarks, split_error
from research.rendering.identity import sample_identity
from research.training.examples import measure_table

TREES = {
    "init": "linear",
    "loss": "squared_error",
    "n_estimators": 20,
    "learning_rate": 0.1,
    "max_depth": 2,
    "min_samples_leaf": 10,
    "subsample": 0.5,
}


@pytest.fixture(scope="module")
def table():
    """Sixty people, twelve of them in the test group."""
    whole = load_table(TRAINING_TABLE_PATH)
    chosen = np.flatnonzero(whole.identity < 60)
    columns = {
        field.name: getattr(whole, field.name)[chosen]
        for field in dataclasses.fields(whole)
        if isinstance(getattr(whole, field.name), np.ndarray)
    }
    return dataclasses.replace(whole, **columns, first_held_out=48)


@pytest.mark.slow
def test_true_values_remove_most_of_the_error(table):
    found = split_error(table, measure_table(table), "gradient_boosting", TREES, seed=0, report=lambda line: None)

    assert list(found) == [name for name, _ in STEPS]
    assert found["all true"]["mean"] < 3.0
    assert found["as measured"]["mean"] > 2 * found["all true"]["mean"]
    assert found["true irises"]["mean"] < found["as measured"]["mean"]


def test_all_landmarks_predict_the_gaze_only_roughly(table):
    found = regress_landmarks(table, measure_table(table))

    assert 4.0 < found["mean"] < 14.0


def test_the_true_eyes_point_at_the_target_except_for_kappa(table):
    seed = table.description["plan"]["seed"]
    row = 5
    identity = sample_identity(int(table.identity[row]), seed)
    from gaze_core.head_pose import rotation_matrix

    centres, irises = _place_eyes(table, row, identity, rotation_matrix(*table.pose_deg[row]))

    assert np.linalg.norm(centres[0] - centres[1]) == approx(identity.ipd_mm)
    assert np.linalg.norm(irises - centres, axis=1) == approx(2 * [identity.eyeball.limbus_mm])
    optical = gaze_direction((irises - centres).mean(axis=0))
    # Horizontally, left and right kappa cancel; vertically, the visual axes lie above the optical ones.
    up_deg = np.mean([kappa.up_deg for kappa in identity.kappa])
    assert (optical[0], optical[1] + up_deg) == approx(table.gaze_deg[row], abs=1.2)
