"""Geometry of irises, head and screen.

The camera is a pinhole with square pixels, the principal point in the middle of the image and no distortion.

Gaze directions are arrays of shape (..., 2): horizontal and vertical angle in degrees, as `types.GazeDirection` defines
them. Gaze vectors are arrays of shape (..., 3).
"""

import math
import operator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.head_pose import focal_length_px
from gaze_core.types import (
    DEFAULT_VERTICAL_FOV_DEG,
    Camera,
    Floats,
    GazePoint,
    Matrix,
    Screen,
    Vector,
    Viewport,
)

IRIS_DIAMETER_MM = 11.7
"""Horizontal visible iris diameter of adults, ± 0.5 mm; Ruefer, Schroeder and Erb, Cornea 24, 2005 (11.71 ± 0.42)."""

EYE_ROTATION_TO_IRIS_MM = 10.0
"""Distance from the eye's centre of rotation (13.5 mm behind the apex of the cornea; Fry and Hill, 1962) to the plane
of the iris (about 3.5 mm behind the apex)."""

KAPPA_DEG = 4.7
"""Horizontal angle between an eye's optical axis and its line of sight, which is closer to the nose; Basmak et al.,
Measurement of angle kappa with Synoptophore and Orbscan II, Graefe's Archive 245, 2007 (about 5 ± 1 degrees)."""

IPD_MM = 63.0
"""Interpupillary distance of adults; Dodgson, Variation and extrema of human interpupillary distance, 2004."""


def calculate_distance(
    iris_landmarks: ArrayLike, image_height: float, *, vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG
) -> float:
    """Return an eye's distance from the camera, measured along the camera's axis, in mm.

    The distance follows from the apparent size of the iris. An iris turned away from the camera appears as an ellipse
    whose long axis is still the diameter. Irises of adults vary by 4 %, and so does the result.

    Args:
        iris_landmarks: Centre and four points on the rim in the order of `landmarks.IRIS`, in pixels, shape (5, 2) or
            (5, 3); the third column is ignored.
        image_height: Height of the image in pixels.
        vertical_fov_deg: Vertical field of view of the camera.

    Raises:
        ValueError: The shape is wrong or the iris has no extent.
    """
    diameter_px = iris_diameter_px(iris_landmarks)
    if not diameter_px > 0:
        raise ValueError("iris_landmarks have no extent")
    return focal_length_px(image_height, vertical_fov_deg) * IRIS_DIAMETER_MM / diameter_px


def iris_diameter_px(iris_landmarks: ArrayLike) -> float:
    """Return the long axis of an iris in the image, in pixels.

    Opposite points on the rim are the ends of two conjugate diameters of an ellipse. Its long axis is the largest
    singular value of the matrix whose columns are the two diameters.

    Args:
        iris_landmarks: As in `calculate_distance`.

    Raises:
        ValueError: The shape is wrong or a value is not finite.
    """
    points = np.asarray(iris_landmarks, dtype=np.float64)
    if points.ndim != 2 or points.shape[0] != 5 or points.shape[1] not in (2, 3):
        raise ValueError(f"iris_landmarks must have shape (5, 2) or (5, 3), not {points.shape}")
    _, (x1, y1), (x2, y2), (x3, y3), (x4, y4) = values = points[:, :2].tolist()
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in values):
        raise ValueError("iris_landmarks must be finite")
    a, b, c, d = x1 - x3, x2 - x4, y1 - y3, y2 - y4
    # Largest singular value of [[a, b], [c, d]] in closed form.
    return (math.hypot(a + d, c - b) + math.hypot(a - d, c + b)) / 2


def estimate_gaze(
    eye_center: ArrayLike,
    iris_center: ArrayLike,
    estimated_distance: float,
    *,
    rotation_to_iris_mm: float = EYE_ROTATION_TO_IRIS_MM,
) -> Vector:
    """Return the optical axis of one eye: unit vector in the head frame, shape (3,).

    The iris moves on a sphere around the eye's centre of rotation. The viewing ray of the iris centre meets that sphere
    at the iris. If noise makes the ray miss the sphere, its point nearest to the eye is used.

    Args:
        eye_center: Viewing ray of the eye's centre of rotation in the head frame: R transposed times any point on the
            ray, shape (3,), any length.
        iris_center: Viewing ray of the iris centre in the head frame, shape (3,), any length.
        estimated_distance: Distance from the camera to the eye's centre of rotation, mm.
        rotation_to_iris_mm: Distance from the centre of rotation to the centre of the iris.

    Raises:
        ValueError: A ray has no length, or the distance does not exceed `rotation_to_iris_mm`.
    """
    eye_ray, iris_ray = _unit(eye_center, "eye_center"), _unit(iris_center, "iris_center")
    if not estimated_distance > rotation_to_iris_mm:
        raise ValueError("estimated_distance must exceed rotation_to_iris_mm")
    eye_mm = [estimated_distance * each for each in eye_ray]
    along_mm = sum(map(operator.mul, iris_ray, eye_mm))
    squared_miss = estimated_distance**2 - along_mm**2
    inside = rotation_to_iris_mm**2 - squared_miss
    reach_mm = along_mm - math.sqrt(max(inside, 0.0))
    return np.array(_unit([reach_mm * ray - eye for ray, eye in zip(iris_ray, eye_mm, strict=True)], "gaze"))


def correct_gaze_vector(gaze_vector: ArrayLike, head_rotation: Matrix) -> Vector:
    """Rotate a gaze vector from the head frame to the camera frame and return the unit vector, shape (3,).

    Args:
        gaze_vector: Gaze vector in the head frame, shape (3,), any length.
        head_rotation: Rotation R from head frame to camera frame, shape (3, 3).

    Raises:
        ValueError: The vector has no length, or the matrix is not a rotation.
    """
    rotation = np.asarray(head_rotation, dtype=np.float64)
    if rotation.shape != (3, 3) or not _has_orthonormal_rows(rotation):
        raise ValueError("head_rotation must be a rotation matrix")
    corrected: Vector = rotation @ _unit(gaze_vector, "gaze_vector")
    return corrected


def _has_orthonormal_rows(matrix: Matrix) -> bool:
    """Return whether a matrix of shape (3, 3) is orthogonal, written for one: numpy takes several times as long."""
    first, second, third = matrix.tolist()
    lengths = (math.hypot(*row) for row in (first, second, third))
    products = (sum(map(operator.mul, *pair)) for pair in ((first, second), (second, third), (third, first)))
    return all(abs(length - 1.0) < 5e-7 for length in lengths) and all(abs(product) < 1e-6 for product in products)


def calculate_combined_gaze(
    left_gaze: ArrayLike | None,
    right_gaze: ArrayLike | None,
    head_rotation: Matrix,
    distance: float,
    *,
    ipd_mm: float = IPD_MM,
) -> Vector:
    """Return the gaze vector of both eyes: unit vector in the camera frame, shape (3,).

    The gaze ray starts at the midpoint between the eyes.

    Eyes converge on near points: at 500 mm each turns 3.6 degrees towards the nose. Each eye's line of sight (its
    optical axis turned towards the nose by angle kappa) is therefore followed for `distance`. The result points from
    the midpoint to the end of that line, or to the mean of both ends, so one eye gives the same direction as two.

    Args:
        left_gaze: Optical axis of the viewer's left eye in the head frame, shape (3,); None if hidden or shut.
        right_gaze: Optical axis of the viewer's right eye in the head frame, shape (3,); None if hidden or shut.
        head_rotation: Rotation R from head frame to camera frame, shape (3, 3).
        distance: Distance from the eyes to the fixated point, mm; the screen is about as far as the camera.
        ipd_mm: Distance between the eyes.

    Raises:
        ValueError: Both eyes are None, or the distance is not positive.
    """
    if not distance > 0:
        raise ValueError("distance must be positive")
    half_mm = ipd_mm / 2
    reached_mm = []
    for gaze, side, name in ((left_gaze, 1.0, "left_gaze"), (right_gaze, -1.0, "right_gaze")):
        if gaze is not None:
            x, y, z = _turn_to_nose(_unit(gaze, name), side)
            reached_mm.append((side * half_mm + distance * x, distance * y, distance * z))
    if not reached_mm:
        raise ValueError("left_gaze or right_gaze must be given")
    return correct_gaze_vector([sum(axis) / len(reached_mm) for axis in zip(*reached_mm, strict=True)], head_rotation)


def _turn_to_nose(optical_axis: tuple[float, float, float], side: float) -> tuple[float, float, float]:
    """Return the line of sight of the left (side = 1) or right (side = -1) eye in the head frame."""
    angle = math.radians(KAPPA_DEG) * side
    x, y, z = optical_axis
    # Rotation about the head's vertical axis; the nose is at smaller x than the left eye.
    return math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x


def gaze_direction(gaze_vector: ArrayLike) -> Floats:
    """Return gaze directions in degrees, shape (..., 2), from gaze vectors in the same frame.

    Args:
        gaze_vector: Gaze vectors of any length, shape (..., 3).

    Raises:
        ValueError: The last axis does not have length 3, or a vector has no finite length above zero.

    Source: pitch and yaw of Zhang et al., Appearance-based gaze estimation in the wild, CVPR 2015, with the signs
    changed to the viewer's right and up.
    """
    vectors = np.asarray(gaze_vector, dtype=np.float64)
    if vectors.shape[-1:] != (3,):
        raise ValueError(f"gaze_vector must have shape (..., 3), not {vectors.shape}")
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    across = np.hypot(x, z)
    lengths = np.hypot(across, y)
    if not ((lengths > 0) & (lengths < np.inf)).all():
        raise ValueError("gaze_vector must have a finite length above zero")
    directions = np.empty((*vectors.shape[:-1], 2))
    directions[..., 0], directions[..., 1] = np.arctan2(-x, -z), np.arctan2(-y, across)
    return np.degrees(directions, out=directions)


def gaze_vector(direction_deg: ArrayLike) -> Floats:
    """Return unit gaze vectors, shape (..., 3), from gaze directions in the same frame; inverts `gaze_direction`.

    Args:
        direction_deg: Horizontal and vertical angle, shape (..., 2).

    Raises:
        ValueError: The last axis does not have length 2.
    """
    angles = np.radians(np.asarray(direction_deg, dtype=np.float64))
    if angles.shape[-1:] != (2,):
        raise ValueError(f"direction_deg must have shape (..., 2), not {angles.shape}")
    sines, cosines = np.sin(angles), np.cos(angles)
    vectors = np.empty((*angles.shape[:-1], 3))
    vectors[..., 0] = -cosines[..., 1] * sines[..., 0]
    vectors[..., 1] = -sines[..., 1]
    vectors[..., 2] = -cosines[..., 1] * cosines[..., 0]
    return vectors


def rotate_directions(direction_deg: ArrayLike, rotation: ArrayLike) -> Floats:
    """Return gaze directions in another frame, degrees, shape (..., 2).

    Args:
        direction_deg: Gaze directions, shape (..., 2).
        rotation: Rotations from their frame to the other, shape (..., 3, 3); both shapes are broadcast.
    """
    return gaze_direction((np.asarray(rotation) @ gaze_vector(direction_deg)[..., None])[..., 0])


def visual_angle_deg(first_deg: ArrayLike, second_deg: ArrayLike) -> Floats:
    """Return the angles at the eye between gaze directions, in degrees, shape (...); NaN where a direction is NaN.

    Args:
        first_deg: Gaze directions, shape (..., 2).
        second_deg: Gaze directions in the same frame, shape (..., 2); both shapes are broadcast.
    """
    first, second = gaze_vector(first_deg), gaze_vector(second_deg)
    sines = np.linalg.norm(np.cross(first, second), axis=-1)
    angles: Floats = np.degrees(np.arctan2(sines, (first * second).sum(axis=-1)))
    return angles


def point_of_gaze(direction_deg: ArrayLike, origin_mm: ArrayLike, screen: Screen, camera: Camera) -> GazePoint | None:
    """Return the point where a gaze ray meets the screen's plane, or None if it points away from the screen.

    Args:
        direction_deg: Gaze direction in the camera frame, shape (2,).
        origin_mm: Start of the ray, the midpoint between the eyes, camera frame, shape (3,).
        screen: Size of the viewer's screen.
        camera: Position of the camera relative to the screen.
    """
    (point,) = points_of_gaze(
        np.asarray(direction_deg, dtype=np.float64)[None],
        np.asarray(origin_mm, dtype=np.float64)[None],
        screen,
        camera,
    )
    return point


def points_of_gaze(
    directions_deg: ArrayLike, origins_mm: ArrayLike, screen: Screen, camera: Camera
) -> list[GazePoint | None]:
    """Return the points where gaze rays meet the screen's plane; None for rays that point away from the screen.

    Args:
        directions_deg: Gaze directions in the camera frame, shape (n, 2).
        origins_mm: Starts of the rays, camera frame, shape (n, 3).
        screen: Size of the viewer's screen.
        camera: Position of the camera relative to the screen.
    """
    axes = _screen_axes(camera.tilt_deg)
    # Sums instead of matrix products, so that a point does not depend on the number of rays.
    towards = (gaze_vector(directions_deg)[:, None, :] * axes).sum(axis=2)
    shift_mm = np.array([camera.offset_x_mm, camera.offset_y_mm, 0.0])
    starts_mm = (np.asarray(origins_mm, dtype=np.float64)[:, None, :] * axes).sum(axis=2) + shift_mm
    meets = (towards[:, 2] <= -1e-6) & (starts_mm[:, 2] > 0)
    away = np.where(meets, towards[:, 2], -1.0)
    points_mm = starts_mm - towards * (starts_mm[:, 2] / away)[:, None]
    x, y = points_mm[:, 0] / screen.width_mm + 0.5, -points_mm[:, 1] / screen.height_mm
    found = zip(meets.tolist(), x.tolist(), y.tolist(), strict=True)
    return [GazePoint(x, y) if is_met else None for is_met, x, y in found]


def screen_point_mm(point: GazePoint, screen: Screen, camera: Camera) -> Vector:
    """Return the position of a screen point in the camera frame, mm, shape (3,)."""
    on_screen_mm = np.array([(point.x - 0.5) * screen.width_mm, -point.y * screen.height_mm, 0.0])
    camera_mm = np.array([camera.offset_x_mm, camera.offset_y_mm, 0.0])
    point_mm: Vector = _screen_axes(camera.tilt_deg).T @ (on_screen_mm - camera_mm)
    return point_mm


def direction_to(point: GazePoint, origin_mm: ArrayLike, screen: Screen, camera: Camera) -> Floats:
    """Return gaze directions in the camera frame towards a point of the screen, degrees, shape (..., 2).

    Args:
        point: Fixated point.
        origin_mm: Midpoints between the eyes, camera frame, shape (..., 3).
        screen: Size of the viewer's screen.
        camera: Position of the camera relative to the screen.
    """
    return gaze_direction(screen_point_mm(point, screen, camera) - np.asarray(origin_mm, dtype=np.float64))


def screen_to_video(point: GazePoint, viewport: Viewport) -> GazePoint:
    """Convert a screen point to the video's normalised coordinates; outside the video they lie outside 0..1."""
    return GazePoint((point.x - viewport.x) / viewport.width, (point.y - viewport.y) / viewport.height)


@lru_cache(maxsize=256)
def _screen_axes(tilt_deg: float) -> Matrix:
    """Return the rotation from the camera frame to the screen's axes: viewer's right, up, towards the viewer."""
    tilt = math.radians(tilt_deg)
    untilted = np.diag([-1.0, -1.0, 1.0])
    turn = np.array(
        [[1, 0, 0], [0, math.cos(tilt), math.sin(tilt)], [0, -math.sin(tilt), math.cos(tilt)]],
        dtype=np.float64,
    )
    axes: Matrix = turn @ untilted
    axes.flags.writeable = False  # shared
    return axes


def _unit(vector: ArrayLike, name: str) -> tuple[float, float, float]:
    array = np.asarray(vector, dtype=np.float64)
    if array.shape != (3,):
        raise ValueError(f"{name} must have shape (3,), not {array.shape}")
    x, y, z = array.tolist()
    length = math.hypot(x, y, z)
    if not (math.isfinite(length) and length > 0):
        raise ValueError(f"{name} must have a finite length above zero")
    return x / length, y / length, z / length
