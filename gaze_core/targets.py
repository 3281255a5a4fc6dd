"""Frames recorded while a viewer looks at targets, grouped by target, and the errors of the gaze there."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.correction import Correction, HeadGaze, missing_in_head_deg
from gaze_core.correction_fit import MAX_SPREAD_RATIO, TargetMedians
from gaze_core.cues import GazeCues
from gaze_core.gaze import gaze_direction, screen_point_mm
from gaze_core.types import Camera, Floats, GazePoint, Screen

HEAD_ANGLES = slice(3, 6)
"""Position of the head's pitch, yaw and roll among the seven features."""

MIN_NETWORK_SPREAD_DEG = 0.1
"""Smaller spreads predicted by the network count as this one."""

BLINK_SHARE = 0.75
"""A frame whose eye openness is below this share of the median at its target counts as a blink."""

OUTLIER_FACTOR = 3.0
"""A frame further from the median of its target than this multiple of the median distance is dropped."""

OUTLIER_FLOOR_DEG = 1.0
"""Frames closer than this to the median of their target are never dropped."""

SAME_PLACE_MM = 5.0
"""A target that moves less, when the screen or camera changes, stays the same target: half a degree at 600 mm."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetFrames:
    """Measurements of frames recorded while the viewer looked at calibration or validation targets.

    Attributes:
        targets: Target of each frame, normalised to the screen, shape (n, 2).
        uncalibrated_deg: Gaze directions of the uncalibrated model, camera frame, shape (n, 2).
        head_deg: Pitch, yaw and roll of the head, shape (n, 3).
        origin_mm: Midpoint between the eyes, camera frame, shape (n, 3).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        cues: Differences between the estimates behind the model's direction; None without the eye network.
        moments: Which time a target was shown, counted from 0 over all targets, shape (n,); None if every target was
            shown once. Frames are grouped by moment.
        targets_mm: Place of each target in the camera frame of its frame, shape (n, 3), for frames of several screens
            or cameras; None if all have those that the functions get.
    """

    targets: Floats
    uncalibrated_deg: Floats
    head_deg: Floats
    origin_mm: Floats
    openness: Floats
    cues: GazeCues | None = None
    moments: NDArray[np.int64] | None = None
    targets_mm: Floats | None = None

    def __post_init__(self) -> None:
        count = len(self.openness)
        for name, width in (("targets", 2), ("uncalibrated_deg", 2), ("head_deg", 3), ("origin_mm", 3)):
            if getattr(self, name).shape != (count, width):
                raise ValueError(f"{name} must have shape ({count}, {width}), not {getattr(self, name).shape}")
        if self.cues is not None and len(self.cues) != count:
            raise ValueError(f"cues must have {count} frames, not {len(self.cues)}")
        if self.targets_mm is not None and self.targets_mm.shape != (count, 3):
            raise ValueError(f"targets_mm must have shape ({count}, 3), not {self.targets_mm.shape}")

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
            None if self.cues is None else self.cues.select(rows),
            None if self.moments is None else self.moments[rows],
            None if self.targets_mm is None else self.targets_mm[rows],
        )

    def correct(self, correction: Correction | None, offset_deg: ArrayLike = 0.0) -> Floats:
        """Return the corrected gaze directions, camera frame, shape (n, 2); without a correction the uncalibrated ones.

        Args:
            correction: Correction of the viewer.
            offset_deg: Further offset in the head frame, shape (n, 2).
        """
        if correction is None:
            return self.uncalibrated_deg
        return correction.apply(self.uncalibrated_deg, self.head_deg, self.openness, self.cues, offset_deg=offset_deg)


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


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredTargets:
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
    """Return the target number of each frame and the number of targets.

    Frames belong to the same target if it is the same to a thousandth of the screen, and within `SAME_PLACE_MM`.
    """
    if frames.moments is not None:
        moments, target = np.unique(frames.moments, return_inverse=True)
        return target.reshape(-1).astype(np.int64), len(moments)
    targets, target = np.unique(np.round(frames.targets, 3), axis=0, return_inverse=True)
    numbers = target.reshape(-1).astype(np.int64)
    if frames.targets_mm is None:
        return numbers, len(targets)
    apart = _split_places(numbers, frames.targets_mm)
    groups, number = np.unique(np.stack([numbers, apart], axis=1), axis=0, return_inverse=True)
    return number.reshape(-1).astype(np.int64), len(groups)


def _split_places(numbers: NDArray[np.int64], places_mm: Floats) -> NDArray[np.int64]:
    """Return, for each frame, the number of its target's place, counted from 0 for each target."""
    found: dict[int, Floats] = {}
    places = np.zeros(len(numbers), dtype=np.int64)
    for row, (number, place_mm) in enumerate(zip(numbers.tolist(), places_mm, strict=True)):
        known = found.setdefault(number, place_mm[None])
        near = is_same_place(known, place_mm)
        places[row] = near.argmax() if near.any() else len(known)
        if not near.any():
            found[number] = np.concatenate([known, place_mm[None]])
    return places


def is_same_place(places_mm: Floats, place_mm: Floats) -> NDArray[np.bool_]:
    """Return whether places of a target, shape (..., 3), are close enough to another to count as the same."""
    same: NDArray[np.bool_] = np.linalg.norm(places_mm - place_mm, axis=-1) <= SAME_PLACE_MM
    return same


def drop_blinks(frames: TargetFrames) -> TargetFrames:
    """Return the frames with open eyes, compared with others at their target: eyes that look down are less open."""
    target, count = _number_targets(frames)
    usual = np.array([np.median(frames.openness[target == each]) for each in range(count)])
    return frames.select(frames.openness >= BLINK_SHARE * usual[target]) if count else frames


def measure_targets(frames: TargetFrames, screen: Screen, camera: Camera) -> MeasuredTargets:
    """Return the frames without outliers, grouped by target, and their medians.

    Args:
        frames: Frames with open eyes, at least one.
        screen: Screen that showed the targets, unless the frames have `targets_mm`.
        camera: Camera that recorded the frames, unless they have `targets_mm`.
    """
    target, count = _number_targets(frames)
    targets_mm = frames.targets_mm
    if targets_mm is None:
        places, place = np.unique(frames.targets, axis=0, return_inverse=True)
        places_mm = np.array([screen_point_mm(GazePoint(x, y), screen, camera) for x, y in places.tolist()])
        targets_mm = places_mm[place.reshape(-1)]
    true_deg = gaze_direction(targets_mm - frames.origin_mm)
    off_deg = offsets_deg(frames.uncalibrated_deg, true_deg)
    away_deg = np.linalg.norm(off_deg - _medians(off_deg, target, count)[target], axis=1)
    limit_deg = np.maximum(OUTLIER_FACTOR * _medians(away_deg[:, None], target, count)[target, 0], OUTLIER_FLOOR_DEG)
    kept = away_deg <= limit_deg
    frames, target, true_deg, off_deg = frames.select(kept), target[kept], true_deg[kept], off_deg[kept]
    eyes_deg, missing_deg = missing_in_head_deg(frames.uncalibrated_deg, true_deg, frames.head_deg)
    cues = frames.cues
    spread_deg = _spreads(cues, len(frames))
    weights = 1 / spread_deg**2

    def middle(values: Floats) -> Floats:
        return _medians(values, target, count, weights)

    median_missing_deg = middle(missing_deg)
    target_spread_deg = np.array([np.median(spread_deg[target == each]) for each in range(count)])
    spread_ratio = target_spread_deg / np.exp(np.log(target_spread_deg).mean())
    differences_deg = None
    if cues is not None:
        flat = middle(_fill_missing(cues.differences_deg.reshape(len(frames), -1)))
        differences_deg = flat.reshape(count, *cues.differences_deg.shape[1:])
    return MeasuredTargets(
        frames=frames,
        target=target,
        count=count,
        true_deg=true_deg,
        uncalibrated_off_deg=off_deg,
        medians=TargetMedians(
            measured=HeadGaze(
                middle(eyes_deg), middle(frames.head_deg), middle(frames.openness[:, None])[:, 0], differences_deg
            ),
            missing_deg=median_missing_deg,
            noise_deg=_find_noise_deg(missing_deg - median_missing_deg[target], target, count),
            spread_ratio=np.clip(spread_ratio, 1 / MAX_SPREAD_RATIO, MAX_SPREAD_RATIO),
        ),
        spread_deg=float(np.ptp(_medians(true_deg, target, count), axis=0).min()),
    )


def target_medians(measured: MeasuredTargets, values: Floats) -> Floats:
    """Return the medians over the frames of each target, shape (targets, columns).

    Args:
        measured: Frames, grouped by target.
        values: One row for each frame, shape (n, columns).
    """
    return _medians(values, measured.target, measured.count)


def measure_missing(measured: MeasuredTargets, correction: Correction) -> tuple[Floats, Floats]:
    """Return the medians of true minus corrected direction in the head frame, and their standard errors.

    Both have the shape (targets, 2).
    """
    frames, target, count = measured.frames, measured.target, measured.count
    _, missing_deg = missing_in_head_deg(frames.correct(correction), measured.true_deg, frames.head_deg)
    medians_deg = _medians(missing_deg, target, count)
    return medians_deg, _find_noise_deg(missing_deg - medians_deg[target], target, count)


def _find_noise_deg(deviations_deg: Floats, target: NDArray[np.int64], count: int) -> Floats:
    """Return the standard errors of the medians, assuming independent frames, shape (count, 2)."""
    # All targets share one scatter. The variance of a median is π / 2 times that of a mean.
    variance = (deviations_deg**2).sum(axis=0) / max(len(target) - count, 1)
    noise_deg: Floats = np.sqrt(math.pi / 2 * variance / np.bincount(target, minlength=count)[:, None])
    return noise_deg


def _spreads(cues: GazeCues | None, count: int) -> Floats:
    """Return the network's predicted spread of each frame, the usual one where it is missing, shape (count,)."""
    if cues is None or not cues.has_network.any():
        return np.ones(count)
    spread_deg = np.maximum(np.sqrt(np.prod(cues.spread_deg, axis=1)), MIN_NETWORK_SPREAD_DEG)
    return np.asarray(np.where(cues.has_network, spread_deg, np.median(spread_deg[cues.has_network])))


def measure_errors(measured: MeasuredTargets, off_deg: Floats) -> TargetAccuracy:
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


def _medians(values: Floats, target: NDArray[np.int64], count: int, weights: Floats | None = None) -> Floats:
    """Return the medians over the frames of each target, shape (count, columns).

    Args:
        values: One row a frame, shape (n, columns).
        target: Target number of each frame, shape (n,).
        count: Number of targets.
        weights: Weight of each frame, shape (n,); None for equal ones.
    """
    if weights is None:
        return np.array([np.median(values[target == each], axis=0) for each in range(count)])
    rows = [np.flatnonzero(target == each) for each in range(count)]
    return np.array([[_weighted_median(column, weights[own]) for column in values[own].T] for own in rows])


def _weighted_median(values: Floats, weights: Floats) -> float:
    """Return the value with half of the weight on either side; the mean of two if the halves meet between them."""
    order = np.argsort(values)
    passed = np.cumsum(weights[order]) / weights.sum()
    low, high = np.searchsorted(passed, [0.5 - 1e-9, 0.5 + 1e-9])
    return float((values[order[low]] + values[order[high]]) / 2)


def offsets_deg(gaze_deg: Floats, true_deg: Floats) -> Floats:
    """Return gaze minus target as angles at the eye, to the right and up, shape (n, 2)."""
    off_deg = gaze_deg - true_deg
    off_deg[:, 0] *= np.cos(np.radians(true_deg[:, 1]))
    return off_deg


def _fill_missing(values: Floats) -> Floats:
    """Return values with each missing one replaced by the median of its column, or by zero in a column without any."""
    filled = values.copy()
    for column in filled.T:
        missing = np.isnan(column)
        column[missing] = 0.0 if missing.all() else np.median(column[~missing])
    return filled
