"""The cards of the gaze model and of the eye network: use, limits, training data, metrics and the file's SHA-256."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES
from models.atomic_file import replace_file

INTENDED_USE = (
    "Rough gaze of viewers in front of a laptop or desktop screen, to score many gaze points against saliency maps.",
    "Research and teaching on webcam eye tracking; calibrate wherever the position on the screen matters.",
)
NOT_FOR = (
    "Medical or psychological diagnosis.",
    "Identifying people, or inferring their traits, emotions or health.",
    "Monitoring employees, pupils or candidates, proctoring, or any decision about a person.",
    "Safety-critical uses such as driving.",
    "Gaze-contingent displays or gaze typing: the error is too large.",
)
LIMITS = (
    "Trees, eye network and eye region are trained on rendered people only; `metrics` are those of rendered people.",
    "102 real people who look into the lens: 3.8 degrees (neutral), 3.6 degrees (smiling); other gaze is untested.",
    "Fusion weights, distrust of the head pitch and number of trees were chosen with those portraits in sight.",
    "The measured head pitch is distrusted: a head that really is raised by 15 degrees costs 4 degrees.",
    "The goals (4 degrees in range, 2 after 5 calibration targets, 1.5 after 9) are not reached; see `metrics`.",
    "Rendered irises, lids, skin, glasses and light are simpler than real ones.",
    "Strabismus, eye patches, coloured contact lenses, strong spectacle lenses and children were not rendered.",
    "A person's visual axis deviates from the optical axis by a few degrees; uncalibrated, this remains as an error.",
    "The camera's field of view must be known; `metrics.camera_not_described` gives the error without it.",
    "Outside the ranges under `data` the model follows the gaze vector and is untested.",
)
COMMANDS = ("make dataset", "make train", "make evaluate")

EYE_NETWORK_LIMITS = (
    "Trained on rendered people only; `metrics` are those of rendered people, too.",
    "The spread is that of rendered people; errors on real ones are larger, above all vertically.",
    "Needs eye images cut out by head pose as `gaze_core.eye_images` does; landmarks that are off shift them.",
    "Strabismus, eye patches, coloured contact lenses, strong spectacle lenses and children were not rendered.",
)
EYE_NETWORK_COMMANDS = ("make train-eyes", "python -m research.eye_network.evaluate")

FEATURES = (
    ("1", "gaze vector of both eyes, camera frame, x: right in the image"),
    ("1", "gaze vector, y: down"),
    ("1", "gaze vector, z: away from the camera"),
    ("deg", "head pitch, nose up is positive"),
    ("deg", "head yaw, nose towards the viewer's own right is positive"),
    ("deg", "head roll, tilt to the viewer's own right shoulder is positive"),
    ("mm", "distance from the camera to the midpoint between the eyes' centres of rotation"),
)
OUTPUTS = (
    (
        "gaze_x",
        "deg",
        "gaze direction from the midpoint between the eyes, camera frame, right as the viewer sees the screen",
    ),
    ("gaze_y", "deg", "gaze direction, up"),
)


class _Record(BaseModel):
    """Base of the card's parts; unknown keys, missing keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quantity(_Record):
    """One input or output of the model."""

    name: str
    unit: str
    meaning: str


class ModelFile(_Record):
    """The model file that the card describes.

    Attributes:
        file: File name; the file lies beside the card.
        sha256: Digest of the file, hexadecimal.
        size_bytes: Size of the file.
        estimator: Class of both regressors.
        hyperparameters: Hyperparameters of both regressors.
        seed: Seed of the training.
    """

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    estimator: str
    hyperparameters: dict[str, Any]
    seed: int


class OnnxFile(_Record):
    """The same model as ONNX: the trees, which correct the direction in the features.

    Attributes:
        file: File name; the file lies beside the card.
        sha256: Digest of the file, hexadecimal.
        size_bytes: Size of the file.
        pitch_distrust: `FeatureDirection.pitch_distrust` of the start.
    """

    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    pitch_distrust: float


class Card(_Record):
    """The model card.

    Attributes:
        name: Name of the model.
        license: Licence of the model file.
        intended_use: Intended uses.
        not_for: Excluded uses.
        limits: Known limits.
        model: The model file.
        onnx: The same model as ONNX; None if it was not exported.
        features: Inputs in order.
        estimates: Estimates of the eyes' direction in `iris_x`, `iris_y` and `iris_z`, among `fusion.ESTIMATES`.
        eye_network_sha256: SHA-256 of the eye network that made the estimate `network`; None without one.
        outputs: Outputs in order.
        data: Training data: digest, counts, ranges.
        selection: Selection of the hyperparameters and the candidates; training people only.
        metrics: Results of `research.evaluation`; empty before it has run.
        versions: Versions of everything that shapes the model file.
        commands: Commands that reproduce the model file.
    """

    name: str = "gaze_model"
    license: str = "Apache-2.0"
    intended_use: list[str] = list(INTENDED_USE)
    not_for: list[str] = list(NOT_FOR)
    limits: list[str] = list(LIMITS)
    model: ModelFile
    onnx: OnnxFile | None = None
    features: list[Quantity]
    estimates: list[str] = ["landmarks"]
    eye_network_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    outputs: list[Quantity]
    data: dict[str, Any]
    selection: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    commands: list[str] = list(COMMANDS)


class EyeNetworkCard(_Record):
    """The eye network's card.

    Attributes:
        name: Name of the network.
        license: Licence of the file.
        file: File name; the file lies beside the card.
        sha256: Digest of the file, hexadecimal.
        size_bytes: Size of the file.
        intended_use: Intended uses.
        not_for: Excluded uses.
        limits: Known limits.
        inputs: Inputs by name: type, shape, meaning.
        outputs: Outputs by name: type, shape, meaning.
        data: Eye image set: digest, people and pairs by group.
        training: Seed, steps, layer widths, augmentation and the rest of how it was trained.
        metrics: Results of `research.eye_network.evaluate`; empty before it has run.
        versions: Versions of everything that shapes the file.
        commands: Commands that reproduce the file and the metrics.
    """

    name: str = "eye_network"
    license: str = "Apache-2.0"
    file: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    intended_use: list[str] = [
        "An estimate with its own uncertainty, to be fused with others into the gaze of a viewer."
    ]
    not_for: list[str] = list(NOT_FOR)
    limits: list[str] = list(EYE_NETWORK_LIMITS)
    inputs: dict[str, str]
    outputs: dict[str, str]
    data: dict[str, Any]
    training: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    commands: list[str] = list(EYE_NETWORK_COMMANDS)


def describe_features() -> list[Quantity]:
    """Return the inputs of the model in order."""
    return [
        Quantity(name=name, unit=unit, meaning=meaning)
        for name, (unit, meaning) in zip(FEATURE_NAMES, FEATURES, strict=True)
    ]


def describe_outputs() -> list[Quantity]:
    """Return the outputs of the model in order."""
    return [Quantity(name=name, unit=unit, meaning=meaning) for name, unit, meaning in OUTPUTS]


def find_versions() -> dict[str, str]:
    """Return the installed versions of everything that shapes a model file."""
    packages = ("scikit-learn", "numpy", "scipy", "joblib", "mediapipe")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def write_card(card: Card | EyeNetworkCard, path: Path) -> None:
    """Write a card as JSON, atomically."""
    replace_file(path, f"{card.model_dump_json(indent=2)}\n".encode())


def read_card(path: Path) -> Card:
    """Return the card in a JSON file.

    Raises:
        ModelError: The file is missing or malformed.
    """
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelError(f"{path.name} is not the card of a gaze model") from error


def read_eye_network_card(path: Path) -> EyeNetworkCard:
    """Return the card of an eye network in a JSON file.

    Raises:
        ModelError: The file is missing or malformed.
    """
    try:
        return EyeNetworkCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelError(f"{path.name} is not the card of an eye network") from error
