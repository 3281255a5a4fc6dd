"""docs/models.md names the shipped files."""

import hashlib

import pytest

from tests.docs.test_links import ROOT

DOCUMENT = (ROOT / "docs" / "models.md").read_text()


@pytest.mark.parametrize("name", ["gaze_model.joblib", "gaze_model.onnx", "eye_network.onnx", "face_landmarker.task"])
def test_the_document_states_the_digest_of_each_shipped_file(name):
    (row,) = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}`")]

    assert hashlib.sha256((ROOT / "models" / name).read_bytes()).hexdigest() in row
