"""Load the gaze model: two scikit-learn regressors saved by joblib, with a model card.

Unpickling can run any code. So the card, a JSON file with the same name, is read first, and the model is only unpickled
if it has the SHA-256 in the card and was written by the installed version of scikit-learn. This detects mistakes. An
attacker could replace the card too; to prevent that, the caller passes the digest.
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


class SklearnGazeModel:
    """Two regressors, one for each angle; thread-safe.

    Args:
        model_x: Regressor of gaze_x, fitted on `FEATURE_NAMES`.
        model_y: Regressor of gaze_y, fitted on `FEATURE_NAMES`.
        digest: SHA-256 of their file, hexadecimal.
        estimates: Estimates of the eyes' direction in the features that they were fitted on.
        eye_network_sha256: SHA-256 of the eye network that made the estimate `network`; None without one.
    """

    def __init__(
        self,
        model_x: Any,  # noqa: ANN401 - scikit-learn is not typed
        model_y: Any,  # noqa: ANN401
        digest: str,
        *,
        estimates: tuple[str, ...] = ("landmarks",),
        eye_network_sha256: str | None = None,
    ) -> None:
        self.model_x = model_x
        self.model_y = model_y
        self.estimates = estimates
        self.eye_network_sha256 = eye_network_sha256
        self._digest = digest

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        return self._digest

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2), as `GazeDirection` defines them.

        Args:
            features: Model inputs in the order of `FEATURE_NAMES`, shape (n, 7).

        Raises:
            ValueError: The shape is wrong or a value is not finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES):
            raise ValueError(f"features must have shape (n, {len(FEATURE_NAMES)}), not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("features must be finite")
        # Checked above; the checks of scikit-learn take as long for one row as the prediction.
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return np.column_stack([self.model_x.predict(rows), self.model_y.predict(rows)])


def load_gaze_model(path: Path, *, sha256: str | None = None) -> SklearnGazeModel:
    """Return the model in a file that matches its card.

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
    if sklearn.__version__ != identity.scikit_learn:
        raise ModelError(
            f"{path.name} was written by scikit-learn {identity.scikit_learn}, but {sklearn.__version__} is installed; "
            "install that version or train the model again"
        )
    if identity.features != FEATURE_NAMES:
        raise ModelError(f"{path.name} was trained on different features: {', '.join(identity.features)}")
    if "landmarks" not in identity.estimates:
        raise ModelError(f"{path.name} was trained without landmarks, which enter every gaze vector")
    unknown = [name for name in identity.estimates if name not in ESTIMATES]
    if unknown:
        raise ModelError(f"{path.name} was trained with unknown estimates of the eyes' direction: {', '.join(unknown)}")
    try:
        models = joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling can raise anything
        raise ModelError(f"{path.name} cannot be unpickled") from error
    if not (isinstance(models, dict) and {"model_x", "model_y"} <= models.keys()):
        raise ModelError(f"{path.name} does not contain model_x and model_y")
    for name in ("model_x", "model_y"):
        if getattr(models[name], "n_features_in_", None) != len(FEATURE_NAMES):
            raise ModelError(f"{name} in {path.name} is not a model of {len(FEATURE_NAMES)} features")
    return SklearnGazeModel(
        models["model_x"],
        models["model_y"],
        digest,
        estimates=identity.estimates,
        eye_network_sha256=identity.eye_network_sha256,
    )


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
