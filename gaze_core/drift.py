"""Drift of a calibration during a viewing, from validation targets shown in between."""

from dataclasses import dataclass

import numpy as np

from gaze_core.calibration import Calibration, choose_priors
from gaze_core.correction_fit import Priors
from gaze_core.offset_walk import SeenOffsets, estimate_offsets
from gaze_core.refresh import session_prior
from gaze_core.targets import (
    TargetAccuracy,
    TargetFrames,
    drop_blinks,
    measure_errors,
    measure_missing,
    measure_targets,
    offsets_deg,
)
from gaze_core.types import Camera, Floats, Screen

WALK_SHARE = 0.05
"""Variance by which the offset changes within a minute, relative to its variance between sessions.

An assumption, because rendered people do not tire: within 20 minutes, the offset wanders as far as it differs between
sessions.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Course of an offset over time: linear between knots, constant before the first and after the last one.

    Attributes:
        times_s: Times of the knots, ascending, shape (k,).
        offsets_deg: Offset to the right and up to add in the head frame, shape (k, 2).
        before: Accuracy of the calibration at the validation targets without this offset.
        after: The same with the offset that the other targets give, so that no target corrects itself.
        moments: Number of times that a target was shown.
    """

    times_s: Floats
    offsets_deg: Floats
    before: TargetAccuracy
    after: TargetAccuracy
    moments: int

    @property
    def is_used(self) -> bool:
        """Whether the offset is applied: not if it does worse at the targets left out."""
        return self.after.accuracy_deg <= self.before.accuracy_deg

    def at(self, times_s: Floats) -> Floats:
        """Return the offset to add at these times, shape (n, 2); zero if it is not used."""
        if not self.is_used:
            return np.zeros((len(times_s), 2))
        return np.stack([np.interp(times_s, self.times_s, axis_deg) for axis_deg in self.offsets_deg.T], axis=1)


def find_drift(
    calibration: Calibration,
    frames: TargetFrames,
    times_s: Floats,
    *,
    screen: Screen,
    camera: Camera,
    priors: Priors | None = None,
) -> Drift | None:
    """Return the drift that validation targets show; None without a correction or a usable frame.

    Args:
        calibration: Calibration that the viewing uses.
        frames: Frames at validation targets, with `moments`.
        times_s: Time of each moment since the start of the viewing, in the order of their numbers.
        screen: Screen that showed the targets.
        camera: Camera that recorded the frames.
        priors: Distribution of the coefficients over people; None for that of `gaze_core.calibration_prior`.
    """
    kept = drop_blinks(frames)
    if calibration.correction is None or calibration.uncertainty is None or len(kept) == 0 or kept.moments is None:
        return None
    chosen = choose_priors(kept, priors)[1]
    start = session_prior(calibration.uncertainty, chosen)
    right_deg, up_deg = (float(np.sqrt(WALK_SHARE)) * sd_deg for sd_deg in start.start_sd_deg)
    prior = session_prior(calibration.uncertainty, chosen, (right_deg, up_deg))
    measured = measure_targets(kept, screen, camera)
    missing_deg, noise_deg = measure_missing(measured, calibration.correction)
    shown_s = times_s[np.unique(kept.moments)]
    scatter_deg = np.array(calibration.uncertainty.scatter_deg)
    seen = SeenOffsets(shown_s, missing_deg, np.hypot(noise_deg, scatter_deg))
    knots_s = np.unique(np.concatenate([[0.0], shown_s]))
    found = estimate_offsets(seen, knots_s, prior)
    frames, moment = measured.frames, measured.target
    before_deg = frames.correct(calibration.correction)
    after_deg = frames.correct(calibration.correction, found.left_out_deg[moment])
    return Drift(
        times_s=knots_s,
        offsets_deg=found.offsets_deg,
        before=measure_errors(measured, offsets_deg(before_deg, measured.true_deg)),
        after=measure_errors(measured, offsets_deg(after_deg, measured.true_deg)),
        moments=measured.count,
    )
