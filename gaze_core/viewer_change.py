"""Whether two sessions seem to show two people, from what calibrations measure anyway.

No number describes a face. How far the uncalibrated gaze is off, how far the lids are open and how far the estimates of
the gaze disagree is similar in two sessions of one person, and differs more between two people. That is far too little
to recognise anybody, and only enough to doubt, now and then, that a calibration belongs to its viewer.
"""

import math
from dataclasses import dataclass

import numpy as np

from gaze_core import viewer_prior
from gaze_core.cues import GazeCues
from gaze_core.types import Floats

TRAITS = (
    "offset_right",
    "offset_up",
    "openness",
    "eyes_right",
    "eyes_up",
    "landmarks_right",
    "landmarks_up",
    "blendshapes_right",
    "blendshapes_up",
)
"""Order of the traits: degrees, the openness in hundredths of eye aspect ratio."""

FALSE_ALARMS = 0.01
"""Share of same viewers that are suspected, according to the prior."""

_NORMAL_QUANTILE = 2.3263
"""99 % quantile of the normal distribution, for `FALSE_ALARMS`."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewerPrior:
    """Distribution of the traits, in the order of `TRAITS`.

    Attributes:
        people: Covariance of a person's usual traits between people, shape (9, 9); NaN where not estimated.
        sessions: Covariance between sessions of one person, shape (9, 9); NaN where not estimated.
    """

    people: Floats
    sessions: Floats


VIEWER_PRIOR = ViewerPrior(np.array(viewer_prior.PEOPLE), np.array(viewer_prior.SESSIONS))
"""The prior estimated on rendered people."""


@dataclass(frozen=True, slots=True)
class ViewerComparison:
    """Comparison of two sessions.

    Attributes:
        log_likelihood_ratio: Natural logarithm of how much more likely the differences are for two people than for one.
        threshold: Value that it exceeds for `FALSE_ALARMS` of same viewers.
        traits: Number of traits that could be compared.
    """

    log_likelihood_ratio: float
    threshold: float
    traits: int

    @property
    def is_other_viewer(self) -> bool:
        """Whether somebody else is suspected."""
        return self.log_likelihood_ratio > self.threshold


def find_traits(openness: Floats, cues: GazeCues | None, missing_deg: Floats) -> Floats:
    """Return the traits of a session, medians over its frames, NaN where unknown, shape (9,).

    Args:
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        cues: Differences between the estimates of the gaze in these frames; None without the eye network.
        missing_deg: True minus uncalibrated direction at targets, head frame, shape (m, 2); empty without targets.
    """
    traits = np.full(len(TRAITS), np.nan)
    if len(missing_deg):
        traits[:2] = np.median(missing_deg, axis=0)
    if len(openness):
        traits[2] = 100 * np.median(openness)
    if cues is not None:
        flat = cues.differences_deg.reshape(len(cues), -1)
        known = np.isfinite(flat).any(axis=0)
        traits[3:][known] = np.nanmedian(flat[:, known], axis=0)
    return traits


def compare_viewers(first: Floats, second: Floats, prior: ViewerPrior = VIEWER_PRIOR) -> ViewerComparison | None:
    """Compare the traits of two sessions; None if they have none in common.

    Args:
        first: Traits of one session, shape (9,).
        second: Traits of the other session, shape (9,).
        prior: Distribution of the traits.
    """
    difference = second - first
    known = np.isfinite(difference) & np.isfinite(np.diag(prior.people))
    if not known.any():
        return None
    square = np.ix_(known, known)
    same = 2 * prior.sessions[square]
    other = same + 2 * prior.people[square]
    # In these coordinates, the differences of one viewer are independent with variance 1.
    root = np.linalg.cholesky(same)
    inverse = np.linalg.inv(root)
    variances, axes = np.linalg.eigh(inverse @ other @ inverse.T)
    standardised = axes.T @ inverse @ difference[known]
    shares = (1 - 1 / variances) / 2
    constant = float(np.log(variances).sum()) / 2
    return ViewerComparison(
        log_likelihood_ratio=float(shares @ standardised**2) - constant,
        threshold=_quantile(shares) - constant,
        traits=int(known.sum()),
    )


def _quantile(shares: Floats) -> float:
    """Return the 99 % quantile of a weighted sum of squares of independent standard normal numbers.

    The sum is taken as a multiple of a chi-square (Satterthwaite, Biometrics Bulletin 2, 1946), whose quantile is that
    of Wilson and Hilferty (Proceedings of the National Academy of Sciences 17, 1931).
    """
    scale = float((shares**2).sum() / shares.sum())
    freedom = float(shares.sum() ** 2 / (shares**2).sum())
    spread = 2 / (9 * freedom)
    return scale * freedom * (1 - spread + _NORMAL_QUANTILE * math.sqrt(spread)) ** 3
