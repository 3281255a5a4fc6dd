"""The function runs where no desktop OpenGL is: the image holds neither libGL nor a cv2 that needs it."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).resolve().parents[2]

# MediaPipe's library is linked against libEGL and libGLESv2, and those against libGLdispatch, the common part of
# Debian's vendor-neutral OpenGL. None of them needs X11, as libGL does.
ALLOWED = {"libEGL.so", "libGLESv2.so", "libGLdispatch.so"}

SCRIPT = """
import importlib, json, pkgutil, re, sys
from pathlib import Path

import cv2
import func
import gaze_core
import numpy as np

imported = []
for package in (func, gaze_core):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.startswith("func.shim"):
            imported.append(importlib.import_module(module.name).__name__)
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker

MediapipeFaceLandmarker(Path(sys.argv[1]), landmarkers=1, wait_s=1).detect(np.zeros((48, 64, 3), np.uint8))
libraries = re.findall(r"/(lib\\w*(?:GL|EGL|X11|OSMesa)\\w*\\.so)", Path("/proc/self/maps").read_text())
print(json.dumps({"imported": imported, "graphics": sorted(set(libraries))}))
"""


@pytest.fixture(scope="module")
def process():
    """Modules and graphics libraries of a process that imported the whole function and ran a detection."""
    command = [sys.executable, "-c", SCRIPT, ROOT / "models" / "face_landmarker.task"]
    environment = {**os.environ, "MONGO_URI": "mongodb://127.0.0.1:9/"}  # required, never reached
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, text=True, cwd=ROOT)
    return json.loads(ended.stdout.splitlines()[-1])


def test_all_of_the_function_was_imported(process):
    assert {"func.main", "func.bootstrap", "func.adapters.model_file", "gaze_core.detector"} <= set(process["imported"])


def test_no_libgl_is_loaded(process):
    assert "libEGL.so" in process["graphics"]  # or the search itself is broken
    assert set(process["graphics"]) <= ALLOWED


def test_cv2_is_the_headless_one():
    assert "GUI:                           NONE" in cv2.getBuildInformation()


@pytest.mark.parametrize("distribution", ["opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"])
def test_no_other_cv2_is_installed(distribution):
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution(distribution)
