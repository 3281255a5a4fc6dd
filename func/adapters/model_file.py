"""The gaze model from a file made by `models.train`: two scikit-learn regressors saved by joblib, and their card.

Unpickling runs code that the file names. So the card, JSON beside the file under the same name, is read first: nothing
is unpickled that does not have the SHA-256 that the card says, nor by another scikit-learn than the one that wrote it.
That catches a mix-up. A deliberate replacement could change the card too: against it, the caller passes the digest.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray

from func.adapters.model_bytes import read_model_bytes
from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES
from gaze_core.ports import GazeModel


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What the card says of the file that belongs to it.

    Attributes:
        sha256: Of the model's file, hexadecimal.
        scikit_learn: Version that wrote it.
        features: Names of the inputs in their order.
    """

    sha256: str
    scikit_learn: str
    features: tuple[str, ...]


class SklearnGazeModel:
    """Two regressors, one for each angle; safe to call from several threads.

    Args:
        model_x: Predicts gaze_x, fitted on `FEATURE_NAMES`.
        model_y: Predicts gaze_y, likewise.
        digest: SHA-256 of the file they come from.
    """

    def __init__(self, model_x: Any, model_y: Any, digest: str) -> None:  # noqa: ANN401 - scikit-learn is not typed
        self.model_x = model_x
        self.model_y = model_y
        self._digest = digest

    @property
    def digest(self) -> str:
        """SHA-256 of the model's file, in hexadecimal."""
        return self._digest

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2), as `GazeDirection` defines them.

        Args:
            features: In the order of `FEATURE_NAMES`, shape (n, 7).

        Raises:
            ValueError: Another shape or a value that is not finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES):
            raise ValueError(f"features must have shape (n, {len(FEATURE_NAMES)}), not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("features must be finite")
        # Checked already; scikit-learn's own checks of one row cost as much as its trees.
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return np.column_stack([self.model_x.predict(rows), self.model_y.predict(rows)])


def load_gaze_model(path: Path, *, sha256: str | None = None) -> GazeModel:
    """Return the model in a file after checking it against the card beside it.

    Args:
        path: The joblib file.
        sha256: The digest that it must have, whatever its card says; None trusts the card.

    Raises:
        ModelError: The file or its card is missing or cannot be read, or they do not fit each other, this
            scikit-learn or these features.
    """
    card_path = path.with_suffix(".json")
    identity = read_identity(card_path)
    content = _read(path, sha256)
    digest = hashlib.sha256(content).hexdigest()
    if digest != identity.sha256:
        raise ModelError(f"{path.name} is not the file that {card_path.name} describes: another SHA-256")
    if sklearn.__version__ != identity.scikit_learn:
        raise ModelError(
            f"{path.name} was written by scikit-learn {identity.scikit_learn}, this is {sklearn.__version__}; "
            "install that version or train again"
        )
    if identity.features != FEATURE_NAMES:
        raise ModelError(f"{path.name} was trained on other features: {', '.join(identity.features)}")
    try:
        models = joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling can raise anything
        raise ModelError(f"{path.name} cannot be unpickled") from error
    if not (isinstance(models, dict) and {"model_x", "model_y"} <= models.keys()):
        raise ModelError(f"{path.name} does not hold model_x and model_y")
    for name in ("model_x", "model_y"):
        if getattr(models[name], "n_features_in_", None) != len(FEATURE_NAMES):
            raise ModelError(f"{name} in {path.name} is not a model of {len(FEATURE_NAMES)} features")
    return SklearnGazeModel(models["model_x"], models["model_y"], digest)


def read_identity(card_path: Path) -> ModelIdentity:
    """Return what a card says of the file that belongs to it.

    Raises:
        ModelError: The card is missing, is no JSON or leaves it out.
    """
    try:
        card = json.loads(_read(card_path))
        identity = ModelIdentity(
            sha256=card["model"]["sha256"],
            scikit_learn=card["versions"]["scikit-learn"],
            features=tuple(feature["name"] for feature in card["features"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{card_path.name} is not the card of a gaze model") from error
    values: Sequence[object] = (identity.sha256, identity.scikit_learn, *identity.features)
    if not all(isinstance(value, str) for value in values):
        raise ModelError(f"{card_path.name} is not the card of a gaze model")
    return identity


def _read(path: Path, sha256: str | None = None) -> bytes:
    try:
        return read_model_bytes(path, sha256=sha256)
    except ValueError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
