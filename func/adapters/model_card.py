"""Read a gaze model's file and its card, and check that they fit together and this process, without unpickling.

The card is a JSON file with the same name as the model. It describes the file of record, written by joblib, and the
same model as ONNX. Does not import scikit-learn, so it is fast enough for the start.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
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
        card = json.loads(_read(card_path))
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
    except (ValueError, KeyError, TypeError, RecursionError) as error:
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


def read_checked_model(path: Path, *, sha256: str | None = None) -> tuple[bytes, ModelIdentity]:
    """Return the content of a model file and the description in its card, which match.

    Args:
        path: Path of the joblib file, or of the ONNX file if it ends with `.onnx`; the card has the same name with the
            suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        ModelError: The file or its card is missing or unreadable, they do not match, or the model needs another version
            of scikit-learn or other features.
    """
    card_name = path.with_suffix(".json").name
    identity = read_identity(path)
    content = _read(path, sha256)
    expected = identity.sha256
    if is_onnx(path):
        if identity.onnx is None:
            raise ModelError(f"{card_name} does not describe an ONNX file")
        expected = identity.onnx.sha256
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(f"{path.name} does not match {card_name}: different SHA-256")
    if not is_onnx(path):
        installed = version("scikit-learn")
        if installed != identity.scikit_learn:
            raise ModelError(
                f"{path.name} was written by scikit-learn {identity.scikit_learn}, but {installed} is installed; "
                "install that version or train the model again"
            )
    return content, identity


def is_onnx(path: Path) -> bool:
    """Return whether a gaze model is an ONNX file, by its suffix; otherwise it is joblib's."""
    return path.suffix.lower() == ".onnx"


def _read(path: Path, sha256: str | None = None) -> bytes:
    try:
        return read_model_bytes(path, sha256=sha256)
    except ValueError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
