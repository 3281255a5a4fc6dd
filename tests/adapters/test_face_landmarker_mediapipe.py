"""What is peculiar to MediaPipe's engine, and our head pose compared with MediaPipe's."""

import json
import math
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from func.adapters.face_landmarker_mediapipe import (
    MediapipeFaceLandmarker,
    create_landmarker,
    load_mediapipe,
)
from func.adapters.landmarker_bundle import read_bundle
from gaze_core.head_pose import CANONICAL_FACE, estimate_head_pose
from gaze_core.landmarks import EYE_SHAPES

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "face_landmarker.task"
CLIP = ROOT / "gaze_tools" / "sample" / "clip.mp4"
TRUTH = json.loads(CLIP.with_name("truth.json").read_text())


@pytest.fixture(scope="module")
def landmarker():
    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=2, wait_s=60)
    yield pool
    pool.close()


def run_python(script):
    """Run a script in a new interpreter with the path of the bundle as its argument."""
    command = [sys.executable, "-c", script, BUNDLE]
    return subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT)


def detect_one(landmarker, frame):
    (face,) = landmarker.detect(frame)
    return face


def test_blendshapes_keep_their_order(landmarker, frames):
    mediapipe = load_mediapipe()
    engine = create_landmarker(read_bundle(BUNDLE))
    (categories,) = engine.detect(
        mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frames[3])
    ).face_blendshapes
    engine.close()
    scores = {category.category_name: category.score for category in categories}
    left, right = (
        dict(zip(EYE_SHAPES, shapes, strict=True)) for shapes in detect_one(landmarker, frames[3]).eye_shapes
    )

    assert left["look_down"] == scores["eyeLookDownLeft"]
    assert right["look_up"] == scores["eyeLookUpRight"]
    assert left["blink"] == scores["eyeBlinkLeft"]
    assert right["squint"] == scores["eyeSquintRight"]
    assert right["wide"] == scores["eyeWideRight"]


def test_a_process_with_open_landmarkers_ends_without_errors():
    script = """
import sys
from pathlib import Path
import numpy as np
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
MediapipeFaceLandmarker(Path(sys.argv[1]), landmarkers=1, wait_s=1).detect(np.zeros((48, 64, 3), np.uint8))
"""
    ended = run_python(script)

    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_matplotlib_is_not_imported_and_can_be_imported_later():
    script = """
import sys
from pathlib import Path
import numpy as np
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
pool = MediapipeFaceLandmarker(Path(sys.argv[1]), landmarkers=1, wait_s=1)
pool.warm_up()
print("matplotlib" in sys.modules)
import matplotlib.pyplot
print(matplotlib.pyplot.figure.__name__, len(pool.detect(np.zeros((48, 64, 3), np.uint8))))
"""
    ended = run_python(script)

    assert ended.stdout.split("\n")[:2] == ["False", "figure 0"]


def test_the_error_for_a_missing_system_library_lists_the_debian_packages():
    script = """
import ctypes, sys
from pathlib import Path
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker, load_mediapipe
from gaze_core.errors import LandmarkerError
load_mediapipe()
def fail(*args, **kwargs):
    raise OSError("libGLESv2.so.2: cannot open shared object file: No such file or directory")
ctypes.CDLL = fail
try:
    MediapipeFaceLandmarker(Path(sys.argv[1]), landmarkers=1, wait_s=1).warm_up()
except LandmarkerError as error:
    print(error)
"""
    ended = run_python(script)

    assert "install the Debian packages libegl1 libgles2" in ended.stdout


def test_our_head_pose_agrees_with_mediapipes_matrix(landmarker, frames):
    mediapipe = load_mediapipe()
    oracle = create_landmarker(read_bundle(BUNDLE), with_matrices=True)
    flip = np.diag([1.0, -1.0, -1.0])  # MediaPipe's y points up and its camera looks down -z
    turned = [np.ascontiguousarray(np.rot90(frame)) for frame in frames[:2]]

    for frame in [*frames, *turned]:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
        for face, matrix in zip(
            landmarker.detect(frame), oracle.detect(image).facial_transformation_matrixes, strict=True
        ):
            pose = estimate_head_pose(face)
            between = (flip @ matrix[:3, :3] @ flip).T @ pose.head_rotation
            # The sine, as the cosine of so small an angle drowns in the matrix's 32-bit rounding.
            assert math.degrees(math.asin(np.linalg.norm(between - between.T) / math.sqrt(8))) < 0.05
            assert pose.translation_mm == approx(10 * flip @ matrix[:3, 3], abs=0.1)
    oracle.close()


def test_the_canonical_face_is_that_of_the_bundle():
    with zipfile.ZipFile(BUNDLE) as bundle:
        metadata = bundle.read("geometry_pipeline_metadata_landmarks.binarypb")
    fields = list(read_protobuf(metadata))
    (mesh,) = (value for number, value in fields if number == 1)
    floats = [value for number, value in read_protobuf(mesh) if number == 3]
    vertices = np.array(floats).reshape(-1, 5)[:, :3]  # x, y, z in cm, y up, z out of the face; u, v
    basis = [dict(read_protobuf(value)) for number, value in fields if number == 2]

    assert len(vertices) == 468
    assert [landmark for landmark, *_ in CANONICAL_FACE] == [point[1] for point in basis]
    for (landmark, *place_mm, weight), point in zip(CANONICAL_FACE, basis, strict=True):
        assert place_mm == approx(vertices[landmark] * [10, -10, -10], abs=1e-4)
        assert weight == approx(point[2], abs=1e-8)


def read_protobuf(data):
    """Yield number and value of each field: varints as int, 32-bit fields as float, the rest as bytes."""
    position = 0

    def read_varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        number, wire_type = divmod(read_varint(), 8)
        if wire_type == 0:
            yield number, read_varint()
        elif wire_type == 5:
            position += 4
            yield number, struct.unpack_from("<f", data, position - 4)[0]
        else:
            assert wire_type == 2
            length = read_varint()
            position += length
            yield number, data[position - length : position]
