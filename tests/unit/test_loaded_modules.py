"""A function that is ready has imported nothing that frames do not need, even if it is installed."""

import json
import os
import subprocess
import sys

import pytest

from tests.running import ROOT

NEVER = {
    "IPython",
    "PIL",
    "ai_edge_litert",
    "gaze_tools",
    "jax",
    "joblib",
    "matplotlib",
    "mediapipe",
    "numpy.f2py",
    "numpy.testing",
    "onnx",
    "pandas",
    "pyarrow",
    "pytest",
    "requests",
    "research",
    "scipy",
    "sklearn",
    "tensorflow",
    "torch",
    "unittest",
}

LOAD = f"""
import json, os, sys
from func.web.start import start
start(os.environ).handler.load_now()
print(json.dumps(sorted({NEVER} & set(sys.modules))), flush=True)
os._exit(0)
"""


def find_loaded(**settings):
    """Return which of these modules are imported in a process that is ready to answer frames."""
    environ = {**os.environ, "MONGO_URI": "mongodb://127.0.0.1", "PYTHONPATH": str(ROOT), **settings}
    ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, check=True, text=True, env=environ)
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("engine", "model", "expected"),
    [
        ("mediapipe", "gaze_model.joblib", {"mediapipe", "joblib"}),
        ("litert", "gaze_model.joblib", {"ai_edge_litert", "joblib"}),
        ("litert", "gaze_model.onnx", {"ai_edge_litert"}),
    ],
)
def test_a_ready_function_has_only_loaded_its_engine_and_model(engine, model, expected):
    loaded = find_loaded(FACE_LANDMARKER=engine, GAZE_MODEL=str(ROOT / "models" / model))

    assert loaded == expected
