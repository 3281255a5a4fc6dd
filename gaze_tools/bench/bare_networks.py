"""The floor of a frame: the networks alone, without anything around them."""

import time
from pathlib import Path

import cv2
import numpy as np

from func.adapters.eye_network_opencv import normalise
from func.adapters.face_landmarker_litert import LitertEngine
from func.adapters.landmarker_bundle import read_bundle, read_networks
from func.settings import read_settings
from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX
from gaze_core.types import Frame


class BareNetworks:
    """The detector, landmark and blendshape networks in LiteRT and the eye network in OpenCV, on one frame's inputs.

    The inputs are those that the networks get for the frame, and stay in place, so that a run copies nothing but what
    OpenCV copies. The least CPU time of a frame, whatever the engine.

    Args:
        frame: Frame with one face, RGB uint8, shape (height, width, 3).
        models: Directory with the shipped model files.
    """

    def __init__(self, frame: Frame, models: Path | None = None) -> None:
        cv2.setNumThreads(1)  # as in the function
        settings = read_settings({"MONGO_URI": "mongodb://127.0.0.1"})
        bundle = settings.face_landmarker_model if models is None else models / settings.face_landmarker_model.name
        eye_network = settings.eye_network if models is None else models / settings.eye_network.name
        engine = LitertEngine(read_networks(read_bundle(bundle)), max_faces=1)
        if not engine.detect(frame):
            raise ValueError("the frame has no face")
        found = (engine._detector, engine._landmarks, engine._shapes)
        # Their inputs are still those of the frame.
        self._invoke = [network._interpreter.invoke for network in found if network is not None]
        self._eyes = cv2.dnn.readNetFromONNX(np.frombuffer(eye_network.read_bytes(), np.uint8))
        blank = np.zeros((2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX), np.uint8)
        self._images = normalise(blank)[None]
        self._head = np.zeros((1, 2), np.float32)

    def run(self) -> None:
        """Run all networks once."""
        for invoke in self._invoke:
            invoke()
        self._eyes.setInput(self._images, "images")
        self._eyes.setInput(self._head, "head")
        self._eyes.forward(("eyes", "both"))

    def measure_cpu_ms(self, repeats: int) -> float:
        """Return the mean CPU time of a run in this thread, ms; all networks compute in the calling thread."""
        started_s = time.thread_time()
        for _ in range(repeats):
            self.run()
        return 1000 * (time.thread_time() - started_s) / repeats
