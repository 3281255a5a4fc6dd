"""Training on synthetic faces, and the shipped files."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from joblib.numpy_pickle import NumpyUnpickler
from pytest import approx

from func.adapters.model_file import load_gaze_model
from gaze_core import fusion_weights
from gaze_core.errors import ModelError
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import measure_face
from gaze_core.gaze import gaze_direction, rotate_directions
from models.card import find_versions, read_card, write_card
from research.dataset.table import TRAINING_TABLE_PATH, fill_landmarks, write_table
from research.training.examples import (
    Examples,
    angular_errors_deg,
    find_estimates,
    measure_table,
    mirror,
    select_examples,
)
from research.training.train import (
    CANDIDATES,
    Fold,
    digest_weights,
    fit,
    main,
    make_regressor,
    predict_folds,
    save,
    split_people,
    train,
)
from tests.fakes.synthetic_face import make_face
from tests.fakes.synthetic_table import make_table

MODELS = Path(__file__).resolve().parents[2] / "models"

SMALL = {
    "init": "linear",
    "loss": "squared_error",
    "n_estimators": 20,
    "learning_rate": 0.1,
    "max_depth": 3,
    "min_samples_leaf": 5,
    "subsample": 0.5,
}
SMALL_FOREST = {"n_estimators": 20, "min_samples_leaf": 5, "max_features": 0.6}


def train_small(table, **arguments):
    settings = {"folds": 3, "candidates": [SMALL], "report": lambda line: None} | arguments
    return train(table, **settings)


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def trained(table):
    return train_small(table)


def test_landmarks_that_the_table_does_not_store_change_no_feature(table):
    whole = make_face(pitch_deg=5, yaw_deg=12, place_mm=(30, 10, 600), target_mm=(100, 150, 0))
    stripped = whole.points.copy()
    stripped[np.isnan(table.landmarks[0])] = np.nan
    assert np.isnan(stripped).any()

    filled = fill_landmarks(type(whole)(stripped, 640, 480))

    assert measure_face(filled).features == approx(measure_face(whole).features, abs=1e-9)


def test_rows_without_open_eyes_are_left_out_and_counted():
    measured = measure_table(make_table(identities=4, frames=5, held_out=1, shut=2))

    assert measured.is_usable.sum() == 12
    assert measured.left_out == {"closed_eyes_detected": 8}


SEEING = {"identities": 6, "frames": 6, "held_out": 2, "network_sd_deg": 0.1, "shapes_sd_deg": 3.0}


def gaze_errors_deg(table, measured):
    rows = measured.is_usable
    return angular_errors_deg(gaze_direction(measured.features[rows, :3]), table.gaze_deg[rows])


def test_the_gaze_vector_contains_all_estimates_of_the_table():
    seeing = make_table(**SEEING, offset_deg=5.0)

    alone = gaze_errors_deg(seeing, measure_table(seeing, eye_region=None, estimates=("landmarks",)))
    fused = gaze_errors_deg(seeing, measure_table(seeing, eye_region=None))

    assert find_estimates(seeing) == ("landmarks", "network", "blendshapes")
    assert fused.mean() < 0.8 * alone.mean()


def test_a_table_without_answers_has_the_landmarks_alone(table):
    assert find_estimates(table) == ("landmarks",)
    assert measure_table(table).eyes[0].network is None


def test_an_estimate_that_the_table_lacks_is_a_misuse(table):
    with pytest.raises(ValueError, match="the table has no estimate by network"):
        measure_table(table, estimates=("landmarks", "network"))


def test_the_network_s_answers_are_turned_into_the_head_frame():
    seeing = make_table(**SEEING, offset_deg=0.0)
    measured = measure_table(seeing)

    in_camera = [
        rotate_directions(each.network.both_deg, geometry.head_pose.head_rotation)
        for each, geometry in zip(measured.eyes, measured.geometries, strict=True)
    ]

    assert angular_errors_deg(np.array(in_camera), seeing.gaze_deg).max() < 1


def test_examples_can_be_computed_again_from_fewer_estimates():
    seeing = make_table(**SEEING)
    examples = select_examples(seeing, measure_table(seeing), held_out=False)
    landmarks = select_examples(seeing, measure_table(seeing, estimates=("landmarks",)), held_out=False)

    assert examples.with_eye_region(EYE_REGION_MODEL).features == approx(examples.features)
    assert examples.with_estimates((), EYE_REGION_MODEL).features == approx(landmarks.features)
    assert examples.of(np.arange(3)).with_estimates((), EYE_REGION_MODEL).features == approx(landmarks.features[:3])
    without_shapes = examples.with_estimates(("network",), EYE_REGION_MODEL)
    assert (without_shapes.eyes[0].network, without_shapes.eyes[0].blendshapes) == (examples.eyes[0].network, None)


def test_the_card_names_the_estimates_and_the_network():
    seeing = make_table(**SEEING)
    seeing.description["eye_network_sha256"] = "e" * 64

    _, card = train_small(seeing)

    assert card.estimates == ["landmarks", "network", "blendshapes"]
    assert card.eye_network_sha256 == "e" * 64
    assert card.data["fusion_sha256"] == hashlib.sha256(Path(fusion_weights.__file__).read_bytes()).hexdigest()


def test_a_model_of_landmarks_alone_depends_on_no_fusion(trained):
    _, card = trained

    assert (card.estimates, card.eye_network_sha256) == (["landmarks"], None)
    assert "fusion_sha256" not in card.data


def test_training_examples_contain_nobody_of_the_test_group(table):
    examples = select_examples(table, measure_table(table), held_out=False)

    assert sorted(set(examples.identity)) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert len(examples) == 180


def test_mirroring_negates_horizontal_quantities():
    features, gaze_deg = mirror(np.array([[0.1, 0.2, -0.9, 1.0, 2.0, 3.0, 600.0]]), np.array([[7.0, 8.0]]))

    assert features[1].tolist() == [-0.1, 0.2, -0.9, 1.0, -2.0, -3.0, 600.0]
    assert gaze_deg[1].tolist() == [-7.0, 8.0]


def test_angular_errors_are_angles_at_the_eye():
    predicted = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, -90.0], [10.0, 60.0]])
    true = np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 0.0], [-10.0, 60.0]])

    # 3 and 4 degrees are sides of a right angle; at 60 degrees up, 20 degrees sideways are about 10.
    assert angular_errors_deg(predicted, true) == approx([0.0, 5.0, 90.0, 9.96], abs=0.01)


def test_cross_validation_never_predicts_for_a_person_that_it_was_fitted_on():
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(10), 30)
    # The features identify the person, whose gaze is constant, so a model that knows the person would be right.
    features = np.repeat(rng.normal(size=(10, 7)), 30, axis=0) + rng.normal(0, 1e-3, (300, 7))
    gaze = np.repeat(rng.normal(0, 10, (10, 2)), 30, axis=0)
    examples = Examples(features, gaze, identity, (measure_face(make_face()),) * 300)
    # Keep the given features, which the eye region would replace.
    parts = [
        Fold(examples.of(np.setdiff1d(np.arange(300), part.rows)), examples.of(part.rows), part.rows)
        for part in split_people(examples, 5)
    ]

    known = angular_errors_deg(fit("random_forest", SMALL_FOREST, examples, 0).predict(features), gaze)
    unknown = angular_errors_deg(predict_folds("random_forest", SMALL_FOREST, parts, seed=0), gaze)

    assert known.mean() < 2
    assert unknown.mean() > 5


def test_nobody_is_in_both_parts_of_a_fold(table):
    examples = select_examples(table, measure_table(table), held_out=False)

    parts = split_people(examples, 3)

    assert all(not set(part.train.identity) & set(part.test.identity) for part in parts)
    assert sorted(np.concatenate([part.rows for part in parts])) == list(range(len(examples)))


@pytest.mark.parametrize("estimator", list(CANDIDATES))
def test_every_estimator_learns_a_linear_function(estimator):
    rng = np.random.default_rng(0)
    features = rng.uniform(-1, 1, (400, 7))
    gaze = features @ [20.0, -10.0, 0.0, 5.0, 0.0, 0.0, 0.0]

    hyperparameters = dict(CANDIDATES[estimator][0])
    if "init" in hyperparameters:
        hyperparameters["init"] = "linear"  # these features contain no gaze vector to start from

    regressor = make_regressor(estimator, hyperparameters, seed=0, axis=0).fit(features[:300], gaze[:300])

    assert np.abs(regressor.predict(features[300:]) - gaze[300:]).mean() < 0.4 * np.abs(gaze).mean()


def test_an_unknown_estimator_is_a_misuse():
    with pytest.raises(ValueError, match="unknown estimator 'oracle'"):
        make_regressor("oracle", {}, seed=0, axis=0)


def test_the_model_predicts_the_gaze_of_unseen_people(table, trained, tmp_path):
    content, card = trained
    save(content, card, tmp_path / "gaze_model.joblib")
    examples = select_examples(table, measure_table(table), held_out=True)

    predicted = load_gaze_model(tmp_path / "gaze_model.joblib").predict(examples.features)

    assert angular_errors_deg(predicted, examples.gaze_deg).mean() < 2.5


def test_beyond_the_examples_the_model_extrapolates_linearly(table, trained, tmp_path):
    content, card = trained
    save(content, card, tmp_path / "gaze_model.joblib")
    model = load_gaze_model(tmp_path / "gaze_model.joblib")
    aside = np.array([[np.sin(np.radians(-angle)), 0.1, -0.95, 0, 0, 0, 600.0] for angle in (0, 40, 60)])

    gaze_x = model.predict(aside)[:, 0]

    assert gaze_x[1] - gaze_x[0] > 25
    assert gaze_x[2] - gaze_x[1] > 8


def test_a_forest_can_be_trained_too(table):
    _, card = train_small(table, estimator="random_forest", candidates=[SMALL_FOREST])

    assert card.model.estimator == "RandomForestRegressor"
    assert card.model.hyperparameters == SMALL_FOREST


def test_the_better_candidate_is_chosen_and_both_are_recorded(table):
    useless = SMALL | {"init": "zero", "n_estimators": 1}

    _, card = train_small(table, candidates=[useless, SMALL])

    assert card.model.hyperparameters == SMALL
    errors = [candidate["mean_angular_error_deg"] for candidate in card.selection["candidates"]]
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("estimator", CANDIDATES)
def test_every_candidate_can_be_fitted(estimator):
    rng = np.random.default_rng(0)
    faces = (measure_face(make_face()),) * 100
    examples = Examples(rng.normal(size=(100, 7)), rng.normal(size=(100, 2)), np.arange(100), faces)

    for hyperparameters in CANDIDATES[estimator]:
        few = {"n_estimators": 2} if "n_estimators" in hyperparameters else {}
        fitted = fit(estimator, {**hyperparameters, **few}, examples, 0)
        assert fitted.predict(examples.features).shape == (100, 2)


def test_too_few_people_for_the_folds_are_a_misuse():
    with pytest.raises(ValueError, match="2 usable people are too few for 3 folds"):
        train_small(make_table(identities=3, frames=4, held_out=1))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file_in_every_new_process_with_any_number_of_threads():
    # Not in this process: pickled bytes depend on which equal strings are one object, and so on earlier imports.
    script = """
import hashlib
from tests.fakes.synthetic_table import make_table
from tests.research.test_train import train_small
content, card = train_small(make_table())
print(hashlib.sha256(content).hexdigest(), card.model.sha256)
"""
    root = Path(__file__).resolve().parents[2]
    digests = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": threads, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
            text=True,
            cwd=root,
        ).stdout.split()
        for threads in ("1", "2")
    ]

    assert len({digest for pair in digests for digest in pair}) == 1


def test_the_card_has_the_digest_of_the_file(trained):
    content, card = trained

    assert card.model.sha256 == hashlib.sha256(content).hexdigest()


def test_another_seed_gives_another_file(table, trained):
    assert train_small(table, seed=1)[1].model.sha256 != trained[1].model.sha256


def test_unpickling_the_file_imports_no_class_of_ours(trained, monkeypatch):
    packages = set()
    find_class = NumpyUnpickler.find_class

    def find_and_note(self, module, name):
        packages.add(module.split(".")[0])
        return find_class(self, module, name)

    monkeypatch.setattr(NumpyUnpickler, "find_class", find_and_note)
    joblib.load(io.BytesIO(trained[0]))

    assert "sklearn" in packages
    assert packages <= {"sklearn", "numpy", "joblib", "_codecs", "builtins"}


def test_a_card_is_read_as_it_was_written(trained, tmp_path):
    _, card = trained
    write_card(card, tmp_path / "card.json")

    assert read_card(tmp_path / "card.json") == card


@pytest.mark.parametrize(
    "change",
    [{"metrics": None}, {"model": {}}, {"surprise": 1}, {"limits": "none"}],
    ids=["another kind", "incomplete", "unknown key", "no list"],
)
def test_a_malformed_card_is_refused(trained, tmp_path, change):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(trained[1].model_dump() | change))

    with pytest.raises(ModelError, match=r"card\.json is not the card of a gaze model"):
        read_card(path)


def test_metrics_outlive_a_training_that_gives_the_same_file(trained, tmp_path):
    content, card = trained
    path = tmp_path / "gaze_model.joblib"
    save(content, card.model_copy(update={"metrics": {"test": 1}}), path)

    save(content, card, path)
    assert read_card(path.with_suffix(".json")).metrics == {"test": 1}

    other = card.model_copy(update={"model": card.model.model_copy(update={"sha256": "0" * 64})})
    save(content, other, path)
    assert read_card(path.with_suffix(".json")).metrics == {}


def test_the_command_writes_a_model_that_the_service_loads(tmp_path, monkeypatch):
    monkeypatch.setitem(CANDIDATES, "gradient_boosting", [SMALL])
    write_table(make_table(identities=8, frames=8, held_out=2), tmp_path / "table.npz")

    arguments = ["--table", str(tmp_path / "table.npz"), "--out", str(tmp_path / "other_name.joblib")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)

    model = load_gaze_model(tmp_path / "other_name.joblib")
    card = read_card(tmp_path / "other_name.json")
    assert model.predict(np.zeros((1, 7))).shape == (1, 2)
    assert card.model.file == "other_name.joblib"
    assert card.data["table"]["sha256"] == hashlib.sha256((tmp_path / "table.npz").read_bytes()).hexdigest()
    assert model.digest in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other_name.joblib", "other_name.json", "table.npz"]


def test_the_shipped_model_is_the_one_that_its_card_describes():
    card = read_card(MODELS / "gaze_model.json")
    content = (MODELS / "gaze_model.joblib").read_bytes()

    assert load_gaze_model(MODELS / "gaze_model.joblib").digest == card.model.sha256
    assert len(content) == card.model.size_bytes
    assert card.data["table"]["sha256"] == hashlib.sha256(TRAINING_TABLE_PATH.read_bytes()).hexdigest()
    assert (
        card.data["face_landmarker_sha256"]
        == hashlib.sha256((MODELS / "face_landmarker.task").read_bytes()).hexdigest()
    )
    digests = digest_weights(card.estimates)
    assert {name: card.data.get(name) for name in digests} == digests
    assert card.versions.keys() == find_versions().keys()


def test_the_shipped_model_prefers_no_side():
    model = load_gaze_model(MODELS / "gaze_model.joblib")
    row = np.array([[-0.2, 0.1, -0.97, 2.0, 9.0, 1.0, 600.0]])

    gaze_x, gaze_y = model.predict(row)[0]
    mirrored_x, mirrored_y = model.predict(row * [-1, 1, 1, 1, -1, -1, 1])[0]

    assert (mirrored_x, mirrored_y) == approx((-gaze_x, gaze_y), abs=1.5)


def test_the_shipped_model_distinguishes_right_left_up_and_down():
    model = load_gaze_model(MODELS / "gaze_model.joblib")

    def predict(x_mm, y_mm):
        face = make_face(target_mm=(x_mm, y_mm, 0))
        return model.predict(np.array([measure_face(face).features]))[0]

    # 200 mm at 600 mm are 18 degrees; the image's left is the viewer's right.
    assert 12 < predict(-200, 0)[0] - predict(0, 0)[0] < 26
    assert 12 < predict(0, 0)[0] - predict(200, 0)[0] < 26
    assert 8 < predict(0, 0)[1] - predict(0, 200)[1] < 26
