"""Face landmarker with given faces."""

import threading

from gaze_core.errors import LandmarkerBusyError
from gaze_core.landmarks import Landmarks
from tests.fakes.painted_eyes import paint_eyes
from tests.fakes.synthetic_face import make_face


class FakeFaceLandmarker:
    """Returns the same faces for every frame; each of its landmarkers processes one frame at once.

    It paints the faces into the frame, as if the camera had seen them, so that tests can move them.
    """

    def __init__(self, faces=None, *, landmarkers=2, wait_s=0.0):
        self.faces = [make_face()] if faces is None else faces
        self.paints = True
        self.error = None
        self.hold = None
        """Event that a detection waits for while it occupies a landmarker."""
        self.is_held = threading.Event()
        self.seen_shapes = []
        self._wait_s = wait_s
        self._free = threading.BoundedSemaphore(landmarkers)

    def detect(self, frame):
        if not self._free.acquire(timeout=self._wait_s):
            raise LandmarkerBusyError(self._wait_s)
        try:
            if self.hold is not None:
                self.is_held.set()
                self.hold.wait(60)
            if self.error is not None:
                raise self.error
            self.seen_shapes.append(frame.shape)
            if self.paints:
                for face in sorted(self.faces, key=lambda face: face.area_px):
                    frame[:] = paint_eyes(frame, face)
            height_px, width_px = frame.shape[:2]
            return [Landmarks(face.points, width_px, height_px, face.eye_shapes) for face in self.faces]
        finally:
            self._free.release()

    def warm_up(self):
        """Do nothing."""
