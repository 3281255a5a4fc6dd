"""Behaviour of every face landmarker, on rendered people."""

import hashlib
import json
import math
import os
import shutil
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pytest import approx

from func.adapters.face_landmarker_litert import LitertEngine, LitertFaceLandmarker
from func.adapters.face_landmarker_mediapipe import MediapipeEngine, MediapipeFaceLandmarker
from gaze_core.errors import LandmarkerBusyError, LandmarkerError
from gaze_core.landmarks import EYE_SHAPES

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "face_landmarker.task"
TRUTH = json.loads((ROOT / "gaze_tools" / "sample" / "truth.json").read_text())
ENGINES = {"mediapipe": (MediapipeFaceLandmarker, MediapipeEngine), "litert": (LitertFaceLandmarker, LitertEngine)}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    """The class of the pool and that of its engines."""
    return ENGINES[request.param]


@pytest.fixture(scope="module")
def create(engine):
    """Create a pool."""
    return engine[0]


@pytest.fixture(scope="module")
def landmarker(create):
    pool = create(BUNDLE, landmarkers=2, wait_s=60)
    yield pool
    pool.close()


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


def test_a_bundle_without_the_blendshape_network_gives_landmarks_alone(create, tmp_path, landmarker, frames):
    bundle = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(BUNDLE) as packaged, zipfile.ZipFile(bundle, "w") as smaller:
        for name in packaged.namelist():
            if name != "face_blendshapes.tflite":
                smaller.writestr(name, packaged.read(name))
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    bundle.with_suffix(".json").write_text(json.dumps({"sha256": digest}))
    pool = create(bundle, landmarkers=1, wait_s=60)
    face = detect_one(pool, frames[0])
    pool.close()

    assert face.eye_shapes is None
    assert face.points == approx(detect_one(landmarker, frames[0]).points, abs=1e-9)


def test_two_people_are_two_faces(landmarker, frames):
    assert len(landmarker.detect(np.hstack([frames[0], frames[0]]))) == 2


def test_at_most_max_faces_are_found(create, frames):
    pool = create(BUNDLE, landmarkers=1, wait_s=60, max_faces=1)

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


def test_a_frame_is_refused_if_no_landmarker_becomes_free_in_time(create, engine, frames, monkeypatch):
    pool = create(BUNDLE, landmarkers=1, wait_s=0.05)
    pool.warm_up()
    taken, free = threading.Event(), threading.Event()
    detect = engine[1].detect

    def detect_slowly(self, frame):
        taken.set()
        free.wait(60)
        return detect(self, frame)

    monkeypatch.setattr(engine[1], "detect", detect_slowly)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(pool.detect, frames[0])
        taken.wait(60)
        with pytest.raises(LandmarkerBusyError) as refused:
            pool.detect(frames[0])
        free.set()
        assert len(first.result()) == 1
    assert refused.value.waited_s == 0.05
    assert len(pool.detect(frames[0])) == 1
    pool.close()


def test_a_landmarker_that_failed_is_replaced(create, engine, frames, monkeypatch):
    pool = create(BUNDLE, landmarkers=1, wait_s=60)
    pool.warm_up()
    with monkeypatch.context() as patch:
        patch.setattr(engine[1], "detect", lambda self, frame: self.no_such_method())
        with pytest.raises(LandmarkerError, match="failed on a frame"):
            pool.detect(frames[0])

    assert len(pool.detect(frames[0])) == 1
    pool.close()


def test_a_closed_pool_refuses_frames(create, frames):
    pool = create(BUNDLE, landmarkers=1, wait_s=60)
    pool.detect(frames[0])
    pool.close()
    pool.close()

    with pytest.raises(LandmarkerError, match="closed"):
        pool.detect(frames[0])


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


def test_the_error_for_a_missing_bundle_contains_only_the_file_name(create, tmp_path):
    with pytest.raises(LandmarkerError) as missing:
        create(tmp_path / "face_landmarker.task", landmarkers=1, wait_s=1)

    assert str(missing.value) == "face_landmarker.task cannot be read: No such file or directory"


def test_a_bundle_with_one_changed_byte_is_refused(create, tmp_path):
    content = bytearray(BUNDLE.read_bytes())
    content[1000] ^= 1
    (tmp_path / BUNDLE.name).write_bytes(content)
    shutil.copy(BUNDLE.with_suffix(".json"), tmp_path)

    with pytest.raises(LandmarkerError, match=r"does not match face_landmarker\.json"):
        create(tmp_path / BUNDLE.name, landmarkers=1, wait_s=1)


def test_a_pinned_digest_is_required_even_if_the_description_matches(create):
    with pytest.raises(LandmarkerError, match=r"^face_landmarker\.task does not have the SHA-256"):
        create(BUNDLE, landmarkers=1, wait_s=1, sha256="0" * 64)


@pytest.mark.parametrize("description", [None, "", "[]", "{}"])
def test_a_bundle_without_its_description_is_refused(create, tmp_path, description):
    shutil.copy(BUNDLE, tmp_path)
    if description is not None:
        (tmp_path / "face_landmarker.json").write_text(description)

    with pytest.raises(LandmarkerError, match=r"^face_landmarker\.json "):
        create(tmp_path / BUNDLE.name, landmarkers=1, wait_s=1)


@pytest.mark.parametrize("arguments", [{"landmarkers": 0, "wait_s": 1}, {"landmarkers": 1, "wait_s": math.nan}])
def test_parameters_out_of_range_are_refused(create, arguments):
    with pytest.raises(ValueError, match="must"):
        create(BUNDLE, **arguments)
