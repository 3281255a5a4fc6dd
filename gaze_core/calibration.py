"""Calibration of one viewer from frames at known targets, and a measure of how far to trust it.

The correction is the posterior mean under priors that were estimated on people, so few targets move it little. Each
target is scored with the correction that the other targets give (leave-one-out). A correction that does worse there
than the uncalibrated model is not used.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from gaze_core.correction import Correction
from gaze_core.correction_fit import Priors, fit_correction, read_priors
from gaze_core.mirroring import Mirroring, compare_with_mirror
from gaze_core.targets import (
    TargetAccuracy,
    TargetFrames,
    drop_blinks,
    measure_errors,
    measure_targets,
    offsets_deg,
)
from gaze_core.types import Camera, Screen

MIN_TARGETS = 3
"""With fewer targets there is no correction."""

MIN_SPREAD_DEG = 4.0
"""Targets closer together than this, horizontally or vertically, determine an offset but no gain."""

MAX_LOSS = -0.05
"""Largest relative increase of the leave-one-out error at which a correction is still used.

The viewer cannot notice a correction that does worse than none. A larger value would help more people than it harms,
because the target left out of five is often a corner that the others do not reach; a smaller one harms fewer people and
helps fewer. Chosen in trials on 275 rendered people of the training set: with five targets 2.9 % of them are worse off
than without a calibration, with 0 it would be 3.3 %.
"""


class Fitted(StrEnum):
    """Terms of the correction."""

    NOTHING = "nothing"
    OFFSET = "offset"
    FULL = "full"


class WhyNot(StrEnum):
    """Reason for a missing correction; the values are part of the result's format."""

    TOO_FEW_TARGETS = "too_few_dots"
    NO_IMPROVEMENT = "no_improvement"
    MIRRORED = "mirrored"


@dataclass(frozen=True, slots=True)
class OffsetUncertainty:
    """How well a calibration knows its offset, horizontally and vertically.

    Attributes:
        sd_deg: Standard deviation of the correction's error in the middle of the targets.
        scatter_deg: Scatter of single targets around the correction.
    """

    sd_deg: tuple[float, float]
    scatter_deg: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Result of a calibration.

    Attributes:
        fitted: Terms of the correction.
        correction: The correction; None when the uncalibrated model is used.
        why_not: Reason for a missing correction; None otherwise.
        accuracy: Expected accuracy of later frames, by leave-one-out over the targets; None without a target.
        uncertainty: How well the offset is known; None without a correction.
        refreshed_by_deg: By how much a refresh moved the offset, to the right and up; None if it is no refresh.
        mirroring: Whether the images seem to be mirrored; None if the targets do not tell.
    """

    fitted: Fitted
    correction: Correction | None
    why_not: WhyNot | None
    accuracy: TargetAccuracy | None
    uncertainty: OffsetUncertainty | None = None
    refreshed_by_deg: tuple[float, float] | None = None
    mirroring: Mirroring | None = None


def calibrate(
    frames: TargetFrames,
    *,
    screen: Screen,
    camera: Camera,
    max_loss: float = MAX_LOSS,
    priors: Priors | None = None,
) -> Calibration:
    """Calibrate a viewer from frames at calibration targets, in any order.

    Images that seem to be mirrored give no correction: one that is fitted to them, with gains that turn the gaze over
    only half, misses by 20 degrees.

    Args:
        frames: Frames with open eyes.
        screen: Screen that showed the targets.
        camera: Camera that recorded the frames.
        max_loss: Largest accepted relative increase of the leave-one-out error, see `MAX_LOSS`.
        priors: Distribution of the coefficients over people; None for that of `gaze_core.calibration_prior`.
    """
    kept, priors = choose_priors(drop_blinks(frames), priors)
    if len(kept) == 0:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_TARGETS, None)
    measured = measure_targets(kept, screen, camera)
    uncalibrated = measure_errors(measured, measured.uncalibrated_off_deg)
    if measured.count < MIN_TARGETS:
        return Calibration(Fitted.NOTHING, None, WhyNot.TOO_FEW_TARGETS, uncalibrated)
    mirroring = compare_with_mirror(measured)
    if mirroring is not None and mirroring.is_suspected:
        return Calibration(Fitted.NOTHING, None, WhyNot.MIRRORED, uncalibrated, mirroring=mirroring)
    fitted = Fitted.OFFSET if measured.spread_deg < MIN_SPREAD_DEG else Fitted.FULL
    found = fit_correction(measured.medians, priors, offset_only=fitted is Fitted.OFFSET)
    off_deg = np.empty_like(measured.uncalibrated_off_deg)
    for target, without in enumerate(found.left_out):
        rows = measured.target == target
        off_deg[rows] = offsets_deg(measured.frames.select(rows).correct(without), measured.true_deg[rows])
    accuracy = measure_errors(measured, off_deg)
    if accuracy.accuracy_deg > (1 + max_loss) * uncalibrated.accuracy_deg:
        return Calibration(Fitted.NOTHING, None, WhyNot.NO_IMPROVEMENT, uncalibrated, mirroring=mirroring)
    (sd_right, sd_up), (scatter_right, scatter_up) = found.offset_sd_deg.tolist(), found.scatter_deg.tolist()
    uncertainty = OffsetUncertainty((sd_right, sd_up), (scatter_right, scatter_up))
    return Calibration(fitted, found.correction, None, accuracy, uncertainty, mirroring=mirroring)


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
    kept = drop_blinks(frames)
    if len(kept) == 0:
        return None
    measured = measure_targets(kept, screen, camera)
    return measure_errors(measured, offsets_deg(measured.frames.correct(correction), measured.true_deg))


def choose_priors(frames: TargetFrames, priors: Priors | None) -> tuple[TargetFrames, Priors]:
    """Return the frames to fit and their priors: with the eye network if it answered in most frames, or without it.

    Args:
        frames: Frames at targets.
        priors: Priors to use; None for those of `gaze_core.calibration_prior`.
    """
    has_network = np.zeros(len(frames), dtype=bool) if frames.cues is None else frames.cues.has_network
    if 2 * has_network.sum() > len(frames):
        found = read_priors(with_network=True) if priors is None else priors
        if found is not None:
            return frames.select(has_network), found
    found = read_priors(with_network=False) if priors is None else priors
    if found is None:
        raise ValueError("gaze_core.calibration_prior has no prior without the eye network")
    return replace(frames, cues=None), found
