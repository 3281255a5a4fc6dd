"""The images build, have only what they need, and serve from a read-only root."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from gaze_tools.stack.launcher import start_upstream_services

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MAX_BYTES, MAX_LITE_BYTES = 900e6, 600e6
CLIP = Path(__file__).parents[2] / "gaze_tools/sample/clip.mp4"
NOBODY = np.full((480, 640, 3), 90, np.uint8)


def make_body(image, frame_number):
    done, data = cv2.imencode(".jpg", image)
    assert done
    return {
        "session_id": "image",
        "video_id": "sample",
        "ip_address": "192.0.2.1",
        "frame_number": frame_number,
        "frame": base64.b64encode(data).decode(),
    }


def list_packages(image):
    (site,) = (image.root / "opt/venv/lib").glob("python3.*/site-packages")
    return {path.name for path in site.iterdir()}


@pytest.mark.parametrize("name", ["function_image", "lite_image"])
def test_the_function_serves_frames_as_nobody_from_a_read_only_root(name, request, tmp_path):
    function_image = request.getfixturevalue(name)
    log_path = tmp_path / "function.log"
    settings = {"THREADS": "10", "LANDMARKERS": "2", "BARRIER_TIMEOUT_S": "1"}
    with (
        start_upstream_services(tmp_path) as upstream,
        function_image.serve(
            log_path, ready="/health/readiness", environment={**upstream.environment(), **settings}
        ) as (url, process),
    ):
        ready = requests.get(f"{url}/health/readiness", timeout=10).json()
        nobody = requests.post(f"{url}/gaze", json=make_body(NOBODY, 1), timeout=10)
        somebody = requests.post(f"{url}/gaze", json=make_first_frame(), timeout=10)
        owner = Path(f"/proc/{process.pid}/status").read_text()
        status = function_image.stop(process, log_path)

    assert set(ready["neighbours"].values()) == {"reachable"}
    assert (nobody.status_code, somebody.status_code) == (200, 200), log_path.read_text()
    assert (nobody.json()["validity"], somebody.json()["validity"]) == ("no_face", "ok")
    assert "Uid:\t65532\t65532\t65532\t65532\n" in owner
    assert status == 0
    assert "Read-only file system" not in log_path.read_text()


def make_first_frame():
    """Return a request with the sample clip's first frame."""
    video = cv2.VideoCapture(str(CLIP))
    _, frame = video.read()
    video.release()
    return make_body(frame, 2)


def test_the_upstream_services_serve_from_a_read_only_root(upstream_image, mongo_uri, tmp_path):
    for module in ("gaze_tools.stack.session_api", "gaze_tools.stack.aggregator"):
        with upstream_image.serve(
            tmp_path / f"{module}.log",
            ready="/health",
            environment={"MONGO_URI": mongo_uri},
            arguments=(module, "--host=0.0.0.0", "--port={port}"),
        ):
            pass


def test_a_missing_setting_ends_the_process_with_one_line_that_names_it(function_image):
    command, outside = function_image.command({}, ())

    done = subprocess.run(command, env=outside, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode != 0
    assert done.stderr.strip() == "gaze-function cannot start: MONGO_URI must be set"


def test_it_has_no_tools_caches_or_machine_specific_files(function_image):
    root = function_image.root
    packages = list_packages(function_image)

    assert {"mediapipe", "cv2", "numpy", "sklearn", "functions_framework"} <= packages
    assert (
        not {"pip", "setuptools", "matplotlib", "pytest", "secantus", "gaze_tools", "research", "moderngl", "func"}
        & packages
    )
    assert not [tool for tool in ("gcc", "cc", "make", "pip") if shutil.which(tool, path=str(root / "opt/venv/bin"))]
    assert not (root / "usr/bin/gcc").exists()
    assert not list((root / "var/lib/apt/lists").iterdir())
    assert not (root / "root/.cache").exists()
    assert not (root / "opt/upstream").exists()
    assert not [path for path in (root / "opt/venv").rglob("tests") if path.parent.name in {"numpy", "sklearn"}]


def test_it_has_the_models_with_their_cards(function_image):
    names = {path.name for path in (function_image.root / "opt/function/models").iterdir()} - {"__pycache__"}

    assert names == {
        "__init__.py",
        "atomic_file.py",
        "card.py",
        "eye_network.json",
        "eye_network.onnx",
        "face_landmarker.json",
        "face_landmarker.task",
        "gaze_model.joblib",
        "gaze_model.json",
        "gaze_model.onnx",
        "py.typed",
    }


def test_it_is_small_enough(function_image):
    done = subprocess.run(
        ["du", "--summarize", "--bytes", "--one-file-system", function_image.root],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout.split()[0]) < MAX_BYTES


def test_the_lite_image_has_neither_mediapipe_nor_scikit_learn_nor_their_libraries(lite_image):
    packages = list_packages(lite_image)

    assert {"ai_edge_litert", "cv2", "numpy", "functions_framework"} <= packages
    assert not {"mediapipe", "sklearn", "scipy", "joblib", "pip", "setuptools"} & packages
    assert not list((lite_image.root / "usr/lib").rglob("libEGL*"))


def test_two_builds_give_the_same_image(builder):
    """Without a cache, whose layers may have the times of another commit."""
    first, second = (builder.build_image("lite", "--no-cache", tag="lite-again")["FromImageDigest"] for _ in range(2))

    assert second == first


def test_the_lite_image_is_smaller(lite_image):
    done = subprocess.run(
        ["du", "--summarize", "--bytes", "--one-file-system", lite_image.root],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout.split()[0]) < MAX_LITE_BYTES


def test_its_configuration_is_that_of_a_careful_image(function_image):
    config = function_image.config

    assert config["User"] == "65532:65532"
    assert config["ExposedPorts"].keys() == {"8080"} or config["ExposedPorts"].keys() == {"8080/tcp"}
    assert "Healthcheck" not in config
    assert config["Labels"]["org.opencontainers.image.revision"] == "0123abc"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "MONGO_URI" not in json.dumps(config)
