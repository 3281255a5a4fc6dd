"""What a few looks at known dots say about one viewer's gaze, and how far it can be trusted.

The generic model knows nobody: a viewer's visual axes, lids and face differ from the mean, and so its gaze is off by
several degrees that stay the same. They stay the same in the head: the correction adds to the gaze direction in the
head frame an offset, a share of the eyes' own rotation, and vertically a share of how far the lids are open. So it
turns and moves with the head, and knows no screen.

Five dots are few. So the coefficients have a prior, how much rendered people differ, and their evidence against the
scatter of the dots decides how far they leave zero (Bayesian linear regression; MacKay, Bayesian interpolation, Neural
Computation 4, 1992). Each dot is tried on the correction that the others give, and a correction that makes that worse
than the generic answer is not used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.gaze import direction_to
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Camera, GazePoint, Screen

Floats = NDArray[np.float64]

HEAD_ANGLES = slice(3, 6)
"""Where the head's pitch, yaw and roll stand among the seven features."""

MIN_DOTS = 3
"""With fewer dots there is no correction."""

MIN_SPREAD_DEG = 4.0
"""Dots that lie nearer together than this, sideways or up and down, tell of an offset, not of a gain."""

MAX_LOSS = 0.0
"""A correction that raises the mean error at dots that were left out by more than this share is not used.

A viewer is never told that a correction in use does worse than none. A wider gate would help more people than it harms,
since a dot left out of five is often a corner that the others do not reach; a narrower one harms fewer and helps fewer
(`python -m models.calibration_trials`, rendered training people).
"""

BLINK_SHARE = 0.75
"""A frame whose eyes are less open than this share of what is usual at its dot counts as a blink."""

OUTLIER_FACTOR = 3.0
"""A frame this many times further from its dot's median than half of its frames are is left out."""

OUTLIER_FLOOR_DEG = 1.0
"""But never for being off by less than this."""

EXTRAPOLATION_DEG = 10.0
"""How far beyond the eye rotations of the calibration the gain grows on; then it stays what it is."""

# Rounded from `python -m models.calibration_prior`, 292 rendered people, but for two things that rendered sittings do
# not show: the variances of the offsets are up by half, since real screens and cameras are described less exactly; that
# of the lids is a quarter, since lids droop with time, and a gaze that was tied to them would droop, too.
PRIOR_HORIZONTAL = np.array([[17.0, 0.0], [0.0, 7.5]])
"""Covariance over people of offset (degrees) and gain (degrees for ten degrees), horizontally."""

PRIOR_VERTICAL = np.array([[42.0, 8.0, -4.0], [8.0, 20.0, -4.5], [-4.0, -4.5, 9.0]])
"""The same vertically; the third is degrees for 0.1 of eye aspect ratio."""

SCATTER_GRID_DEG = tuple(float(value) for value in np.geomspace(0.1, 12.0, 12))
"""Among these the scatter of dots about the correction is sought."""

PRIOR_SCATTER_DEG = 2.0
"""Its likeliest value."""

PRIOR_SCATTER_SPREAD = 0.8
"""Standard deviation of its logarithm."""

_HUBER = 2.0
_STEPS = 4
_PER_DEG = 0.1
_PER_OPENNESS = 10.0


class Fitted(StrEnum):
    """What the correction consists of."""

    NOTHING = "nothing"
    OFFSET = "offset"
    FULL = "full"


class WhyNot(StrEnum):
    """Why there is no correction."""

    TOO_FEW_DOTS = "too_few_dots"
    NO_IMPROVEMENT = "no_improvement"


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Frames in which a viewer looked at dots whose places are known.

    Attributes:
        dots: Normalised to the screen, shape (n, 2).
        generic_deg: gaze_x and gaze_y of the generic model, camera frame, shape (n, 2).
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
        origin_mm: Midpoint between the eyes, camera frame, shape (n, 3).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
    """

    dots: Floats
    generic_deg: Floats
    head_deg: Floats
    origin_mm: Floats
    openness: Floats

    def __post_init__(self) -> None:
        count = len(self.openness)
        for name, width in (("dots", 2), ("generic_deg", 2), ("head_deg", 3), ("origin_mm", 3)):
            if getattr(self, name).shape != (count, width):
                raise ValueError(f"{name} must have shape ({count}, {width}), not {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.openness)

    def of(self, rows: NDArray[np.bool_]) -> "Looks":
        """Return some of the frames."""
        return Looks(
            self.dots[rows], self.generic_deg[rows], self.head_deg[rows], self.origin_mm[rows], self.openness[rows]
        )


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to a viewer's gaze direction in the head frame.

    Attributes:
        offset_deg: To the right and up, with the eyes straight ahead.
        gain: For each degree by which the eyes are turned in the head, horizontally and vertically.
        lid_deg: Up, for each unit of eye aspect ratio above `openness`.
        openness: Eye aspect ratio of this viewer at the dots.
        eyes_deg: Least and largest eye rotation at the dots, horizontally and vertically; the gain ends a little
            beyond.
        openness_range: Least and largest eye aspect ratio at the dots, beyond which lids count for no more.
    """

    offset_deg: tuple[float, float]
    gain: tuple[float, float] = (0.0, 0.0)
    lid_deg: float = 0.0
    openness: float = 0.3
    eyes_deg: tuple[tuple[float, float], tuple[float, float]] = ((-90.0, 90.0), (-90.0, 90.0))
    openness_range: tuple[float, float] = (0.0, 1.0)

    def apply(self, generic_deg: ArrayLike, head_deg: ArrayLike, openness: ArrayLike) -> Floats:
        """Return this viewer's gaze directions, gaze_x and gaze_y in the camera frame, degrees, shape (n, 2).

        Args:
            generic_deg: What the generic model says, shape (n, 2).
            head_deg: Pitch, yaw and roll of the head, shape (n, 3).
            openness: Mean eye aspect ratio of both eyes, shape (n,).
        """
        rotations = _rotations(np.asarray(head_deg, dtype=np.float64))
        eyes_deg = _into_head(np.asarray(generic_deg, dtype=np.float64), rotations)
        (left, right), (down, up) = self.eyes_deg
        turned_deg = np.clip(
            eyes_deg,
            [left - EXTRAPOLATION_DEG, down - EXTRAPOLATION_DEG],
            [right + EXTRAPOLATION_DEG, up + EXTRAPOLATION_DEG],
        )
        corrected = eyes_deg + np.array(self.offset_deg) + np.array(self.gain) * turned_deg
        corrected[:, 1] += self.lid_deg * (np.clip(openness, *self.openness_range) - self.openness)
        return _out_of_head(corrected, rotations)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far gaze is from dots that are looked at.

    Attributes:
        dots: How many dots.
        frames: How many frames, without blinks and outliers.
        accuracy_deg: Mean over dots of the angle between the dot and the median gaze of its frames.
        frame_accuracy_deg: Mean over dots of the mean angle of single frames.
        precision_deg: Scatter: root mean square angle between single frames and the mean of their dot.
        generic_accuracy_deg: As `accuracy_deg`, with the generic model alone.
        shift_deg: Mean over dots of the median gaze minus the dot, to the right and up.
    """

    dots: int
    frames: int
    accuracy_deg: float
    frame_accuracy_deg: float
    precision_deg: float
    generic_accuracy_deg: float
    shift_deg: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of one viewer.

    Attributes:
        fitted: What the correction consists of.
        correction: None when the generic answer stands.
        why_not: None when there is a correction.
        accuracy: Of what later frames get, each dot held against what the other dots give; None without a dot.
    """

    fitted: Fitted
    correction: Correction | None
    why_not: WhyNot | None
    accuracy: Accuracy | None


def calibrate(looks: Looks, *, screen: Screen, camera: Camera, max_loss: float = MAX_LOSS) -> Calibration:
    """Return what looks at dots say about a viewer; the order of the frames changes nothing.

    Args:
        looks: Frames with open eyes.
        screen: The screen that showed the dots.
        camera: The camera that took the frames.
        max_loss: By what share a correction may raise the error at dots that were left out.
    """
    kept = _without_blinks(looks)
    if len(kept) == 0:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_DOTS, None)
    seen = _measure_dots(kept, screen, camera)
    generic = _describe(seen, seen.generic_off_deg, seen.generic_off_deg)
    if seen.count < MIN_DOTS:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_DOTS, generic)
    best = Calibration(Fitted.NOTHING, None, WhyNot.NO_IMPROVEMENT, generic)
    limit_deg = (1 + max_loss) * generic.accuracy_deg
    for fitted in (Fitted.OFFSET, Fitted.FULL):
        if fitted is Fitted.FULL and seen.spread_deg < MIN_SPREAD_DEG:
            continue
        correction, left_out = _fit(seen, fitted)
        off_deg = np.empty_like(seen.generic_off_deg)
        for dot, without in enumerate(left_out):
            rows = seen.dot == dot
            off_deg[rows] = _offsets_deg(_apply(without, seen.looks.of(rows)), seen.true_deg[rows])
        accuracy = _describe(seen, off_deg, seen.generic_off_deg)
        if accuracy.accuracy_deg <= limit_deg:
            best, limit_deg = Calibration(fitted, correction, None, accuracy), accuracy.accuracy_deg
    return best


def measure_accuracy(correction: Correction | None, looks: Looks, *, screen: Screen, camera: Camera) -> Accuracy | None:
    """Return how well a correction does on looks that it was not made from; None when there are none.

    Args:
        correction: None measures the generic answer.
        looks: Frames with open eyes.
        screen: The screen that showed the dots.
        camera: The camera that took the frames.
    """
    kept = _without_blinks(looks)
    if len(kept) == 0:
        return None
    seen = _measure_dots(kept, screen, camera)
    return _describe(seen, _offsets_deg(_apply(correction, seen.looks), seen.true_deg), seen.generic_off_deg)


def missing_in_head_deg(generic_deg: Floats, true_deg: Floats, head_deg: Floats) -> tuple[Floats, Floats]:
    """Return how the generic gaze is turned in the head, and what it lacks there, each of shape (n, 2).

    Args:
        generic_deg: gaze_x and gaze_y of the generic model, shape (n, 2).
        true_deg: Where the viewer looks, likewise.
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
    """
    rotations = _rotations(head_deg)
    eyes_deg = _into_head(generic_deg, rotations)
    return eyes_deg, _into_head(true_deg, rotations) - eyes_deg


def design_axes(eyes_deg: Floats, openness: Floats, usual_openness: float) -> tuple[Floats, Floats]:
    """Return what the correction's coefficients multiply, horizontally, shape (n, 2), and vertically, shape (n, 3).

    Args:
        eyes_deg: Rotation of the eyes in the head, shape (n, 2).
        openness: Mean eye aspect ratio, shape (n,).
        usual_openness: The viewer's own.
    """
    ones = np.ones(len(eyes_deg))
    right, up = _PER_DEG * eyes_deg.T
    lids = _PER_OPENNESS * (openness - usual_openness)
    return np.column_stack([ones, right]), np.column_stack([ones, up, lids])


def _apply(correction: Correction | None, looks: Looks) -> Floats:
    if correction is None:
        return looks.generic_deg
    return correction.apply(looks.generic_deg, looks.head_deg, looks.openness)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Frames without blinks and outliers, and what their dots say.

    Attributes:
        looks: The n frames.
        dot: Which dot each looked at, 0 to count − 1, shape (n,).
        count: Number of dots.
        true_deg: Direction from the eyes to the dot, shape (n, 2).
        generic_off_deg: Generic gaze minus the dot, to the right and up, shape (n, 2).
        eyes_deg: Each dot's median rotation of the eyes in the head, as the generic model sees it, shape (count, 2).
        missing_deg: Each dot's median of what its direction in the head frame has more, shape (count, 2).
        noise_deg: Standard error of that median, as far as frames are independent, shape (count, 2).
        openness: Each dot's median eye aspect ratio, shape (count,).
        spread_deg: Smaller side of the box around the dots, seen from the eyes.
    """

    looks: Looks
    dot: NDArray[np.int64]
    count: int
    true_deg: Floats
    generic_off_deg: Floats
    eyes_deg: Floats
    missing_deg: Floats
    noise_deg: Floats
    openness: Floats
    spread_deg: float


def _name_dots(looks: Looks) -> tuple[NDArray[np.int64], int]:
    """Return which dot each frame shows and how many dots there are."""
    places, dot = np.unique(np.round(looks.dots, 3), axis=0, return_inverse=True)
    return dot.reshape(-1).astype(np.int64), len(places)


def _without_blinks(looks: Looks) -> Looks:
    """Return the frames whose eyes are as open as is usual at their dot: looking down, they always are less."""
    dot, count = _name_dots(looks)
    usual = np.array([np.median(looks.openness[dot == each]) for each in range(count)])
    return looks.of(looks.openness >= BLINK_SHARE * usual[dot]) if count else looks


def _measure_dots(looks: Looks, screen: Screen, camera: Camera) -> _Seen:
    dot, count = _name_dots(looks)
    true_deg = np.array(
        [
            (truth.gaze_x_deg, truth.gaze_y_deg)
            for truth in (
                direction_to(GazePoint(x, y), origin, screen, camera)
                for (x, y), origin in zip(looks.dots.tolist(), looks.origin_mm, strict=True)
            )
        ]
    )
    off_deg = _offsets_deg(looks.generic_deg, true_deg)
    away_deg = np.linalg.norm(off_deg - _medians(off_deg, dot, count)[dot], axis=1)
    limit_deg = np.maximum(OUTLIER_FACTOR * _medians(away_deg[:, None], dot, count)[dot, 0], OUTLIER_FLOOR_DEG)
    kept = away_deg <= limit_deg
    looks, dot, true_deg, off_deg = looks.of(kept), dot[kept], true_deg[kept], off_deg[kept]
    eyes_deg, missing_deg = missing_in_head_deg(looks.generic_deg, true_deg, looks.head_deg)
    missing_of_dot_deg = _medians(missing_deg, dot, count)
    frames = np.bincount(dot, minlength=count)
    # One scatter for all dots; the median's variance is π / 2 times the mean's.
    scatter = ((missing_deg - missing_of_dot_deg[dot]) ** 2).sum(axis=0) / max(len(looks) - count, 1)
    dots_deg = _medians(true_deg, dot, count)
    return _Seen(
        looks=looks,
        dot=dot,
        count=count,
        true_deg=true_deg,
        generic_off_deg=off_deg,
        eyes_deg=_medians(eyes_deg, dot, count),
        missing_deg=missing_of_dot_deg,
        noise_deg=np.sqrt(math.pi / 2 * scatter / frames[:, None]),
        openness=_medians(looks.openness[:, None], dot, count)[:, 0],
        spread_deg=float(np.ptp(dots_deg, axis=0).min()),
    )


def _describe(seen: _Seen, off_deg: Floats, generic_off_deg: Floats) -> Accuracy:
    medians_deg = _medians(off_deg, seen.dot, seen.count)
    means_deg = np.array([off_deg[seen.dot == dot].mean(axis=0) for dot in range(seen.count)])
    single_deg = [np.linalg.norm(off_deg[seen.dot == dot], axis=1).mean() for dot in range(seen.count)]
    generic_deg = _medians(generic_off_deg, seen.dot, seen.count)
    right_deg, up_deg = medians_deg.mean(axis=0).tolist()
    return Accuracy(
        dots=seen.count,
        frames=len(seen.dot),
        accuracy_deg=float(np.linalg.norm(medians_deg, axis=1).mean()),
        frame_accuracy_deg=float(np.mean(single_deg)),
        precision_deg=float(np.sqrt(((off_deg - means_deg[seen.dot]) ** 2).sum(axis=1).mean())),
        generic_accuracy_deg=float(np.linalg.norm(generic_deg, axis=1).mean()),
        shift_deg=(right_deg, up_deg),
    )


def _fit(seen: _Seen, fitted: Fitted) -> tuple[Correction, list[Correction]]:
    """Return the correction that the dots give, and for each dot the one that the others give.

    The latter share the scatter, the weights and the ranges that all dots gave: their error comes out some 3 % small.

    A dot far from what the others say, because the viewer looked elsewhere, counts for less (Huber's weights).
    """
    openness = float(seen.openness.mean())
    designs: Sequence[Floats] = design_axes(seen.eyes_deg, seen.openness, openness)
    priors = [PRIOR_HORIZONTAL, PRIOR_VERTICAL]
    if fitted is Fitted.OFFSET:
        designs, priors = [design[:, :1] for design in designs], [prior[:1, :1] for prior in priors]
    off_deg = np.linalg.norm(seen.missing_deg - np.median(seen.missing_deg, axis=0), axis=1)
    weights = _huber(off_deg / max(float(np.median(off_deg)), 1.0))
    for _ in range(_STEPS):
        axes = [
            _fit_axis(designs[axis], seen.missing_deg[:, axis], seen.noise_deg[:, axis], weights, priors[axis])
            for axis in (0, 1)
        ]
        weights = _huber(np.hypot(axes[0].standardised, axes[1].standardised))
    eyes_deg = tuple(zip(seen.eyes_deg.min(axis=0).tolist(), seen.eyes_deg.max(axis=0).tolist(), strict=True))

    def make(horizontal: Floats, vertical: Floats) -> Correction:
        x, y = [*horizontal.tolist(), 0.0], [*vertical.tolist(), 0.0, 0.0]
        return Correction(
            offset_deg=(x[0], y[0]),
            gain=(_PER_DEG * x[1], _PER_DEG * y[1]),
            lid_deg=_PER_OPENNESS * y[2],
            openness=openness,
            eyes_deg=(eyes_deg[0], eyes_deg[1]),
            openness_range=(float(seen.openness.min()), float(seen.openness.max())),
        )

    left_out = [make(axes[0].left_out[dot], axes[1].left_out[dot]) for dot in range(seen.count)]
    return make(axes[0].coefficients, axes[1].coefficients), left_out


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """One direction's fit.

    Attributes:
        coefficients: Shape (k,).
        left_out: What each dot's absence would make of them, shape (dots, k).
        standardised: Residuals over the standard deviation that a dot of weight 1 has, shape (dots,).
    """

    coefficients: Floats
    left_out: Floats
    standardised: Floats


def _fit_axis(design: Floats, missing_deg: Floats, noise_deg: Floats, weights: Floats, prior: Floats) -> _Axis:
    """Return the mean of the posterior at the scatter for which there is most evidence."""
    information = np.linalg.inv(prior)
    _, log_prior = np.linalg.slogdet(prior)

    def solve(scatter_deg: float) -> tuple[float, Floats, Floats, Floats]:
        """Return the logarithm of the evidence, the posterior's covariance and mean, and each dot's precision."""
        precision = weights / (scatter_deg**2 + noise_deg**2)
        weighted = design.T * precision
        inverse = information + weighted @ design
        posterior: Floats = np.linalg.inv(inverse).astype(np.float64)
        mean = posterior @ weighted @ missing_deg
        # The determinant lemma and Woodbury's identity keep the effort linear in the number of dots.
        log_determinant = float(np.linalg.slogdet(inverse)[1] + log_prior - np.log(precision).sum())
        unlikely = missing_deg @ (precision * missing_deg) - mean @ inverse @ mean
        beside = math.log(scatter_deg / PRIOR_SCATTER_DEG) / PRIOR_SCATTER_SPREAD
        return -0.5 * float(log_determinant + unlikely + beside**2), posterior, mean, precision

    _, posterior, coefficients, precision = max((solve(each) for each in SCATTER_GRID_DEG), key=lambda found: found[0])
    residual = missing_deg - design @ coefficients
    # What a dot's absence changes (Sherman and Morrison): exact for the same scatter and weights.
    influence = posterior @ design.T * precision
    leverage = np.einsum("nk,kn->n", design, influence)
    left_out = coefficients - (influence * residual / (1 - leverage)).T
    return _Axis(coefficients, left_out, residual * np.sqrt(precision / weights))


def _huber(distances: Floats) -> Floats:
    weights: Floats = _HUBER / np.maximum(distances, _HUBER)
    return weights


def _medians(values: Floats, dot: NDArray[np.int64], count: int) -> Floats:
    """Return each dot's median of some frames' values, shape (count, columns)."""
    return np.array([np.median(values[dot == each], axis=0) for each in range(count)])


def _offsets_deg(gaze_deg: Floats, true_deg: Floats) -> Floats:
    """Return by how much gaze is to the right of and above its dot, as angles at the eye, shape (n, 2)."""
    off_deg = gaze_deg - true_deg
    off_deg[:, 0] *= np.cos(np.radians(true_deg[:, 1]))
    return off_deg


def _rotations(head_deg: Floats) -> Floats:
    """Return the heads' rotations, head frame to camera frame, shape (n, 3, 3)."""
    return np.array([rotation_matrix(*angles) for angles in head_deg.tolist()]).reshape(-1, 3, 3)


def _into_head(gaze_deg: Floats, rotations: Floats) -> Floats:
    """Return gaze directions of the camera frame as angles of the head frame, shape (n, 2)."""
    in_head: Floats = np.einsum("nji,nj->ni", rotations, _vectors(gaze_deg))
    return _angles_deg(in_head)


def _out_of_head(eyes_deg: Floats, rotations: Floats) -> Floats:
    """Return gaze directions of the head frame as angles of the camera frame, shape (n, 2)."""
    in_camera: Floats = np.einsum("nij,nj->ni", rotations, _vectors(eyes_deg))
    return _angles_deg(in_camera)


def _vectors(gaze_deg: Floats) -> Floats:
    """Return unit vectors of many gaze directions, as `gaze.gaze_vector` does of one, shape (n, 3)."""
    x, y = np.radians(gaze_deg).T
    return np.column_stack([-np.cos(y) * np.sin(x), -np.sin(y), -np.cos(y) * np.cos(x)])


def _angles_deg(vectors: Floats) -> Floats:
    """Return the angles of many gaze vectors, as `gaze.gaze_direction` does of one, shape (n, 2)."""
    x, y, z = vectors.T
    angles: Floats = np.degrees(np.column_stack([np.arctan2(-x, -z), np.arctan2(-y, np.hypot(x, z))]))
    return angles
