"""Read a face landmarker bundle and check it, without MediaPipe."""

import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.model_bytes import read_described_model
from gaze_core.errors import LandmarkerError

DETECTOR_NETWORK = "face_detector.tflite"
"""Member that finds faces: BlazeFace, short range."""

LANDMARK_NETWORK = "face_landmarks_detector.tflite"
"""Member that finds 478 landmarks of one face."""

SHAPE_NETWORK = "face_blendshapes.tflite"
"""Member that estimates the blendshapes from the landmarks; a bundle may lack it."""

REQUIRED_NETWORKS = (DETECTOR_NETWORK, LANDMARK_NETWORK)
"""Members of every bundle."""

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
)
"""What `zipfile` raises for a file that is damaged or not a ZIP archive."""

EYE_SHAPE_POSITIONS = (
    # `EYE_SHAPES` of the left and the right eye, the person's own sides, among the 52 blendshapes of the network:
    # `kBlendshapeNames` of MediaPipe's face_blendshapes_graph.cc.
    (13, 15, 17, 11, 9, 19, 21),
    (14, 16, 18, 12, 10, 20, 22),
)
_POSITIONS = np.array(EYE_SHAPE_POSITIONS)


def read_bundle(model_path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of a landmarker bundle that matches its description.

    Args:
        model_path: Path of the `.task` file; the description has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the bundle, in addition to that of the description; None trusts the description.

    Raises:
        LandmarkerError: A file is missing, unreadable or not a regular file, the bundle does not match, or it is not
            a bundle of the networks that find a face and its landmarks.
    """
    try:
        bundle = read_described_model(model_path, sha256=sha256)
    except ValueError as error:
        raise LandmarkerError(str(error)) from error
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            missing = [name for name in REQUIRED_NETWORKS if name not in archive.namelist()]
            broken = archive.testzip()
    except _ZIP_ERRORS as error:
        raise LandmarkerError(f"{model_path.name} is not a face landmarker bundle") from error
    if missing or broken:
        problem = f"lacks {missing[0]}" if missing else f"contains a broken {broken}"
        raise LandmarkerError(f"{model_path.name} {problem}")
    return bundle


def read_networks(bundle: bytes) -> dict[str, bytes]:
    """Return the networks of a bundle from `read_bundle` by the name of the member."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".tflite")}


def select_eye_shapes(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return `Landmarks.eye_shapes` among all blendshapes of a face.

    Args:
        scores: Blendshapes in the order of the network, shape (52,).
    """
    selected: NDArray[np.float64] = scores[_POSITIONS].astype(np.float64)
    return selected
