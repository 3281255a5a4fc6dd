"""The function without its two slow parts: faces and gaze come from fakes that depend on the image.

Everything else is the real thing: server, handler, adapters. It starts in a fraction of the time and answers a frame in
a few milliseconds, so that a test can kill it a hundred times.

functions-framework --source tests/faults/quick_function.py --target handle
"""

import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.painted_eyes import paint_eyes
from tests.fakes.synthetic_face import make_face
from tests.faults.images import HEIGHT_PX, SHADES, WIDTH_PX, find_shade

FACES = [
    make_face(place_mm=(8.0 * (shade - SHADES // 2), 0.0, 600.0), width_px=WIDTH_PX, height_px=HEIGHT_PX)
    for shade in range(SHADES)
]
"""The face of each shade: as the head is elsewhere, so is the point of gaze."""


class QuickFaceLandmarker(FakeFaceLandmarker):
    """Finds the face that belongs to the shade of an image."""

    def __init__(self, _model, *, landmarkers, wait_s, **_):
        super().__init__(landmarkers=landmarkers, wait_s=wait_s)

    def detect(self, frame):
        face = FACES[find_shade(frame)]  # before anything is painted
        if not super().detect(frame):
            return []
        frame[:] = paint_eyes(frame, face)
        return [face]


def _replace(name, **attributes):
    """Put a module in place of one whose imports take seconds."""
    module = types.ModuleType(name)
    for attribute, value in attributes.items():
        setattr(module, attribute, value)
    sys.modules[name] = module


_replace("func.adapters.face_landmarker_mediapipe", MediapipeFaceLandmarker=QuickFaceLandmarker)
_replace("func.adapters.model_file", load_gaze_model=lambda *_, **__: FakeGazeModel())

from func.main import handle  # noqa: E402, F401 - the target; only now, with the modules above in place
