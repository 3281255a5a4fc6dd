"""Errors of the gaze on portraits of people who look into the lens.

    python -m research.evaluation --looking-at-camera DIR [--vertical-fov-deg 20]

The true gaze of each image is the direction from the eyes to the camera. Images named `PERSON_GROUP.jpg`, for example
`0973_smiling.jpg`, are also reported by group. Every estimate is measured on its own: that of the landmarks, of the eye
network, of the blendshapes, their combination, and the output of the gaze model.
"""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.errors import RequestError
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.gaze import gaze_direction
from gaze_core.ports import EyeNetwork, FaceLandmarker, GazeModel
from gaze_core.types import Camera, Floats, Validity
from models import FACE_LANDMARKER_PATH
from research.estimates import ESTIMATES, GazeEstimates, estimate_frame
from research.evaluation.statistics import bootstrap_interval, describe, round_number
from research.recordings.frames import MAX_PIXELS, CachedLandmarker
from research.recordings.recording import IMAGE_SUFFIXES
from research.training.examples import angular_errors_deg

LANDMARKER_WAIT_S = 60.0

EYES = ("network, left eye", "network, right eye")
"""Names of the network's answers for each eye alone, measured against that eye's direction to the camera."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One measured image.

    Attributes:
        name: File name.
        validity: `ok`, or the reason for the missing gaze; `unreadable` for a file that cannot be decoded.
        offsets_deg: Estimated minus true gaze direction, camera frame, by name of the estimate, shape (2,) each; empty
            without a gaze.
        true_deg: Direction from the midpoint between the eyes to the camera, shape (2,); None without a gaze.
        estimates: The estimates; None without a gaze.
    """

    name: str
    validity: str
    offsets_deg: Mapping[str, Floats] = field(default_factory=dict)
    true_deg: Floats | None = None
    estimates: GazeEstimates | None = None

    @property
    def group(self) -> str | None:
        """Part of the name after the last underscore; None without one."""
        _, underscore, group = Path(self.name).stem.rpartition("_")
        return group if underscore else None

    @property
    def person(self) -> str:
        """Part of the name before the last underscore; without one the whole name."""
        stem = Path(self.name).stem
        return stem.rpartition("_")[0] or stem


def measure_portraits(
    folder: Path, landmarker: FaceLandmarker, model: GazeModel, camera: Camera, *, network: EyeNetwork | None = None
) -> list[Portrait]:
    """Return the measured images of a folder, in the order of their names.

    Args:
        folder: Folder of the images; other files are ignored.
        landmarker: Landmarker.
        model: The uncalibrated gaze model.
        camera: Camera of all images.
        network: Eye network; None leaves its estimates out.

    Raises:
        OSError: The folder or an image cannot be read.
        LandmarkerError: The engine failed.
    """
    cached = CachedLandmarker(landmarker)
    detector = GazeDetector(cached, model, camera=camera, eye_network=network)
    portraits = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        try:
            frame = decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)
        except RequestError:
            portraits.append(Portrait(path.name, "unreadable"))
            continue
        sample = detector.process_single_frame(frame)
        if sample.direction is None:
            portraits.append(Portrait(path.name, str(sample.validity)))
        else:
            estimates = estimate_frame(frame, cached, vertical_fov_deg=camera.vertical_fov_deg, network=network)
            portraits.append(_compare(path.name, estimates, np.array(sample.direction)))
    return portraits


def describe_portraits(portraits: Sequence[Portrait]) -> dict[str, Any]:
    """Return the errors of all portraits and of each group, JSON values only."""
    groups = sorted({portrait.group for portrait in portraits if portrait.group is not None})
    return {
        "all": _describe(portraits),
        "groups": {group: _describe([each for each in portraits if each.group == group]) for group in groups},
    }


def report_portraits(
    folder: Path, model_path: Path, *, vertical_fov_deg: float, network_path: Path | None = None
) -> None:
    """Measure the model on a folder of portraits and print the errors as JSON; nothing is written.

    Args:
        folder: Folder of the images.
        model_path: Model file; its card lies beside it.
        vertical_fov_deg: Vertical field of view of the images; portraits are taken from afar with a narrow one.
        network_path: Eye network; its card lies beside it. None leaves its estimates out.

    Raises:
        ValueError: The folder contains no image, or the field of view is invalid.
        OSError: A file cannot be read.
        GazeError: The model, the network or the landmarker cannot be used.
    """
    camera = Camera(vertical_fov_deg=vertical_fov_deg)
    network = None if network_path is None else OpencvEyeNetwork(network_path)
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
    try:
        model = load_gaze_model(model_path)
        portraits = measure_portraits(folder, landmarker, model, camera, network=network)
    finally:
        landmarker.close()
    if not portraits:
        raise ValueError(f"{folder} contains no image")
    report = {
        "folder": folder.resolve().name,
        "vertical_fov_deg": vertical_fov_deg,
        "model_sha256": model.digest,
        "network_sha256": None if network is None else network.digest,
    }
    click.echo(json.dumps(report | describe_portraits(portraits), indent=2, ensure_ascii=False, allow_nan=False))


def _compare(name: str, estimates: GazeEstimates, model_deg: Floats) -> Portrait:
    """Return a portrait with the errors of its estimates and of the gaze model's output, shape (2,)."""
    geometry = estimates.geometry
    true_deg = gaze_direction(-geometry.origin_mm)
    directions_deg = {**estimates.directions_deg, "model": model_deg}
    offsets_deg = {each: direction_deg - true_deg for each, direction_deg in directions_deg.items()}
    if estimates.eyes_deg is not None:
        eyes_deg = estimates.eyes_deg - gaze_direction(-geometry.eyes_mm)
        offsets_deg |= dict(zip(EYES, eyes_deg, strict=True))
    return Portrait(name, str(Validity.OK), offsets_deg, true_deg, estimates)


def _describe(portraits: Sequence[Portrait]) -> dict[str, Any]:
    """Return counts, the errors of each estimate, and the correlations between the errors."""
    valid = [each for each in portraits if each.true_deg is not None]
    validity = Counter(portrait.validity for portrait in portraits)
    names = [name for name in (*ESTIMATES, *EYES) if any(name in each.offsets_deg for each in valid)]
    return {
        "images": len(portraits),
        "people": len({portrait.person for portrait in portraits}),
        "valid": len(valid),
        "share_without_gaze": round_number(1 - len(valid) / len(portraits)) if portraits else None,
        "invalid": {reason: count for reason, count in sorted(validity.items()) if reason != Validity.OK},
        "estimates": {
            name: _describe_estimate([each for each in valid if name in each.offsets_deg], name) for name in names
        },
        "correlation_of_errors": _correlate(valid, [name for name in names if name not in EYES]),
    }


def _describe_estimate(portraits: Sequence[Portrait], name: str) -> dict[str, Any]:
    """Return the errors of one estimate, which all the portraits have; the spread is that over images."""
    offsets_deg = np.array([each.offsets_deg[name] for each in portraits])
    true_deg = np.array([each.true_deg for each in portraits])
    people = sorted({each.person for each in portraits})
    identity = np.array([people.index(each.person) for each in portraits])
    errors_deg = angular_errors_deg(true_deg + offsets_deg, true_deg)
    bias_deg, spread_deg = offsets_deg.mean(axis=0), offsets_deg.std(axis=0)
    return {
        "images": len(portraits),
        "error_deg": describe(errors_deg) | {"mean_95_percent_interval": bootstrap_interval(errors_deg, identity)},
        "bias": {"right_deg": round_number(bias_deg[0]), "up_deg": round_number(bias_deg[1])},
        "standard_deviation": {
            "horizontal_deg": round_number(spread_deg[0]),
            "vertical_deg": round_number(spread_deg[1]),
        },
    }


def _correlate(portraits: Sequence[Portrait], names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Return the correlations between the errors of pairs of estimates; None where an error does not vary."""
    found: dict[str, dict[str, float | None]] = {}
    for first, second in itertools.combinations(names, 2):
        both = [each.offsets_deg for each in portraits if first in each.offsets_deg and second in each.offsets_deg]
        pairs = np.array([(offsets[first], offsets[second]) for offsets in both]).reshape(-1, 2, 2)
        found[f"{first}, {second}"] = {
            axis: _correlation(pairs[:, 0, index], pairs[:, 1, index])
            for index, axis in enumerate(("horizontal", "vertical"))
        }
    return found


def _correlation(first: Floats, second: Floats) -> float | None:
    if len(first) < 2 or first.std() == 0 or second.std() == 0:
        return None
    return round_number(float(np.corrcoef(first, second)[0, 1]))
