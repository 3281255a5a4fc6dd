"""Head pose from landmarks: the canonical face fitted to the landmarks of an image."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.landmarks import Landmarks
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, Floats, HeadPose, Matrix

# Landmark index, its position on MediaPipe's canonical face (head frame, x, y, z in mm) and its weight in the fit.
# Taken from geometry_pipeline_metadata_landmarks.binarypb in the face landmarker's bundle; a test compares them with
# the file.
CANONICAL_FACE = (
    (4, 0.0000, 4.6317, -75.8658, 0.07090994),
    (6, 0.0000, -24.7325, -57.8863, 0.03210014),
    (10, 0.0000, -82.6178, -44.8153, 0.00844655),
    (33, -44.4586, -26.6399, -31.7342, 0.05872417),
    (54, -62.7933, -66.1543, -14.2585, 0.00766708),
    (67, -35.2396, -80.0598, -37.2916, 0.00907806),
    (117, -52.5866, -9.4581, -29.7431, 0.00979194),
    (119, -33.0068, -8.6164, -38.7278, 0.01456537),
    (121, -18.2073, -14.6795, -42.2412, 0.01859136),
    (127, -77.4309, -23.6500, 20.0517, 0.00519799),
    (129, -17.8579, 9.7828, -48.5047, 0.12062521),
    (132, -72.7090, 28.9092, 22.5245, 0.00556002),
    (133, -18.5643, -25.8524, -37.5790, 0.05328618),
    (136, -50.8528, 71.7859, -7.1471, 0.06689046),
    (143, -64.0757, -22.3602, -15.6084, 0.01481655),
    (147, -62.3488, 19.4443, -16.6354, 0.01426283),
    (198, -12.4681, -2.3030, -56.8104, 0.02546219),
    (205, -38.3293, 15.3733, -41.3773, 0.04725228),
    (263, 44.4586, -26.6399, -31.7342, 0.05872417),
    (284, 62.7933, -66.1543, -14.2585, 0.00766708),
    (297, 35.2396, -80.0598, -37.2916, 0.00907806),
    (346, 52.5866, -9.4581, -29.7431, 0.00979194),
    (348, 33.0068, -8.6164, -38.7278, 0.01456537),
    (350, 18.2073, -14.6795, -42.2412, 0.01859136),
    (356, 77.4309, -23.6500, 20.0517, 0.00519799),
    (358, 17.8579, 9.7828, -48.5047, 0.12062521),
    (361, 72.7090, 28.9092, 22.5245, 0.00556002),
    (362, 18.5643, -25.8524, -37.5790, 0.05328618),
    (365, 50.8528, 71.7859, -7.1471, 0.06689046),
    (372, 64.0757, -22.3602, -15.6084, 0.01481655),
    (376, 62.3488, 19.4443, -16.6354, 0.01426283),
    (420, 12.4681, -2.3030, -56.8104, 0.02546219),
    (425, 38.3293, 15.3733, -41.3773, 0.04725228),
)
CANONICAL_MM = {int(row[0]): np.array(row[1:4]) for row in CANONICAL_FACE}
_INDICES = np.array([int(row[0]) for row in CANONICAL_FACE])
_CANONICAL_MM = np.array(list(CANONICAL_MM.values()))
_WEIGHTS = np.array([row[4] for row in CANONICAL_FACE])
_WEIGHTS_SUM = float(_WEIGHTS.sum())
_CANONICAL_CENTRE_MM = _WEIGHTS @ _CANONICAL_MM / _WEIGHTS_SUM
_CANONICAL_CENTRED_MM = _CANONICAL_MM - _CANONICAL_CENTRE_MM
_WEIGHTED_CANONICAL_MM = _WEIGHTS[:, None] * _CANONICAL_CENTRED_MM
_CANONICAL_SPREAD = float(_WEIGHTS @ (_CANONICAL_CENTRED_MM**2).sum(axis=1))


OBLIQUE_SHARE = 0.56
"""Apparent head rotation per degree of viewing angle. Measured: 0.55 on real frames turned by an exact homography, 0.58
on rendered heads; shearing a shape as deep as it is wide would give 0.5."""


_IDENTITY = np.eye(3)

_MAX_STEPS = 100
"""Newton's method takes about six steps for a face, and a few dozen for points on a line."""


def focal_length_px(image_height_px: float, vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG) -> float:
    """Return the focal length in pixels of a pinhole camera with square pixels and the given field of view."""
    return 0.5 * image_height_px / math.tan(math.radians(vertical_fov_deg) / 2)


def rotation_matrix(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Matrix:
    """Return the rotation R from head frame to camera frame for the angles of `HeadPose`, shape (3, 3)."""
    a, b, c = math.radians(-pitch_deg), math.radians(yaw_deg), math.radians(-roll_deg)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    rotation: Matrix = about_z @ about_y @ about_x
    return rotation


def rotation_matrices(head_deg: ArrayLike) -> Floats:
    """Return the rotations of `rotation_matrix` for many heads, shape (..., 3, 3).

    Args:
        head_deg: Pitch, yaw and roll, shape (..., 3).
    """
    signed = np.radians(np.asarray(head_deg, dtype=np.float64)) * [-1.0, 1.0, -1.0]
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = (
        np.moveaxis(np.sin(signed), -1, 0),
        np.moveaxis(np.cos(signed), -1, 0),
    )
    rows = (
        (cos_c * cos_b, cos_c * sin_b * sin_a - sin_c * cos_a, cos_c * sin_b * cos_a + sin_c * sin_a),
        (sin_c * cos_b, sin_c * sin_b * sin_a + cos_c * cos_a, sin_c * sin_b * cos_a - cos_c * sin_a),
        (-sin_b, cos_b * sin_a, cos_b * cos_a),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def head_angles_deg(head_rotation: Matrix) -> tuple[float, float, float]:
    """Return pitch, yaw and roll of a rotation as `HeadPose` defines them; the inverse of `rotation_matrix`."""
    (r00, _, _), (r10, _, _), (r20, r21, r22) = head_rotation.tolist()
    pitch = -math.degrees(math.atan2(r21, r22))
    yaw = math.degrees(math.atan2(-r20, math.hypot(r21, r22)))
    roll = -math.degrees(math.atan2(r10, r00))
    return pitch, yaw, roll


def estimate_head_pose(face_landmarks: Landmarks, *, vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG) -> HeadPose:
    """Return the rotation and position of the head.

    Lifts the landmarks into space and fits the canonical face to them by weighted Procrustes analysis. The position is
    exact for a face of the canonical size; a face 5 % larger appears 5 % nearer. MediaPipe lifts and fits three times,
    but lifting for another scale only divides all points by it: the first fit already gives what the third one does.

    Args:
        face_landmarks: Landmarks of one face.
        vertical_fov_deg: Vertical field of view of the camera.

    Raises:
        ValueError: The landmarks are not finite or do not span three dimensions.

    Source: MediaPipe, geometry_pipeline.cc (the two-step estimate of the scale) and procrustes_solver.cc; Schoenemann
    and Carroll, Fitting one matrix to another under choice of a central dilation and a rigid motion, 1970.
    """
    points = face_landmarks.pixels(_INDICES)
    if not all(map(math.isfinite, points.ravel().tolist())):
        raise ValueError("landmarks must be finite")
    focal_px = focal_length_px(face_landmarks.image_height_px, vertical_fov_deg)
    # Undo the perspective: move each point along its ray, x right, y down, z away, to the depth given by its z.
    lifted = (points - (face_landmarks.image_width_px / 2, face_landmarks.image_height_px / 2, 0.0)) / focal_px
    # The mean over the same 468 points as in MediaPipe: a constant added to every z cancels below only to first order.
    mean_z = float(np.add.reduce(face_landmarks.points[:468, 2])) / 468 * face_landmarks.image_width_px / focal_px
    depths = lifted[:, 2] - (mean_z - 1.0)
    lifted[:, 2] = 1.0
    lifted *= depths[:, None]
    rotation, scale = _fit_rotation(lifted)
    translation_mm = _WEIGHTS @ lifted / (_WEIGHTS_SUM * scale) - rotation @ _CANONICAL_CENTRE_MM
    pitch_deg, yaw_deg, roll_deg = head_angles_deg(rotation)
    return HeadPose(pitch_deg, yaw_deg, roll_deg, rotation, translation_mm)


def undo_oblique_view(pose: HeadPose) -> HeadPose:
    """Return the true pose of a head that is not in the middle of the image.

    The landmark network sees a crop around the face, so its depths run along the ray to the face. `estimate_head_pose`,
    like MediaPipe's own matrix, takes them as depths along the camera's axis. That shears the face, and the fitted
    rotation absorbs part of the shear. This function turns the head back by `OBLIQUE_SHARE` of the rotation that
    carries the camera's axis to the ray. The position does not change.
    """
    right, down, away = pose.translation_mm.tolist()
    across = math.hypot(right, down)
    if across < 1e-9 * math.hypot(across, away):
        return pose
    angle = OBLIQUE_SHARE * math.atan2(across, away)
    x, y = -down / across, right / across
    cross = np.array([[0.0, 0.0, y], [0.0, 0.0, -x], [-y, x, 0.0]])
    turn = _IDENTITY + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    rotation: Matrix = turn @ pose.head_rotation
    return HeadPose(*head_angles_deg(rotation), rotation, pose.translation_mm)


def _fit_rotation(target: NDArray[np.float64]) -> tuple[Matrix, float]:
    """Return the rotation and scale that best map the canonical face to the target points.

    In closed form but for one number, the largest sum of singular values with the signs that a rotation allows. A
    singular value decomposition takes three times as long for one matrix.

    Raises:
        ValueError: The points do not determine a rotation.

    Source: Markley, Attitude determination using vector observations: a fast optimal matrix algorithm, Journal of the
    Astronautical Sciences 41, 1993.
    """
    design = target.T @ _WEIGHTED_CANONICAL_MM
    (a, b, c), (d, e, f), (g, h, i) = design.tolist()
    cofactors = (
        (e * i - f * h, f * g - d * i, d * h - e * g),
        (c * h - b * i, a * i - c * g, b * g - a * h),
        (b * f - c * e, c * d - a * f, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[0][1] + c * cofactors[0][2]
    squares = a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h + i * i
    squared_cofactors = sum(each * each for row in cofactors for each in row)
    total = _sum_singular_values(squares, squared_cofactors, determinant)
    half_rest = (total * total - squares) / 2
    divisor = half_rest * total - determinant
    # Near zero, rounding errors grow: up to here, the columns are orthonormal to a millionth.
    if not divisor > 1e-9 * total * total * total:
        raise ValueError("landmarks do not span space")
    rotation: Matrix = design * (half_rest + squares) + total * np.array(cofactors) - design @ design.T @ design
    rotation /= divisor
    return rotation, total / _CANONICAL_SPREAD


def _sum_singular_values(squares: float, squared_cofactors: float, determinant: float) -> float:
    """Return the sum of the singular values of a 3 × 3 matrix; the smallest has the sign of the determinant.

    It is the largest root of a quartic polynomial. Newton's method starts above it and so never jumps over it.

    Args:
        squares: Sum of the squares of the matrix's elements.
        squared_cofactors: The same for its cofactors.
        determinant: Its determinant.
    """
    total = math.sqrt(3 * squares)
    for _ in range(_MAX_STEPS):
        rest = total * total - squares
        slope = 4 * rest * total - 8 * determinant
        step = (rest * rest - 8 * determinant * total - 4 * squared_cofactors) / slope if slope > 0 else 0.0
        total -= step
        if not step > 1e-15 * total:
            break
    return total
