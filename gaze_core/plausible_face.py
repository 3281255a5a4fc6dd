"""Whether found landmarks can be those of a person in front of the camera: turned images and drawn faces."""

from dataclasses import replace

import numpy as np

from gaze_core import upright_face_weights
from gaze_core.features import FaceGeometry
from gaze_core.head_pose import head_angles_deg
from gaze_core.landmarks import EYE_CORNERS, LEFT, RIGHT, Landmarks
from gaze_core.patches import gradient_histograms, sample_grey
from gaze_core.types import Floats, Frame, HeadPose

MAX_ROLL_DEG = 50.0
"""A head that is tilted further belongs to an image that is turned. People tilt their heads by up to 45 degrees, and a
camera is turned by 90."""

FLAT_SHARE, FLAT_SHARE_OVEREXPOSED = 0.3, 0.65
"""Larger shares of the face without any gradient are those of a drawing. Skin is shaded everywhere but where the image
is overexposed, so the limit is higher there."""

_GRID = 24
_BURNT_OUT, _BLACK = 250.0, 4.0
_STEPS_PER_FACE = 60
"""Two places this share of the face's size apart are compared."""

FACE_PX, FACE_CELL_PX, FACE_BINS, LEVEL_PX = 24, 6, 6, 4
"""Side of the image of a face, of the cells of its histograms, their directions, and the side of a coarse px."""

CONTRAST_FLOOR = 4.0
"""Added to that image's standard deviation, in grey levels, so that noise is not amplified to full contrast."""

DOUBTFUL_BELOW = 0.0
"""With less evidence, the image is also tried upside down."""

_FACE_WIDTH = 2.0
"""Width and height of the image of a face, in distances between the eyes."""

_STEPS = (np.arange(FACE_PX) + 0.5) / FACE_PX * _FACE_WIDTH
_FACE_X, _FACE_Y = (_STEPS - _FACE_WIDTH / 2)[None, :], (_STEPS - 0.5)[:, None]
"""Places to the viewer's left of the middle between the eyes and below it, in distances between the eyes."""

_WEIGHTS = np.array(upright_face_weights.WEIGHTS)

_HALF_TURN = np.diag([-1.0, -1.0, 1.0])
_Y, _X = (axis.ravel() for axis in np.mgrid[-1 : 1 : _GRID * 1j, -1 : 1 : _GRID * 1j])
_INSIDE = _X**2 + _Y**2 < 0.9
_X, _Y = _X[_INSIDE], _Y[_INSIDE]


def is_drawn(frame: Frame, landmarks: Landmarks) -> bool:
    """Return whether a face consists of areas of one colour, as in drawings.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
    """
    size_px = np.array([landmarks.image_width_px, landmarks.image_height_px])
    points_px = landmarks.points[:468, :2] * size_px
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    step_px = max(2 * float(half[0]) / _STEPS_PER_FACE, 1.0)
    x_px, y_px = middle[0] + half[0] * _X, middle[1] + half[1] * _Y
    here = _brightness(frame, x_px, y_px)
    change = np.maximum(
        np.abs(_brightness(frame, x_px + step_px, y_px) - here), np.abs(_brightness(frame, x_px, y_px + step_px) - here)
    )
    is_flat = change <= 0.5
    is_exposed = (here > _BLACK) & (here < _BURNT_OUT)
    return bool((is_flat & is_exposed).mean() > FLAT_SHARE or is_flat.mean() > FLAT_SHARE_OVEREXPOSED)


def find_upright_evidence(frame: Frame, landmarks: Landmarks) -> float:
    """Return the evidence that a face is not upside down: the log odds.

    In an image that is upside down, the landmarker finds the eyes or the nostrils, and a mouth where there is none.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
    """
    return float(describe_face(frame, landmarks) @ _WEIGHTS + upright_face_weights.BIAS)


def describe_face(frame: Frame, landmarks: Landmarks) -> Floats:
    """Return the histograms of gradients and a coarse image of a face, shape (n,).

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
    """
    eyes = [landmarks.pixels(EYE_CORNERS[side])[:, :2].mean(axis=0) for side in (LEFT, RIGHT)]
    middle = (eyes[0] + eyes[1]) / 2 - 0.5
    right_px, down_px = eyes[0] - eyes[1]
    length_px = max(float(np.hypot(right_px, down_px)), 1.0)
    x_px = middle[0] + right_px * _FACE_X - down_px * _FACE_Y
    y_px = middle[1] + down_px * _FACE_X + right_px * _FACE_Y
    scale = FACE_PX / (_FACE_WIDTH * length_px)
    image = sample_grey(frame, x_px.astype(np.float32), y_px.astype(np.float32), scale)
    scaled = ((image - image.mean()) / (image.std() + CONTRAST_FLOOR))[None]
    levels = scaled.reshape(FACE_PX // LEVEL_PX, LEVEL_PX, FACE_PX // LEVEL_PX, LEVEL_PX).mean(axis=(1, 3))
    return np.concatenate([gradient_histograms(scaled, cell_px=FACE_CELL_PX, bins=FACE_BINS)[0], levels.ravel()])


def turn_back(geometry: FaceGeometry) -> FaceGeometry:
    """Return the geometry of a face as it is in the image, from that in the image turned by 180 degrees.

    Args:
        geometry: Result of `measure_face` for the turned image.
    """
    pose = geometry.head_pose
    rotation = _HALF_TURN @ pose.head_rotation
    turned = HeadPose(*head_angles_deg(rotation), rotation, _HALF_TURN @ pose.translation_mm)
    return replace(geometry, head_pose=turned, origin_mm=_HALF_TURN @ geometry.origin_mm)


def _brightness(frame: Frame, x_px: Floats, y_px: Floats) -> Floats:
    """Return the mean of R, G and B at places of the frame; outside, its edge is repeated."""
    height, width = frame.shape[:2]
    columns = np.clip(x_px, 0, width - 1).astype(np.intp)
    rows = np.clip(y_px, 0, height - 1).astype(np.intp)
    brightness: Floats = frame[rows, columns].mean(axis=1)
    return brightness
