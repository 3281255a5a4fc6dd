"""One viewer's gaze detector: from a picture to a gaze sample."""

import numpy as np

from gaze_core.features import find_quality_issues, measure_face
from gaze_core.gaze import point_of_regard
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import Camera, Frame, GazeDirection, GazeSample, Screen, Validity


class GazeDetector:
    """Tells where a viewer looks, for one screen and camera.

    Holds nothing that a frame leaves behind: the same frame gives the same sample, whatever came before it.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        model: GazeModel,
        *,
        screen: Screen | None = None,
        camera: Camera | None = None,
    ) -> None:
        self._landmarker = landmarker
        self._model = model
        self.screen = screen or Screen()
        self.camera = camera or Camera()

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
            geometry = measure_face(landmarks, vertical_fov_deg=self.camera.vertical_fov_deg)
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
