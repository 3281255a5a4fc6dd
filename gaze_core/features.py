"""The seven features of the gaze model, and the geometry behind them, from the landmarks of one face."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_region import EYE_REGION_MODEL, LEFT_POINTS, PLANE_MM, RIGHT_POINTS, EyeRegionModel
from gaze_core.fusion import fuse_eyes
from gaze_core.gaze import (
    EYE_ROTATION_TO_IRIS_MM,
    calculate_combined_gaze,
    calculate_distance,
    correct_gaze_vector,
    estimate_gaze,
    gaze_direction,
    gaze_vector,
    iris_diameter_px,
)
from gaze_core.head_pose import CANONICAL_MM, estimate_head_pose, focal_length_px, undo_oblique_view
from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, RIGHT, Landmarks, eye_aspect_ratio
from gaze_core.one_eye import leave_out_hidden_eye
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, EyeGazes, Floats, Frame, GazeDirection, HeadPose, Vector

FEATURE_NAMES = (
    "iris_x",
    "iris_y",
    "iris_z",
    "head_rotation_x",
    "head_rotation_y",
    "head_rotation_z",
    "distance",
)
"""Inputs of the gaze model in order: combined gaze vector (camera frame), pitch, yaw, roll (degrees), distance (mm)."""


def check_features(features: NDArray[np.float64]) -> Floats:
    """Return inputs of the gaze model, shape (n, 7).

    Args:
        features: In the order of `FEATURE_NAMES`.

    Raises:
        ValueError: The shape is wrong or a value is not finite.
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"features must have shape (n, {len(FEATURE_NAMES)}), not {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("features must be finite")
    return rows


CLOSED_EYE_ASPECT_RATIO = 0.10
"""An eye with a smaller eye aspect ratio counts as shut."""

CANTHI_TO_ROTATION_MM = 6.0
"""Distance from the midpoint of an eye's corners straight into the head to its centre of rotation."""

HIDDEN_EYE_YAW_DEG = 40.0
"""Yaw beyond which the nose hides the inner half of the far eye."""

MAX_YAW_DEG, MAX_PITCH_DEG = 55.0, 45.0
"""Head rotations beyond which the gaze is unreliable."""

_CORNERS_MM = np.mean([CANONICAL_MM[index] for side in (LEFT, RIGHT) for index in EYE_CORNERS[side]], axis=0)
_CANONICAL_EYES_MM = np.array([_CORNERS_MM[0], _CORNERS_MM[1], _CORNERS_MM[2] + CANTHI_TO_ROTATION_MM])
"""Midpoint between the eyes' centres of rotation on the canonical face, head frame."""

_CANONICAL_CORNERS_MM = (
    np.array([CANONICAL_MM[index] for side in (LEFT, RIGHT) for index in EYE_CORNERS[side]]) - _CANONICAL_EYES_MM
)
"""Corners of the left and the right eye, relative to that midpoint, shape (4, 3)."""

_IDENTITY = np.eye(3)

_IRIS_CENTRES = np.array([IRIS[LEFT][0], IRIS[RIGHT][0]])
_EYE_CORNERS = np.array([*EYE_CORNERS[LEFT], *EYE_CORNERS[RIGHT]])
_EYE_REGION = np.array([*RIGHT_POINTS, *LEFT_POINTS])


@dataclass(frozen=True, slots=True)
class FaceGeometry:
    """Geometry of one face.

    Attributes:
        features: Model inputs in the order of `FEATURE_NAMES`; None when both eyes are shut.
        head_pose: Rotation and position of the head.
        origin_mm: Midpoint between the eyes' centres of rotation, camera frame, shape (3,).
        distance_mm: Distance from the camera to that midpoint.
        eye_openness: Eye aspect ratio of the viewer's left and right eye.
        iris_diameter_px: Diameter of the larger iris in the image.
        eyes_mm: Centres of rotation of the left and right eye, camera frame, shape (2, 3).
        iris_rays: Viewing rays of the left and right iris centre, camera frame, z = 1, shape (2, 3).
        irises: Gaze direction from the iris geometry alone, head frame; None when both eyes are shut.
        eye_region_mm: Input `points_mm` of `EyeRegionModel.correct`; None when an eye is hidden or shut.
        covered: Whether the left and the right eye are covered, so that they are left out.
    """

    features: tuple[float, ...] | None
    head_pose: HeadPose
    origin_mm: Vector
    distance_mm: float
    eye_openness: tuple[float, float]
    iris_diameter_px: float
    eyes_mm: Floats
    iris_rays: Floats
    irises: GazeDirection | None
    eye_region_mm: Floats | None
    covered: tuple[bool, bool] = (False, False)

    @property
    def usable_eyes(self) -> tuple[bool, bool]:
        """Whether the left and the right eye are open and visible."""
        return find_usable_eyes(self.eye_openness, self.head_pose.yaw_deg, covered=self.covered)


def measure_face(
    landmarks: Landmarks,
    *,
    vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG,
    eye_region: EyeRegionModel | None = EYE_REGION_MODEL,
    covered: tuple[bool, bool] = (False, False),
) -> FaceGeometry:
    """Return the seven features of a face and the geometry behind them.

    Mirroring the image negates iris_x, head_rotation_y and head_rotation_z and changes nothing else. Scaling the image
    changes nothing.

    Args:
        landmarks: Landmarks of one face.
        vertical_fov_deg: Vertical field of view of the camera.
        eye_region: Correction of the iris direction; None uses the iris geometry alone.
        covered: Whether the left and the right eye are covered, so that they are left out.

    Raises:
        ValueError: The landmarks do not form a face.
    """
    geometry = measure_geometry(landmarks, vertical_fov_deg=vertical_fov_deg, covered=covered)
    return replace(geometry, features=combine_features(geometry, eye_region))


def measure_geometry(
    landmarks: Landmarks,
    *,
    vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG,
    covered: tuple[bool, bool] = (False, False),
) -> FaceGeometry:
    """Return what `measure_face` does, without the features.

    Args:
        landmarks: Landmarks of one face.
        vertical_fov_deg: Vertical field of view of the camera.
        covered: Whether the left and the right eye are covered, so that they are left out.

    Raises:
        ValueError: The landmarks do not form a face.
    """
    pose = undo_oblique_view(estimate_head_pose(landmarks, vertical_fov_deg=vertical_fov_deg))
    focal_px = focal_length_px(landmarks.image_height_px, vertical_fov_deg)
    iris_rays = _rays(landmarks, _IRIS_CENTRES, focal_px)
    depth_mm = _depth_mm(landmarks, pose, iris_rays, vertical_fov_deg)
    eyes_mm = _rotation_centres_mm(landmarks, pose, depth_mm, focal_px)
    origin_mm = (eyes_mm[0] + eyes_mm[1]) / 2
    distance_mm = math.hypot(*origin_mm.tolist())
    openness = (eye_aspect_ratio(landmarks, LEFT), eye_aspect_ratio(landmarks, RIGHT))
    usable = find_usable_eyes(openness, pose.yaw_deg, covered=covered)
    irises, eye_region_mm = None, None
    if any(usable):
        gazes: list[Vector | None] = [None, None]
        # Rows times the rotation: the head's own axes.
        eyes, rays = eyes_mm @ pose.head_rotation, iris_rays @ pose.head_rotation
        for side, is_usable in enumerate(usable):
            if is_usable:
                gazes[side] = estimate_gaze(eyes[side], rays[side], math.hypot(*eyes_mm[side].tolist()))
        combined = calculate_combined_gaze(gazes[0], gazes[1], _IDENTITY, distance_mm)
        irises = GazeDirection(*gaze_direction(combined).tolist())
    if all(usable):
        eye_region_mm = _eye_region_mm(landmarks, pose, origin_mm, focal_px)
    return FaceGeometry(
        features=None,
        head_pose=pose,
        origin_mm=origin_mm,
        distance_mm=distance_mm,
        eye_openness=openness,
        iris_diameter_px=max(iris_diameter_px(landmarks.pixels(IRIS[side])) for side in (LEFT, RIGHT)),
        eyes_mm=eyes_mm,
        iris_rays=iris_rays,
        irises=irises,
        eye_region_mm=eye_region_mm,
        covered=covered,
    )


def find_usable_eyes(
    eye_openness: tuple[float, float], yaw_deg: float, *, covered: tuple[bool, bool] = (False, False)
) -> tuple[bool, bool]:
    """Return whether the left and the right eye are open and visible.

    Args:
        eye_openness: Eye aspect ratio of the left and right eye.
        yaw_deg: Yaw of the head.
        covered: Whether the left and the right eye are covered.
    """
    left, right = (
        openness >= CLOSED_EYE_ASPECT_RATIO and not is_covered
        for openness, is_covered in zip(eye_openness, covered, strict=True)
    )
    if left and right and abs(yaw_deg) > HIDDEN_EYE_YAW_DEG:
        # When the nose points to the viewer's right, their right eye is the far one.
        return (True, False) if yaw_deg > 0 else (False, True)
    return left, right


def estimate_from_landmarks(geometry: FaceGeometry, eye_region: EyeRegionModel | None) -> GazeDirection | None:
    """Return the eyes' direction in the head frame; None when both eyes are shut.

    Args:
        geometry: Geometry of one face.
        eye_region: Correction of the iris direction; None uses the iris geometry alone.
    """
    if geometry.irises is None or eye_region is None:
        return geometry.irises
    pose = geometry.head_pose
    head_deg = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
    return eye_region.correct(geometry.irises, head_deg, geometry.distance_mm, geometry.eye_region_mm)


def combine_features(
    geometry: FaceGeometry,
    eye_region: EyeRegionModel | None,
    *,
    network: EyeGazes | None = None,
    blendshapes: GazeDirection | None = None,
) -> tuple[float, ...] | None:
    """Return the seven features in the order of `FEATURE_NAMES`; None when both eyes are shut.

    Args:
        geometry: Geometry of one face; its own `features` are ignored.
        eye_region: Correction of the iris direction; None uses the iris geometry alone.
        network: Answer of the eye network in the head frame; None leaves it out.
        blendshapes: Direction from the blendshapes in the head frame; None leaves it out.
    """
    landmarks = estimate_from_landmarks(geometry, eye_region)
    return None if landmarks is None else fuse_features(geometry, landmarks, network=network, blendshapes=blendshapes)


def fuse_features(
    geometry: FaceGeometry,
    landmarks: GazeDirection,
    *,
    network: EyeGazes | None = None,
    blendshapes: GazeDirection | None = None,
) -> tuple[float, ...]:
    """Return the seven features in the order of `FEATURE_NAMES`.

    Args:
        geometry: Geometry of one face; its own `features` are ignored.
        landmarks: Result of `estimate_from_landmarks`.
        network: Answer of the eye network in the head frame; None leaves it out.
        blendshapes: Direction from the blendshapes in the head frame; None leaves it out.

    Raises:
        ValueError: A direction is not finite.
    """
    pose, eyes = geometry.head_pose, landmarks
    if network is not None:
        network = leave_out_hidden_eye(network, geometry.usable_eyes, geometry.distance_mm)
    if network is not None or blendshapes is not None:
        eyes = fuse_eyes(eyes, network, blendshapes)
    gaze = correct_gaze_vector(gaze_vector(eyes), pose.head_rotation)
    return (*gaze.tolist(), pose.pitch_deg, pose.yaw_deg, pose.roll_deg, geometry.distance_mm)


def find_quality_issues(frame: Frame, landmarks: Landmarks, geometry: FaceGeometry) -> tuple[str, ...]:
    """Return the reasons that make a gaze from this frame unreliable; empty for a good frame.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in the image.
        geometry: Result of `measure_face` for these landmarks.
    """
    issues = []
    xy = landmarks.points[:468, :2]
    # Most faces lie in the image as a whole.
    if not (xy.min() >= 0 and xy.max() <= 1) and ((xy < 0) | (xy > 1)).any(axis=1).mean() > 0.05:
        issues.append("face_cut_off")
    if geometry.iris_diameter_px < 4.0:
        issues.append("face_too_small")
    if abs(geometry.head_pose.yaw_deg) > MAX_YAW_DEG or abs(geometry.head_pose.pitch_deg) > MAX_PITCH_DEG:
        issues.append("head_turned_away")
    eyes = _crop_eyes(frame, landmarks)
    if eyes.size == 0 or float(eyes.std()) < 4.0:
        issues.append("no_contrast")
    elif float(eyes.mean()) < 12.0:
        issues.append("too_dark")
    return tuple(issues)


def _depth_mm(landmarks: Landmarks, pose: HeadPose, iris_rays: Floats, vertical_fov_deg: float) -> float:
    """Return the depth of the eyes' centres of rotation: geometric mean of the estimates from iris size and face size.

    Irises vary by 4 % between people and faces by 5 %, independently, so the mean is better than either estimate.
    """
    height_px = landmarks.image_height_px
    left_mm, right_mm = (
        # Away from the image centre a pinhole camera stretches an object that faces it outwards, by this factor.
        calculate_distance(landmarks.pixels(IRIS[side]), height_px, vertical_fov_deg=vertical_fov_deg)
        * math.hypot(*ray)
        for side, ray in zip((LEFT, RIGHT), iris_rays.tolist(), strict=True)
    )
    face = float(pose.translation_mm[2] + pose.head_rotation[2] @ _CANONICAL_EYES_MM)
    return math.sqrt(((left_mm + right_mm) / 2 + EYE_ROTATION_TO_IRIS_MM) * face)


def _rays(landmarks: Landmarks, indices: NDArray[np.intp], focal_px: float) -> Floats:
    """Return the viewing rays of landmarks in the camera frame with z = 1, shape (n, 3)."""
    rays: Floats = landmarks.pixels(indices)
    rays -= (landmarks.image_width_px / 2, landmarks.image_height_px / 2, 0.0)
    rays /= focal_px
    rays[:, 2] = 1.0
    return rays


def _rotation_centres_mm(landmarks: Landmarks, pose: HeadPose, depth_mm: float, focal_px: float) -> Floats:
    """Return the centres of rotation of the left and right eye, camera frame, shape (2, 3).

    Each lies straight behind the middle of the eye's corners. The image gives the viewing rays of the corners, the
    canonical face their depths relative to the middle.
    """
    depths_mm = depth_mm + _CANONICAL_CORNERS_MM @ pose.head_rotation[2]
    corners_mm = _rays(landmarks, _EYE_CORNERS, focal_px) * depths_mm[:, None]
    middles_mm = (corners_mm[0::2] + corners_mm[1::2]) / 2
    centres_mm: Floats = middles_mm + CANTHI_TO_ROTATION_MM * pose.head_rotation[:, 2]
    return centres_mm


def _eye_region_mm(landmarks: Landmarks, pose: HeadPose, origin_mm: Vector, focal_px: float) -> Floats:
    """Return the points of eyes and brows on a plane in front of the eyes, as `EyeRegionModel.correct` expects them."""
    rays = _rays(landmarks, _EYE_REGION, focal_px) @ pose.head_rotation
    origin = pose.head_rotation.T @ origin_mm
    points_mm: Floats = rays[:, :2] * ((origin[2] - PLANE_MM) / rays[:, 2:]) - origin[:2]
    return points_mm


def _crop_eyes(frame: Frame, landmarks: Landmarks) -> Floats:
    """Return the brightness (mean of R, G, B) of the box around both eyes; empty when it lies outside the image."""
    x_px, y_px, _ = landmarks.pixels(_EYE_CORNERS).T.tolist()
    margin_px = 0.15 * (max(x_px) - min(x_px))
    rows, columns = (
        slice(int(max(min(values) - margin_px, 0)), int(max(max(values) + margin_px, 0))) for values in (y_px, x_px)
    )
    crop = frame[rows, columns]
    # The mean over the last axis takes five times as long.
    brightness: Floats = (np.add(crop[..., 0], crop[..., 1], dtype=np.uint16) + crop[..., 2]) / 3
    return brightness
