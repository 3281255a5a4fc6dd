"""Measurements that need neither camera, distance nor gaze: ratios, scatter and jitter of landmarks.

All quantities are relative to the eye's width or another distance on the same face, so that image size and distance
cancel. "Across" is the direction from the corner of an eye on the left of the image to the one on the right, "up" is
perpendicular to it; a tilted head changes nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import IRIS_DIAMETER_MM
from gaze_core.head_pose import CANONICAL_FACE
from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, LIDS, RIGHT

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

SIDES = (LEFT, RIGHT)

MIDDLE_LIDS = {LEFT: (386, 374), RIGHT: (159, 145)}
"""Landmarks on the upper and lower lid margin in the middle of the eye."""

BROW_EDGES = {LEFT: (295, 282), RIGHT: (65, 52)}
"""Two landmarks on the lower edge of the brow."""

OPEN_SHARE = 0.6
"""An eye counts as open if its aperture is at least this share of the median of its person or fixation."""

_CORNERS = tuple(index for side in SIDES for index in EYE_CORNERS[side])
_RIGID = tuple((int(row[0]), row[4]) for row in CANONICAL_FACE if int(row[0]) not in _CORNERS)
_RIGID_INDICES = [index for index, _ in _RIGID]
_RIGID_WEIGHTS = np.array([weight for _, weight in _RIGID])

_MOST_IN_PAIRS = 300

_TO_DEVIATION = 1.4826
"""Ratio of standard deviation to median absolute deviation of a normal distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class EyeMeasures:
    """Measurements of one eye in many images, in units of its width.

    Attributes:
        width_px: Distance between the corners, shape (n,).
        iris_px: Long axis of the iris, shape (n,).
        iris: Iris centre relative to the midpoint of the corners: across to the right of the image, up, shape (n, 2).
        aperture: Eye aspect ratio, shape (n,).
        between_lids: Height of the iris between the lids, 0 at the lower, 1 at the upper margin, shape (n,).
        brow: Height of the brow's lower edge above the line of the corners, shape (n,).
    """

    width_px: Floats
    iris_px: Floats
    iris: Floats
    aperture: Floats
    between_lids: Floats
    brow: Floats


def measure_eye(points_px: Floats, side: str) -> EyeMeasures:
    """Return the measurements of one eye.

    Args:
        points_px: Landmarks in pixels, shape (n, 478, 2).
        side: `"left"` or `"right"`, the viewer's own.
    """
    outer, inner = (points_px[:, index] for index in EYE_CORNERS[side])
    # The viewer's left eye is on the right of the image.
    from_px, to_px = (inner, outer) if side == LEFT else (outer, inner)
    width_px = np.linalg.norm(to_px - from_px, axis=1)
    across = (to_px - from_px) / width_px[:, None]
    up = np.stack([across[:, 1], -across[:, 0]], axis=1)
    middle = (from_px + to_px) / 2

    def place(index: int) -> Floats:
        offset = (points_px[:, index] - middle) / width_px[:, None]
        return np.stack([(offset * across).sum(axis=1), (offset * up).sum(axis=1)], axis=1)

    iris = place(IRIS[side][0])
    above, below = (place(index)[:, 1] for index in MIDDLE_LIDS[side])
    openings = [np.linalg.norm(points_px[:, upper] - points_px[:, lower], axis=1) for upper, lower in LIDS[side]]
    opening = above - below
    return EyeMeasures(
        width_px=width_px,
        iris_px=iris_diameters_px(points_px[:, list(IRIS[side])]),
        iris=iris,
        aperture=np.mean(openings, axis=0) / width_px,
        between_lids=np.where(opening > 0, (iris[:, 1] - below) / np.where(opening > 0, opening, 1.0), np.nan),
        brow=np.mean([place(index)[:, 1] for index in BROW_EDGES[side]], axis=0),
    )


def iris_diameters_px(rims_px: Floats) -> Floats:
    """Return `gaze_core.gaze.iris_diameter_px` of many irises, shape (n,).

    Args:
        rims_px: Centre, then four points on the rim, shape (n, 5, 2).
    """
    (a, c), (b, d) = (np.moveaxis(rims_px[:, first] - rims_px[:, first + 2], -1, 0) for first in (1, 2))
    return np.asarray(np.hypot(a + d, c - b) + np.hypot(a - d, c + b)) / 2


def measure_ratios(points_px: Floats) -> dict[str, Floats]:
    """Return each quantity of every face, by its name, shape (n,).

    `difference_x` and `difference_y` are the position of the left iris in its eye minus that of the right. Mirroring
    the image negates `difference_y` and changes nothing else.

    Args:
        points_px: Landmarks in pixels, shape (n, 478, 2).
    """
    left, right = (measure_eye(points_px, side) for side in SIDES)
    (left_outer, left_inner), (right_outer, right_inner) = (
        tuple(points_px[:, index] for index in EYE_CORNERS[side]) for side in SIDES
    )
    outer_px = np.linalg.norm(left_outer - right_outer, axis=1)
    irises_px = np.linalg.norm(points_px[:, IRIS[LEFT][0]] - points_px[:, IRIS[RIGHT][0]], axis=1)
    return {
        "iris_diameter": (left.iris_px / left.width_px + right.iris_px / right.width_px) / 2,
        "lid_aperture": (left.aperture + right.aperture) / 2,
        "inner_corners": np.linalg.norm(left_inner - right_inner, axis=1) / outer_px,
        "iris_to_iris": irises_px / outer_px,
        "brow_height": (left.brow + right.brow) / 2,
        "iris_height": (left.iris[:, 1] + right.iris[:, 1]) / 2,
        "iris_between_lids": (left.between_lids + right.between_lids) / 2,
        "difference_x": left.iris[:, 0] - right.iris[:, 0],
        "difference_y": left.iris[:, 1] - right.iris[:, 1],
    }


def iris_size_px(points_px: Floats) -> Floats:
    """Return the larger diameter of both irises, shape (n,)."""
    return np.asarray(np.max([iris_diameters_px(points_px[:, list(IRIS[side])]) for side in SIDES], axis=0))


def eye_width_mm(points_px: Floats) -> Floats:
    """Return the width of the eyes, assuming irises of 11.7 mm, shape (n,)."""
    eyes = [measure_eye(points_px, side) for side in SIDES]
    return np.asarray(IRIS_DIAMETER_MM * np.mean([eye.width_px / eye.iris_px for eye in eyes], axis=0))


def find_open(aperture: Floats, group: Integers) -> Flags:
    """Return whether each eye is open relative to the median of its group, shape (n,).

    Args:
        aperture: Eye aspect ratio, shape (n,).
        group: Number of the person or fixation, shape (n,).
    """
    usual = np.empty_like(aperture)
    for number in np.unique(group):
        usual[group == number] = np.median(aperture[group == number])
    return np.asarray(aperture >= OPEN_SHARE * usual)


def scatter(values: Floats, group: Integers) -> float:
    """Return the robust standard deviation of values within their groups, NaN without two in any.

    It uses the differences of all pairs within a group, because deviations from the median of ten values are 6 % too
    small. Large groups are thinned evenly.

    Args:
        values: Values, shape (n,).
        group: Number of each value's group, shape (n,).
    """
    differences = [np.empty(0)]
    for number in np.unique(group):
        own = values[group == number]
        own = own[:: -(-len(own) // _MOST_IN_PAIRS)]
        first, second = np.triu_indices(len(own), 1)
        differences.append(own[first] - own[second])
    return robust_deviation(np.concatenate(differences)) / 2**0.5


def jitter(second_differences: Floats) -> float:
    """Return the standard deviation of single values with independent noise, NaN without any.

    Even motion cancels. Disturbances that last for several frames are underestimated.

    Args:
        second_differences: Result of `second_differences`, any shape.
    """
    return robust_deviation(second_differences.ravel()) / 6**0.5


def second_differences(values: Floats, frame: Integers, usable: Flags, lag: int = 1) -> Floats:
    """Return previous minus twice the current plus next value, where all three are usable, shape (m, k).

    Args:
        values: Values of each frame, shape (n, k).
        frame: Frame numbers, ascending, shape (n,).
        usable: Whether a frame is usable, shape (n,).
        lag: Distance in frames between the three.
    """
    in_time = np.full((int(frame[-1] - frame[0]) + 1, values.shape[1]), np.nan)
    in_time[frame[usable] - frame[0]] = values[usable]
    second = in_time[: -2 * lag] - 2 * in_time[lag:-lag] + in_time[2 * lag :]
    return np.asarray(second[np.isfinite(second).all(axis=1)])


def movements(points_px: Floats, frame: Integers, lag: int = 1) -> Floats:
    """Return the face's motion in the image over a number of frames, in eye widths, shape (m,).

    Args:
        points_px: Landmarks in pixels, shape (n, 478, 2).
        frame: Frame numbers, ascending, shape (n,).
        lag: Number of frames.
    """
    width_px = np.mean([measure_eye(points_px, side).width_px for side in SIDES])
    in_time = np.full((int(frame[-1] - frame[0]) + 1, 2), np.nan)
    in_time[frame - frame[0]] = _RIGID_WEIGHTS @ points_px[:, _RIGID_INDICES] / _RIGID_WEIGHTS.sum() / width_px
    moved = np.linalg.norm(in_time[lag:] - in_time[:-lag], axis=1)
    return np.asarray(moved[np.isfinite(moved)])


def robust_deviation(deviations: Floats) -> float:
    """Return the robust standard deviation about zero, NaN without values."""
    return _TO_DEVIATION * float(np.median(np.abs(deviations))) if deviations.size else float("nan")


def align(points_px: Floats) -> Floats:
    """Return the aligned faces of one sequence, in mean eye widths, shape (n, 478, 2).

    A similarity transform aligns the rigid landmarks of each face with their mean over the sequence. The corners of the
    eyes are left out of the fit, because they are measured relative to it. y points up.

    Args:
        points_px: Landmarks in pixels, shape (n, 478, 2).

    Source: Schoenemann and Carroll, Fitting one matrix to another under choice of a central dilation and a rigid
    motion, 1970; in the plane, with complex numbers.
    """
    places = points_px[..., 0] - 1j * points_px[..., 1]
    reference = places[0]
    aligned = places
    for _ in range(2):
        aligned = _fit(places, reference)
        reference = aligned.mean(axis=0)
    widths = [abs(reference[outer] - reference[inner]) for outer, inner in EYE_CORNERS.values()]
    aligned = aligned / np.mean(widths)
    return np.stack([aligned.real, aligned.imag], axis=-1)


def _fit(places: NDArray[np.complex128], reference: NDArray[np.complex128]) -> NDArray[np.complex128]:
    weights = _RIGID_WEIGHTS / _RIGID_WEIGHTS.sum()
    centres = places[:, _RIGID_INDICES] @ weights
    target_centre = reference[_RIGID_INDICES] @ weights
    rigid = places[:, _RIGID_INDICES] - centres[:, None]
    target = reference[_RIGID_INDICES] - target_centre
    turn = (rigid.conj() * target) @ weights / ((np.abs(rigid) ** 2) @ weights)
    fitted: NDArray[np.complex128] = (places - centres[:, None]) * turn[:, None] + target_centre
    return fitted


def track(points_px: Floats) -> dict[str, Floats]:
    """Return the tracked quantities of one sequence by name, in eye widths, shape (n, k).

    Args:
        points_px: Landmarks in pixels, shape (n, 478, 2).
    """
    aligned = align(points_px)
    irises = np.stack([aligned[:, IRIS[side][0]] for side in SIDES])
    corners = np.stack([aligned[:, list(EYE_CORNERS[side])].mean(axis=1) for side in SIDES])
    inside = irises - corners
    both, between = inside.mean(axis=0), inside[0] - inside[1]
    left, right = (measure_eye(points_px, side) for side in SIDES)
    return {
        "iris_x": irises[..., 0].T,
        "iris_y": irises[..., 1].T,
        "corners_x": corners[..., 0].T,
        "corners_y": corners[..., 1].T,
        "both_irises_x": both[:, :1],
        "both_irises_y": both[:, 1:],
        "difference_x": between[:, :1],
        "difference_y": between[:, 1:],
        "lid_aperture": np.stack([left.aperture, right.aperture], axis=1),
        "iris_diameter": np.stack([left.iris_px / left.width_px, right.iris_px / right.width_px], axis=1),
    }
