"""MediaPipe landmarks of rendered people, and our head pose compared with MediaPipe's."""

import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from pytest import approx

from func.adapters.face_landmarker_mediapipe import (
    MediapipeFaceLandmarker,
    create_landmarker,
    load_mediapipe,
)
from func.adapters.landmarker_bundle import read_bundle
from gaze_core.errors import LandmarkerBusyError, LandmarkerError
from gaze_core.head_pose import CANONICAL_FACE, estimate_head_pose
from gaze_core.landmarks import EYE_SHAPES

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "face_landmarker.task"
CLIP = ROOT / "gaze_tools" / "sample" / "clip.mp4"
TRUTH = json.loads(CLIP.with_name("truth.json").read_text())


@pytest.fixture(scope="module")
def frames():
    """Twelve frames of the sample clip, RGB."""
    capture = cv2.VideoCapture(str(CLIP))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    images = []
    for number in np.linspace(0, count - 1, 12).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number))
        is_read, image = capture.read()
        assert is_read, f"frame {number} of {CLIP.name} cannot be read"
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    capture.release()
    return images


@pytest.fixture(scope="module")
def landmarker():
    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=2, wait_s=30)
    yield pool
    pool.close()


def run_python(script):
    """Run a script in a new interpreter with the path of the bundle as its argument."""
    command = [sys.executable, "-c", script, BUNDLE]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60, cwd=ROOT)


def detect_one(landmarker, frame):
    (face,) = landmarker.detect(frame)
    return face


def test_a_face_has_478_landmarks_within_the_frame(landmarker, frames):
    face = detect_one(landmarker, frames[0])

    assert face.points.shape == (478, 3)
    assert (face.image_height_px, face.image_width_px) == frames[0].shape[:2]
    assert ((face.points[:, :2] > 0) & (face.points[:, :2] < 1)).all()


def test_the_viewers_left_eye_is_on_the_right_of_the_frame(landmarker, frames):
    face = detect_one(landmarker, frames[0])

    assert face.points[473, 0] > face.points[468, 0]


def test_an_eye_has_seven_blendshapes_from_0_to_1(landmarker, frames):
    face = detect_one(landmarker, frames[0])

    assert face.eye_shapes.shape == (2, 7)
    assert ((face.eye_shapes >= 0) & (face.eye_shapes <= 1)).all()


def test_eyes_that_look_to_the_viewers_left_turn_out_on_the_left_and_in_on_the_right(landmarker, frames):
    left, right = (
        dict(zip(EYE_SHAPES, shapes, strict=True)) for shapes in detect_one(landmarker, frames[0]).eye_shapes
    )

    assert TRUTH["frames"][0]["gaze_x_deg"] < -9
    assert left["look_out"] - left["look_in"] > 0.05
    assert right["look_in"] - right["look_out"] > 0.05


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


def test_a_bundle_without_the_blendshape_network_gives_landmarks_alone(tmp_path, landmarker, frames):
    bundle = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(BUNDLE) as packaged, zipfile.ZipFile(bundle, "w") as smaller:
        for name in packaged.namelist():
            if name != "face_blendshapes.tflite":
                smaller.writestr(name, packaged.read(name))
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    bundle.with_suffix(".json").write_text(json.dumps({"sha256": digest}))
    pool = MediapipeFaceLandmarker(bundle, landmarkers=1, wait_s=30)
    face = detect_one(pool, frames[0])
    pool.close()

    assert face.eye_shapes is None
    assert face.points == approx(detect_one(landmarker, frames[0]).points, abs=1e-9)


def test_two_people_are_two_faces(landmarker, frames):
    assert len(landmarker.detect(np.hstack([frames[0], frames[0]]))) == 2


def test_at_most_max_faces_are_found(frames):
    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=1, wait_s=30, max_faces=1)

    assert len(pool.detect(np.hstack([frames[0], frames[0]]))) == 1
    pool.close()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8),
        np.full((1, 1, 3), 200, np.uint8),
    ],
    ids=["black", "noise", "one pixel"],
)
def test_a_frame_without_a_face_has_no_landmarks(landmarker, frame):
    assert landmarker.detect(frame) == []


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((48, 64, 3), np.float32),
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((48, 64, 3), np.uint8)[:, ::-1],
    ],
    ids=["floats", "grey", "four channels", "empty", "not contiguous"],
)
def test_any_layout_but_contiguous_rgb_bytes_is_refused(landmarker, frame):
    with pytest.raises(ValueError, match="frame must be"):
        landmarker.detect(frame)


def test_threads_get_bit_identical_landmarks_in_any_order(landmarker, frames):
    alone = [detect_one(landmarker, frame).points for frame in frames]

    order = np.random.default_rng(0).permutation(len(frames) * 3) % len(frames)
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda number: detect_one(landmarker, frames[number]).points, order))

    assert all(np.array_equal(alone[number], points) for number, points in zip(order, together, strict=True))


def test_a_frame_is_refused_if_no_landmarker_becomes_free_in_time(frames, monkeypatch):
    from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarker

    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=1, wait_s=0.05)
    pool.warm_up()
    taken, free = threading.Event(), threading.Event()
    detect = FaceLandmarker.detect

    def detect_slowly(self, image):
        taken.set()
        free.wait(30)
        return detect(self, image)

    monkeypatch.setattr(FaceLandmarker, "detect", detect_slowly)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(pool.detect, frames[0])
        taken.wait(30)
        with pytest.raises(LandmarkerBusyError) as refused:
            pool.detect(frames[0])
        free.set()
        assert len(first.result()) == 1
    assert refused.value.waited_s == 0.05
    assert len(pool.detect(frames[0])) == 1
    pool.close()


def test_a_landmarker_that_failed_is_replaced(frames, monkeypatch):
    from mediapipe.tasks.python.vision.face_landmarker import FaceLandmarker

    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=1, wait_s=30)
    pool.warm_up()
    with monkeypatch.context() as patch:
        patch.setattr(FaceLandmarker, "detect", lambda self, image: self.no_such_method())
        with pytest.raises(LandmarkerError, match="failed on a frame"):
            pool.detect(frames[0])

    assert len(pool.detect(frames[0])) == 1
    pool.close()


def test_a_closed_pool_refuses_frames(frames):
    pool = MediapipeFaceLandmarker(BUNDLE, landmarkers=1, wait_s=30)
    pool.detect(frames[0])
    pool.close()
    pool.close()

    with pytest.raises(LandmarkerError, match="closed"):
        pool.detect(frames[0])


@pytest.mark.timeout(60)
def test_a_pool_that_was_used_before_a_fork_works_in_the_child(landmarker, frames):
    parents = detect_one(landmarker, frames[0]).points
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, detect_one(landmarker, frames[0]).points.tobytes())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        childs = np.frombuffer(pipe.read()).reshape(-1, 3)
    os.waitpid(child, 0)

    assert np.array_equal(childs, parents)


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

    assert "Debian packages libegl1 libgles2: libGLESv2.so.2: cannot open" in ended.stdout


def test_the_error_for_a_missing_bundle_contains_only_the_file_name(tmp_path):
    with pytest.raises(LandmarkerError) as missing:
        MediapipeFaceLandmarker(tmp_path / "face_landmarker.task", landmarkers=1, wait_s=1)

    assert str(missing.value) == "face_landmarker.task cannot be read: No such file or directory"


def test_a_bundle_with_one_changed_byte_is_refused(tmp_path):
    content = bytearray(BUNDLE.read_bytes())
    content[1000] ^= 1
    (tmp_path / BUNDLE.name).write_bytes(content)
    shutil.copy(BUNDLE.with_suffix(".json"), tmp_path)

    with pytest.raises(LandmarkerError, match=r"does not match face_landmarker\.json"):
        MediapipeFaceLandmarker(tmp_path / BUNDLE.name, landmarkers=1, wait_s=1)


def test_a_pinned_digest_is_required_even_if_the_description_matches():
    with pytest.raises(LandmarkerError, match=r"^face_landmarker\.task does not have the SHA-256"):
        MediapipeFaceLandmarker(BUNDLE, landmarkers=1, wait_s=1, sha256="0" * 64)


@pytest.mark.parametrize("description", [None, "", "[]", "{}"])
def test_a_bundle_without_its_description_is_refused(tmp_path, description):
    shutil.copy(BUNDLE, tmp_path)
    if description is not None:
        (tmp_path / "face_landmarker.json").write_text(description)

    with pytest.raises(LandmarkerError, match=r"^face_landmarker\.json "):
        MediapipeFaceLandmarker(tmp_path / BUNDLE.name, landmarkers=1, wait_s=1)


@pytest.mark.parametrize("arguments", [{"landmarkers": 0, "wait_s": 1}, {"landmarkers": 1, "wait_s": math.nan}])
def test_parameters_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        MediapipeFaceLandmarker(BUNDLE, **arguments)


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
