"""The gaze model as ONNX gives the answers of the joblib file."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from pytest import approx
from sklearn.ensemble import GradientBoostingRegressor

from func.adapters.model_file import load_gaze_model
from func.adapters.model_onnx import OnnxGazeModel, load_onnx_model
from gaze_core.errors import ModelError
from gaze_core.model_start import FeatureDirection
from research.training.export import describe_trees, export, make_onnx, round_down

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
ONNX, JOBLIB = MODELS / "gaze_model.onnx", MODELS / "gaze_model.joblib"


def sample_features(count, seed=0):
    """Return features of viewers, and some far outside the range of viewers."""
    rng = np.random.default_rng(seed)
    rows = rng.normal([0, 0, -1, 0, 0, 0, 600], [0.2, 0.2, 0.05, 15, 20, 10, 150], (count, 7))
    rows[: count // 10] *= rng.uniform(-5, 5, (count // 10, 7))
    return rows


@pytest.fixture(scope="module")
def models():
    return load_gaze_model(JOBLIB), load_onnx_model(ONNX)


@pytest.mark.parametrize("count", [1, 2, 256, 257, 5000])
def test_the_shipped_files_agree_within_a_hundred_thousandth_of_a_degree(models, count):
    rows = sample_features(count)

    first, second = (model.predict(rows) for model in models)

    assert np.abs(first - second).max() < 1e-5


def test_features_at_a_threshold_take_the_same_branch(models):
    reference, onnx = models
    thresholds = [
        (tree.feature[node], tree.threshold[node])
        for model in joblib.load(JOBLIB).values()
        for (stage,) in model.estimators_
        for tree in [stage.tree_]
        for node in np.flatnonzero(tree.children_left >= 0)
    ]
    rows = np.repeat(sample_features(1), 3 * len(thresholds), axis=0)
    for index, (feature, threshold) in enumerate(thresholds):
        single = np.float32(threshold)
        rows[3 * index : 3 * index + 3, feature] = [
            np.nextafter(single, np.float32(-np.inf)),
            single,
            np.nextafter(single, np.float32(np.inf)),
        ]

    assert np.abs(reference.predict(rows) - onnx.predict(rows)).max() < 1e-5


@pytest.mark.parametrize("threshold", [0.1, 0.3, -0.1, 1 / 3, 600.5, 1e-40])
def test_a_threshold_is_rounded_so_that_the_same_features_are_at_most_it(threshold):
    rounded = round_down(threshold)
    above = np.nextafter(rounded, np.float32(np.inf))

    assert float(rounded) <= threshold < float(above)


def test_trees_of_different_sizes_are_exported(tmp_path):
    rng = np.random.default_rng(1)
    rows = sample_features(400)
    regressors = []
    for axis, (depth, leaf) in enumerate([(1, 5), (4, 20)]):
        target = FeatureDirection(axis).predict(rows) + 3 * np.sin(rows[:, 4] / 10) + rng.normal(size=len(rows))
        booster = GradientBoostingRegressor(
            n_estimators=30, max_depth=depth, min_samples_leaf=leaf, init=FeatureDirection(axis), random_state=0
        )
        regressors.append(booster.fit(rows, target))
    model = OnnxGazeModel(make_onnx(describe_trees(tuple(regressors))), pitch_distrust=0.25)
    unseen = sample_features(300, seed=2)

    expected = np.column_stack([regressor.predict(unseen) for regressor in regressors])
    assert np.abs(model.predict(unseen) - expected).max() < 1e-5


def test_exporting_again_gives_the_same_bytes(tmp_path):
    for path in (JOBLIB, JOBLIB.with_suffix(".json")):
        shutil.copy(path, tmp_path)

    exported = export(tmp_path / JOBLIB.name)

    assert exported.read_bytes() == ONNX.read_bytes()


def test_its_digest_estimates_and_network_are_those_of_the_card(models):
    card = json.loads(JOBLIB.with_suffix(".json").read_text())
    _, onnx = models

    assert onnx.digest == card["onnx"]["sha256"] == hashlib.sha256(ONNX.read_bytes()).hexdigest()
    assert list(onnx.estimates) == card["estimates"]
    assert onnx.eye_network_sha256 == card["eye_network_sha256"]


def test_no_rows_have_no_directions(models):
    assert models[1].predict(np.zeros((0, 7))).shape == (0, 2)


@pytest.mark.parametrize("features", [np.zeros(7), np.zeros((1, 6)), np.full((1, 7), np.nan)])
def test_rows_of_the_wrong_shape_or_not_finite_are_refused(models, features):
    with pytest.raises(ValueError, match="features must"):
        models[1].predict(features)


def test_threads_get_the_same_answers(models):
    rows = [sample_features(50, seed) for seed in range(20)]
    alone = [models[1].predict(each) for each in rows]

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(models[1].predict, rows))

    assert all(np.array_equal(first, second) for first, second in zip(alone, together, strict=True))


def test_a_model_works_in_a_forked_process(models):
    rows = sample_features(3)
    parents = models[1].predict(rows)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, models[1].predict(rows).tobytes())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        childs = np.frombuffer(pipe.read()).reshape(-1, 2)
    os.waitpid(child, 0)

    assert childs == approx(parents)


def copy_model(folder, **onnx):
    """Copy the ONNX file and its card, with changes to the card's part about it; return the path of the file."""
    shutil.copy(ONNX, folder)
    card = json.loads(ONNX.with_suffix(".json").read_text())
    card["onnx"] |= onnx
    (folder / "gaze_model.json").write_text(json.dumps(card))
    return folder / ONNX.name


def test_a_file_that_does_not_match_its_card_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"^gaze_model\.onnx does not match gaze_model\.json"):
        load_onnx_model(copy_model(tmp_path, sha256="0" * 64))


def test_a_pinned_digest_is_required_even_if_the_card_matches():
    with pytest.raises(ModelError, match=r"^gaze_model\.onnx does not have the SHA-256"):
        load_onnx_model(ONNX, sha256="0" * 64)


def test_a_card_without_an_onnx_file_is_refused(tmp_path):
    path = copy_model(tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"onnx": None}))

    with pytest.raises(ModelError, match="does not describe an ONNX file"):
        load_onnx_model(path)


@pytest.mark.parametrize("content", [b"nothing", (MODELS / "eye_network.onnx").read_bytes()])
def test_another_file_is_refused(tmp_path, content):
    path = copy_model(tmp_path, sha256=hashlib.sha256(content).hexdigest())
    path.write_bytes(content)

    with pytest.raises(ModelError, match="the gaze model"):
        load_onnx_model(path)


def test_the_pitch_distrust_of_the_card_is_used(tmp_path):
    row = np.array([[0.0, 0.0, -1.0, 10.0, 0.0, 0.0, 600.0]])
    usual, doubled = (load_onnx_model(copy_model(tmp_path, pitch_distrust=share)).predict(row) for share in (0.25, 0.5))

    assert usual[0, 1] - doubled[0, 1] == approx(2.5)


def test_batches_that_grow_and_shrink_survive_both_engines_of_opencv():
    script = """
import os, sys
from pathlib import Path
import numpy as np
from func.adapters.model_onnx import load_onnx_model
model = load_onnx_model(Path(sys.argv[1]))
rows = np.zeros((5000, 7)) + [0, 0, -1, 0, 0, 0, 600]
print(len({tuple(model.predict(rows[:count])[-1]) for count in (1, 2, 1, 4096, 904, 5000, 7, 1) * 20}))
"""
    for engine in ("1", "2"):
        ended = subprocess.run(
            [sys.executable, "-c", script, ONNX],
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OPENCV_FORCE_DNN_ENGINE": engine},
        )
        assert ended.stdout.strip() == "1"


def test_a_model_that_is_not_boosted_from_the_features_is_not_exported(tmp_path):
    from sklearn.linear_model import LinearRegression

    rows = sample_features(50)
    content = dict.fromkeys(("model_x", "model_y"), LinearRegression().fit(rows, rows[:, 0]))
    path = tmp_path / "gaze_model.joblib"
    joblib.dump(content, path)
    card = json.loads(JOBLIB.with_suffix(".json").read_text())
    card["model"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))

    with pytest.raises(ValueError, match="is not gradient boosting that starts"):
        export(path)
