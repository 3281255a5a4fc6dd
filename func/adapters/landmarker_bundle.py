"""Read MediaPipe's face landmarker bundle: a zip file with a detector, a landmark network and a blendshape network."""

import io
import zipfile
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

EYE_SHAPE_POSITIONS = (
    # `EYE_SHAPES` of the left and the right eye, the person's own sides, among the 52 blendshapes of the network:
    # `kBlendshapeNames` of MediaPipe's face_blendshapes_graph.cc.
    (13, 15, 17, 11, 9, 19, 21),
    (14, 16, 18, 12, 10, 20, 22),
)


def read_bundle(model_path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of a landmarker bundle that matches its description.

    Args:
        model_path: Path of the `.task` file; the description has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the bundle, in addition to that of the description; None trusts the description.

    Raises:
        LandmarkerError: A file is missing, unreadable or not a regular file, or the bundle does not match.
    """
    try:
        return read_described_model(model_path, sha256=sha256)
    except ValueError as error:
        raise LandmarkerError(str(error)) from error


def read_networks(bundle: bytes) -> dict[str, bytes]:
    """Return the networks of a bundle by the name of the member.

    Raises:
        LandmarkerError: The bundle is not a zip file, or lacks the detector or the landmark network.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            networks = {name: archive.read(name) for name in archive.namelist() if name.endswith(".tflite")}
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise LandmarkerError(f"the face landmarker's bundle cannot be read: {error}") from error
    for name in (DETECTOR_NETWORK, LANDMARK_NETWORK):
        if name not in networks:
            raise LandmarkerError(f"the face landmarker's bundle does not contain {name}")
    return networks


def select_eye_shapes(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return `Landmarks.eye_shapes` among all blendshapes of a face.

    Args:
        scores: Blendshapes in the order of the network, shape (52,).
    """
    return scores[list(map(list, EYE_SHAPE_POSITIONS))].astype(np.float64)
