"""One viewer's gaze detector: from a picture to a gaze sample."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.calibration import HEAD_ANGLES, Calibration
from gaze_core.features import FEATURE_NAMES, find_quality_issues, measure_face
from gaze_core.gaze import point_of_regard
from gaze_core.outline import OUTLINE, Outline
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import Camera, Frame, GazeDirection, GazePoint, GazeSample, Screen, Validity


class GazeDetector:
    """Tells where a viewer looks, for one screen and camera, and with a calibration for one viewer.

    Holds nothing that a frame leaves behind: the same frame gives the same sample, whatever came before it. A sample is
    the generic model's, whoever looks; `locate` corrects.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        model: GazeModel,
        *,
        screen: Screen | None = None,
        camera: Camera | None = None,
        calibration: Calibration | None = None,
        outline: Outline | None = OUTLINE,
    ) -> None:
        self._landmarker = landmarker
        self._model = model
        self._outline = outline
        self.screen = screen or Screen()
        self.camera = camera or Camera()
        self.calibration = calibration

    def process_single_frame(self, frame: Frame) -> GazeSample:
        """Return what one frame says, or in its `validity` why it says nothing.

        Args:
            frame: RGB uint8, shape (height, width, 3).

        Raises:
            ValueError: Another type or shape.
            LandmarkerError: The engine failed.
            LandmarkerBusyError: Every engine is taken and none became free in time.
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
            geometry = measure_face(landmarks, vertical_fov_deg=self.camera.vertical_fov_deg, outline=self._outline)
        except ValueError:
            # Landmarks that span no face, or one at no possible distance.
            return GazeSample(Validity.LOW_QUALITY, several_faces=len(faces) > 1, quality_issues=("no_geometry",))
        issues = find_quality_issues(frame, landmarks, geometry)
        validity, direction, gaze = Validity.OK, None, None
        if issues:
            validity = Validity.LOW_QUALITY
        elif geometry.features is None:
            validity = Validity.EYES_CLOSED
        else:
            gaze_x, gaze_y = self._model.predict(np.array([geometry.features]))[0]
            direction = GazeDirection(float(gaze_x), float(gaze_y))
            gaze = point_of_regard(direction, geometry.origin_mm, self.screen, self.camera)
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
        """Return this viewer's points of regard; None where the gaze points away from the screen.

        Args:
            features: In the order of `features.FEATURE_NAMES`, shape (n, 7).
            origin_mm: Midpoint between the eyes, camera frame, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
        """
        directions_deg = predict_directions(self._model, features, openness, self.calibration)
        return locate_gaze(directions_deg, origin_mm, screen=self.screen, camera=self.camera)


def predict_directions(
    model: GazeModel, features: ArrayLike, openness: ArrayLike, calibration: Calibration | None = None
) -> NDArray[np.float64]:
    """Return gaze_x and gaze_y in the camera frame, degrees, shape (n, 2).

    Args:
        model: The generic model.
        features: In the order of `features.FEATURE_NAMES`, shape (n, 7).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        calibration: Of the viewer; None, or one without a correction, leaves the generic directions.
    """
    rows = np.asarray(features, dtype=np.float64).reshape(-1, len(FEATURE_NAMES))
    if len(rows) == 0:
        return np.zeros((0, 2))
    generic_deg = model.predict(rows)
    if calibration is None or calibration.correction is None:
        return generic_deg
    return calibration.correction.apply(generic_deg, rows[:, HEAD_ANGLES], openness)


def locate_gaze(
    directions_deg: NDArray[np.float64], origin_mm: ArrayLike, *, screen: Screen, camera: Camera
) -> list[GazePoint | None]:
    """Return where gaze directions meet the screen, None where they point away from it.

    Args:
        directions_deg: gaze_x and gaze_y in the camera frame, shape (n, 2).
        origin_mm: Midpoint between the eyes, camera frame, shape (n, 3).
        screen: The viewer's screen.
        camera: Where the camera sits on it.
    """
    origins = np.asarray(origin_mm, dtype=np.float64).reshape(-1, 3)
    return [
        point_of_regard(GazeDirection(*direction), origin, screen, camera)
        for direction, origin in zip(directions_deg.tolist(), origins, strict=True)
    ]
