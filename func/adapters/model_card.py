"""What the card of a gaze model says about its files.

The card is a JSON file with the same name as the model. It describes the file of record, written by joblib, and the
same model as ONNX.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from func.adapters.model_bytes import read_model_bytes
from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES
from gaze_core.fusion import ESTIMATES


@dataclass(frozen=True, slots=True)
class OnnxIdentity:
    """Description of the model as ONNX.

    Attributes:
        sha256: SHA-256 of the ONNX file, hexadecimal.
        pitch_distrust: `FeatureDirection.pitch_distrust` of the start that the trees correct.
    """

    sha256: str
    pitch_distrust: float


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Description of a gaze model in its card.

    Attributes:
        sha256: SHA-256 of the joblib file, hexadecimal.
        scikit_learn: Version of scikit-learn that wrote it.
        estimates: Estimates of the eyes' direction in the features, among `fusion.ESTIMATES`.
        eye_network_sha256: SHA-256 of the eye network that made the estimate `network`; None without one.
        onnx: The same model as ONNX; None without one.
    """

    sha256: str
    scikit_learn: str
    estimates: tuple[str, ...]
    eye_network_sha256: str | None
    onnx: OnnxIdentity | None


def read_identity(path: Path) -> ModelIdentity:
    """Return the description of a model in the card beside its file.

    Args:
        path: Path of the model; the card has the same name with the suffix `.json`.

    Raises:
        ModelError: The card is missing, unreadable or malformed, or the model needs other features.
    """
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(read_file(card_path))
        features = tuple(feature["name"] for feature in card["features"])
        onnx = card.get("onnx")
        identity = ModelIdentity(
            sha256=card["model"]["sha256"],
            scikit_learn=card["versions"]["scikit-learn"],
            # Cards of models that were trained before there was an eye network have neither key.
            estimates=tuple(card.get("estimates", ("landmarks",))),
            eye_network_sha256=card.get("eye_network_sha256"),
            onnx=None if onnx is None else OnnxIdentity(onnx["sha256"], float(onnx["pitch_distrust"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{card_path.name} is not the card of a gaze model") from error
    values: Sequence[object] = (identity.sha256, identity.scikit_learn, *features, *identity.estimates)
    if not all(isinstance(value, str) for value in values) or not isinstance(identity.eye_network_sha256, str | None):
        raise ModelError(f"{card_path.name} is not the card of a gaze model")
    if features != FEATURE_NAMES:
        raise ModelError(f"{path.name} was trained on different features: {', '.join(features)}")
    if "landmarks" not in identity.estimates:
        raise ModelError(f"{path.name} was trained without landmarks, which enter every gaze vector")
    unknown = [name for name in identity.estimates if name not in ESTIMATES]
    if unknown:
        raise ModelError(f"{path.name} was trained with unknown estimates of the eyes' direction: {', '.join(unknown)}")
    return identity


def read_file(path: Path, sha256: str | None = None) -> bytes:
    """Return the content of a model file or of its card.

    Args:
        path: Path of the file.
        sha256: Required SHA-256, hexadecimal; None accepts any content.

    Raises:
        ModelError: The file is missing, unreadable or not a regular file, or has a different digest.
    """
    try:
        return read_model_bytes(path, sha256=sha256)
    except ValueError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
