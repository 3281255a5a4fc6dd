"""Boosted trees that are read without scikit-learn."""

import io
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from func.adapters.boosted_trees import BoostedTree, BoostedTrees, read_boosted_trees
from gaze_core.model_start import FeatureDirection
from tests.running import ROOT

NODE = [("left_child", "<i8"), ("right_child", "<i8"), ("feature", "<i8"), ("threshold", "<f8")]
GAZE_MODEL = ROOT / "models" / "gaze_model.joblib"
SHIPPED = GAZE_MODEL.read_bytes()


def sample_features(count, seed=0):
    """Return plausible features, and implausible ones among them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal([0, 0, -1, 0, 0, 0, 600], [0.2, 0.2, 0.05, 15, 20, 10, 150], (count, 7))
    rows[: count // 10] *= rng.uniform(-5, 5, (count // 10, 7))
    return rows


def dump(content, **options):
    file = io.BytesIO()
    joblib.dump(content, file, **options)
    return file.getvalue()


def boost(**options):
    """Return a regressor that is fitted to a curve."""
    rows = sample_features(500)
    return GradientBoostingRegressor(
        **{"init": FeatureDirection(0), "n_estimators": 20, "random_state": 0} | options
    ).fit(rows, np.sin(10 * rows[:, 0]) * rows[:, 6])


def look_ahead(distance_mm):
    """Return the features of a look straight ahead, for which the start is 0 degrees."""
    return [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, distance_mm]


def test_each_tree_adds_the_value_of_its_leaf_times_the_learning_rate():
    # Up to 500 mm: +10. Beyond: -20 up to 700 mm, 0 beyond.
    nodes = np.array(
        [(1, 2, 6, 500.0), (-1, -1, -2, -2.0), (3, 4, 6, 700.0), (-1, -1, -2, -2.0), (-1, -1, -2, -2.0)], NODE
    )
    deep = BoostedTree(nodes, np.array([0.0, 10.0, 0.0, -20.0, 0.0]), max_depth=2)
    leaf = BoostedTree(np.array([(-1, -1, -2, -2.0)], NODE), np.array([1.0]), max_depth=0)
    trees = BoostedTrees(FeatureDirection(0), 0.5, [leaf, deep, leaf], 7)

    predicted = trees.predict(np.array([look_ahead(distance) for distance in (400.0, 500.0, 501.0, 700.0, 701.0)]))

    assert predicted.tolist() == [6.0, 6.0, -9.0, -9.0, 1.0]


@pytest.mark.parametrize("count", [1, 2, 9000])
def test_the_shipped_models_predict_what_scikit_learn_does(count):
    rows = sample_features(count)
    reference = joblib.load(GAZE_MODEL)

    models = read_boosted_trees(SHIPPED)

    assert set(models) == {"model_x", "model_y"}
    for name, model in models.items():
        assert np.array_equal(model.predict(rows), reference[name].predict(rows))


@pytest.mark.parametrize(
    "options", [{}, {"max_depth": 6, "n_estimators": 200}, {"subsample": 0.5, "max_leaf_nodes": 5}]
)
def test_other_trees_predict_what_scikit_learn_does(options):
    regressor = boost(**options)
    rows = sample_features(500, seed=1)

    model = read_boosted_trees(dump({"model": regressor}))["model"]

    assert np.array_equal(model.predict(rows), regressor.predict(rows))
    assert np.array_equal(model.predict(rows[:1]), regressor.predict(rows[:1]))


def test_features_at_a_threshold_take_the_branch_that_they_take_in_scikit_learn():
    regressor = boost()
    tree = regressor.estimators_[0, 0].tree_
    rows = np.repeat(sample_features(1), 3, axis=0)
    single = np.float32(tree.threshold[0])
    rows[:, tree.feature[0]] = (
        np.nextafter(single, np.float32(-np.inf)),
        single,
        np.nextafter(single, np.float32(np.inf)),
    )

    model = read_boosted_trees(dump({"model": regressor}))["model"]

    assert np.array_equal(model.predict(rows), regressor.predict(rows))


@pytest.mark.parametrize("options", [{}, {"compress": ("zlib", 9)}], ids=["as it is", "zlib"])
def test_a_file_may_be_compressed(options):
    assert read_boosted_trees(dump({"model": boost()}, **options)) is not None


@pytest.mark.parametrize(
    "content",
    [
        {"model": boost(init=LinearRegression())},
        {"model": boost(init=None)},
        {"model": boost(loss="huber")},
        {"model": GradientBoostingRegressor(init=FeatureDirection(0), random_state=0)},
        {"model": LinearRegression().fit([[1.0]], [1.0])},
        {"model": "a model"},
        ["a model"],
    ],
    ids=["another start", "a constant", "another loss", "not fitted", "no trees", "text", "a list"],
)
def test_anything_else_is_left_to_scikit_learn(content):
    assert read_boosted_trees(dump(content)) is None


@pytest.mark.parametrize("content", [b"", b"nothing", zlib.decompress(SHIPPED)[:3000], SHIPPED[:3000]])
def test_an_incomplete_file_is_left_to_joblib(content):
    assert read_boosted_trees(content) is None


class Touching:
    """Object that creates a file when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: np.array([each, None])], ids=["alone", "in an array"])
def test_unknown_objects_are_not_created(wrap, tmp_path):
    assert read_boosted_trees(dump({"model": wrap(Touching(tmp_path / "trace"))})) is None
    assert not (tmp_path / "trace").exists()
