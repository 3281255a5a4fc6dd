"""Normalised views of the eyes: where a virtual camera sees each eye, and how to cut it out of the frame.

The virtual camera stands where the real one does but points at the midpoint between the eyes. Its x axis is the head's
x axis as the camera sees it, so the head has no roll. Every eye appears upright and at the same scale, whatever its
place, distance and roll; only its gaze, its shape and the head's pitch and yaw are left.

Virtual camera frame: x right in the image, y down, z from the camera to the midpoint between the eyes, mm. Looking from
that midpoint into the camera is (0, 0, -1).

Source: the normalisation of Zhang, Sugano and Bulling, Revisiting data normalization for appearance-based gaze
estimation, ETRA 2018, with a fixed scale instead of a fixed distance.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from gaze_core.features import CANTHI_TO_ROTATION_MM, FaceGeometry
from gaze_core.gaze import rotate_directions
from gaze_core.head_pose import focal_length_px, head_angles_deg
from gaze_core.types import EyeGazes, Floats, Matrix

EYE_IMAGE_WIDTH_PX, EYE_IMAGE_HEIGHT_PX = 72, 48

EYE_IMAGE_PX_PER_MM = 1.5
"""Scale of an eye image in the plane of the eye's corners."""

_MIRROR = np.array([[-1.0, 0.0, EYE_IMAGE_WIDTH_PX], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
_FROM_PIXEL_CENTRES = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
_TO_PIXEL_CENTRES = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class EyeViews:
    """How a virtual camera sees the left and the right eye of one face.

    Attributes:
        rotation: Rotation from camera frame to virtual camera frame, shape (3, 3).
        homographies: Maps from image px to the px of the left and right eye's image, shape (2, 3, 3). The left eye's
            image is mirrored, so that it looks like a right eye. Whole numbers are the centres of pixels, as in
            cv2.warpPerspective.
        scales: Eye-image px per image px in the middle of each eye's image, shape (2,).
        head_deg: Pitch and yaw of the head in the virtual camera frame, shape (2,).
    """

    rotation: Matrix
    homographies: Floats
    scales: Floats
    head_deg: Floats

    def to_camera_frame(self, direction_deg: ArrayLike) -> Floats:
        """Turn gaze directions from the virtual camera frame into the camera frame, shape (..., 2)."""
        return rotate_directions(direction_deg, self.rotation.T)

    def to_head_frame(self, gazes: EyeGazes, head_rotation: Matrix) -> EyeGazes:
        """Turn the eye network's directions into the head frame; the spreads stay as they are.

        Args:
            gazes: Answer of the eye network, virtual camera frame.
            head_rotation: Rotation from head frame to camera frame, shape (3, 3).
        """
        to_head = head_rotation.T @ self.rotation.T
        turned_deg = rotate_directions([*gazes.eyes_deg, gazes.both_deg], to_head)
        return replace(gazes, eyes_deg=turned_deg[:2], both_deg=turned_deg[2])

    def from_camera_frame(self, direction_deg: ArrayLike) -> Floats:
        """Turn gaze directions from the camera frame into the virtual camera frame, shape (..., 2)."""
        return rotate_directions(direction_deg, self.rotation)


def eye_views(geometry: FaceGeometry, image_width_px: int, image_height_px: int, vertical_fov_deg: float) -> EyeViews:
    """Return how the virtual camera sees the eyes of a face.

    The middle of an eye's image is the midpoint of its corners.

    Args:
        geometry: Result of `measure_face`.
        image_width_px: Width of the image.
        image_height_px: Height of the image.
        vertical_fov_deg: Vertical field of view of the camera.

    Raises:
        ValueError: An eye is not in front of the camera, or the head's x axis points at it.
    """
    head_rotation = geometry.head_pose.head_rotation
    rotation = virtual_rotation(geometry.origin_mm, head_rotation)
    corners_mm = geometry.eyes_mm - CANTHI_TO_ROTATION_MM * head_rotation[:, 2]
    depths_mm = corners_mm[:, 2]
    virtual_mm = corners_mm @ rotation.T
    if not (depths_mm > 0).all() or not (virtual_mm[:, 2] > 0).all():
        raise ValueError("both eyes must be in front of the camera")
    focal_px = focal_length_px(image_height_px, vertical_fov_deg)
    to_rays = np.array(
        [
            [1 / focal_px, 0.0, (0.5 - image_width_px / 2) / focal_px],
            [0.0, 1 / focal_px, (0.5 - image_height_px / 2) / focal_px],
            [0.0, 0.0, 1.0],
        ]
    )
    virtual_focal_px = EYE_IMAGE_PX_PER_MM * virtual_mm[:, 2]
    lenses = np.zeros((2, 3, 3))
    lenses[:, 0, 0] = lenses[:, 1, 1] = virtual_focal_px
    lenses[:, :2, 2] = [EYE_IMAGE_WIDTH_PX / 2, EYE_IMAGE_HEIGHT_PX / 2] - EYE_IMAGE_PX_PER_MM * virtual_mm[:, :2]
    lenses[:, 2, 2] = 1.0
    lenses[0] = _MIRROR @ lenses[0]
    # The square root of the homography's Jacobian determinant, which is det / w³.
    scales = virtual_focal_px / focal_px * (depths_mm / virtual_mm[:, 2]) ** 1.5
    return EyeViews(
        rotation=rotation,
        homographies=_TO_PIXEL_CENTRES @ lenses @ (rotation @ to_rays),
        scales=scales,
        head_deg=np.array(head_angles_deg(rotation @ head_rotation)[:2]),
    )


def virtual_rotation(origin_mm: ArrayLike, head_rotation: ArrayLike) -> Floats:
    """Return rotations from camera frame to virtual camera frame, shape (..., 3, 3).

    Args:
        origin_mm: Midpoints between the eyes, camera frame, shape (..., 3).
        head_rotation: Rotations from head frame to camera frame, shape (..., 3, 3).

    Raises:
        ValueError: A midpoint lies in the camera, or a head's x axis points at it.
    """
    towards = np.asarray(origin_mm, dtype=np.float64)
    x_head = np.asarray(head_rotation, dtype=np.float64)[..., 0]
    lengths = np.sqrt((towards**2).sum(axis=-1, keepdims=True))
    if not (lengths > 0).all():
        raise ValueError("origin_mm must not be zero")
    z = towards / lengths
    y = _cross(z, x_head)
    lengths = np.sqrt((y**2).sum(axis=-1, keepdims=True))
    if not (lengths > 1e-6).all():
        raise ValueError("the head's x axis must not point at the camera")
    y /= lengths
    rotations = np.empty((*z.shape, 3))
    rotations[..., 0, :], rotations[..., 1, :], rotations[..., 2, :] = _cross(y, z), y, z
    return rotations


def _cross(a: Floats, b: Floats) -> Floats:
    """Return cross products, shape (..., 3); np.cross takes five times as long for one."""
    product = np.empty_like(a)
    product[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    product[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    product[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product
