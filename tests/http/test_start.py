"""Wrong model files and settings end the real process with one line that says what to do."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from func.bootstrap import check_model_files
from func.errors import UnusableModelError
from func.settings import read_settings
from tests.running import FUNCTIONS_FRAMEWORK, ROOT

MODELS = ROOT / "models"
BROKEN_BUNDLE = ("face_detector.tflite", "face_landmarks_detector.tflite")


@pytest.fixture
def make_model(tmp_path):
    """Return a function that writes a model file with a card that fits it, and returns its settings."""

    def make(variable, original, content, **card_fields):
        path = tmp_path / original
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        card = json.loads((MODELS / original).with_suffix(".json").read_text()) | card_fields
        card["sha256"] = digest
        if original == "gaze_model.joblib":
            card["model"]["sha256"] = digest
        path.with_suffix(".json").write_text(json.dumps(card))
        return {variable: str(path), f"{variable}_SHA256": digest}

    return make


def bundle(folder, *names):
    path = folder / "bundle"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"not a network")
    return path.read_bytes()


def end_of(environ, *, program=FUNCTIONS_FRAMEWORK):
    """Return exit status and lines on stderr of a process that cannot start."""
    done = subprocess.run(
        program,
        env={**os.environ, "MONGO_URI": "mongodb://localhost", "SESSION_TOKEN_KEYS": "k" * 32, "PORT": "0", **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_wrong_mongo_uri_ends_the_server_before_it_listens():
    status, lines = end_of({"MONGO_URI": "mongodb://viewer:p@ss@host/"})

    assert status == 1
    assert lines == [
        (
            "gaze-function cannot start: MONGO_URI must have its user name and password percent-encoded: "
            "@ as %40, : as %3A, / as %2F, % as %25"
        )
    ]


def test_a_wrong_model_file_ends_func_s_own_server_too():
    status, lines = end_of(
        {"GAZE_MODEL": str(MODELS / "eye_network.onnx")},
        program=[sys.executable, "-c", "import function; function.new()"],
    )

    assert status == 1
    assert lines == [
        (
            "gaze-function cannot start: GAZE_MODEL cannot be used: eye_network.json is not the card of a gaze model; "
            "check the file, its description and GAZE_MODEL_SHA256"
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "original", "reason"),
    [
        ("GAZE_MODEL", "gaze_model.joblib", "gaze_model.joblib cannot be unpickled"),
        ("FACE_LANDMARKER_MODEL", "face_landmarker.task", "MediaPipe cannot create a face landmarker from the bundle"),
        ("EYE_NETWORK", "eye_network.onnx", "eye_network.onnx"),
    ],
)
def test_a_file_that_its_library_refuses_ends_the_worker_and_the_server(
    tmp_path, make_model, variable, original, reason
):
    content = bundle(tmp_path, *BROKEN_BUNDLE) if variable == "FACE_LANDMARKER_MODEL" else b"not a model"

    status, lines = end_of(make_model(variable, original, content))

    assert status == 4
    assert len(lines) == 1
    assert lines[0].startswith(f"gaze-function cannot start: {variable} cannot be used: {reason}")


@pytest.mark.slow
def test_a_file_that_its_library_refuses_ends_func_s_own_server(make_model):
    program = "import function; made = function.new(); made.start({}); print('started')"

    status, lines = end_of(
        make_model("GAZE_MODEL", "gaze_model.joblib", b"not a model"), program=[sys.executable, "-c", program]
    )

    assert status == 1
    assert [line for line in lines if "gaze-function cannot start: GAZE_MODEL cannot be used" in line]
    assert not [line for line in lines if "Traceback" in line]


@pytest.fixture
def refuse(tmp_path, make_model):
    """Return a function that returns the refusal of the model files in these settings."""

    def check(environ):
        with pytest.raises(UnusableModelError) as caught:
            check_model_files(read_settings({"MONGO_URI": "mongodb://localhost", **environ}))
        return caught.value

    return check


def test_the_packaged_model_files_are_accepted():
    check_model_files(read_settings({"MONGO_URI": "mongodb://localhost"}))


@pytest.mark.parametrize(
    ("variable", "original"),
    [
        ("GAZE_MODEL", "gaze_model.joblib"),
        ("FACE_LANDMARKER_MODEL", "face_landmarker.task"),
        ("EYE_NETWORK", "eye_network.onnx"),
    ],
)
def test_another_digest_than_the_operator_s_names_the_variable(refuse, variable, original):
    refused = refuse({f"{variable}_SHA256": "0" * 64})

    assert refused.variable == variable
    assert refused.line == (
        f"{variable} cannot be used: {original} does not have the SHA-256 that the settings require; "
        f"check the file, its description and {variable}_SHA256"
    )


def test_another_version_of_scikit_learn_is_refused_without_importing_it(refuse, make_model):
    versions = json.loads((MODELS / "gaze_model.json").read_text())["versions"] | {"scikit-learn": "0.24.2"}
    content = (MODELS / "gaze_model.joblib").read_bytes()

    refused = refuse(make_model("GAZE_MODEL", "gaze_model.joblib", content, versions=versions))

    assert str(refused).startswith("The gaze model is not loaded: gaze_model.joblib was written by scikit-learn 0.24.2")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (BROKEN_BUNDLE[:1], "face_landmarker.task lacks face_landmarks_detector.tflite"),
        (BROKEN_BUNDLE[1:], "face_landmarker.task lacks face_detector.tflite"),
    ],
)
def test_an_incomplete_landmarker_bundle_is_refused(tmp_path, refuse, make_model, names, reason):
    environ = make_model("FACE_LANDMARKER_MODEL", "face_landmarker.task", bundle(tmp_path, *names))

    assert str(refuse(environ)) == f"The face landmarker is not loaded: {reason}."


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04" + bytes(100)])
def test_a_bundle_that_is_no_archive_is_refused(refuse, make_model, content):
    environ = make_model("FACE_LANDMARKER_MODEL", "face_landmarker.task", content)

    assert str(refuse(environ)).endswith("face_landmarker.task is not a face landmarker bundle.")


def test_a_bundle_with_a_damaged_network_is_refused(tmp_path, refuse, make_model):
    damaged = bundle(tmp_path, *BROKEN_BUNDLE).replace(b"not a network", b"NOT A NETWORK", 1)

    refused = refuse(make_model("FACE_LANDMARKER_MODEL", "face_landmarker.task", damaged))

    assert str(refused).endswith("face_landmarker.task contains a broken face_detector.tflite.")


def test_a_gaze_model_without_the_network_does_not_need_its_file(make_model):
    content = (MODELS / "gaze_model.joblib").read_bytes()
    environ = make_model("GAZE_MODEL", "gaze_model.joblib", content, estimates=["landmarks"])

    check_model_files(read_settings({"MONGO_URI": "mongodb://localhost", "EYE_NETWORK": str(Path(__file__)),
                                     "EYE_NETWORK_SHA256": "0" * 64, **environ}))  # fmt: skip


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA], ids=["deflate", "lzma"])
def test_a_bundle_whose_compressed_data_is_damaged_is_refused(tmp_path, refuse, make_model, compression):
    path = tmp_path / "bundle"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in BROKEN_BUNDLE:
            archive.writestr(name, bytes(range(256)) * 8)
    content = bytearray(path.read_bytes())
    content[60:160] = b"\xff" * 100

    refused = refuse(make_model("FACE_LANDMARKER_MODEL", "face_landmarker.task", bytes(content)))

    assert str(refused).endswith("face_landmarker.task is not a face landmarker bundle.")


@pytest.mark.parametrize(
    ("variable", "original"), [("GAZE_MODEL", "gaze_model.joblib"), ("FACE_LANDMARKER_MODEL", "face_landmarker.task")]
)
def test_a_card_that_is_nested_too_deeply_is_refused(tmp_path, refuse, make_model, variable, original):
    environ = make_model(variable, original, b"any")
    (tmp_path / original).with_suffix(".json").write_text("[" * 200_000)

    assert refuse(environ).variable == variable
