"""Read a gaze model's file and its card, and check that they fit together and this process, without unpickling.

Does not import scikit-learn, so it is fast enough for the start.
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
class ModelIdentity:
    """Description of a model file in its card.

    Attributes:
        sha256: SHA-256 of the model file, hexadecimal.
        scikit_learn: Version of scikit-learn that wrote the file.
        features: Names of the features in order.
        estimates: Estimates of the eyes' direction in the features, among `fusion.ESTIMATES`.
        eye_network_sha256: SHA-256 of the eye network that made the estimate `network`; None without one.
    """

    sha256: str
    scikit_learn: str
    features: tuple[str, ...]
    estimates: tuple[str, ...]
    eye_network_sha256: str | None


def read_checked_model(path: Path, *, sha256: str | None = None) -> tuple[bytes, ModelIdentity]:
    """Return the content of a model file and the description in its card, which match.

    Args:
        path: Path of the joblib file; the card has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        ModelError: The file or its card is missing or unreadable, they do not match, or the model needs another version
            of scikit-learn or other features.
    """
    card_path = path.with_suffix(".json")
    identity = read_identity(card_path)
    content = _read(path, sha256)
    digest = hashlib.sha256(content).hexdigest()
    if digest != identity.sha256:
        raise ModelError(f"{path.name} does not match {card_path.name}: different SHA-256")
    installed = version("scikit-learn")
    if installed != identity.scikit_learn:
        raise ModelError(
            f"{path.name} was written by scikit-learn {identity.scikit_learn}, but {installed} is installed; "
            "install that version or train the model again"
        )
    if identity.features != FEATURE_NAMES:
        raise ModelError(f"{path.name} was trained on different features: {', '.join(identity.features)}")
    if "landmarks" not in identity.estimates:
        raise ModelError(f"{path.name} was trained without landmarks, which enter every gaze vector")
    unknown = [name for name in identity.estimates if name not in ESTIMATES]
    if unknown:
        raise ModelError(f"{path.name} was trained with unknown estimates of the eyes' direction: {', '.join(unknown)}")
    return content, identity


def read_identity(card_path: Path) -> ModelIdentity:
    """Return the description of the model file in a card.

    Raises:
        ModelError: The card is missing, unreadable or malformed.
    """
    try:
        card = json.loads(_read(card_path))
        identity = ModelIdentity(
            sha256=card["model"]["sha256"],
            scikit_learn=card["versions"]["scikit-learn"],
            features=tuple(feature["name"] for feature in card["features"]),
            # Cards of models that were trained before there was an eye network have neither key.
            estimates=tuple(card.get("estimates", ("landmarks",))),
            eye_network_sha256=card.get("eye_network_sha256"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{card_path.name} is not the card of a gaze model") from error
    values: Sequence[object] = (identity.sha256, identity.scikit_learn, *identity.features, *identity.estimates)
    if not all(isinstance(value, str) for value in values) or not isinstance(identity.eye_network_sha256, str | None):
        raise ModelError(f"{card_path.name} is not the card of a gaze model")
    return identity


def _read(path: Path, sha256: str | None = None) -> bytes:
    try:
        return read_model_bytes(path, sha256=sha256)
    except ValueError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
