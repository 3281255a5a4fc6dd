"""The gaze model's card: what it is for, what it is made from, how well it works, and the digest that it answers to."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES

INTENDED_USE = (
    "Roughly where a viewer before a laptop or desktop screen looks, to hold many gazes against saliency maps.",
    "Research and teaching on gaze from webcams; use it with calibration wherever the place on the screen matters.",
)
NOT_FOR = (
    "Medical or psychological diagnosis.",
    "Identification of persons, or inference of their traits, emotions or health.",
    "Monitoring of employees, pupils or candidates, proctoring, or any decision about a person.",
    "Anything that safety depends on, such as driving.",
    "Gaze contingent display or typing by gaze: the error is too large.",
)
LIMITS = (
    "Trained and tested on rendered people alone, no real person; on real ones it has not been measured.",
    "The goals (4 degrees in range, 2 after 5 dots, 1.5 after 9) are not reached; see metrics.",
    "Rendered irises, lids, skin, glasses and light are simpler than real ones.",
    "Strabismus, ptosis, eye patches, heavy make-up, coloured contact lenses and children were not rendered.",
    "Each person's visual axis differs from the optical one by a few degrees; without calibration that stays as error.",
    "The camera's field of view is taken as known; see the metrics for a camera that nobody described.",
    "Outside the ranges under `data` the model extrapolates linearly and nobody has tested it.",
)
COMMANDS = ("make dataset", "make train", "make evaluate")

FEATURES = (
    ("1", "where both eyes together look, by irises and outline of the eyes, camera frame, x: right in the picture"),
    ("1", "the same, y: down"),
    ("1", "the same, z: away from the camera"),
    ("deg", "head pitch: nose up"),
    ("deg", "head yaw: nose towards the viewer's own right"),
    ("deg", "head roll: head tilted to the viewer's own right shoulder"),
    ("mm", "from the camera to the midpoint between the eyes' centres of rotation"),
)
OUTPUTS = (
    ("gaze_x", "deg", "direction in the camera frame from the midpoint between the eyes, right as the viewer sees it"),
    ("gaze_y", "deg", "the same, up"),
)


class _Record(BaseModel):
    """A part of the card; reading it refuses unknown keys, missing ones and values of another kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quantity(_Record):
    """One number that goes into the model or comes out of it."""

    name: str
    unit: str
    meaning: str


class ModelFile(_Record):
    """The file that the card belongs to.

    Attributes:
        file: Its name; it lies beside the card.
        sha256: Its digest, hexadecimal.
        size_bytes: Its size.
        estimator: Class of both regressors.
        hyperparameters: Theirs.
        seed: Of the training.
    """

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    estimator: str
    hyperparameters: dict[str, Any]
    seed: int


class Card(_Record):
    """The model card.

    Attributes:
        name: Of the model.
        license: Of its file.
        intended_use: What it is for.
        not_for: What it must not be used for.
        limits: What to know before trusting it.
        model: The file that the card belongs to.
        features: Inputs in their order.
        outputs: Outputs in their order.
        data: What it was trained on: digest, counts, ranges.
        selection: How the hyperparameters were chosen and what else was tried; training identities only.
        metrics: What `research.evaluation` found; empty before it ran.
        versions: Of everything that shapes the file.
        commands: What makes it again.
    """

    name: str = "gaze_model"
    license: str = "Apache-2.0"
    intended_use: list[str] = list(INTENDED_USE)
    not_for: list[str] = list(NOT_FOR)
    limits: list[str] = list(LIMITS)
    model: ModelFile
    features: list[Quantity]
    outputs: list[Quantity]
    data: dict[str, Any]
    selection: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    commands: list[str] = list(COMMANDS)


def describe_features() -> list[Quantity]:
    """Return the model's inputs in their order."""
    return [
        Quantity(name=name, unit=unit, meaning=meaning)
        for name, (unit, meaning) in zip(FEATURE_NAMES, FEATURES, strict=True)
    ]


def describe_outputs() -> list[Quantity]:
    """Return the model's outputs in their order."""
    return [Quantity(name=name, unit=unit, meaning=meaning) for name, unit, meaning in OUTPUTS]


def find_versions() -> dict[str, str]:
    """Return the versions of what shapes a model file, here and now."""
    packages = ("scikit-learn", "numpy", "scipy", "joblib", "mediapipe")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def write_card(card: Card, path: Path) -> None:
    """Write a card as JSON, all of it or nothing."""
    replace_file(path, f"{card.model_dump_json(indent=2)}\n".encode())


def read_card(path: Path) -> Card:
    """Return the card in a JSON file.

    Raises:
        ModelError: The file is missing or is no card: a key too few or too many, or a value of another kind.
    """
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelError(f"{path.name} is not the card of a gaze model") from error


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half-written."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
