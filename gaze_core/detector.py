"""Gaze detector of one viewer: from a frame to a gaze sample."""

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.calibration import Calibration
from gaze_core.cues import GazeCues
from gaze_core.errors import EyeNetworkError
from gaze_core.eye_images import EyeViews, eye_views
from gaze_core.eye_region import EYE_REGION_MODEL, EyeRegionModel
from gaze_core.features import (
    FEATURE_NAMES,
    FaceGeometry,
    estimate_from_landmarks,
    find_quality_issues,
    fuse_features,
    measure_geometry,
)
from gaze_core.fusion import blendshape_gaze
from gaze_core.gaze import point_of_gaze, points_of_gaze
from gaze_core.landmarks import Landmarks
from gaze_core.plausible_face import (
    CERTAIN_ABOVE,
    DOUBTFUL_BELOW,
    MAX_ROLL_DEG,
    TURNED_ABOVE,
    find_upright_evidence,
    is_drawn,
    turn_back,
)
from gaze_core.ports import EyeNetwork, FaceLandmarker, GazeModel
from gaze_core.targets import HEAD_ANGLES
from gaze_core.types import (
    Camera,
    EyeEstimates,
    EyeGazes,
    Floats,
    Frame,
    GazeDirection,
    GazePoint,
    GazeSample,
    Screen,
    Validity,
    check_frame,
)
from gaze_core.visible_eyes import eye_spreads_deg, find_covered_eyes, find_iris_evidence, has_low_lids, look_shut


class GazeDetector:
    """Estimates gaze for one screen and camera and, if calibrated, for one viewer.

    The features contain those estimates of the eyes' direction that the gaze model was trained with. If the eye network
    fails on a frame, its estimate is left out, and the sample says so.

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
        eye_network: EyeNetwork | None = None,
    ) -> None:
        """Configure a detector.

        Args:
            landmarker: Face landmarker.
            model: Gaze model.
            screen: Screen of the viewer; None for a default laptop.
            camera: Camera of the viewer; None for that of a default laptop.
            calibration: Calibration of the viewer, for `locate`.
            eye_region: Correction of the iris direction; None uses the iris geometry alone.
            eye_network: Eye network; not used if the gaze model was trained without one. None leaves its estimate out.
        """
        self._eye_network = eye_network
        self._landmarker = landmarker
        self._model = model
        self._uses_more_than_landmarks = bool({"network", "blendshapes"} & set(model.estimates))
        self._eye_region = eye_region
        self.screen = screen or Screen()
        self.camera = camera or Camera()
        self.calibration = calibration

    @property
    def estimates(self) -> Collection[str]:
        """Estimates of the eyes' direction that the features contain, those that the gaze model was trained with."""
        return self._model.estimates

    def process_single_frame(self, frame: Frame) -> GazeSample:
        """Return the measurements of one frame; `validity` gives the reason for a missing gaze.

        Args:
            frame: RGB uint8, shape (height, width, 3).

        Raises:
            ValueError: The frame has the wrong type or shape.
            LandmarkerError: The face landmarker failed.
            LandmarkerBusyError: All face landmarkers are busy and none became free in time.
        """
        check_frame(frame)
        if self.camera.mirrored:
            frame = np.ascontiguousarray(frame[:, ::-1])
        faces = self._landmarker.detect(frame)
        if not faces:
            return self._find_upside_down(frame) or GazeSample(Validity.NO_FACE)
        landmarks = max(faces, key=lambda face: face.area_px) if len(faces) > 1 else faces[0]
        try:
            geometry, landmarks_deg = self._measure(landmarks)
        except ValueError:
            # The landmarks do not form a face, or the face is at an impossible distance.
            return GazeSample(Validity.LOW_QUALITY, several_faces=len(faces) > 1, quality_issues=("no_geometry",))
        sample = self._describe(geometry, several_faces=len(faces) > 1)
        issues = _find_issues(frame, landmarks, geometry)
        if issues:
            return replace(sample, validity=Validity.LOW_QUALITY, quality_issues=issues)
        if landmarks_deg is None:
            return replace(sample, validity=Validity.EYES_CLOSED)
        return self._read_eyes(frame, landmarks, geometry, landmarks_deg, sample)

    def _read_eyes(
        self,
        frame: Frame,
        landmarks: Landmarks,
        geometry: FaceGeometry,
        landmarks_deg: GazeDirection | None,
        sample: GazeSample,
    ) -> GazeSample:
        """Return the sample with the gaze if an iris can be seen, else with the reason why there is none."""
        views = self._view_eyes(frame, geometry)
        network, failed = self._read_eye_images(frame, geometry, views)
        sample = replace(sample, eye_network_failed=failed)
        evidence = None if views is None else _find_evidence(frame, landmarks, views, network)
        covered = (False, False)
        if evidence is not None:
            covered = find_covered_eyes(
                evidence, geometry.usable_eyes, low_lids=has_low_lids(geometry.eye_openness, landmarks.eye_shapes)
            )
        if evidence is None or evidence.min() < CERTAIN_ABOVE:
            upright = find_upright_evidence(frame, landmarks)
            turned = self._find_upside_down(frame, upright) if all(covered) or upright < DOUBTFUL_BELOW else None
            if turned is not None:
                return turned
        if any(covered) and not all(covered):
            geometry, landmarks_deg = self._measure(landmarks, covered=covered)
            sample = replace(sample, features=geometry.features, covered_eyes=covered)
        if all(covered) or landmarks_deg is None:
            return _explain_hidden_eyes(sample, geometry)
        return self._estimate(landmarks, geometry, landmarks_deg, network, sample)

    def _estimate(
        self,
        landmarks: Landmarks,
        geometry: FaceGeometry,
        landmarks_deg: GazeDirection,
        network: EyeGazes | None,
        sample: GazeSample,
    ) -> GazeSample:
        """Return the sample with the gaze of a face that has a visible eye."""
        features, eyes = geometry.features, None
        if self._uses_more_than_landmarks:
            blendshapes = self._read_blendshapes(landmarks)
            eyes = EyeEstimates(landmarks=landmarks_deg, network=network, blendshapes=blendshapes)
            features = fuse_features(geometry, landmarks_deg, network=network, blendshapes=blendshapes)
        sample = replace(sample, features=features, eyes=eyes)
        direction = GazeDirection(*self._model.predict(np.array([features]))[0].tolist())
        gaze = point_of_gaze(direction, geometry.origin_mm, self.screen, self.camera)
        if gaze is None:
            return replace(sample, validity=Validity.LOW_QUALITY, quality_issues=("gaze_away_from_screen",))
        return replace(sample, gaze=gaze, direction=direction)

    def _measure(
        self, landmarks: Landmarks, *, covered: tuple[bool, bool] = (False, False)
    ) -> tuple[FaceGeometry, GazeDirection | None]:
        """Return the geometry of a face, with the features from the landmarks alone, and what these state.

        Raises:
            ValueError: The landmarks do not form a face.
        """
        geometry = measure_geometry(landmarks, vertical_fov_deg=self.camera.vertical_fov_deg, covered=covered)
        landmarks_deg = estimate_from_landmarks(geometry, self._eye_region)
        features = None if landmarks_deg is None else fuse_features(geometry, landmarks_deg)
        return replace(geometry, features=features), landmarks_deg

    @staticmethod
    def _describe(geometry: FaceGeometry, *, several_faces: bool) -> GazeSample:
        """Return a sample with the head and the eyes of a face, still without a gaze."""
        x_mm, y_mm, z_mm = geometry.origin_mm.tolist()
        return GazeSample(
            validity=Validity.OK,
            features=geometry.features,
            head_pose=geometry.head_pose,
            origin_mm=(x_mm, y_mm, z_mm),
            distance_mm=geometry.distance_mm,
            eye_openness=geometry.eye_openness,
            several_faces=several_faces,
        )

    def _find_upside_down(self, frame: Frame, upright: float = -math.inf) -> GazeSample | None:
        """Return what to answer if the image shows a face upside down; None if it does not.

        The landmarker finds no face in such an image, or nonsense. Only doubtful images are turned and tried again, so
        others cost nothing.

        Args:
            frame: RGB image.
            upright: Evidence that the face found in the image as it is is upright.
        """
        turned = _turn(frame)
        for landmarks in sorted(self._landmarker.detect(turned), key=lambda face: -face.area_px):
            try:
                geometry, _ = self._measure(landmarks)
            except ValueError:
                continue
            views = self._view_eyes(turned, geometry)
            in_image = turn_back(geometry)
            if views is None or abs(in_image.head_pose.roll_deg) <= MAX_ROLL_DEG or is_drawn(turned, landmarks):
                continue
            network, _ = self._read_eye_images(turned, geometry, views)
            if find_upright_evidence(turned, landmarks) <= max(upright, TURNED_ABOVE):
                continue
            if not all(find_covered_eyes(_find_evidence(turned, landmarks, views, network), (True, True))):
                sample = self._describe(in_image, several_faces=False)
                return replace(sample, validity=Validity.LOW_QUALITY, features=None, quality_issues=("face_rotated",))
        return None

    def _view_eyes(self, frame: Frame, geometry: FaceGeometry) -> EyeViews | None:
        """Return how the virtual camera sees the eyes; None for an eye behind the camera or a head in profile."""
        try:
            return eye_views(geometry, frame.shape[1], frame.shape[0], self.camera.vertical_fov_deg)
        except ValueError:
            return None

    def _read_eye_images(
        self, frame: Frame, geometry: FaceGeometry, views: EyeViews | None
    ) -> tuple[EyeGazes | None, bool]:
        """Return the eye network's answer in the head frame, if there is one, and whether the network failed."""
        if self._eye_network is None or "network" not in self._model.estimates or views is None:
            return None, False
        try:
            gazes = self._eye_network.estimate(frame, views)
        except EyeNetworkError:
            return None, True
        return views.to_head_frame(gazes, geometry.head_pose.head_rotation), False

    def _read_blendshapes(self, landmarks: Landmarks) -> GazeDirection | None:
        if landmarks.eye_shapes is None or "blendshapes" not in self._model.estimates:
            return None
        return blendshape_gaze(landmarks.eye_shapes)

    def locate(
        self, features: ArrayLike, origin_mm: ArrayLike, openness: ArrayLike, cues: GazeCues | None = None
    ) -> list[GazePoint | None]:
        """Return the viewer's points of gaze, calibrated if possible; None where the gaze points away from the screen.

        Args:
            features: Model inputs in the order of `features.FEATURE_NAMES`, shape (n, 7).
            origin_mm: Midpoints between the eyes, camera frame, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
            cues: Differences between the estimates behind the features; None without the eye network.
        """
        directions_deg = predict_directions(self._model, features, openness, self.calibration, cues)
        return locate_gaze(directions_deg, origin_mm, screen=self.screen, camera=self.camera)


def _turn(frame: Frame) -> Frame:
    """Return the image turned by 180 degrees."""
    turned = np.empty_like(frame)
    for channel in range(3):  # copying triples backwards takes five times as long
        turned[..., channel] = frame[::-1, ::-1, channel]
    return turned


def _find_issues(frame: Frame, landmarks: Landmarks, geometry: FaceGeometry) -> tuple[str, ...]:
    """Return the reasons that make a gaze unreliable, apart from covered eyes."""
    issues = find_quality_issues(frame, landmarks, geometry)
    if issues or geometry.features is None:
        return issues
    if is_drawn(frame, landmarks):
        return ("implausible_face",)
    return ("face_rotated",) if abs(geometry.head_pose.roll_deg) > MAX_ROLL_DEG else ()


def _find_evidence(frame: Frame, landmarks: Landmarks, views: EyeViews, network: EyeGazes | None) -> Floats:
    """Return the evidence of an iris in each eye, shape (2,); the network's spread counts if there is one."""
    spread_deg = None if network is None else eye_spreads_deg(network)
    return find_iris_evidence(frame, landmarks, views, spread_deg=spread_deg)


def _explain_hidden_eyes(sample: GazeSample, geometry: FaceGeometry) -> GazeSample:
    """Return the sample with the reason why no eye shows an iris: lids or a cover."""
    if look_shut(geometry.eye_openness):
        return replace(sample, validity=Validity.EYES_CLOSED, features=None)
    return replace(sample, validity=Validity.LOW_QUALITY, quality_issues=("eyes_covered",))


def predict_directions(
    model: GazeModel,
    features: ArrayLike,
    openness: ArrayLike,
    calibration: Calibration | None = None,
    cues: GazeCues | None = None,
    *,
    offset_deg: ArrayLike = 0.0,
) -> Floats:
    """Return gaze directions in the camera frame, degrees, shape (n, 2).

    Args:
        model: Uncalibrated gaze model.
        features: Model inputs in the order of `features.FEATURE_NAMES`, shape (n, 7).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        calibration: Calibration of the viewer; without a correction the directions stay uncalibrated.
        cues: Differences between the estimates behind the features; None without the eye network.
        offset_deg: Offset in the head frame beside that of the calibration, shape (n, 2).
    """
    rows = np.asarray(features, dtype=np.float64).reshape(-1, len(FEATURE_NAMES))
    if len(rows) == 0:
        return np.zeros((0, 2))
    uncalibrated_deg = model.predict(rows)
    if calibration is None or calibration.correction is None:
        return uncalibrated_deg
    correction = calibration.correction
    return correction.apply(uncalibrated_deg, rows[:, HEAD_ANGLES], openness, cues, offset_deg=offset_deg)


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
    origins_mm = np.asarray(origin_mm, dtype=np.float64).reshape(-1, 3)
    return points_of_gaze(directions_deg, origins_mm, screen, camera)
