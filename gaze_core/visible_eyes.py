"""Whether an iris can be seen in each eye: what tells an eye from a hand, a dark lens or a shut lid in its place.

The landmarker always returns irises and open lids, even under an opaque cover. So the image is asked: around each iris
found by the landmarks, an image of fixed scale is cut out and compared with those of rendered people whose eyes can be
seen or are covered. The comparison is logistic regression on histograms of gradients and on a coarse image, both
normalised, so it hardly depends on brightness and contrast. The eye network, if there is one, predicts how far off it
may be, and it is unsure of anything that is no eye; that counts too. `research.quality.fit` computes the weights.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaze_core import visible_eye_weights
from gaze_core.eye_images import EyeViews
from gaze_core.landmarks import EYE_SHAPES, IRIS, LEFT, RIGHT, Landmarks
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

SHUT_EYES_BELOW = 2.5
"""The same for eyes with low lids."""

COARSE_FROM_SCALE = 1.2
"""Above this many px of `gaze_core.eye_images` per px of the frame, one sample per px is enough; below, the mean of
four avoids aliasing."""

LOW_LIDS_BELOW, BLINK_ABOVE = 0.2, 0.4
"""Eye aspect ratio and blendshape of lids that may be shut."""

SHUT_BELOW = 0.15
"""Eye aspect ratio below which eyes without an iris are shut rather than covered."""


def _place_samples(per_px: int) -> Floats:
    """Return the places of the samples to the right of the iris and below, shape (2, n), px of `eye_images`."""
    down, right = ((np.arange(per_px * size) - (per_px * size - 1) / 2) * 2 / per_px for size in EYE_SHAPE_PX)
    return np.stack([axis.ravel() for axis in np.meshgrid(right, down)])


_SINGLE, _DOUBLE = _place_samples(1), _place_samples(2)
_IRIS_CENTRES = np.array([IRIS[LEFT][0], IRIS[RIGHT][0]])
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


def find_covered_eyes(evidence: Floats, usable: tuple[bool, bool], *, low_lids: bool = False) -> tuple[bool, bool]:
    """Return whether the left and the right eye are covered; both are if no usable one shows an iris.

    Args:
        evidence: Result of `find_iris_evidence`, shape (2,).
        usable: Whether the left and the right eye, at least one of them, are open and not hidden by the nose.
        low_lids: Result of `has_low_lids`; then more evidence is needed.
    """
    left, right = map(float, evidence)
    below = SHUT_EYES_BELOW if low_lids else BOTH_COVERED_BELOW
    if max(value for value, is_usable in zip((left, right), usable, strict=True) if is_usable) < below:
        return True, True
    if not all(usable):
        return False, False
    return left < min(COVERED_BELOW, right), right < min(COVERED_BELOW, left)


def look_shut(eye_openness: tuple[float, float]) -> bool:
    """Return whether eyes that show no iris are shut rather than covered.

    Args:
        eye_openness: Eye aspect ratio of the left and the right eye.
    """
    return max(eye_openness) < SHUT_BELOW


def has_low_lids(eye_openness: tuple[float, float], eye_shapes: Floats | None) -> bool:
    """Return whether the lids may be shut: they are low, or the landmarker sees a blink of both eyes.

    Args:
        eye_openness: Eye aspect ratio of the left and the right eye.
        eye_shapes: `Landmarks.eye_shapes`.
    """
    if max(eye_openness) < LOW_LIDS_BELOW:
        return True
    return eye_shapes is not None and bool(eye_shapes[:, _BLINK].min() > BLINK_ABOVE)


def sample_eyes(frame: Frame, landmarks: Landmarks, views: EyeViews) -> NDArray[np.float32]:
    """Return the grey images around the left and the right iris, shape (2, 24, 36); the left one is mirrored.

    Args:
        frame: RGB image, shape (height, width, 3).
        landmarks: Landmarks of the face in it.
        views: How the virtual camera sees its eyes.
    """
    irises = landmarks.pixels(_IRIS_CENTRES)[:, :2] - 0.5
    scale = float(views.scales.max())
    is_coarse = scale > COARSE_FROM_SCALE
    places = _SINGLE if is_coarse else _DOUBLE
    # A homography is linear enough over one eye.
    to_frame = list(map(_invert_derivative, views.homographies.tolist(), irises.tolist()))
    offsets_px = (np.array(to_frame) @ places).astype(np.float32)
    offsets_px += irises[:, :, None].astype(np.float32)
    height, width = EYE_SHAPE_PX
    per_px = 1 if is_coarse else 2
    shape = (2, per_px * height, per_px * width)
    samples = sample_grey(frame, offsets_px[:, 0].reshape(shape), offsets_px[:, 1].reshape(shape), scale)
    if is_coarse:
        return samples
    halved = samples[:, ::2] + samples[:, 1::2]
    halved = halved[:, :, ::2] + halved[:, :, 1::2]
    halved /= 4
    return halved


def _invert_derivative(homography: Sequence[Sequence[float]], place: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Return the inverse of a homography's derivative at a place, shape (2, 2)."""
    (a, b, c), (d, e, f), (g, h, i) = homography
    x, y = place
    weight = g * x + h * y + i
    u, v = (a * x + b * y + c) / weight, (d * x + e * y + f) / weight
    u_by_x, u_by_y, v_by_x, v_by_y = a - u * g, b - u * h, d - v * g, e - v * h
    factor = weight / (u_by_x * v_by_y - u_by_y * v_by_x)
    return (factor * v_by_y, -factor * u_by_y), (-factor * v_by_x, factor * u_by_x)


def describe_eyes(images: NDArray[np.float32]) -> Floats:
    """Return histograms of gradients, a coarse image and the logarithm of the contrast of both eyes, shape (2, n).

    Args:
        images: Result of `sample_eyes`.
    """
    scaled = images - images.mean(axis=(1, 2), keepdims=True)
    deviations = np.sqrt((scaled**2).mean(axis=(1, 2)))
    scaled /= (deviations + CONTRAST_FLOOR)[:, None, None]
    histograms = gradient_histograms(scaled, cell_px=CELL_PX, bins=BINS)
    height, width = (size // LEVEL_PX for size in EYE_SHAPE_PX)
    levels = scaled.reshape(2, height, LEVEL_PX, width, LEVEL_PX).mean(axis=(2, 4)).reshape(2, -1)
    return np.column_stack([histograms, levels, np.log(deviations + 1)])
