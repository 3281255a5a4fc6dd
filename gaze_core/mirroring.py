"""Whether the images of a calibration seem to be flipped left to right, or not flipped although they should be.

A mirrored image negates the horizontal gaze and changes nothing else, so the gaze then runs against the targets from
left to right, and with them from top to bottom. No person's error does that: among rendered people, the uncalibrated
gaze follows the targets with a horizontal slope of 0.7 to 1.2.
"""

from dataclasses import dataclass

import numpy as np

from gaze_core.targets import MeasuredTargets, target_medians
from gaze_core.types import Floats

MIN_COMPARED_TARGETS = 4
"""With fewer targets, one that was not looked at could decide."""

MIN_TARGET_FRAMES = 3
"""Targets with fewer frames do not count."""

MIN_WIDTH_DEG = 8.0
"""Targets closer together than this, horizontally, say nothing; the narrowest rendered screen spans 8.2 degrees."""

MIN_HEIGHT_DEG = 4.0
"""Targets closer together than this, vertically, do not tell whether the viewer followed them up and down."""

MAX_SWAPPED_SHARE = 1 / 3
"""Mirroring is suspected below this share: with left and right swapped, the gaze misses less than half as much.

`python -m research.evaluation.mirroring` measures how often that is right and wrong.
"""


@dataclass(frozen=True, slots=True)
class Mirroring:
    """Comparison of the gaze at targets with its mirror image.

    Attributes:
        swapped_share: Horizontal misfit with left and right swapped, as a share of the sum of both misfits, 0 to 1.
        upright_share: Vertical misfit, as a share of the sum of it and that with top and bottom swapped, 0 to 1; None
            if the targets are at one height.
        targets: Number of targets compared.
    """

    swapped_share: float
    upright_share: float | None
    targets: int

    @property
    def is_suspected(self) -> bool:
        """Whether the images seem to be flipped compared with what the camera's description says."""
        follows_vertically = self.upright_share is None or self.upright_share < 1 / 2
        return self.swapped_share < MAX_SWAPPED_SHARE and follows_vertically


def compare_with_mirror(measured: MeasuredTargets) -> Mirroring | None:
    """Compare the uncalibrated gaze at targets with its mirror image; None with too few targets, frames or width.

    A constant error of the gaze has no influence, and a single wrong target does not decide.

    Args:
        measured: Frames at targets, without blinks and outliers.
    """
    counts = np.bincount(measured.target, minlength=measured.count)
    enough = counts >= MIN_TARGET_FRAMES
    gaze_deg = target_medians(measured, measured.frames.uncalibrated_deg)[enough]
    true_deg = target_medians(measured, measured.true_deg)[enough]
    if len(true_deg) < MIN_COMPARED_TARGETS:
        return None
    width_deg, height_deg = np.ptp(true_deg, axis=0).tolist()
    if width_deg < MIN_WIDTH_DEG:
        return None
    return Mirroring(
        swapped_share=_swapped_share(gaze_deg[:, 0], true_deg[:, 0]),
        upright_share=1 - _swapped_share(gaze_deg[:, 1], true_deg[:, 1]) if height_deg >= MIN_HEIGHT_DEG else None,
        targets=len(true_deg),
    )


def _swapped_share(gaze_deg: Floats, true_deg: Floats) -> float:
    """Return the misfit of the negated gaze as a share of both misfits; the targets must differ, so one is above 0."""
    swapped, kept = _misfit_deg(gaze_deg + true_deg), _misfit_deg(gaze_deg - true_deg)
    return swapped / (swapped + kept)


def _misfit_deg(off_deg: Floats) -> float:
    """Return the mean distance of the targets' offsets from their median."""
    return float(np.abs(off_deg - np.median(off_deg)).mean())
