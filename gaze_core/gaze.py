"""The geometry between irises, head and screen.

Camera model: a pinhole with square pixels, its principal point in the middle of the picture and no distortion.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.head_pose import focal_length_px
from gaze_core.types import (
    DEFAULT_VERTICAL_FOV_DEG,
    Camera,
    GazeDirection,
    GazePoint,
    Matrix,
    Screen,
    Vector,
    Viewport,
)

IRIS_DIAMETER_MM = 11.7
"""Horizontal visible iris diameter of adults, +- 0.5 mm; Ruefer, Schroeder and Erb, Cornea 24, 2005 (11.71 +- 0.42)."""

EYE_ROTATION_TO_IRIS_MM = 10.0
"""From the eye's centre of rotation (13.5 mm behind the apex of the cornea; Fry and Hill, 1962) to the plane of the
iris's rim (about 3.5 mm behind the apex)."""

KAPPA_DEG = 4.7
"""Horizontal angle between an eye's optical axis and its line of sight, which lies nearer to the nose; Basmak et al.,
Measurement of angle kappa with Synoptophore and Orbscan II, Graefe's Archive 245, 2007 (about 5 +- 1 degrees)."""

_IDENTITY = np.eye(3)

IPD_MM = 63.0
"""Distance between the pupils of adults; Dodgson, Variation and extrema of human interpupillary distance, 2004."""


def calculate_distance(
    iris_landmarks: ArrayLike, image_height: float, *, vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG
) -> float:
    """Return how far from the camera an eye is, along the camera's axis, in mm, from how large its iris looks.

    An iris turned away from the camera looks like an ellipse, whose long axis is still its diameter. Adults' irises
    vary by 4 %, so does the result.

    Args:
        iris_landmarks: Centre, then four points on the rim in the order of `landmarks.IRIS`, in pixels, shape (5, 2)
            or (5, 3); a third column is not used.
        image_height: Height of the picture in pixels.
        vertical_fov_deg: Vertical field of view of the camera.

    Raises:
        ValueError: The shape is another one, or the iris has no extent.
    """
    diameter_px = iris_diameter_px(iris_landmarks)
    if not diameter_px > 0:
        raise ValueError("iris_landmarks have no extent")
    return focal_length_px(image_height, vertical_fov_deg) * IRIS_DIAMETER_MM / diameter_px


def iris_diameter_px(iris_landmarks: ArrayLike) -> float:
    """Return the long axis of an iris in the picture, in pixels.

    Opposite points of the rim are the ends of two conjugate diameters of the ellipse; its long axis is the largest
    singular value of both side by side.

    Args:
        iris_landmarks: As in `calculate_distance`.

    Raises:
        ValueError: The shape is another one or a value is not finite.
    """
    points = np.asarray(iris_landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] != 5 or points.shape[1] not in (2, 3):
        raise ValueError(f"iris_landmarks must have shape (5, 2) or (5, 3), not {points.shape}")
    if not np.isfinite(points[:, :2]).all():
        raise ValueError("iris_landmarks must be finite")
    (a, c), (b, d) = points[1, :2] - points[3, :2], points[2, :2] - points[4, :2]
    # Largest singular value of [[a, b], [c, d]] in closed form.
    return float(math.hypot(a + d, c - b) + math.hypot(a - d, c + b)) / 2


def estimate_gaze(
    eye_center: ArrayLike,
    iris_center: ArrayLike,
    estimated_distance: float,
    *,
    rotation_to_iris_mm: float = EYE_ROTATION_TO_IRIS_MM,
) -> Vector:
    """Return where one eye points: unit vector in the head frame, shape (3,), along its optical axis.

    The iris turns on a sphere about the eye's centre of rotation. The ray through the picture's iris centre meets that
    sphere where the iris is; a ray that misses it, as noise can make it do, counts where it comes nearest.

    Args:
        eye_center: The eye's centre of rotation as seen from the camera, turned into the head frame: R transposed
            times any point on its viewing ray, shape (3,), any length.
        iris_center: The iris's centre, likewise.
        estimated_distance: From the camera to the eye's centre of rotation, mm.
        rotation_to_iris_mm: From the centre of rotation to the centre of the iris.

    Raises:
        ValueError: A ray without length, or a distance that does not exceed `rotation_to_iris_mm`.
    """
    eye_ray, iris_ray = _unit(eye_center, "eye_center"), _unit(iris_center, "iris_center")
    if not estimated_distance > rotation_to_iris_mm:
        raise ValueError("estimated_distance must exceed rotation_to_iris_mm")
    eye_mm = eye_ray * estimated_distance
    along_mm = float(iris_ray @ eye_mm)
    squared_miss = estimated_distance**2 - along_mm**2
    inside = rotation_to_iris_mm**2 - squared_miss
    iris_mm = iris_ray * (along_mm - math.sqrt(max(inside, 0.0)))
    return _unit(iris_mm - eye_mm, "gaze")


def correct_gaze_vector(gaze_vector: ArrayLike, head_rotation: Matrix) -> Vector:
    """Return a gaze vector of the head frame in the camera frame: unit vector, shape (3,).

    Args:
        gaze_vector: Any length, head frame, shape (3,).
        head_rotation: R, head frame to camera frame, shape (3, 3).

    Raises:
        ValueError: The vector has no length or the matrix is no rotation.
    """
    rotation = np.asarray(head_rotation, dtype=np.float64)
    if rotation.shape != (3, 3) or not np.abs(rotation @ rotation.T - _IDENTITY).max() < 1e-6:
        raise ValueError("head_rotation must be a rotation matrix")
    corrected: Vector = rotation @ _unit(gaze_vector, "gaze_vector")
    return corrected


def calculate_combined_gaze(
    left_gaze: ArrayLike | None,
    right_gaze: ArrayLike | None,
    head_rotation: Matrix,
    distance: float,
    *,
    ipd_mm: float = IPD_MM,
) -> Vector:
    """Return where both eyes together look: unit vector in the camera frame, shape (3,).

    The ray starts at the midpoint between the eyes.

    Eyes that look at a near point converge: at 500 mm each turns 3.6 degrees towards the nose. So each eye's ray is
    followed for `distance`, and the direction is that of the point reached, seen from the midpoint; with two eyes it
    is the mean of both points. An eye's line of sight is its optical axis turned towards the nose by angle kappa. So
    one eye alone gives the same direction as both.

    Args:
        left_gaze: Optical axis of the viewer's left eye in the head frame, shape (3,); None when hidden or shut.
        right_gaze: The right one, likewise.
        head_rotation: R, head frame to camera frame, shape (3, 3).
        distance: From the eyes to what is looked at, mm; the screen is about as far as the camera.
        ipd_mm: Distance between the eyes.

    Raises:
        ValueError: Neither eye is given, or the distance is not positive.
    """
    if not distance > 0:
        raise ValueError("distance must be positive")
    half_mm = ipd_mm / 2
    reached = [
        np.array([side * half_mm, 0.0, 0.0]) + distance * _turn_to_nose(_unit(gaze, name), side)
        for gaze, side, name in ((left_gaze, 1.0, "left_gaze"), (right_gaze, -1.0, "right_gaze"))
        if gaze is not None
    ]
    if not reached:
        raise ValueError("left_gaze or right_gaze must be given")
    return correct_gaze_vector(np.mean(reached, axis=0), head_rotation)


def _turn_to_nose(optical_axis: Vector, side: float) -> Vector:
    """Return the line of sight of the left (side = 1) or right (side = -1) eye, head frame."""
    angle = math.radians(KAPPA_DEG) * side
    x, y, z = optical_axis
    # About the head's vertical; the nose is at smaller x for the left eye.
    return np.array([math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x])


def gaze_direction(gaze_vector: ArrayLike) -> GazeDirection:
    """Return the angles of a gaze vector of the camera frame, as the viewer sees the screen.

    Source: the pitch and yaw of Zhang et al., Appearance-based gaze estimation in the wild, CVPR 2015, with the signs
    of the viewer's right and up.
    """
    x, y, z = _unit(gaze_vector, "gaze_vector")
    return GazeDirection(math.degrees(math.atan2(-x, -z)), math.degrees(math.atan2(-y, math.hypot(x, z))))


def gaze_vector(direction: GazeDirection) -> Vector:
    """Return the unit vector of a gaze direction in the camera frame, shape (3,); the inverse of `gaze_direction`."""
    x, y = math.radians(direction.gaze_x_deg), math.radians(direction.gaze_y_deg)
    return np.array([-math.cos(y) * math.sin(x), -math.sin(y), -math.cos(y) * math.cos(x)])


def point_of_regard(direction: GazeDirection, origin_mm: ArrayLike, screen: Screen, camera: Camera) -> GazePoint | None:
    """Return where the gaze ray meets the screen's plane; None when it points away from it.

    Args:
        direction: Of the ray, in the camera frame.
        origin_mm: Its start, the midpoint between the eyes, camera frame, shape (3,).
        screen: The viewer's screen.
        camera: Where the camera sits on it.
    """
    towards = _screen_axes(camera) @ gaze_vector(direction)
    start_mm = _on_screen_mm(np.asarray(origin_mm, dtype=np.float64), camera)
    if towards[2] > -1e-6 or start_mm[2] <= 0:
        return None
    x_mm, y_mm, _ = start_mm - towards * start_mm[2] / towards[2]
    return GazePoint(float(x_mm / screen.width_mm + 0.5), float(-y_mm / screen.height_mm))


def screen_point_mm(point: GazePoint, screen: Screen, camera: Camera) -> Vector:
    """Return a point of the screen in the camera frame, mm, shape (3,)."""
    on_screen = np.array([(point.x - 0.5) * screen.width_mm, -point.y * screen.height_mm, 0.0])
    camera_mm = np.array([camera.offset_x_mm, camera.offset_y_mm, 0.0])
    point_mm: Vector = _screen_axes(camera).T @ (on_screen - camera_mm)
    return point_mm


def direction_to(point: GazePoint, origin_mm: ArrayLike, screen: Screen, camera: Camera) -> GazeDirection:
    """Return the gaze direction of somebody at `origin_mm` (camera frame) who looks at a point of the screen."""
    return gaze_direction(screen_point_mm(point, screen, camera) - np.asarray(origin_mm, dtype=np.float64))


def visual_angle_deg(first: GazeDirection, second: GazeDirection) -> float:
    """Return the angle at the eye between two gaze directions, in degrees."""
    a, b = gaze_vector(first), gaze_vector(second)
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b)))


def screen_to_video(point: GazePoint, viewport: Viewport) -> GazePoint:
    """Return a point of the screen in the video's own normalised coordinates; off the video they leave 0..1."""
    return GazePoint((point.x - viewport.x) / viewport.width, (point.y - viewport.y) / viewport.height)


def _screen_axes(camera: Camera) -> Matrix:
    """Return the rotation from the camera frame to the screen's axes: right as the viewer sees it, up, to them."""
    tilt = math.radians(camera.tilt_deg)
    untilted = np.diag([-1.0, -1.0, 1.0])
    turn = np.array(
        [[1, 0, 0], [0, math.cos(tilt), math.sin(tilt)], [0, -math.sin(tilt), math.cos(tilt)]],
        dtype=np.float64,
    )
    axes: Matrix = turn @ untilted
    return axes


def _on_screen_mm(point_mm: Vector, camera: Camera) -> Vector:
    on_screen_mm: Vector = _screen_axes(camera) @ point_mm + [camera.offset_x_mm, camera.offset_y_mm, 0.0]
    return on_screen_mm


def _unit(vector: ArrayLike, name: str) -> Vector:
    array = np.asarray(vector, dtype=np.float64)
    if array.shape != (3,):
        raise ValueError(f"{name} must have shape (3,), not {array.shape}")
    length = float(np.linalg.norm(array))
    if not (math.isfinite(length) and length > 0):
        raise ValueError(f"{name} must have a finite length above zero")
    return array / length
