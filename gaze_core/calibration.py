"""Calibration of one viewer from frames at known targets, and a measure of how far to trust it.

Each target is scored with the correction that the other targets give (leave-one-out). A correction that does worse
there than the uncalibrated model is not used.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gaze_core.correction import Correction, TargetMedians, fit_correction, missing_in_head_deg
from gaze_core.gaze import gaze_direction, screen_point_mm
from gaze_core.types import Camera, Floats, GazePoint, Screen

HEAD_ANGLES = slice(3, 6)
"""Position of the head's pitch, yaw and roll among the seven features."""

MIN_TARGETS = 3
"""With fewer targets there is no correction."""

MIN_SPREAD_DEG = 4.0
"""Targets closer together than this, horizontally or vertically, determine an offset but no gain."""

MAX_LOSS = 0.0
"""Largest relative increase of the leave-one-out error at which a correction is still used.

The viewer cannot notice a correction that does worse than none. A larger value would help more people than it harms,
because the target left out of five is often a corner that the others do not reach; a smaller one harms fewer people and
helps fewer. Chosen in trials on rendered people of the training set.
"""

BLINK_SHARE = 0.75
"""A frame whose eye openness is below this share of the median at its target counts as a blink."""

OUTLIER_FACTOR = 3.0
"""A frame further from the median of its target than this multiple of the median distance is dropped."""

OUTLIER_FLOOR_DEG = 1.0
"""Frames closer than this to the median of their target are never dropped."""


class Fitted(StrEnum):
    """Terms of the correction."""

    NOTHING = "nothing"
    OFFSET = "offset"
    FULL = "full"


class WhyNot(StrEnum):
    """Reason for a missing correction; the values are part of the result's format."""

    TOO_FEW_TARGETS = "too_few_dots"
    NO_IMPROVEMENT = "no_improvement"


@dataclass(frozen=True, slots=True, eq=False)
class TargetFrames:
    """Measurements of frames recorded while the viewer looked at calibration or validation targets.

    Attributes:
        targets: Target of each frame, normalised to the screen, shape (n, 2).
        uncalibrated_deg: Gaze directions of the uncalibrated model, camera frame, shape (n, 2).
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
        origin_mm: Midpoint between the eyes, camera frame, shape (n, 3).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
    """

    targets: Floats
    uncalibrated_deg: Floats
    head_deg: Floats
    origin_mm: Floats
    openness: Floats

    def __post_init__(self) -> None:
        count = len(self.openness)
        for name, width in (("targets", 2), ("uncalibrated_deg", 2), ("head_deg", 3), ("origin_mm", 3)):
            if getattr(self, name).shape != (count, width):
                raise ValueError(f"{name} must have shape ({count}, {width}), not {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.openness)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "TargetFrames":
        """Return some of the frames, given by mask or positions."""
        return TargetFrames(
            self.targets[rows],
            self.uncalibrated_deg[rows],
            self.head_deg[rows],
            self.origin_mm[rows],
            self.openness[rows],
        )


@dataclass(frozen=True, slots=True)
class TargetAccuracy:
    """Angular error of the gaze at known targets.

    Attributes:
        targets: Number of targets.
        frames: Number of frames, without blinks and outliers.
        accuracy_deg: Mean over targets of the angle between the target and the median gaze of its frames.
        frame_accuracy_deg: Mean over targets of the mean angle between the target and the gaze of a single frame.
        precision_deg: Root mean square angle between single frames and the mean gaze at their target.
        generic_accuracy_deg: `accuracy_deg` of the uncalibrated model.
        shift_deg: Mean over targets of median gaze minus target, to the right and up.
    """

    targets: int
    frames: int
    accuracy_deg: float
    frame_accuracy_deg: float
    precision_deg: float
    generic_accuracy_deg: float
    shift_deg: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Result of a calibration.

    Attributes:
        fitted: Terms of the correction.
        correction: The correction; None when the uncalibrated model is used.
        why_not: Reason for a missing correction; None otherwise.
        accuracy: Expected accuracy of later frames, by leave-one-out over the targets; None without a target.
    """

    fitted: Fitted
    correction: Correction | None
    why_not: WhyNot | None
    accuracy: TargetAccuracy | None


def calibrate(frames: TargetFrames, *, screen: Screen, camera: Camera, max_loss: float = MAX_LOSS) -> Calibration:
    """Calibrate a viewer from frames at calibration targets, in any order.

    Args:
        frames: Frames with open eyes.
        screen: Screen that showed the targets.
        camera: Camera that recorded the frames.
        max_loss: Largest accepted relative increase of the leave-one-out error, see `MAX_LOSS`.
    """
    kept = _drop_blinks(frames)
    if len(kept) == 0:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_TARGETS, None)
    measured = _measure_targets(kept, screen, camera)
    uncalibrated = _measure_errors(measured, measured.uncalibrated_off_deg)
    if measured.count < MIN_TARGETS:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_TARGETS, uncalibrated)
    best = Calibration(Fitted.NOTHING, None, WhyNot.NO_IMPROVEMENT, uncalibrated)
    limit_deg = (1 + max_loss) * uncalibrated.accuracy_deg
    for fitted in (Fitted.OFFSET, Fitted.FULL):
        if fitted is Fitted.FULL and measured.spread_deg < MIN_SPREAD_DEG:
            continue
        correction, left_out = fit_correction(measured.medians, offset_only=fitted is Fitted.OFFSET)
        off_deg = np.empty_like(measured.uncalibrated_off_deg)
        for target, without in enumerate(left_out):
            rows = measured.target == target
            corrected_deg = _apply(without, measured.frames.select(rows))
            off_deg[rows] = _offsets_deg(corrected_deg, measured.true_deg[rows])
        accuracy = _measure_errors(measured, off_deg)
        if accuracy.accuracy_deg <= limit_deg:
            best, limit_deg = Calibration(fitted, correction, None, accuracy), accuracy.accuracy_deg
    return best


def measure_accuracy(
    correction: Correction | None, frames: TargetFrames, *, screen: Screen, camera: Camera
) -> TargetAccuracy | None:
    """Return the accuracy of a correction at validation targets; None without a frame.

    Args:
        correction: Correction to measure; None measures the uncalibrated model.
        frames: Frames with open eyes that the correction was not fitted to.
        screen: Screen that showed the targets.
        camera: Camera that recorded the frames.
    """
    kept = _drop_blinks(frames)
    if len(kept) == 0:
        return None
    measured = _measure_targets(kept, screen, camera)
    return _measure_errors(measured, _offsets_deg(_apply(correction, measured.frames), measured.true_deg))


def _apply(correction: Correction | None, frames: TargetFrames) -> Floats:
    if correction is None:
        return frames.uncalibrated_deg
    return correction.apply(frames.uncalibrated_deg, frames.head_deg, frames.openness)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """Frames without blinks and outliers, grouped by target.

    Attributes:
        frames: The n frames.
        target: Target number of each frame, 0 to count − 1, shape (n,).
        count: Number of targets.
        true_deg: Direction from the eyes to the target, camera frame, shape (n, 2).
        uncalibrated_off_deg: Uncalibrated gaze minus target, to the right and up, shape (n, 2).
        medians: Medians over the frames of each target.
        spread_deg: Smaller side of the box around the targets, seen from the eyes.
    """

    frames: TargetFrames
    target: NDArray[np.int64]
    count: int
    true_deg: Floats
    uncalibrated_off_deg: Floats
    medians: TargetMedians
    spread_deg: float


def _number_targets(frames: TargetFrames) -> tuple[NDArray[np.int64], int]:
    """Return the target number of each frame and the number of targets, compared to a thousandth of the screen."""
    targets, target = np.unique(np.round(frames.targets, 3), axis=0, return_inverse=True)
    return target.reshape(-1).astype(np.int64), len(targets)


def _drop_blinks(frames: TargetFrames) -> TargetFrames:
    """Return the frames with open eyes, compared with others at their target: eyes that look down are less open."""
    target, count = _number_targets(frames)
    usual = np.array([np.median(frames.openness[target == each]) for each in range(count)])
    return frames.select(frames.openness >= BLINK_SHARE * usual[target]) if count else frames


def _measure_targets(frames: TargetFrames, screen: Screen, camera: Camera) -> _Measured:
    target, count = _number_targets(frames)
    places, place = np.unique(frames.targets, axis=0, return_inverse=True)
    places_mm = np.array([screen_point_mm(GazePoint(x, y), screen, camera) for x, y in places.tolist()])
    true_deg = gaze_direction(places_mm[place.reshape(-1)] - frames.origin_mm)
    off_deg = _offsets_deg(frames.uncalibrated_deg, true_deg)
    away_deg = np.linalg.norm(off_deg - _medians(off_deg, target, count)[target], axis=1)
    limit_deg = np.maximum(OUTLIER_FACTOR * _medians(away_deg[:, None], target, count)[target, 0], OUTLIER_FLOOR_DEG)
    kept = away_deg <= limit_deg
    frames, target, true_deg, off_deg = frames.select(kept), target[kept], true_deg[kept], off_deg[kept]
    eyes_deg, missing_deg = missing_in_head_deg(frames.uncalibrated_deg, true_deg, frames.head_deg)
    median_missing_deg = _medians(missing_deg, target, count)
    frames_at = np.bincount(target, minlength=count)
    # All targets share one scatter. The variance of a median is π / 2 times that of a mean.
    scatter = ((missing_deg - median_missing_deg[target]) ** 2).sum(axis=0) / max(len(frames) - count, 1)
    return _Measured(
        frames=frames,
        target=target,
        count=count,
        true_deg=true_deg,
        uncalibrated_off_deg=off_deg,
        medians=TargetMedians(
            eyes_deg=_medians(eyes_deg, target, count),
            missing_deg=median_missing_deg,
            noise_deg=np.sqrt(math.pi / 2 * scatter / frames_at[:, None]),
            openness=_medians(frames.openness[:, None], target, count)[:, 0],
        ),
        spread_deg=float(np.ptp(_medians(true_deg, target, count), axis=0).min()),
    )


def _measure_errors(measured: _Measured, off_deg: Floats) -> TargetAccuracy:
    """Return the accuracy for gazes that are off their targets by `off_deg`, shape (n, 2)."""
    target, count = measured.target, measured.count
    medians_deg = _medians(off_deg, target, count)
    means_deg = np.array([off_deg[target == each].mean(axis=0) for each in range(count)])
    single_deg = [np.linalg.norm(off_deg[target == each], axis=1).mean() for each in range(count)]
    uncalibrated_deg = _medians(measured.uncalibrated_off_deg, target, count)
    right_deg, up_deg = medians_deg.mean(axis=0).tolist()
    return TargetAccuracy(
        targets=count,
        frames=len(target),
        accuracy_deg=float(np.linalg.norm(medians_deg, axis=1).mean()),
        frame_accuracy_deg=float(np.mean(single_deg)),
        precision_deg=float(np.sqrt(((off_deg - means_deg[target]) ** 2).sum(axis=1).mean())),
        generic_accuracy_deg=float(np.linalg.norm(uncalibrated_deg, axis=1).mean()),
        shift_deg=(right_deg, up_deg),
    )


def _medians(values: Floats, target: NDArray[np.int64], count: int) -> Floats:
    """Return the medians over the frames of each target, shape (count, columns)."""
    return np.array([np.median(values[target == each], axis=0) for each in range(count)])


def _offsets_deg(gaze_deg: Floats, true_deg: Floats) -> Floats:
    """Return gaze minus target as angles at the eye, to the right and up, shape (n, 2)."""
    off_deg = gaze_deg - true_deg
    off_deg[:, 0] *= np.cos(np.radians(true_deg[:, 1]))
    return off_deg
