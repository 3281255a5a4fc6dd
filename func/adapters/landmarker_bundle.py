"""Read a face landmarker bundle and check it, without MediaPipe."""

import io
import zipfile
from pathlib import Path

from func.adapters.model_bytes import read_described_model
from gaze_core.errors import LandmarkerError

REQUIRED_NETWORKS = ("face_detector.tflite", "face_landmarks_detector.tflite")
"""Members of every bundle."""


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
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise LandmarkerError(f"{model_path.name} is not a face landmarker bundle") from error
    if missing or broken:
        problem = f"lacks {missing[0]}" if missing else f"contains a broken {broken}"
        raise LandmarkerError(f"{model_path.name} {problem}")
    return bundle
