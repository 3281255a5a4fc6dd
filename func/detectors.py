"""Detectors configured for a viewer: a cache that a process can lose at any moment."""

import threading
from collections import OrderedDict

from gaze_core.detector import GazeDetector
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import Camera, Screen


class Detectors:
    """Gaze detectors by session, the least recently used one forgotten first.

    All of them share one landmarker and one model. Nothing stored depends on what is in here: a detector is made anew
    from the request alone.
    """

    def __init__(self, landmarker: FaceLandmarker, model: GazeModel, *, capacity: int = 256) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._landmarker = landmarker
        self._model = model
        self._capacity = capacity
        self._by_session: OrderedDict[str, GazeDetector] = OrderedDict()
        self._lock = threading.Lock()

    def get_or_create_gaze_detector(
        self, session_id: str, *, screen: Screen | None = None, camera: Camera | None = None
    ) -> GazeDetector:
        """Return the session's detector for that screen and camera; another screen or camera makes a new one.

        Args:
            session_id: Of the session.
            screen: The viewer's; None means the default laptop.
            camera: Likewise.
        """
        screen, camera = screen or Screen(), camera or Camera()
        with self._lock:
            detector = self._by_session.get(session_id)
            if detector is None or (detector.screen, detector.camera) != (screen, camera):
                detector = GazeDetector(self._landmarker, self._model, screen=screen, camera=camera)
                self._by_session[session_id] = detector
            self._by_session.move_to_end(session_id)
            while len(self._by_session) > self._capacity:
                self._by_session.popitem(last=False)
            return detector

    def __len__(self) -> int:
        with self._lock:
            return len(self._by_session)
