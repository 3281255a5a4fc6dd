"""Which eye network a process uses."""

import json
import logging
import shutil
from pathlib import Path

import cv2
import pytest

from func.bootstrap import EyeNetworkState, load_eye_network
from func.settings import read_settings
from gaze_core.errors import EyeNetworkError
from tests.fakes.gaze_model import FakeGazeModel

NETWORK = Path(__file__).resolve().parents[2] / "models" / "eye_network.onnx"
DIGEST = json.loads(NETWORK.with_suffix(".json").read_text())["sha256"]
ALL = ("landmarks", "network", "blendshapes")


def make_settings(**environ):
    return read_settings({"MONGO_URI": "mongodb://localhost", "LANDMARKERS": "2", **environ})


def make_model(*, estimates=ALL, eye_network_sha256=DIGEST):
    model = FakeGazeModel(estimates=estimates)
    model.eye_network_sha256 = eye_network_sha256
    return model


def load(settings=None, model=None):
    return load_eye_network(settings or make_settings(), model or make_model())


def without_file(monkeypatch, folder):
    monkeypatch.setattr("func.settings.locate_packaged_model", lambda name: folder / name)
    monkeypatch.setattr("func.model_paths.locate_packaged_model", lambda name: folder / name)
    return make_settings()


def test_a_model_trained_with_the_network_gets_it():
    state, network = load()

    assert (state, network.digest) == (EyeNetworkState.USED, DIGEST)


def test_opencv_uses_one_thread_for_each_frame():
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        load()

        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(threads)


def test_each_concurrent_frame_has_its_network_before_the_first_request():
    _, network = load(make_settings(LANDMARKERS="3"))

    assert len(network._idle) == 3


def test_a_model_trained_without_the_network_gets_none(caplog):
    with caplog.at_level(logging.INFO):
        state, network = load(model=make_model(estimates=("landmarks",), eye_network_sha256=None))

    assert (state, network) == (EyeNetworkState.UNUSED, None)
    assert "eye network not used: reason=the gaze model was trained without it" in caplog.text


def test_without_the_file_the_process_starts_and_says_so(monkeypatch, tmp_path, caplog):
    state, network = load(without_file(monkeypatch, tmp_path))

    assert (state, network) == (EyeNetworkState.MISSING, None)
    assert "eye network missing: file=eye_network.onnx" in caplog.text


def test_a_damaged_file_is_not_a_missing_one(monkeypatch, tmp_path):
    shutil.copy(NETWORK.with_suffix(".json"), tmp_path)
    (tmp_path / NETWORK.name).write_bytes(NETWORK.read_bytes()[:-1])

    with pytest.raises(EyeNetworkError, match="does not match"):
        load(without_file(monkeypatch, tmp_path))


def test_another_network_than_that_of_the_training_is_used_with_a_warning(caplog):
    state, _ = load(model=make_model(eye_network_sha256="ab" * 32))

    assert state is EyeNetworkState.USED
    assert f"trained_with={'ab' * 32}" in caplog.text


def test_the_network_of_the_training_causes_no_warning(caplog):
    load()

    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]
