"""Landmarks of a synthetic face: the canonical face in front of a pinhole camera, looking at a known point."""

from dataclasses import replace

import numpy as np

from gaze_core.eye_region import PAIRS
from gaze_core.head_pose import CANONICAL_FACE, rotation_matrix
from gaze_core.landmarks import EYE_CORNERS, IRIS, LANDMARK_COUNT, LEFT, LIDS, RIGHT, Landmarks

IPD_MM = 63.0
ROTATION_CENTRE_MM = {
    # Head frame; straight behind the middle of the canonical face's eye corners.
    LEFT: np.array([31.5114, -26.2462, -28.6566]),
    RIGHT: np.array([-31.5114, -26.2462, -28.6566]),
}
MIRROR = {
    4: 4, 6: 6, 10: 10, 33: 263, 54: 284, 67: 297, 117: 346, 119: 348, 121: 350, 127: 356, 129: 358, 132: 361,
    133: 362, 136: 365, 143: 372, 147: 376, 198: 420, 205: 425, 160: 387, 144: 373, 158: 385, 153: 380,
    468: 473, 469: 476, 470: 475, 471: 474, 472: 477, **dict(PAIRS),
}  # fmt: skip
# Points of the right eye: share of the way from outer to inner corner, and height in lid openings (brows: in mm).
LID_POINTS = {
    7: (0.1, -0.25), 163: (0.2, -0.4), 145: (0.5, -0.5), 154: (0.8, -0.4), 155: (0.9, -0.25),
    246: (0.1, 0.25), 161: (0.2, 0.4), 159: (0.5, 0.5), 157: (0.8, 0.4), 173: (0.9, 0.25),
}  # fmt: skip
BROW_POINTS = {55: (0.95, 15.0), 65: (0.7, 18.0), 52: (0.4, 19.0), 105: (0.1, 17.0)}


def make_face(
    *,
    pitch_deg=0.0,
    yaw_deg=0.0,
    roll_deg=0.0,
    place_mm=(0.0, 0.0, 600.0),
    target_mm=(0.0, 0.0, 0.0),
    lid_opening_mm=9.0,
    width_px=640,
    height_px=480,
    vertical_fov_deg=63.0,
    depth_along="ray",
    eye_shapes=None,
):
    """Return the landmarks of a face at `place_mm` (origin of the head frame) whose eyes look at `target_mm`.

    Positions are in the camera frame. The lines of sight meet at the target, and the optical axes point 4.7 degrees
    further out. The iris centre lies 10 mm in front of the eye's centre of rotation, its rim 5.85 mm around the centre.
    Depths run along the ray to the face, as for the landmark network, or along the camera's axis.
    """
    rotation = rotation_matrix(pitch_deg, yaw_deg, roll_deg)
    place = np.array(place_mm, dtype=float)
    points = {int(row[0]): place + rotation @ np.array(row[1:4]) for row in CANONICAL_FACE}
    for side in (LEFT, RIGHT):
        centre = place + rotation @ ROTATION_CENTRE_MM[side]
        towards = np.array(target_mm, dtype=float) - centre
        towards /= np.linalg.norm(towards)
        outwards = rotation @ rotation_matrix(0.0, -4.7 if side == LEFT else 4.7, 0.0) @ rotation.T
        towards = outwards @ towards
        across = np.cross([0.0, 1.0, 0.0], towards)
        across /= np.linalg.norm(across)
        up = np.cross(towards, across)
        iris = centre + 10.0 * towards
        rim = [across, up, -across, -up]
        for index, offset in zip(IRIS[side], [np.zeros(3), *(5.85 * direction for direction in rim)], strict=True):
            points[index] = iris + offset
        outer, inner = (points[index] for index in EYE_CORNERS[side])
        down = rotation @ np.array([0.0, 1.0, 0.0])
        for share, (upper, lower) in zip((1 / 3, 2 / 3), LIDS[side], strict=True):
            middle = outer + share * (inner - outer)
            points[upper], points[lower] = middle - down * lid_opening_mm / 2, middle + down * lid_opening_mm / 2
        for known, unit_mm in ((LID_POINTS, lid_opening_mm), (BROW_POINTS, 1.0)):
            for right, (share, height) in known.items():
                index = MIRROR[right] if side == LEFT else right
                points[index] = outer + share * (inner - outer) - down * height * unit_mm
    towards_face = place / np.linalg.norm(place) if depth_along == "ray" else np.array([0.0, 0.0, 1.0])
    face = project(
        points, place, towards_face, width_px=width_px, height_px=height_px, vertical_fov_deg=vertical_fov_deg
    )
    return replace(face, eye_shapes=eye_shapes)


def project(points_mm, place_mm, depth_axis, *, width_px, height_px, vertical_fov_deg):
    """Return the landmarks of points in the camera frame; missing points are placed where they have no effect."""
    focal_px = 0.5 * height_px / np.tan(np.radians(vertical_fov_deg) / 2)
    landmarks = np.zeros((LANDMARK_COUNT, 3))
    landmarks[:, :2] = 0.5
    for index, point in points_mm.items():
        x, y, z = point
        # The network's z is a depth relative to the middle of the head, in the scale of x (weak perspective).
        relative_depth = depth_axis @ (point - place_mm) / place_mm[2] * focal_px / width_px
        landmarks[index] = [0.5 + focal_px * x / z / width_px, 0.5 + focal_px * y / z / height_px, relative_depth]
    given = [index for index in points_mm if index < 468]
    rest = [index for index in range(468) if index not in points_mm]
    landmarks[rest, 2] = -landmarks[given, 2].sum() / len(rest)
    return Landmarks(landmarks, width_px, height_px)


def mirror(face):
    """Return the landmarks of the mirrored image."""
    swapped = face.points.copy()
    for right, left in MIRROR.items():
        swapped[[right, left]] = face.points[[left, right]]
    swapped[:, 0] = 1 - swapped[:, 0]
    eye_shapes = None if face.eye_shapes is None else face.eye_shapes[::-1]
    return replace(face, points=swapped, eye_shapes=eye_shapes)
