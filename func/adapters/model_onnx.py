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

from func.adapters.model_card import read_checked_model
from gaze_core.errors import ModelError
from gaze_core.features import FEATURE_NAMES, check_features
from gaze_core.model_start import FeatureDirection

BATCH_ROWS = 256
"""Rows of a run, unless there is only one; the last batch is filled up.

A network always gets inputs of the same shape, because OpenCV's classic engine, which the eye network selects for the
process, crashes when the number of rows grows between runs.
"""


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
        self._idle: dict[int, list[Any]] = {1: [], BATCH_ROWS: []}
        for rows in self._idle:
            self._correct(np.zeros((rows, len(FEATURE_NAMES))))

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
        rows = check_features(features)
        directions_deg = np.column_stack([start.predict(rows) for start in self._starts])
        if len(rows) == 1:
            return directions_deg + self._correct(rows)
        for first in range(0, len(rows), BATCH_ROWS):
            batch = np.zeros((BATCH_ROWS, len(FEATURE_NAMES)))
            part = rows[first : first + BATCH_ROWS]
            batch[: len(part)] = part
            directions_deg[first : first + BATCH_ROWS] += self._correct(batch)[: len(part)]
        return directions_deg

    def _correct(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the trees add, for one row or `BATCH_ROWS`."""
        idle = self._idle[len(rows)]
        try:
            network = idle.pop()
        except IndexError:
            network = self._read()
        try:
            network.setInput(rows.astype(np.float32), "features")
            corrections_deg = np.asarray(network.forward(), dtype=np.float64)
        except cv2.error as error:
            raise ModelError(f"the gaze model failed: {error.err}") from error
        if corrections_deg.shape != (len(rows), 2):
            raise ModelError(f"the gaze model answers with shape {corrections_deg.shape}, not {(len(rows), 2)}")
        idle.append(network)
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
    content, identity = read_checked_model(path, sha256=sha256)
    if identity.onnx is None:
        raise ModelError(f"{path.name} is not an ONNX file")
    return OnnxGazeModel(
        content,
        pitch_distrust=identity.onnx.pitch_distrust,
        estimates=identity.estimates,
        eye_network_sha256=identity.eye_network_sha256,
    )
