"""Whether an iris can be seen in each eye: what tells an eye from a hand, a dark lens or a shut lid in its place.

The landmarker always returns irises and open lids, even under an opaque cover. So the image is asked: around each iris
found by the landmarks, an image of fixed scale is cut out and compared with those of rendered people whose eyes can be
seen or are covered. The comparison is logistic regression on histograms of gradients and on a coarse image, both
normalised, so it hardly depends on brightness and contrast. The eye network, if there is one, predicts how far off it
may be, and it is unsure of anything that is no eye; that counts too. `research.quality.fit` computes the weights.
"""

import numpy as np
from numpy.typing import NDArray

from gaze_core import visible_eye_weights
from gaze_core.eye_images import EyeViews
from gaze_core.landmarks import EYE_SHAPES, IRIS, LEFT, RIGHT, Landmarks, eye_aspect_ratio
from gaze_core.patches import gradient_histograms, sample_grey
from gaze_core.types import EyeGazes, Floats, Frame

EYE_SHAPE_PX = (24, 36)
"""Height and width of the image around an iris, which is 8.8 px across: 0.75 px per mm."""

CELL_PX, BINS = 6, 6
"""Side of a cell, and directions in the histogram of its gradients."""

CONTRAST_FLOOR = 4.0
"""Added to an image's standard deviation, in grey levels, so that noise is not amplified to full contrast."""

LEVEL_PX = 4
"""Side of a square whose mean brightness is a feature."""

_ROWS, _COLUMNS = EYE_SHAPE_PX[0] // CELL_PX, EYE_SHAPE_PX[1] // CELL_PX
FEATURES = _ROWS * _COLUMNS * BINS + EYE_SHAPE_PX[0] // LEVEL_PX * (EYE_SHAPE_PX[1] // LEVEL_PX) + 1

COVERED_BELOW = 0.0
"""An eye with less evidence of an iris is covered, if the other one shows an iris."""

BOTH_COVERED_BELOW = 0.5
"""Both eyes are covered if none has more evidence of an iris."""

SHUT_BELOW, BLINK_ABOVE = 0.2, 0.4
"""Eye aspect ratio and blendshape of eyes without an iris that are shut rather than covered."""

_DOWN, _RIGHT = (np.arange(2 * size) - (2 * size - 1) / 2 for size in EYE_SHAPE_PX)
"""Places of the samples, two per px along each axis, in px of `gaze_core.eye_images` from the iris."""
_BLINK = EYE_SHAPES.index("blink")
_WEIGHTS = np.array(visible_eye_weights.WEIGHTS)


def find_iris_evidence(
    frame: Frame, landmarks: Landmarks, views: EyeViews, *, spread_deg: Floats | None = None
) -> Floats:
    """Return the evidence of an iris in the left and the right eye: the log odds that it can be seen, shape (2,).

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
        views: How the virtual camera sees its eyes.
        spread_deg: Standard deviations that the eye network predicts, from `eye_spreads_deg`; None without a network.
    """
    return weigh_evidence(describe_eyes(sample_eyes(frame, landmarks, views)), spread_deg)


def weigh_evidence(features: Floats, spread_deg: Floats | None) -> Floats:
    """Return the evidence of an iris, shape (...).

    Args:
        features: Result of `describe_eyes`, shape (..., n).
        spread_deg: Standard deviations that the eye network predicts, shape (...); None without a network.
    """
    by_edges: Floats = features @ _WEIGHTS + visible_eye_weights.BIAS
    if spread_deg is None:
        return by_edges
    edges, spread, bias = visible_eye_weights.WITH_NETWORK
    return edges * by_edges + spread * np.log(spread_deg) + bias


def eye_spreads_deg(gazes: EyeGazes) -> Floats:
    """Return the eye network's standard deviation for the left and the right eye, shape (2,).

    It is the root mean square of the horizontal and the vertical one.

    Args:
        gazes: Answer of the eye network.
    """
    spreads_deg: Floats = np.sqrt((gazes.eyes_spread_deg**2).mean(axis=1))
    return spreads_deg


def find_covered_eyes(evidence: Floats, usable: tuple[bool, bool]) -> tuple[bool, bool]:
    """Return whether the left and the right eye are covered; both are if no usable one shows an iris.

    Args:
        evidence: Result of `find_iris_evidence`, shape (2,).
        usable: Whether the left and the right eye are open and not hidden by the nose.
    """
    left, right = map(float, evidence)
    if max(value for value, is_usable in zip((left, right), usable, strict=True) if is_usable) < BOTH_COVERED_BELOW:
        return True, True
    if not all(usable):
        return False, False
    return left < min(COVERED_BELOW, right), right < min(COVERED_BELOW, left)


def look_shut(landmarks: Landmarks) -> bool:
    """Return whether eyes that show no iris have lids like shut eyes.

    Args:
        landmarks: Landmarks of one face.
    """
    if max(eye_aspect_ratio(landmarks, side) for side in (LEFT, RIGHT)) < SHUT_BELOW:
        return True
    return landmarks.eye_shapes is not None and bool(landmarks.eye_shapes[:, _BLINK].min() > BLINK_ABOVE)


def sample_eyes(frame: Frame, landmarks: Landmarks, views: EyeViews) -> NDArray[np.float32]:
    """Return the grey images around the left and the right iris, shape (2, 24, 36); the left one is mirrored.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
        views: How the virtual camera sees its eyes.
    """
    irises = landmarks.pixels((IRIS[LEFT][0], IRIS[RIGHT][0]))[:, :2] - 0.5
    height, width = EYE_SHAPE_PX
    images = np.empty((2, height, width), dtype=np.float32)
    for side, (homography, iris) in enumerate(zip(views.homographies, irises, strict=True)):
        # The homography is linear enough over one eye: its derivative at the iris, inverted.
        u, v, w = homography @ [*iris, 1.0]
        jacobian = (homography[:2, :2] - np.outer((u / w, v / w), homography[2, :2])) / w
        (x_right, x_down), (y_right, y_down) = np.linalg.inv(jacobian)
        x_px = (iris[0] + x_right * _RIGHT + (x_down * _DOWN)[:, None]).astype(np.float32)
        y_px = (iris[1] + y_right * _RIGHT + (y_down * _DOWN)[:, None]).astype(np.float32)
        samples = sample_grey(frame, x_px, y_px, float(views.scales[side]))
        halved = samples[::2] + samples[1::2]
        images[side] = (halved[:, ::2] + halved[:, 1::2]) / 4
    return images


def describe_eyes(images: NDArray[np.float32]) -> Floats:
    """Return histograms of gradients, a coarse image and the logarithm of the contrast of both eyes, shape (2, n).

    Args:
        images: Result of `sample_eyes`.
    """
    deviations = images.std(axis=(1, 2))
    scaled = (images - images.mean(axis=(1, 2), keepdims=True)) / (deviations + CONTRAST_FLOOR)[:, None, None]
    histograms = gradient_histograms(scaled, cell_px=CELL_PX, bins=BINS)
    height, width = (size // LEVEL_PX for size in EYE_SHAPE_PX)
    levels = scaled.reshape(2, height, LEVEL_PX, width, LEVEL_PX).mean(axis=(2, 4)).reshape(2, -1)
    return np.column_stack([histograms, levels, np.log(deviations + 1)])
