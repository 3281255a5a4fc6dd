"""LiteRT's landmarks compared with MediaPipe's, and what is peculiar to the engine."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from func.adapters.face_landmarker_litert import LitertFaceLandmarker
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from gaze_core.errors import LandmarkerError
from gaze_core.features import measure_face

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "face_landmarker.task"


@pytest.fixture(scope="module")
def engines():
    pools = [engine(BUNDLE, landmarkers=1, wait_s=30) for engine in (MediapipeFaceLandmarker, LitertFaceLandmarker)]
    yield pools
    for pool in pools:
        pool.close()


def rotate(frame, angle_deg):
    height_px, width_px = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D((width_px / 2, height_px / 2), angle_deg, 1.0)
    return cv2.warpAffine(frame, matrix, (width_px, height_px))


def shrink(frame, scale):
    canvas = np.full_like(frame, 90)
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


VARIATIONS = {
    "whole": lambda frame: frame,
    "cut at the left": lambda frame: frame[:, 280:],
    "cut at the right": lambda frame: frame[:, :380],
    "cut at the top": lambda frame: frame[200:],
    "cut at the bottom": lambda frame: frame[:300],
    "half the size": lambda frame: shrink(frame, 0.5),
    "rotated by 30°": lambda frame: rotate(frame, 30),
    "upside down": lambda frame: rotate(frame, 180),
    "on its side": np.rot90,
    "two people": lambda frame: np.hstack([frame, rotate(frame, 10)]),
    "two people, one above the other": lambda frame: np.vstack([frame, rotate(frame, -10)]),
}


@pytest.mark.parametrize("variation", VARIATIONS)
def test_landmarks_pose_and_blendshapes_are_mediapipes(engines, frames, variation):
    for frame in frames[::4]:
        varied = np.ascontiguousarray(VARIATIONS[variation](frame))
        size_px = (varied.shape[1], varied.shape[0])
        mediapipe, litert = (engine.detect(varied) for engine in engines)
        assert len(litert) == len(mediapipe)
        for first, second in zip(mediapipe, litert, strict=True):
            assert np.abs(first.points - second.points)[:, :2] * size_px == pytest.approx(0, abs=0.05)
            assert np.abs(first.points - second.points)[:, 2] * size_px[0] == pytest.approx(0, abs=0.1)
            assert second.eye_shapes == pytest.approx(first.eye_shapes, abs=0.002)
            poses = [measure_face(face).head_pose for face in (first, second)]
            assert poses[0].head_rotation == pytest.approx(poses[1].head_rotation, abs=0.0008)  # 0.05°
            assert poses[0].translation_mm == pytest.approx(poses[1].translation_mm, abs=0.1)


def test_every_frame_of_the_variations_but_upside_down_shows_a_face(engines, frames):
    counts = {name: len(engines[1].detect(np.ascontiguousarray(vary(frames[0])))) for name, vary in VARIATIONS.items()}
    counts.pop("upside down")

    assert all(counts.values()), counts
    assert counts["two people"] == 2


def test_a_bundle_that_is_not_a_zip_file_is_refused(tmp_path):
    bundle = tmp_path / "face_landmarker.task"
    bundle.write_bytes(b"nothing")
    bundle.with_suffix(".json").write_text(
        '{"sha256": "1785cfc3bc6ac7738e8b38cdccd1af12563c2b9070e07af336a1bf8c0f772b6a"}'
    )

    with pytest.raises(LandmarkerError, match="is not a face landmarker bundle"):
        LitertFaceLandmarker(bundle, landmarkers=1, wait_s=1)


def test_neither_mediapipe_nor_its_libraries_are_loaded():
    script = """
import sys
from pathlib import Path
import numpy as np
from func.adapters.face_landmarker_litert import LitertFaceLandmarker
LitertFaceLandmarker(Path(sys.argv[1]), landmarkers=1, wait_s=1).warm_up()
maps = Path("/proc/self/maps").read_text()
print([name for name in ("mediapipe", "sklearn", "matplotlib") if name in sys.modules], "libEGL" in maps)
"""
    ended = subprocess.run([sys.executable, "-c", script, BUNDLE], capture_output=True, check=True, text=True, cwd=ROOT)

    assert ended.stdout.splitlines()[-1] == "[] False"
