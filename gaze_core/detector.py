"""Gaze detector of one viewer: from a frame to a gaze sample."""

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.calibration import HEAD_ANGLES, Calibration
from gaze_core.eye_region import EYE_REGION_MODEL, EyeRegionModel
from gaze_core.features import FEATURE_NAMES, find_quality_issues, measure_face
from gaze_core.gaze import point_of_gaze
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import Camera, Floats, Frame, GazeDirection, GazePoint, GazeSample, Screen, Validity


class GazeDetector:
    """Estimates gaze for one screen and camera and, if calibrated, for one viewer.

    Keeps no state between frames: the same frame always yields the same sample. Samples come from the uncalibrated
    model; `locate` applies the calibration.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        model: GazeModel,
        *,
        screen: Screen | None = None,
        camera: Camera | None = None,
        calibration: Calibration | None = None,
        eye_region: EyeRegionModel | None = EYE_REGION_MODEL,
    ) -> None:
        self._landmarker = landmarker
        self._model = model
        self._eye_region = eye_region
        self.screen = screen or Screen()
        self.camera = camera or Camera()
        self.calibration = calibration

    def process_single_frame(self, frame: Frame) -> GazeSample:
        """Return the measurements of one frame; `validity` gives the reason for a missing gaze.

        Args:
            frame: RGB uint8, shape (height, width, 3).

        Raises:
            ValueError: The frame has the wrong type or shape.
            LandmarkerError: The face landmarker failed.
            LandmarkerBusyError: All face landmarkers are busy and none became free in time.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise ValueError(f"frame must be RGB uint8 of shape (h, w, 3), not {frame.dtype} {frame.shape}")
        if self.camera.mirrored:
            frame = np.ascontiguousarray(frame[:, ::-1])
        faces = self._landmarker.detect(frame)
        if not faces:
            return GazeSample(Validity.NO_FACE)
        landmarks = max(faces, key=lambda face: face.area_px)
        try:
            geometry = measure_face(
                landmarks, vertical_fov_deg=self.camera.vertical_fov_deg, eye_region=self._eye_region
            )
        except ValueError:
            # The landmarks do not form a face, or the face is at an impossible distance.
            return GazeSample(Validity.LOW_QUALITY, several_faces=len(faces) > 1, quality_issues=("no_geometry",))
        issues = find_quality_issues(frame, landmarks, geometry)
        validity, direction, gaze = Validity.OK, None, None
        if issues:
            validity = Validity.LOW_QUALITY
        elif geometry.features is None:
            validity = Validity.EYES_CLOSED
        else:
            direction = GazeDirection(*self._model.predict(np.array([geometry.features]))[0].tolist())
            gaze = point_of_gaze(direction, geometry.origin_mm, self.screen, self.camera)
            if gaze is None:
                validity, direction, issues = Validity.LOW_QUALITY, None, ("gaze_away_from_screen",)
        x_mm, y_mm, z_mm = map(float, geometry.origin_mm)
        return GazeSample(
            validity=validity,
            gaze=gaze,
            direction=direction,
            features=geometry.features,
            head_pose=geometry.head_pose,
            origin_mm=(x_mm, y_mm, z_mm),
            distance_mm=geometry.distance_mm,
            eye_openness=geometry.eye_openness,
            several_faces=len(faces) > 1,
            quality_issues=issues,
        )

    def locate(self, features: ArrayLike, origin_mm: ArrayLike, openness: ArrayLike) -> list[GazePoint | None]:
        """Return the viewer's points of gaze, calibrated if possible; None where the gaze points away from the screen.

        Args:
            features: Model inputs in the order of `features.FEATURE_NAMES`, shape (n, 7).
            origin_mm: Midpoints between the eyes, camera frame, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
        """
        directions_deg = predict_directions(self._model, features, openness, self.calibration)
        return locate_gaze(directions_deg, origin_mm, screen=self.screen, camera=self.camera)


def predict_directions(
    model: GazeModel, features: ArrayLike, openness: ArrayLike, calibration: Calibration | None = None
) -> Floats:
    """Return gaze directions in the camera frame, degrees, shape (n, 2).

    Args:
        model: Uncalibrated gaze model.
        features: Model inputs in the order of `features.FEATURE_NAMES`, shape (n, 7).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        calibration: Calibration of the viewer; without a correction the directions stay uncalibrated.
    """
    rows = np.asarray(features, dtype=np.float64).reshape(-1, len(FEATURE_NAMES))
    if len(rows) == 0:
        return np.zeros((0, 2))
    uncalibrated_deg = model.predict(rows)
    if calibration is None or calibration.correction is None:
        return uncalibrated_deg
    return calibration.correction.apply(uncalibrated_deg, rows[:, HEAD_ANGLES], openness)


def locate_gaze(
    directions_deg: Floats, origin_mm: ArrayLike, *, screen: Screen, camera: Camera
) -> list[GazePoint | None]:
    """Return the points where gaze rays meet the screen; None where they point away from it.

    Args:
        directions_deg: Gaze directions in the camera frame, shape (n, 2).
        origin_mm: Midpoints between the eyes, camera frame, shape (n, 3).
        screen: Size of the viewer's screen.
        camera: Position of the camera relative to the screen.
    """
    origins = np.asarray(origin_mm, dtype=np.float64).reshape(-1, 3)
    return [
        point_of_gaze(direction_deg, origin, screen, camera)
        for direction_deg, origin in zip(directions_deg, origins, strict=True)
    ]
