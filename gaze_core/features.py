"""From the landmarks of one face to the seven features of the model, and what else one frame tells."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
from gaze_core.outline import LEFT_POINTS, OUTLINE, PLANE_MM, RIGHT_POINTS, Outline
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, Frame, GazeDirection, HeadPose, Vector

FEATURE_NAMES = (
    "iris_x",
    "iris_y",
    "iris_z",
    "head_rotation_x",
    "head_rotation_y",
    "head_rotation_z",
    "distance",
)
"""The model's inputs in their order: combined gaze vector in the camera frame; pitch, yaw, roll in degrees; mm."""

CLOSED_EYE_ASPECT_RATIO = 0.10
"""Below it an eye counts as shut."""

CANTHI_TO_ROTATION_MM = 6.0
"""From the midpoint of an eye's two corners straight into the head to its centre of rotation."""

HIDDEN_EYE_YAW_DEG = 40.0
"""Beyond it the nose hides the far eye's inner half."""

_CORNERS_MM = np.mean([CANONICAL_MM[index] for side in (LEFT, RIGHT) for index in EYE_CORNERS[side]], axis=0)
_CANONICAL_EYES_MM = np.array([_CORNERS_MM[0], _CORNERS_MM[1], _CORNERS_MM[2] + CANTHI_TO_ROTATION_MM])
"""The midpoint between the centres of rotation on the canonical face, head frame."""


@dataclass(frozen=True, slots=True)
class FaceGeometry:
    """What the landmarks of one face say.

    Attributes:
        features: In the order of `FEATURE_NAMES`; None when both eyes are shut.
        head_pose: How the head is turned and where it is.
        origin_mm: Midpoint between the eyes' centres of rotation, camera frame, shape (3,).
        distance_mm: From the camera to that midpoint.
        eye_openness: Eye aspect ratio of the viewer's left and right eye.
        iris_diameter_px: The larger of both irises in the picture.
        eyes_mm: Centres of rotation of the left and the right eye, camera frame, shape (2, 3).
        iris_rays: Towards the centres of the left and the right iris, camera frame, z = 1, shape (2, 3).
        irises: Where the geometry of the irises says that the eyes are turned, head frame; None when both are shut.
        outline_mm: The outline of eyes and brows, as `outline.Outline.correct` takes it; None when an eye is hidden or
            shut.
    """

    features: tuple[float, ...] | None
    head_pose: HeadPose
    origin_mm: Vector
    distance_mm: float
    eye_openness: tuple[float, float]
    iris_diameter_px: float
    eyes_mm: NDArray[np.float64]
    iris_rays: NDArray[np.float64]
    irises: GazeDirection | None
    outline_mm: NDArray[np.float64] | None


def measure_face(
    landmarks: Landmarks,
    *,
    vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG,
    outline: Outline | None = OUTLINE,
) -> FaceGeometry:
    """Return the seven features of a face and where it is.

    Mirroring the picture negates iris_x, head_rotation_y and head_rotation_z and changes nothing else. Scaling it
    changes nothing.

    Args:
        landmarks: One face.
        vertical_fov_deg: Of the camera that took the picture.
        outline: What the outline of the eyes adds to the irises; None for the irises' geometry alone.

    Raises:
        ValueError: The landmarks span no face.
    """
    pose = undo_oblique_view(estimate_head_pose(landmarks, vertical_fov_deg=vertical_fov_deg))
    depth_mm = _depth_mm(landmarks, pose, vertical_fov_deg)
    focal_px = focal_length_px(landmarks.image_height_px, vertical_fov_deg)
    eyes_mm = {side: _rotation_centre_mm(landmarks, side, pose, depth_mm, focal_px) for side in (LEFT, RIGHT)}
    origin_mm = (eyes_mm[LEFT] + eyes_mm[RIGHT]) / 2
    distance_mm = float(np.linalg.norm(origin_mm))
    openness = {side: eye_aspect_ratio(landmarks, side) for side in (LEFT, RIGHT)}
    usable = [side for side in (LEFT, RIGHT) if openness[side] >= CLOSED_EYE_ASPECT_RATIO]
    if len(usable) > 1 and abs(pose.yaw_deg) > HIDDEN_EYE_YAW_DEG:
        # The nose points towards the viewer's right: their right eye is the far one.
        usable.remove(RIGHT if pose.yaw_deg > 0 else LEFT)
    iris_rays = _rays(landmarks, (IRIS[LEFT][0], IRIS[RIGHT][0]), focal_px)
    irises, outline_mm = None, None
    if usable:
        to_head = pose.head_rotation.T
        gazes: dict[str, Vector | None] = {LEFT: None, RIGHT: None}
        for side in usable:
            iris_ray = iris_rays[(LEFT, RIGHT).index(side)]
            eye_distance_mm = float(np.linalg.norm(eyes_mm[side]))
            gazes[side] = estimate_gaze(to_head @ eyes_mm[side], to_head @ iris_ray, eye_distance_mm)
        irises = gaze_direction(calculate_combined_gaze(gazes[LEFT], gazes[RIGHT], np.eye(3), distance_mm))
    if len(usable) > 1:
        outline_mm = _outline_mm(landmarks, pose, origin_mm, focal_px)
    geometry = FaceGeometry(
        features=None,
        head_pose=pose,
        origin_mm=origin_mm,
        distance_mm=distance_mm,
        eye_openness=(openness[LEFT], openness[RIGHT]),
        iris_diameter_px=max(iris_diameter_px(landmarks.pixels(IRIS[side])) for side in (LEFT, RIGHT)),
        eyes_mm=np.array([eyes_mm[LEFT], eyes_mm[RIGHT]]),
        iris_rays=iris_rays,
        irises=irises,
        outline_mm=outline_mm,
    )
    return replace(geometry, features=combine_features(geometry, outline))


def combine_features(geometry: FaceGeometry, outline: Outline | None) -> tuple[float, ...] | None:
    """Return the seven features in the order of `FEATURE_NAMES`; None when both eyes are shut.

    Args:
        geometry: Of a face.
        outline: What the outline of the eyes adds to the irises; None for the irises' geometry alone.
    """
    if geometry.irises is None:
        return None
    pose = geometry.head_pose
    head_deg = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
    eyes = geometry.irises
    if outline is not None:
        eyes = outline.correct(eyes, head_deg, geometry.distance_mm, geometry.outline_mm)
    gaze = correct_gaze_vector(gaze_vector(eyes), pose.head_rotation)
    return (*map(float, gaze), *head_deg, geometry.distance_mm)


def find_quality_issues(frame: Frame, landmarks: Landmarks, geometry: FaceGeometry) -> tuple[str, ...]:
    """Return what makes a gaze from this frame unreliable; empty when nothing does.

    Args:
        frame: The picture, RGB, shape (height, width, 3).
        landmarks: The face in it.
        geometry: What `measure_face` made of them.
    """
    issues = []
    xy = landmarks.points[:468, :2]
    if ((xy < 0) | (xy > 1)).any(axis=1).mean() > 0.05:
        issues.append("face_cut_off")
    if geometry.iris_diameter_px < 4.0:
        issues.append("face_too_small")
    if abs(geometry.head_pose.yaw_deg) > 55 or abs(geometry.head_pose.pitch_deg) > 45:
        issues.append("head_turned_away")
    eyes = _crop_eyes(frame, landmarks)
    if eyes.size == 0 or float(eyes.std()) < 4.0:
        issues.append("no_contrast")
    elif float(eyes.mean()) < 12.0:
        issues.append("too_dark")
    return tuple(issues)


def _depth_mm(landmarks: Landmarks, pose: HeadPose, vertical_fov_deg: float) -> float:
    """Return the depth of the eyes' centres of rotation: the geometric mean of what irises and face size say.

    Irises vary by 4 % between people and faces by 5 %, independently; the mean of both is better than either.
    """
    height_px = landmarks.image_height_px
    rays = _rays(landmarks, (IRIS[LEFT][0], IRIS[RIGHT][0]), focal_length_px(height_px, vertical_fov_deg))
    irises = [
        # Away from the middle of the picture a pinhole camera draws what faces it longer outwards, by this factor.
        calculate_distance(landmarks.pixels(IRIS[side]), height_px, vertical_fov_deg=vertical_fov_deg)
        * float(np.linalg.norm(ray))
        for side, ray in zip((LEFT, RIGHT), rays, strict=True)
    ]
    face = float((pose.translation_mm + pose.head_rotation @ _CANONICAL_EYES_MM)[2])
    return math.sqrt((float(np.mean(irises)) + EYE_ROTATION_TO_IRIS_MM) * face)


def _rays(landmarks: Landmarks, indices: tuple[int, ...], focal_px: float) -> NDArray[np.float64]:
    """Return the viewing rays of landmarks in the camera frame with z = 1, shape (n, 3)."""
    centre_px = np.array([landmarks.image_width_px / 2, landmarks.image_height_px / 2])
    xy = (landmarks.pixels(indices)[:, :2] - centre_px) / focal_px
    return np.column_stack([xy, np.ones(len(indices))])


def _rotation_centre_mm(landmarks: Landmarks, side: str, pose: HeadPose, depth_mm: float, focal_px: float) -> Vector:
    """Return an eye's centre of rotation in the camera frame: straight behind the middle of its corners.

    The picture says in which directions the corners lie, the canonical face how much deeper each is than the middle.
    """
    canonical_mm = np.array([CANONICAL_MM[index] for index in EYE_CORNERS[side]]) - _CANONICAL_EYES_MM
    depths_mm = depth_mm + canonical_mm @ pose.head_rotation[2]
    corners_mm = _rays(landmarks, EYE_CORNERS[side], focal_px) * depths_mm[:, None]
    centre: Vector = corners_mm.mean(axis=0) + pose.head_rotation @ [0.0, 0.0, CANTHI_TO_ROTATION_MM]
    return centre


def _outline_mm(landmarks: Landmarks, pose: HeadPose, origin_mm: Vector, focal_px: float) -> NDArray[np.float64]:
    """Return the outline of eyes and brows on a plane before the eyes, as `Outline.correct` takes it."""
    rays = _rays(landmarks, RIGHT_POINTS + LEFT_POINTS, focal_px) @ pose.head_rotation
    origin = pose.head_rotation.T @ origin_mm
    outline_mm: NDArray[np.float64] = rays[:, :2] * ((origin[2] - PLANE_MM) / rays[:, 2:]) - origin[:2]
    return outline_mm


def _crop_eyes(frame: Frame, landmarks: Landmarks) -> NDArray[np.float64]:
    """Return the brightness (mean of R, G, B) of the box around both eyes; empty when it lies outside the picture."""
    corners = landmarks.pixels(EYE_CORNERS[LEFT] + EYE_CORNERS[RIGHT])[:, :2]
    margin = 0.15 * float(np.ptp(corners[:, 0]))
    low = np.maximum(corners.min(axis=0) - margin, 0).astype(int)
    high = np.maximum(corners.max(axis=0) + margin, 0).astype(int)
    crop: NDArray[np.float64] = frame[low[1] : high[1], low[0] : high[0]].mean(axis=2)
    return crop
