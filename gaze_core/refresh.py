"""Refresh of an earlier calibration: its gains stay, a few new targets move its offset."""

from dataclasses import replace

import numpy as np

from gaze_core.calibration import Calibration, OffsetUncertainty, calibrate, choose_priors
from gaze_core.correction_fit import Priors
from gaze_core.mirroring import compare_with_mirror
from gaze_core.offset_walk import SeenOffsets, WalkPrior, estimate_offsets
from gaze_core.targets import (
    TargetFrames,
    drop_blinks,
    measure_errors,
    measure_missing,
    measure_targets,
    offsets_deg,
)
from gaze_core.types import Camera, Screen

SESSION_SHARE = 0.25
"""Variance of a viewer's offset between sessions, relative to the variance between people.

Measured on 59 rendered people in two sessions each, with different screens, cameras, light and distances: standard
deviations of 1.7 (horizontal) and 2.6 degrees (vertical), between people 3.5 and 5.0.
"""


def refresh_calibration(
    earlier: Calibration, frames: TargetFrames, *, screen: Screen, camera: Camera, priors: Priors | None = None
) -> Calibration:
    """Return a calibration with the gains of an earlier one and an offset for this session.

    The prior of the change is what the earlier calibration did not know about its offset, plus the variance between
    sessions. Without a usable earlier calibration, the targets calibrate on their own; without a usable frame, the
    earlier calibration stays as it is. Targets whose images seem to be mirrored give no calibration.

    Args:
        earlier: Calibration of the same viewer in another session.
        frames: Frames at the new targets.
        screen: Screen that showed them.
        camera: Camera that recorded them.
        priors: Distribution of the coefficients over people; None for that of `gaze_core.calibration_prior`.

    Returns:
        Its `accuracy` describes the new targets, each corrected with the offset that the others give.
    """
    if earlier.correction is None or earlier.uncertainty is None:
        return calibrate(frames, screen=screen, camera=camera, priors=priors)
    kept = drop_blinks(frames)
    if len(kept) == 0:
        return earlier
    prior = session_prior(earlier.uncertainty, choose_priors(kept, priors)[1])
    measured = measure_targets(kept, screen, camera)
    mirroring = compare_with_mirror(measured)
    if mirroring is not None and mirroring.is_suspected:
        return calibrate(frames, screen=screen, camera=camera, priors=priors)
    missing_deg, noise_deg = measure_missing(measured, earlier.correction)
    scatter_deg = np.array(earlier.uncertainty.scatter_deg)
    seen = SeenOffsets(np.zeros(measured.count), missing_deg, np.hypot(noise_deg, scatter_deg))
    found = estimate_offsets(seen, np.zeros(1), prior)
    corrected_deg = measured.frames.correct(earlier.correction, found.left_out_deg[measured.target])
    (right_deg, up_deg), (sd_right_deg, sd_up_deg) = found.offsets_deg[0].tolist(), found.sd_deg[0].tolist()
    return replace(
        earlier,
        correction=earlier.correction.shift((right_deg, up_deg)),
        accuracy=measure_errors(measured, offsets_deg(corrected_deg, measured.true_deg)),
        uncertainty=OffsetUncertainty((sd_right_deg, sd_up_deg), earlier.uncertainty.scatter_deg),
        refreshed_by_deg=(right_deg, up_deg),
        mirroring=mirroring,
    )


def session_prior(
    uncertainty: OffsetUncertainty, priors: Priors, walk_deg: tuple[float, float] = (0.0, 0.0)
) -> WalkPrior:
    """Return the prior of what is left of the offset in another session.

    Args:
        uncertainty: How well the calibration knows its offset.
        priors: Distribution of the coefficients over people.
        walk_deg: Standard deviation by which the offset changes within a minute.
    """
    right_deg, up_deg = (
        float(np.sqrt(sd_deg**2 + SESSION_SHARE * prior.covariance[0, 0]))
        for sd_deg, prior in zip(uncertainty.sd_deg, priors, strict=True)
    )
    return WalkPrior((right_deg, up_deg), walk_deg)
