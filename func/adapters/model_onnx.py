"""The gaze model as ONNX, run by OpenCV: the same trees without scikit-learn.

The file holds the trees; the start that they correct is `FeatureDirection`, in double precision. scikit-learn compares
features in single precision, as ONNX does, so both take the same branches.
"""

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from func.adapters.model_card import read_file, read_identity
from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES
from gaze_core.model_start import FeatureDirection

MAX_ROWS = 4096
"""Rows for one run; more would only take more memory."""


class OnnxGazeModel:
    """Trees in an ONNX file on top of `FeatureDirection`; thread-safe, and usable after a fork.

    OpenCV's networks hold the data of the current run, so each concurrent call has a network of its own.

    Args:
        content: Content of the ONNX file: from features, 32-bit floats of shape (n, 7), to what is added to gaze_x and
            gaze_y in degrees, shape (n, 2).
        pitch_distrust: `FeatureDirection.pitch_distrust`.
        estimates: Estimates of the eyes' direction in the features that it was fitted on.
        eye_network_sha256: SHA-256 of the eye network that made the estimate `network`; None without one.

    Raises:
        ModelError: OpenCV cannot run the file, or its answer has the wrong shape.
    """

    def __init__(
        self,
        content: bytes,
        *,
        pitch_distrust: float,
        estimates: tuple[str, ...] = ("landmarks",),
        eye_network_sha256: str | None = None,
    ) -> None:
        self.estimates = estimates
        self.eye_network_sha256 = eye_network_sha256
        self._content = np.frombuffer(content, np.uint8)
        self._digest = hashlib.sha256(content).hexdigest()
        self._starts = [FeatureDirection(axis, pitch_distrust) for axis in (0, 1)]
        # Appending to a list and popping from it are atomic. A queue has a lock, which a fork could inherit locked.
        self._idle: list[Any] = []
        self._correct(np.zeros((1, len(FEATURE_NAMES))))

    @property
    def digest(self) -> str:
        """SHA-256 of the ONNX file, hexadecimal."""
        return self._digest

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2), as `GazeDirection` defines them.

        Args:
            features: Model inputs in the order of `FEATURE_NAMES`, shape (n, 7).

        Raises:
            ValueError: The shape is wrong or a value is not finite.
            ModelError: OpenCV failed.
        """
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES):
            raise ValueError(f"features must have shape (n, {len(FEATURE_NAMES)}), not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("features must be finite")
        directions_deg = np.column_stack([start.predict(rows) for start in self._starts])
        for first in range(0, len(rows), MAX_ROWS):
            directions_deg[first : first + MAX_ROWS] += self._correct(rows[first : first + MAX_ROWS])
        return directions_deg

    def _correct(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            network = self._idle.pop()
        except IndexError:
            network = self._read()
        try:
            network.setInput(rows.astype(np.float32), "features")
            corrections_deg = np.asarray(network.forward(), dtype=np.float64)
        except cv2.error as error:
            raise ModelError(f"the gaze model failed: {error.err}") from error
        if corrections_deg.shape != (len(rows), 2):
            raise ModelError(f"the gaze model answers with shape {corrections_deg.shape}, not {(len(rows), 2)}")
        self._idle.append(network)
        return corrections_deg

    def _read(self) -> Any:  # noqa: ANN401 - OpenCV is not typed
        try:
            return cv2.dnn.readNetFromONNX(self._content)
        except cv2.error as error:
            raise ModelError(f"the gaze model is not a network that OpenCV can run: {error.err}") from error


def load_onnx_model(path: Path, *, sha256: str | None = None) -> OnnxGazeModel:
    """Return the model in an ONNX file that matches its card.

    Args:
        path: Path of the ONNX file; the card has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        ModelError: The file or its card is missing or unreadable, they do not match, or OpenCV cannot run the file.
    """
    identity = read_identity(path)
    content = read_file(path, sha256)
    if identity.onnx is None:
        raise ModelError(f"{path.with_suffix('.json').name} does not describe an ONNX file")
    if hashlib.sha256(content).hexdigest() != identity.onnx.sha256:
        raise ModelError(f"{path.name} does not match {path.with_suffix('.json').name}: different SHA-256")
    return OnnxGazeModel(
        content,
        pitch_distrust=identity.onnx.pitch_distrust,
        estimates=identity.estimates,
        eye_network_sha256=identity.eye_network_sha256,
    )
