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

_GRID = 20
"""Places that are looked at along each axis."""

_MARGIN = 0.12
"""Share of the face's width and height that is left out on each side, where the background is."""

MIN_DRAWN_CONTRAST = 20.0
"""Smallest standard deviation of a drawing, in grey levels. In the dark, faces have few levels, so they are flat."""

_BURNT_OUT, _BLACK = 250, 4
_STEPS_PER_FACE = 60
"""Places that are this share of the face's width apart are compared."""

FACE_PX, FACE_CELL_PX, FACE_BINS, LEVEL_PX = 24, 6, 6, 4
"""Side of the image of a face, of the cells of its histograms, their directions, and the side of a coarse px."""

CONTRAST_FLOOR = 4.0
"""Added to that image's standard deviation, in grey levels, so that noise is not amplified to full contrast."""

DOUBTFUL_BELOW = 0.5
"""With less evidence of an upright face, the image is also tried upside down."""

TURNED_ABOVE = -0.5
"""Evidence of an upright face that a face in the turned image must exceed, beside that in the image as it is."""

CERTAIN_ABOVE = 7.0
"""With more evidence of an iris in both eyes, the face is upright; eyes that are upside down give less."""

_FACE_WIDTH = 2.0
"""Width and height of the image of a face, in distances between the eyes."""

_STEPS = (np.arange(FACE_PX) + 0.5) / FACE_PX * _FACE_WIDTH
_FACE_X, _FACE_Y = (_STEPS - _FACE_WIDTH / 2)[None, :], (_STEPS - 0.5)[:, None]
"""Places to the viewer's left of the middle between the eyes and below it, in distances between the eyes."""

_WEIGHTS = np.array(upright_face_weights.WEIGHTS)

_HALF_TURN = np.diag([-1.0, -1.0, 1.0])


def is_drawn(frame: Frame, landmarks: Landmarks) -> bool:
    """Return whether a face consists of areas of one colour, as in drawings.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
    """
    height, width = frame.shape[:2]
    low, high = landmarks.points[:468, :2].min(axis=0), landmarks.points[:468, :2].max(axis=0)
    margin = _MARGIN * (high - low)
    left, top = ((low + margin) * (width, height)).astype(int).tolist()
    right, bottom = ((high - margin) * (width, height)).astype(int).tolist()
    step = max((right - left) // _STEPS_PER_FACE, 1)
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, width - step), min(bottom, height - step)
    if right <= left or bottom <= top:
        return False
    every_x, every_y = max((right - left) // _GRID, 1), max((bottom - top) // _GRID, 1)
    green = frame[..., 1]
    here = green[top:bottom:every_y, left:right:every_x].astype(np.int16)
    beside = green[top:bottom:every_y, left + step : right + step : every_x]
    below = green[top + step : bottom + step : every_y, left:right:every_x]
    if float(here.std()) < MIN_DRAWN_CONTRAST:
        return False
    is_flat = (here == beside) & (here == below)
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
