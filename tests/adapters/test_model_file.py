"""Gaze model files and their cards."""

import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from pytest import approx
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from func.adapters.model_file import load_gaze_model
from gaze_core.errors import ModelError

FEATURES = ["iris_x", "iris_y", "iris_z", "head_rotation_x", "head_rotation_y", "head_rotation_z", "distance"]
ROW = np.array([[0.1, -0.2, -0.97, 3.0, -8.0, 0.5, 600.0]])


def save(folder, content, **changes):
    """Write a model file and its card, with `changes` to the card, and return the path of the model."""
    path = folder / "gaze_model.joblib"
    joblib.dump(content, path)
    says = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "scikit-learn": sklearn.__version__,
        "features": FEATURES,
    } | changes
    card = {
        "model": {"sha256": says["sha256"]},
        "versions": {"scikit-learn": says["scikit-learn"]},
        "features": [{"name": name} for name in says["features"]],
    }
    card |= {name: says[name] for name in ("estimates", "eye_network_sha256") if name in says}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture(scope="module")
def models():
    """Two regressors: gaze_x = -100 iris_x, gaze_y = -100 iris_y."""
    rows = np.random.default_rng(0).normal(size=(400, 7))
    return {
        "model_x": LinearRegression().fit(rows, -100 * rows[:, 0]),
        "model_y": LinearRegression().fit(rows, -100 * rows[:, 1]),
    }


def test_it_predicts_with_model_x_and_model_y(tmp_path, models):
    model = load_gaze_model(save(tmp_path, models))

    assert model.predict(np.vstack([ROW, 2 * ROW])) == approx(np.array([[-10.0, 20.0], [-20.0, 40.0]]))


def test_its_digest_is_that_of_the_file(tmp_path, models):
    path = save(tmp_path, models)

    assert load_gaze_model(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "features",
    [ROW[0], ROW[:, :6], np.full((1, 7), np.nan), np.where(ROW == 600.0, np.inf, ROW)],
    ids=["one dimension", "six features", "not a number", "infinite"],
)
def test_rows_of_the_wrong_shape_or_not_finite_are_refused(tmp_path, models, features):
    model = load_gaze_model(save(tmp_path, models))

    with pytest.raises(ValueError, match="features must"):
        model.predict(features)


class Explosive:
    """Object that runs code when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_a_file_with_a_different_digest_is_not_unpickled(tmp_path):
    path = save(tmp_path, Explosive(tmp_path / "trace"), sha256="0" * 64)

    with pytest.raises(ModelError, match=r"gaze_model\.joblib does not match gaze_model\.json"):
        load_gaze_model(path)
    assert not (tmp_path / "trace").exists()


def test_a_file_of_another_scikit_learn_version_is_not_unpickled(tmp_path):
    path = save(tmp_path, Explosive(tmp_path / "trace"), **{"scikit-learn": "1.0.2"})

    with pytest.raises(ModelError, match=r"was written by scikit-learn 1\.0\.2"):
        load_gaze_model(path)
    assert not (tmp_path / "trace").exists()


def test_features_in_another_order_are_refused(tmp_path, models):
    with pytest.raises(ModelError, match="trained on different features: iris_y, iris_x"):
        load_gaze_model(save(tmp_path, models, features=["iris_y", "iris_x", *FEATURES[2:]]))


def test_a_model_without_estimates_in_its_card_was_trained_with_landmarks_alone(tmp_path, models):
    model = load_gaze_model(save(tmp_path, models))

    assert (model.estimates, model.eye_network_sha256) == (("landmarks",), None)


def test_the_card_states_the_estimates_and_the_network(tmp_path, models):
    path = save(tmp_path, models, estimates=["landmarks", "network"], eye_network_sha256="ab" * 32)

    model = load_gaze_model(path)

    assert (model.estimates, model.eye_network_sha256) == (("landmarks", "network"), "ab" * 32)


def test_a_model_with_unknown_estimates_is_refused(tmp_path, models):
    with pytest.raises(ModelError, match="unknown estimates of the eyes' direction: tea_leaves"):
        load_gaze_model(save(tmp_path, models, estimates=["landmarks", "tea_leaves"]))


@pytest.mark.parametrize("card", [{"estimates": [1]}, {"estimates": None}, {"eye_network_sha256": 5}])
def test_a_card_with_malformed_estimates_is_refused(tmp_path, models, card):
    with pytest.raises(ModelError, match=r"gaze_model\.json is not the card of a gaze model"):
        load_gaze_model(save(tmp_path, models, **card))


def test_a_file_without_model_y_is_refused(tmp_path, models):
    with pytest.raises(ModelError, match="does not contain model_x and model_y"):
        load_gaze_model(save(tmp_path, {"model_x": models["model_x"]}))


@pytest.mark.parametrize("model", [LinearRegression(), LinearRegression().fit([[1.0]], [1.0]), "a model"])
def test_a_model_without_seven_features_is_refused(tmp_path, models, model):
    with pytest.raises(ModelError, match=r"model_y in .* is not a model of 7 features"):
        load_gaze_model(save(tmp_path, models | {"model_y": model}))


def test_a_truncated_pickle_is_refused(tmp_path, models):
    path = save(tmp_path, models)
    path.write_bytes(pickle.dumps(models)[:100])
    card = json.loads(path.with_suffix(".json").read_bytes())
    card["model"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))

    with pytest.raises(ModelError, match=r"gaze_model\.joblib cannot be unpickled"):
        load_gaze_model(path)


@pytest.mark.parametrize("suffix", [".joblib", ".json"])
def test_the_error_for_a_missing_file_contains_only_its_name(tmp_path, models, suffix):
    path = save(tmp_path, models)
    path.with_suffix(suffix).unlink()

    with pytest.raises(ModelError) as missing:
        load_gaze_model(path)
    assert str(missing.value) == f"gaze_model{suffix} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "card",
    ["", "[]", "{}", '{"model": {"sha256": 1}, "versions": {"scikit-learn": "1"}, "features": []}'],
    ids=["empty", "a list", "no keys", "a number for a digest"],
)
def test_a_malformed_card_is_refused(tmp_path, models, card):
    path = save(tmp_path, models)
    path.with_suffix(".json").write_text(card)

    with pytest.raises(ModelError, match=r"gaze_model\.json is not the card of a gaze model"):
        load_gaze_model(path)


@pytest.fixture(scope="module")
def boosted():
    rows = np.random.default_rng(0).normal(size=(500, 7))
    trees = GradientBoostingRegressor(init=LinearRegression(), max_depth=4, subsample=0.5, random_state=0)
    return {"model_x": trees.fit(rows, rows[:, 0] ** 2), "model_y": trees}


def test_threads_get_the_answers_of_one(tmp_path, boosted):
    model = load_gaze_model(save(tmp_path, boosted))
    rows = np.random.default_rng(1).normal(size=(200, 1, 7))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(model.predict, rows))

    assert np.array_equal(answers, [model.predict(row) for row in rows])


def test_a_pinned_digest_is_required_even_where_the_card_agrees_with_the_file(tmp_path):
    path = save(tmp_path, Explosive(tmp_path / "trace"))

    with pytest.raises(ModelError, match=r"^gaze_model\.joblib does not have the SHA-256 that the settings require$"):
        load_gaze_model(path, sha256="0" * 64)
    assert not (tmp_path / "trace").exists()


def test_the_pinned_file_is_loaded(tmp_path, models):
    path = save(tmp_path, models)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    assert load_gaze_model(path, sha256=digest).digest == digest
