"""Errors of the gaze model on portraits of people who look into the lens.

    python -m research.evaluation --looking-at-camera DIR [--vertical-fov-deg 20]

The true gaze of each image is the direction from the eyes to the camera. Images named `PERSON_GROUP.jpg`, for example
`0973_smiling.jpg`, are also reported by group.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.errors import RequestError
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.gaze import gaze_direction
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import Camera, Floats, GazeDirection, Validity
from models import FACE_LANDMARKER_PATH
from research.evaluation.statistics import describe, round_number
from research.recordings.frames import MAX_PIXELS
from research.recordings.recording import IMAGE_SUFFIXES
from research.training.examples import angular_errors_deg

LANDMARKER_WAIT_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One measured image.

    Attributes:
        name: File name.
        validity: `ok`, or the reason for the missing gaze; `unreadable` for a file that cannot be decoded.
        predicted: Predicted gaze direction, camera frame; None without a gaze.
        true_deg: Direction from the eyes to the camera, camera frame, shape (2,); None without a gaze.
    """

    name: str
    validity: str
    predicted: GazeDirection | None = None
    true_deg: Floats | None = None

    @property
    def group(self) -> str | None:
        """Part of the name after the last underscore; None without one."""
        _, underscore, group = Path(self.name).stem.rpartition("_")
        return group if underscore else None


def measure_portraits(folder: Path, landmarker: FaceLandmarker, model: GazeModel, camera: Camera) -> list[Portrait]:
    """Return the measured images of a folder, in the order of their names.

    Raises:
        OSError: The folder or an image cannot be read.
        LandmarkerError: The engine failed.
    """
    detector = GazeDetector(landmarker, model, camera=camera)
    portraits = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        try:
            sample = detector.process_single_frame(decode_image(path.read_bytes(), max_pixels=MAX_PIXELS))
        except RequestError:
            portraits.append(Portrait(path.name, "unreadable"))
            continue
        true_deg = None
        if sample.validity is Validity.OK and sample.origin_mm is not None:
            true_deg = gaze_direction(-np.array(sample.origin_mm))
        portraits.append(Portrait(path.name, str(sample.validity), sample.direction, true_deg))
    return portraits


def describe_portraits(portraits: Sequence[Portrait]) -> dict[str, Any]:
    """Return the errors of all portraits and of each group, JSON values only."""
    groups = sorted({portrait.group for portrait in portraits if portrait.group is not None})
    return {
        "all": _describe(portraits),
        "groups": {group: _describe([each for each in portraits if each.group == group]) for group in groups},
    }


def report_portraits(folder: Path, model_path: Path, *, vertical_fov_deg: float) -> None:
    """Measure the model on a folder of portraits and print the errors as JSON; nothing is written.

    Args:
        folder: Folder of the images.
        model_path: Model file; its card lies beside it.
        vertical_fov_deg: Vertical field of view of the images; portraits are taken from afar with a narrow one.

    Raises:
        ValueError: The folder contains no image, or the field of view is invalid.
        OSError: A file cannot be read.
        GazeError: The model or the landmarker cannot be used.
    """
    camera = Camera(vertical_fov_deg=vertical_fov_deg)
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
    try:
        model = load_gaze_model(model_path)
        portraits = measure_portraits(folder, landmarker, model, camera)
    finally:
        landmarker.close()
    if not portraits:
        raise ValueError(f"{folder} contains no image")
    report = {"folder": folder.resolve().name, "vertical_fov_deg": vertical_fov_deg, "model_sha256": model.digest}
    click.echo(json.dumps(report | describe_portraits(portraits), indent=2, ensure_ascii=False, allow_nan=False))


def _describe(portraits: Sequence[Portrait]) -> dict[str, Any]:
    """Return the errors of some portraits; the spread is the standard deviation over images."""
    pairs = [(each.predicted, each.true_deg) for each in portraits if each.predicted is not None]
    predicted_deg, true_deg = (np.array([pair[side] for pair in pairs], float).reshape(-1, 2) for side in (0, 1))
    offset_deg = predicted_deg - true_deg
    validity = Counter(portrait.validity for portrait in portraits)
    bias: dict[str, float | None] = {"right_deg": None, "up_deg": None}
    spread: dict[str, float | None] = {"horizontal_deg": None, "vertical_deg": None}
    if pairs:
        bias = dict(zip(bias, map(round_number, offset_deg.mean(axis=0)), strict=True))
        spread = dict(zip(spread, map(round_number, offset_deg.std(axis=0)), strict=True))
    return {
        "images": len(portraits),
        "valid": len(pairs),
        "invalid": {reason: count for reason, count in sorted(validity.items()) if reason != Validity.OK},
        "error_deg": describe(angular_errors_deg(predicted_deg, true_deg)),
        "bias": bias,
        "standard_deviation": spread,
    }
