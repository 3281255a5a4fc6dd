"""Load the gaze model: two scikit-learn regressors saved by joblib, with a model card.

scikit-learn is only imported for regressors other than `BoostedTrees`.

Unpickling can run any code. So the card, a JSON file with the same name, is read first, and the model is only unpickled
if it has the SHA-256 in the card and was written by the installed version of scikit-learn. This detects mistakes. An
attacker could replace the card too; to prevent that, the caller passes the digest.
"""

import io
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
from numpy.typing import NDArray

from func.adapters.boosted_trees import read_boosted_trees
from func.adapters.model_card import read_checked_model
from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES, check_features


class Regressor(Protocol):
    """Predicts one value for each row."""

    def predict(self, features: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return the predictions, shape (n,), for features of shape (n, 7)."""


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
        model_x: Regressor,
        model_y: Regressor,
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
        rows = check_features(features)
        return np.column_stack([self.model_x.predict(rows), self.model_y.predict(rows)])


class _UncheckedRegressor:
    """A regressor of scikit-learn, which does not check features again: that takes as long as a prediction."""

    def __init__(self, regressor: Any) -> None:  # noqa: ANN401 - scikit-learn is not typed
        import sklearn  # noqa: PLC0415

        self._regressor = regressor
        self._config_context = sklearn.config_context

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predictions, shape (n,)."""
        with self._config_context(assume_finite=True, skip_parameter_validation=True):
            predictions: NDArray[np.float64] = self._regressor.predict(features)
        return predictions


def load_gaze_model(path: Path, *, sha256: str | None = None) -> SklearnGazeModel:
    """Return the model in a file that matches its card.

    Args:
        path: Path of the joblib file; the card has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        ModelError: The file or its card is missing or unreadable, they do not match, or the model needs another version
            of scikit-learn or other features.
    """
    content, identity = read_checked_model(path, sha256=sha256)
    trees = read_boosted_trees(content)
    models: Any = trees
    if trees is None:
        try:
            models = joblib.load(io.BytesIO(content))
        except Exception as error:  # unpickling can raise anything
            raise ModelError(f"{path.name} cannot be unpickled") from error
    if not (isinstance(models, dict) and {"model_x", "model_y"} <= models.keys()):
        raise ModelError(f"{path.name} does not contain model_x and model_y")
    for name in ("model_x", "model_y"):
        if getattr(models[name], "n_features_in_", None) != len(FEATURE_NAMES):
            raise ModelError(f"{name} in {path.name} is not a model of {len(FEATURE_NAMES)} features")
    model_x, model_y = (
        models[name] if trees is not None else _UncheckedRegressor(models[name]) for name in ("model_x", "model_y")
    )
    return SklearnGazeModel(
        model_x,
        model_y,
        identity.sha256,
        estimates=identity.estimates,
        eye_network_sha256=identity.eye_network_sha256,
    )
