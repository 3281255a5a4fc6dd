"""A recording of a synthetic person, with a landmarker and a model that know its images."""

import json

import cv2
import numpy as np

from gaze_core.features import measure_face
from gaze_core.gaze import direction_to
from gaze_core.types import Camera, GazePoint, Screen
from research.recordings.measurement import measure_recording
from research.recordings.recording import load_recording
from tests.fakes.painted_eyes import make_noise, paint_eyes
from tests.fakes.synthetic_face import make_face

IN_FRONT_OF_THE_CAMERA_MM = (0.0, 26.2462, 628.6566)
"""Head position that puts the midpoint between the eyes on the camera's axis, 600 mm away."""

STORED = (cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
"""Noise does not get smaller by compression, only slower to write and read."""


class FakeRecording:
    """Writes a recording image by image; it knows the faces and the gaze in each."""

    digest = "7" * 64
    estimates = ("landmarks",)

    def __init__(self, folder, *, screen=None, camera=None, description=None):
        self.folder = folder
        self.screen, self.camera = screen or Screen(), camera or Camera()
        self.description = description or {}
        self.lines = ["frame,x,y,phase"]
        self.detections = 0
        self._faces, self._distances_mm, self._answers_deg = {}, [], []
        (folder / "frames").mkdir(parents=True)

    def add(self, x, y, phase="test", *, off_deg=(0.0, 0.0), place_mm=None, faces=None):
        """Add an image of a person who fixates (x, y); the model's estimate is `off_deg` off."""
        number = len(self.lines)
        if faces is None:
            # The model distinguishes images by the distance of the face.
            faces = [
                make_face(
                    place_mm=place_mm or (0.0, 30.0, 600.0 + 2 * number),
                    vertical_fov_deg=self.camera.vertical_fov_deg,
                )
            ]
        if faces:
            geometry = measure_face(faces[0], vertical_fov_deg=self.camera.vertical_fov_deg)
            truth = direction_to(GazePoint(x, y), geometry.origin_mm, self.screen, self.camera)
            self._distances_mm.append(geometry.distance_mm)
            self._answers_deg.append(truth + off_deg)
        pixels = make_pixels(number, faces)
        self._faces[pixels.tobytes()] = faces
        name = f"{number:04d}.png"
        self.write_image(name, pixels[:, ::-1] if self.camera.mirrored else pixels)
        self.lines.append(f"{name},{x},{y},{phase}")
        return name

    def fixate(self, targets, phase, *, frames=3, **options):
        for target in targets:
            for _ in range(frames):
                self.add(*target, phase, **options)

    def write_image(self, name, pixels):
        _, data = cv2.imencode(".png", pixels[..., ::-1], STORED)
        (self.folder / "frames" / name).write_bytes(data.tobytes())

    def load(self):
        (self.folder / "recording.json").write_text(json.dumps(self.description))
        (self.folder / "targets.csv").write_text("\n".join(self.lines) + "\n")
        return load_recording(self.folder)

    def measure(self, *, network=None):
        """Return the report, decoded from JSON."""
        return json.loads(json.dumps(measure_recording(self.load(), self, self, network=network), allow_nan=False))

    def detect(self, frame):
        self.detections += 1
        return self._faces.get(frame.tobytes(), [])  # none in an image that is turned upside down

    def predict(self, features):
        away_mm = np.abs(np.asarray(features)[:, 6:] - np.array(self._distances_mm))
        return np.array(self._answers_deg)[away_mm.argmin(axis=1)]


def make_pixels(number, faces=None):
    """Return coarse RGB noise, different for each number, with the eyes of some faces; by default of `make_face()`."""
    pixels = make_noise(np.random.default_rng(number))
    for face in [make_face()] if faces is None else faces:
        pixels = paint_eyes(pixels, face)
    return pixels
