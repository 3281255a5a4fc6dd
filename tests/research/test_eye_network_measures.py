"""Metrics of the eye network on held-out people."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from gaze_core.errors import ModelError
from models import EYE_NETWORK_PATH
from models.card import EyeNetworkCard, read_eye_network_card, write_card
from research.eye_network.contract import INPUTS, OUTPUTS
from research.eye_network.evaluate import main as evaluate
from research.eye_network.inference import Answers, answer
from research.eye_network.measures import check_spread, summarise
from research.eye_network.plots import draw_curve, draw_spreads
from tests.fakes.eye_images import make_eye_images, write_shards


def make_answers(images, *, both_off_deg=(0.0, 0.0), eye_off_deg=(0.0, 0.0), spread_deg=1.0):
    return Answers(
        eyes_deg=images.eyes_deg + eye_off_deg,
        eyes_spread_deg=np.full(images.eyes_deg.shape, spread_deg),
        both_deg=images.both_deg + both_off_deg,
        both_spread_deg=np.full(images.both_deg.shape, spread_deg),
    )


def test_the_error_is_the_angle_between_directions():
    images = make_eye_images()

    metrics = summarise(make_answers(images, both_off_deg=(0, 2), eye_off_deg=(0, -3)), images)

    assert metrics["both"] == {"n": 48, "mean": 2.0, "median": 2.0, "p95": 2.0}
    assert metrics["one_eye"] == {"n": 96, "mean": 3.0, "median": 3.0, "p95": 3.0}
    assert metrics["mean_of_two_eyes"]["mean"] == 3.0


def test_closed_eyes_count_only_in_their_own_condition():
    images = dataclasses.replace(make_eye_images(), openness=np.where(np.arange(48) < 8, 0.49, 0.5))
    answers = make_answers(images)
    answers.both_deg[:8, 1] += 9

    metrics = summarise(answers, images)

    assert metrics["images_with_open_eyes"] == 40
    assert metrics["both"]["mean"] == 0
    assert metrics["both_by_condition"]["eyes_closing"] == {"n": 8, "mean": 9.0, "median": 9.0, "p95": 9.0}


def test_errors_of_axes_are_split_into_bias_between_and_within_people():
    images = make_eye_images(people=2, pairs_per_person=2)
    answers = make_answers(images, both_off_deg=[[1, 0], [1, 0], [3, 0.5], [3, -0.5]])

    assert summarise(answers, images)["both_by_axis"] == {
        "right": {"bias": 2.0, "between_people": 1.0, "within_people": 0.0},
        "up": {"bias": 0.0, "between_people": 0.0, "within_people": 0.35},
    }


def test_conditions_that_no_image_meets_are_absent():
    conditions = summarise(make_answers(make_eye_images()), make_eye_images())["both_by_condition"]

    assert conditions["glasses"]["n"] == conditions["no_glasses"]["n"] == 24
    assert conditions["distance_mm_500_to_650"]["n"] == conditions["iris_px_11_to_15"]["n"] == 48
    assert "distance_mm_0_to_350" not in conditions


def test_spreads_half_as_large_as_the_errors_have_ratio_2():
    spread = check_spread(np.array([4.0, -4.0] * 10), np.full(20, 2.0))

    assert (spread["ratio"], spread["within_1"], spread["within_2"]) == (2, 0, 1)
    assert (spread["predicted_deg"], spread["real_deg"]) == ([2] * 10, [4] * 10)


def test_answers_are_in_degrees_and_the_true_frame():
    images = make_eye_images(people=1, pairs_per_person=2)
    mirrored = dataclasses.replace(images, images=images.images[:, ::-1], head_deg=images.head_deg * [1, -1])

    answers, swapped = (answer(EYE_NETWORK_PATH, each) for each in (images, mirrored))

    assert swapped.both_deg == approx(answers.both_deg * [-1, 1], abs=1e-3)
    assert swapped.both_spread_deg == approx(answers.both_spread_deg, rel=1e-3)
    assert swapped.eyes_deg == approx(answers.eyes_deg[:, ::-1] * [-1, 1], abs=1e-3)


def test_the_command_writes_metrics_of_the_test_group_into_the_card(tmp_path):
    images = make_eye_images(people=12)
    folder = write_shards(images, tmp_path / "set", held_out=1)
    model = tmp_path / "eye_network.onnx"
    model.write_bytes(EYE_NETWORK_PATH.read_bytes())
    write_card(make_card(images), model.with_suffix(".json"))

    arguments = ["--images", folder, "--model", model, "--figures", tmp_path / "figures"]
    result = CliRunner().invoke(evaluate, [str(argument) for argument in arguments], catch_exceptions=False)

    metrics = read_eye_network_card(model.with_suffix(".json")).metrics
    assert json.loads(result.stdout) == metrics
    assert (metrics["people"], metrics["images"]) == (1, 8)
    assert (tmp_path / "figures" / "eye_network_spread.svg").read_text().startswith("<?xml")


def test_the_command_refuses_another_image_set(tmp_path):
    model = tmp_path / "eye_network.onnx"
    write_card(make_card(make_eye_images(seed=1)), model.with_suffix(".json"))
    folder = write_shards(make_eye_images(people=12, seed=2), tmp_path / "set")

    result = CliRunner().invoke(evaluate, ["--images", str(folder), "--model", str(model)])

    assert result.exit_code == 1
    assert "is not the eye image set in eye_network.json" in result.stderr


def make_card(images):
    return EyeNetworkCard(
        file="eye_network.onnx",
        sha256=json.loads(EYE_NETWORK_PATH.with_suffix(".json").read_bytes())["sha256"],
        size_bytes=EYE_NETWORK_PATH.stat().st_size,
        inputs=INPUTS,
        outputs=OUTPUTS,
        data={"sha256": images.digest()},
        training={},
        metrics={},
        versions={},
    )


def test_figures_of_equal_numbers_are_equal_files(tmp_path):
    curve = [{"step": 1, "both_deg": 8.0, "eye_deg": 9.0}, {"step": 2, "both_deg": 4.0, "eye_deg": 5.0}]
    axis = {"predicted_deg": [1, 2], "real_deg": [1.1, 2.1]}
    for name in ("a", "b"):
        draw_curve(curve, tmp_path / f"curve-{name}.svg")
        draw_spreads({"one_eye": [axis, axis], "both": [axis, axis]}, tmp_path / f"spread-{name}.svg")

    for name in ("curve", "spread"):
        assert (tmp_path / f"{name}-a.svg").read_bytes() == (tmp_path / f"{name}-b.svg").read_bytes()


def test_the_shipped_network_has_a_valid_card():
    card = read_eye_network_card(EYE_NETWORK_PATH.with_suffix(".json"))

    assert card.file == EYE_NETWORK_PATH.name
    assert card.sha256 == hashlib.sha256(EYE_NETWORK_PATH.read_bytes()).hexdigest()
    assert card.size_bytes == EYE_NETWORK_PATH.stat().st_size <= 1_000_000
    assert card.license == "Apache-2.0"


@pytest.mark.parametrize("content", ["{}", "[1]", '{"sha256": 3}'])
def test_a_card_that_lacks_something_is_refused(tmp_path, content):
    (tmp_path / "eye_network.json").write_text(content)

    with pytest.raises(ModelError, match="is not the card of an eye network"):
        read_eye_network_card(tmp_path / "eye_network.json")


def test_a_missing_card_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_eye_network_card(tmp_path / "eye_network.json")
