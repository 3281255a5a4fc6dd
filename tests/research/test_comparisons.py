"""Comparisons of models, on synthetic people whose irises determine the gaze."""

import numpy as np
import pytest

from research.evaluation.comparisons import compare_estimators, compare_features, draw_learning_curve
from research.training.examples import measure_table, select_examples
from tests.fakes.synthetic_table import make_table

SMALL = {
    "init": "linear",
    "loss": "squared_error",
    "n_estimators": 10,
    "learning_rate": 0.1,
    "max_depth": 2,
    "min_samples_leaf": 5,
    "subsample": 0.5,
}


def ignore(line):
    """Discard a line of a report."""


@pytest.fixture(scope="module")
def table():
    return make_table(identities=14, frames=12, held_out=4)


@pytest.fixture(scope="module")
def examples(table):
    return select_examples(table, measure_table(table), held_out=False)


def test_the_model_needs_the_irises_and_not_the_roll(examples):
    found = compare_features(examples, "gradient_boosting", SMALL, folds=3, seed=0, report=ignore)

    assert list(found)[:2] == ["all", "without iris_x"]
    assert found["without iris_x, iris_y, iris_z"]["mean"] > 2 * found["all"]["mean"]
    assert found["without head_rotation_z"]["mean"] < 1.3 * found["all"]["mean"]


def test_estimates_are_left_out_one_by_one():
    seeing = make_table(identities=8, frames=10, held_out=2, offset_deg=4.0, network_sd_deg=0.5, shapes_sd_deg=6.0)
    examples = select_examples(seeing, measure_table(seeing), held_out=False)

    found = compare_features(examples, "gradient_boosting", SMALL, folds=3, seed=0, report=ignore)

    assert list(found)[-3:] == ["without the network", "without the blendshapes", "landmarks alone"]
    assert found["without the network"]["mean"] > 1.2 * found["all"]["mean"]


def test_estimators_are_compared_on_the_same_people_with_their_best_candidate(examples, monkeypatch):
    useless = SMALL | {"init": "zero", "learning_rate": 1e-6}
    monkeypatch.setattr(
        "research.evaluation.comparisons.CANDIDATES",
        {
            "gradient_boosting": [useless, SMALL],
            "kernel_ridge": [{"kernel": "rbf", "gamma": 0.03, "alpha": 0.3}],
        },
    )

    found = compare_estimators(examples, folds=3, seed=0, report=ignore)

    assert found["gradient_boosting"]["hyperparameters"] == SMALL
    assert found["gradient_boosting"]["mean"] < 8
    assert found["not learned: iris geometry"]["mean"] < 2.5  # synthetic eyes follow the geometry
    assert {name for name in found if "prediction_ms" in found[name]} == {"gradient_boosting", "kernel_ridge"}


def test_the_learning_curve_ends_with_all_people(table, examples):
    test = select_examples(table, measure_table(table), held_out=True)

    curve = draw_learning_curve(examples, test, "gradient_boosting", SMALL, seed=0, report=ignore)

    assert [step["people"] for step in curve] == [2, 2, 4, 7, 10]
    assert all(step["lowest"] <= step["mean_angular_error_deg"] <= step["highest"] for step in curve)
    assert curve[-1]["lowest"] == curve[-1]["highest"]
    assert curve[-1]["mean_angular_error_deg"] < curve[0]["mean_angular_error_deg"]


def test_comparing_changes_no_example(examples):
    before = examples.features.copy()

    compare_features(examples, "gradient_boosting", SMALL | {"n_estimators": 1}, folds=2, seed=0, report=ignore)

    assert np.array_equal(examples.features, before)
