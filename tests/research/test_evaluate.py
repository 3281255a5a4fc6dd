"""The card's metrics, on tables whose errors are known."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from gaze_core.gaze import direction_to
from gaze_core.types import Camera, GazePoint, Screen
from models.card import read_card
from research.evaluation.__main__ import main
from research.evaluation.metrics import compare_with_truth, evaluate, find_slices, precision_deg, summarise
from research.evaluation.ranges import find_in_range
from research.evaluation.statistics import bootstrap_interval
from research.training.examples import measure_table
from research.training.train import save, train
from tests.fakes.synthetic_table import make_table

FOREST = {"n_estimators": 10, "min_samples_leaf": 5, "max_features": 0.6}


@pytest.fixture(scope="module")
def table():
    return make_table(identities=10, frames=12, held_out=4)


@pytest.fixture(scope="module")
def truth(table):
    """The features of the usable test rows and their true gaze."""
    measured = measure_table(table)
    rows = measured.is_usable & table.is_held_out
    return measured.features[rows], table.gaze_deg[rows]


def answer(truth, *, off_deg=(0.0, 0.0)):
    """Return a model that knows the true gaze of the test rows, plus a constant error; other rows give zero."""
    known = {row.tobytes(): gaze for row, gaze in zip(*truth, strict=True)}

    def predict(features):
        return np.array([known.get(row.tobytes(), np.zeros(2)) for row in features]) + off_deg

    return predict


def run(table, predict):
    return evaluate(table, predict, report=lambda line: None)


def test_a_model_without_error_has_none(table, truth):
    test = run(table, answer(truth))["test"]

    assert (test["images"], test["identities"]) == (48, 4)
    assert test["angular_error_deg"]["mean"] == test["angular_error_deg"]["p95"] == 0.0
    assert test["angular_error_deg"]["mean_95_percent_interval"] == [0.0, 0.0]
    assert test["bias_deg"] == [0.0, 0.0]


def test_a_constant_error_is_bias_and_no_scatter(table, truth):
    test = run(table, answer(truth, off_deg=(0.0, 2.0)))["test"]

    assert test["angular_error_deg"]["mean"] == approx(2.0, abs=0.001)
    assert test["bias_deg"] == [0.0, 2.0]
    assert test["precision_deg"] == 0.0


def test_only_people_of_the_test_group_count(table, truth):
    # The model is exact on the test rows and wrong on all others.
    assert run(table, answer(truth))["people"]["worst_mean_error_deg"] == 0.0


def test_one_degree_at_600_mm_is_10_mm_on_the_screen():
    table = make_table(identities=2, frames=1, held_out=1)
    row = np.array([1])
    table.origin_mm[1], table.gaze_deg[1], table.camera[1] = (0, 0, 600), (0, 0), (50, 0, 0, 0)

    found = compare_with_truth(table, row, np.array([[1.0, 0.0]]), np.array([[0.0, 0.0, 600.0]]))
    moved = compare_with_truth(table, row, np.array([[0.0, 0.0]]), np.array([[30.0, 40.0, 600.0]]))
    away = compare_with_truth(table, row, np.array([[100.0, 0.0]]), np.array([[0.0, 0.0, 600.0]]))

    assert found.angular_deg == approx([1.0])
    assert found.screen_mm == approx([10.47], abs=0.01)
    assert moved.screen_mm == approx([50.0])
    assert np.isnan(away.screen_mm).all()


def test_rays_that_miss_the_screen_are_counted(table, truth):
    test = run(table, lambda features: np.tile([100.0, 0.0], (len(features), 1)))["test"]

    assert test["rays_that_miss_the_screen_plane"] == 48
    assert test["screen_error_mm"] == {"mean": None, "median": None, "p95": None}


def test_precision_is_the_scatter_about_each_persons_own_error():
    offsets = np.array([[10.0, 0.0], [12.0, 0.0], [-5.0, 3.0], [-5.0, 5.0]])

    assert precision_deg(offsets, np.array([1, 1, 2, 2])) == approx(1.0)


def test_the_interval_is_that_of_people_and_not_of_images():
    identity = np.repeat([0, 1], 1000)
    values = np.repeat([1.0, 3.0], 1000)

    # Resampling two people gives the better one twice, the worse one twice, or one of each.
    assert bootstrap_interval(values, identity) == [1.0, 3.0]


def test_the_error_of_the_constant_baseline_is_the_spread_of_the_gaze(table, truth):
    baselines = run(table, answer(truth))["baselines"]
    constant = baselines["constant: mean gaze of the training people"]
    training = table.gaze_deg[~table.is_held_out].mean(axis=0)

    assert constant["mean"] == approx(np.hypot(*(truth[1] - training).T).mean(), rel=0.02)


def test_eyes_made_of_points_need_no_learning(table, truth):
    baselines = run(table, answer(truth))["baselines"]

    # The remaining error is the personal offset of one degree.
    assert baselines["not learned: iris geometry"]["mean"] < 2.5
    assert baselines["not learned: direction of the nose"]["mean"] > 8


def test_single_estimates_are_measured_without_the_gaze_model():
    seeing = make_table(identities=8, frames=8, held_out=4, offset_deg=0.0, network_sd_deg=2.0, shapes_sd_deg=4.0)

    baselines = run(seeing, lambda features: features[:, :2])["baselines"]

    # The mean of the length of a vector with two normal components is 1.25 standard deviations.
    assert baselines["no trees: network alone"]["mean"] == approx(2.5, rel=0.3)
    assert baselines["no trees: blendshapes alone"]["mean"] > 1.5 * baselines["no trees: network alone"]["mean"]
    assert "no trees: all fused" in baselines


def test_of_a_table_with_landmarks_alone_only_those_are_measured(table, truth):
    baselines = run(table, answer(truth))["baselines"]

    assert [name for name in baselines if name.startswith("no trees")] == ["no trees: landmarks alone"]


def test_slices_of_a_quantity_contain_every_row_once(table):
    rows = np.flatnonzero(table.is_held_out)

    for parts in find_slices(table, rows, np.full(len(rows), 10.0)).values():
        assert np.sum(list(parts.values()), axis=0).tolist() == [1] * len(rows)


def test_the_position_on_the_screen_is_that_of_the_true_point_of_gaze():
    table = make_table(identities=2, frames=3, held_out=1)
    rows = np.flatnonzero(table.is_held_out)
    for row, point in zip(rows, (GazePoint(0.5, 0.5), GazePoint(0.9, 0.5), GazePoint(0.5, 1.2)), strict=True):
        table.gaze_deg[row] = direction_to(point, table.origin_mm[row], Screen(), Camera())

    parts = find_slices(table, rows, np.full(len(rows), 10.0))["position on the screen"]

    assert parts["middle third"].tolist() == [True, False, False]
    assert parts["outside the middle third"].tolist() == [False, True, False]
    assert parts["off screen"].tolist() == [False, False, True]


def test_in_range_means_on_the_screen_at_a_usual_distance_and_facing_the_camera():
    table = make_table(identities=2, frames=5, held_out=1)
    rows = np.flatnonzero(table.is_held_out)
    table.pose_deg[rows] = 0.0
    table.distance_mm[rows] = 600.0
    for row, point in zip(rows, 3 * [GazePoint(0.9, 0.5)] + [GazePoint(0.5, 1.2), GazePoint(0.5, 0.5)], strict=True):
        table.gaze_deg[row] = direction_to(point, table.origin_mm[row], Screen(), Camera())
    table.distance_mm[rows[1]] = 390.0
    table.pose_deg[rows[2]] = (0.0, -26.0, 0.0)

    assert find_in_range(table, rows).tolist() == [True, False, False, False, True]


def test_the_distance_of_faces_made_of_points_is_right_within_two_percent(table, truth):
    geometry = run(table, answer(truth))["geometry"]

    assert geometry["distance_error_percent"]["p95"] < 2
    assert geometry["origin_error_mm"]["p95"] < 15


def test_an_undescribed_camera_that_is_the_default_one_makes_no_difference(table):
    default = make_table(identities=4, frames=5, held_out=2)
    default.camera[:, 0] = 63.0

    metrics = run(default, lambda features: features[:, [4, 3]])

    assert metrics["camera_not_described"]["angular_error_deg"]["mean"] == approx(
        metrics["test"]["angular_error_deg"]["mean"]
    )


def test_an_undescribed_camera_that_is_not_the_default_one_moves_the_eyes(table, truth):
    metrics = run(table, answer(truth))

    assert metrics["camera_not_described"]["screen_error_mm"]["mean"] > 30


def test_closed_eyes_are_counted():
    table = make_table(identities=4, frames=5, held_out=2, shut=2)

    assert run(table, lambda features: features[:, :2])["closed_eyes"] == {
        "closed": 8,
        "closed_but_classified_open": 0,
        "open": 12,
        "open_but_classified_closed": 0,
    }


def test_a_table_without_a_test_group_is_a_misuse():
    with pytest.raises(ValueError, match="no usable row of the test group"):
        run(make_table(identities=2, frames=2, held_out=0), lambda features: features[:, :2])


def test_a_summary_can_be_written_as_json(table, truth):
    rows = np.flatnonzero(table.is_held_out)
    predictions = compare_with_truth(table, rows, table.gaze_deg[rows], table.origin_mm[rows])

    assert json.loads(json.dumps(summarise(predictions))) == summarise(predictions)


def test_the_command_writes_the_metrics_into_the_card(tmp_path, monkeypatch):
    table = make_table(identities=8, frames=8, held_out=3)
    monkeypatch.setattr("research.evaluation.__main__.load_table", lambda path: table)
    content, card = train(table, estimator="random_forest", folds=3, candidates=[FOREST], report=lambda line: None)
    save(content, card, tmp_path / "gaze_model.joblib")

    arguments = ["--model", str(tmp_path / "gaze_model.joblib"), "--table", "unread", "--folds", "0"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)

    metrics = read_card(tmp_path / "gaze_model.json").metrics
    assert metrics["test"]["identities"] == 3
    assert 0 < metrics["test"]["angular_error_deg"]["mean"] < 6
    assert "24 images of 3 unseen people" in result.stdout


def evaluate_with(table, model_path, monkeypatch):
    monkeypatch.setattr("research.evaluation.__main__.load_table", lambda path: table)
    arguments = ["--model", str(model_path), "--table", "new.npz", "--folds", "0"]
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def seeing():
    """A table with an eye network, and a model trained on it."""
    table = make_table(identities=8, frames=8, held_out=3, network_sd_deg=2.0)
    table.description["eye_network_sha256"] = "a" * 64
    return table, train(table, estimator="random_forest", folds=3, candidates=[FOREST], report=lambda line: None)


def test_a_model_is_not_measured_on_other_estimates_than_it_was_trained_with(seeing, table, tmp_path, monkeypatch):
    save(*seeing[1], tmp_path / "gaze_model.joblib")

    result = evaluate_with(table, tmp_path / "gaze_model.joblib", monkeypatch)

    assert result.exit_code == 1
    assert "was trained with estimates by landmarks, network, but new.npz has landmarks" in result.stderr


def test_a_model_is_not_measured_on_the_answers_of_another_network(seeing, tmp_path, monkeypatch):
    save(*seeing[1], tmp_path / "gaze_model.joblib")
    other = make_table(identities=8, frames=8, held_out=3, network_sd_deg=2.0)
    other.description["eye_network_sha256"] = "b" * 64

    result = evaluate_with(other, tmp_path / "gaze_model.joblib", monkeypatch)

    assert result.exit_code == 1
    assert "the model was trained with another eye network than that of new.npz" in result.stderr
    assert evaluate_with(seeing[0], tmp_path / "gaze_model.joblib", monkeypatch).exit_code == 0
