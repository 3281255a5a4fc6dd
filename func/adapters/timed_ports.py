"""Time the steps of detection, which the core cannot: it reads no clock."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import EyeViews
from gaze_core.landmarks import Landmarks
from gaze_core.ports import EyeNetwork, FaceLandmarker, GazeModel
from gaze_core.types import EyeGazes, Frame

TimeStage = Callable[[str], AbstractContextManager[object]]
"""Returns a context manager that times the step of this name."""


class TimedFaceLandmarker:
    """A face landmarker whose time is the step `landmarks`."""

    def __init__(self, landmarker: FaceLandmarker, time_stage: TimeStage) -> None:
        self._landmarker = landmarker
        self._time_stage = time_stage

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the landmarks of every detected face."""
        with self._time_stage("landmarks"):
            return self._landmarker.detect(frame)


class TimedEyeNetwork:
    """An eye network whose time is the step `eyes`."""

    def __init__(self, network: EyeNetwork, time_stage: TimeStage) -> None:
        self._network = network
        self._time_stage = time_stage

    @property
    def digest(self) -> str:
        """SHA-256 of the network's file, hexadecimal."""
        return self._network.digest

    def estimate(self, frame: Frame, views: EyeViews) -> EyeGazes:
        """Return the gaze of both eyes in the virtual camera frame."""
        with self._time_stage("eyes"):
            return self._network.estimate(frame, views)


class TimedGazeModel:
    """A gaze model whose time is the step `model`."""

    def __init__(self, model: GazeModel, time_stage: TimeStage) -> None:
        self._model = model
        self._time_stage = time_stage

    @property
    def estimates(self) -> Collection[str]:
        """Estimates of the eyes' direction in the features that it was trained on."""
        return self._model.estimates

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        return self._model.digest

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze directions in the camera frame, degrees, shape (n, 2)."""
        with self._time_stage("model"):
            return self._model.predict(features)
