"""The field of view of a recording's camera."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from func.web.schemas import CameraPart, ScreenPart
from gaze_core.detector import GazeDetector
from gaze_core.features import measure_face
from gaze_core.landmarks import Landmarks
from gaze_core.ports import GazeModel
from gaze_core.types import Camera
from research.recordings.frames import CachedLandmarker, measure_frames
from research.recordings.recording import DESCRIPTION, Recording, RecordingError

FOV_LIMITS_DEG = (10.0, 150.0)

FITTED = "fitted to distance_mm"
"""Origin of a field of view that was computed from the measured distance."""

DISTANCE_DOUBT = 0.15
"""Relative difference above which a measured and the estimated distance contradict each other."""

USUAL_FOV_DEG = (25.0, 90.0)
"""Usual vertical fields of view of webcams."""

_FOV_STEPS = 20
_FOV_TOLERANCE = 1e-4


def fit_field_of_view(faces: Sequence[Landmarks], distance_mm: float) -> float | None:
    """Return the vertical field of view at which the faces' median distance is the given one; None without a face.

    The distance is nearly proportional to the focal length in pixels, so a few proportional steps suffice.

    Args:
        faces: Landmarks in images of one camera.
        distance_mm: Measured distance from the camera to the midpoint between the eyes.

    Raises:
        RecordingError: No field of view between 10 and 150 degrees gives that distance.
    """
    half_tangent = math.tan(math.radians(Camera().vertical_fov_deg) / 2)
    for _ in range(_FOV_STEPS):
        fov_deg = 2 * math.degrees(math.atan(half_tangent))
        if not FOV_LIMITS_DEG[0] <= fov_deg <= FOV_LIMITS_DEG[1]:
            low, high = FOV_LIMITS_DEG
            raise RecordingError(
                [f"{DESCRIPTION}: distance_mm: no field of view from {low:g} to {high:g} degrees gives this distance"]
            )
        median_mm = _median_distance_mm(faces, fov_deg)
        if median_mm is None:
            return None
        if abs(median_mm / distance_mm - 1) < _FOV_TOLERANCE:
            break
        half_tangent *= median_mm / distance_mm
    return fov_deg


def find_defaults(recording: Recording, fov_from: str) -> list[str]:
    """Return the fields that were not given and have their default."""
    fields = [f"screen.{key}" for key in ScreenPart.model_fields] + [f"camera.{key}" for key in CameraPart.model_fields]
    found = {"camera.vertical_fov_deg"} if fov_from != "default" else set()
    return [field for field in fields if field not in recording.given | found]


def find_camera(
    recording: Recording, landmarker: CachedLandmarker, model: GazeModel, notes: list[str]
) -> tuple[Camera, str]:
    """Return the camera to measure with, and the origin of its field of view."""
    if "camera.vertical_fov_deg" in recording.given:
        return recording.camera, "given"
    if recording.distance_mm is None:
        return recording.camera, "default"
    # The landmarks do not depend on the camera.
    detector = GazeDetector(landmarker, model, screen=recording.screen, camera=recording.camera)
    measure_frames(recording, detector, landmarker)
    fov_deg = fit_field_of_view(landmarker.largest_faces(), recording.distance_mm)
    if fov_deg is None:
        notes.append("no image shows a face: the field of view could not be fitted to distance_mm")
        return recording.camera, "default"
    return replace(recording.camera, vertical_fov_deg=round(fov_deg, 2)), FITTED


def check_distance(
    given_mm: float | None, estimated_mm: float | None, vertical_fov_deg: float, fov_from: str
) -> list[str]:
    """Return notes on an implausible field of view or distance."""
    notes = []
    if given_mm and estimated_mm and abs(estimated_mm / given_mm - 1) > DISTANCE_DOUBT:
        notes.append(
            f"distance_mm is {given_mm:.0f}, but the estimate from the faces is {estimated_mm:.0f} mm: "
            "the field of view or the distance is wrong"
        )
    low_deg, high_deg = USUAL_FOV_DEG
    if fov_from == FITTED and not low_deg <= vertical_fov_deg <= high_deg:
        notes.append(f"a vertical field of view of {vertical_fov_deg:.0f} degrees is implausible: distance_mm is wrong")
    return notes


def _median_distance_mm(faces: Sequence[Landmarks], vertical_fov_deg: float) -> float | None:
    distances_mm = []
    for face in faces:
        try:
            distances_mm.append(measure_face(face, vertical_fov_deg=vertical_fov_deg).distance_mm)
        except ValueError:  # the landmarks span no face
            continue
    return float(np.median(distances_mm)) if distances_mm else None
