"""Fit of a personal correction to calibration targets.

Few targets determine few coefficients. The coefficients have a prior, their distribution over rendered people, and the
evidence decides how far they move away from its mean: Bayesian linear regression; MacKay, Bayesian interpolation,
Neural Computation 4, 1992.
"""

import math
from dataclasses import dataclass

import numpy as np

from gaze_core import calibration_prior
from gaze_core.correction import Correction, HeadGaze, design_axes, make_correction
from gaze_core.types import Floats

SCATTER_GRID = tuple(float(value) for value in np.geomspace(0.2, 5.0, 13))
"""Candidates for the scatter of the targets around the correction, in units of the prior's."""

MAX_SPREAD_RATIO = 2.0
"""The network's predicted spread changes the standard deviation of a target by at most this factor."""

FREEDOM = 4.0
"""Degrees of freedom of the t distribution of a target's error: fewer distrust targets that stand apart more."""

_ROBUST_STEPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class AxisPrior:
    """Distribution of people's corrections along one axis.

    Attributes:
        mean: Mean of the coefficients, shape (k,).
        covariance: Their covariance between people, shape (k, k).
        scatter_deg: Median over people of the scatter of targets around the correction.
        scatter_spread: Standard deviation over people of the logarithm of that scatter.
    """

    mean: Floats
    covariance: Floats
    scatter_deg: float
    scatter_spread: float


Priors = tuple[AxisPrior, AxisPrior]
"""Horizontal and vertical prior."""


def read_priors(*, with_network: bool) -> Priors | None:
    """Return the priors of `gaze_core.calibration_prior`; None if they have not been estimated.

    Args:
        with_network: Whether the eye network contributes to the estimates.
    """
    stored = calibration_prior.WITH_NETWORK if with_network else calibration_prior.WITHOUT_NETWORK
    if stored is None:
        return None
    horizontal, vertical = (
        AxisPrior(np.array(mean), np.array(covariance), scatter_deg, scatter_spread)
        for mean, covariance, scatter_deg, scatter_spread in stored
    )
    return horizontal, vertical


@dataclass(frozen=True, slots=True, eq=False)
class TargetMedians:
    """Medians over the frames of each target.

    Attributes:
        measured: Measurements, head frame.
        missing_deg: True minus uncalibrated direction in the head frame, shape (targets, 2).
        noise_deg: Standard error of `missing_deg`, assuming independent frames, shape (targets, 2).
        spread_ratio: Spread that the network predicts at a target, relative to the others, shape (targets,).
    """

    measured: HeadGaze
    missing_deg: Floats
    noise_deg: Floats
    spread_ratio: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FittedCorrection:
    """Correction fitted to targets.

    Attributes:
        correction: Fitted to all targets.
        left_out: For each target, the correction fitted to all others.
        offset_sd_deg: Standard deviation of its error in the middle of the targets, each axis, shape (2,).
        scatter_deg: Scatter of the targets around it, each axis, shape (2,).
    """

    correction: Correction
    left_out: list[Correction]
    offset_sd_deg: Floats
    scatter_deg: Floats


def fit_correction(medians: TargetMedians, priors: Priors, *, offset_only: bool = False) -> FittedCorrection:
    """Return the correction fitted to all targets, and for each target the one fitted to all others.

    The leave-one-out corrections share scatter, weights and ranges with the full fit, so their error comes out slightly
    too small. The weights of Student's t distribution take the influence from a target that the viewer did not look at;
    Lange, Little and Taylor, Robust statistical modeling using the t distribution, JASA 84, 1989.

    Args:
        medians: Measurements at the targets.
        priors: Distribution of the coefficients over people.
        offset_only: Whether to leave out everything but the offset.
    """
    designs = design_axes(medians.measured)
    used: list[AxisPrior] = list(priors)
    if offset_only:
        designs = (designs[0][:, :1], designs[1][:, :1])
        used = [AxisPrior(p.mean[:1], p.covariance[:1, :1], p.scatter_deg, p.scatter_spread) for p in priors]
    missing_deg = medians.missing_deg
    off_deg = np.linalg.norm(missing_deg - np.median(missing_deg, axis=0), axis=1)
    weights = weigh_by_distance(off_deg / max(float(np.median(off_deg)), 1.0))
    for _ in range(_ROBUST_STEPS):
        axes = [_fit_axis(axis, medians, designs[axis], weights, used[axis]) for axis in (0, 1)]
        weights = weigh_by_distance(np.hypot(axes[0].standardised, axes[1].standardised))
    return FittedCorrection(
        correction=make_correction(axes[0].coefficients, axes[1].coefficients, medians.measured),
        left_out=[
            make_correction(horizontal, vertical, medians.measured)
            for horizontal, vertical in zip(axes[0].left_out, axes[1].left_out, strict=True)
        ],
        offset_sd_deg=np.array([each.offset_sd_deg for each in axes]),
        scatter_deg=np.array([each.scatter_deg for each in axes]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """Fit of one axis.

    Attributes:
        coefficients: Fitted to all targets, shape (k,).
        left_out: Fitted without one target each, shape (targets, k).
        standardised: Residuals in their standard deviations, before robust weighting, shape (targets,).
        offset_sd_deg: Standard deviation of the correction in the middle of the targets.
        scatter_deg: Scatter with the highest evidence.
    """

    coefficients: Floats
    left_out: Floats
    standardised: Floats
    offset_sd_deg: float
    scatter_deg: float


def _fit_axis(axis: int, medians: TargetMedians, design: Floats, weights: Floats, prior: AxisPrior) -> _Axis:
    """Return the posterior mean for the scatter with the highest evidence."""
    information = np.linalg.inv(prior.covariance)
    _, log_prior = np.linalg.slogdet(prior.covariance)
    beyond_deg = medians.missing_deg[:, axis] - design @ prior.mean
    noise_deg = medians.noise_deg[:, axis]

    def solve(ratio: float) -> tuple[float, float, Floats, Floats, Floats]:
        """Return the log evidence, the scatter, posterior covariance and mean, and the precision of each target."""
        scatter_deg = ratio * prior.scatter_deg
        precision = weights / ((scatter_deg * medians.spread_ratio) ** 2 + noise_deg**2)
        weighted = design.T * precision
        inverse = information + weighted @ design
        posterior: Floats = np.linalg.inv(inverse).astype(np.float64)
        mean = posterior @ weighted @ beyond_deg
        # The determinant lemma and Woodbury's identity keep the cost linear in the number of targets.
        log_determinant = float(np.linalg.slogdet(inverse)[1] + log_prior - np.log(precision).sum())
        misfit = beyond_deg @ (precision * beyond_deg) - mean @ inverse @ mean
        log_evidence = -0.5 * float(log_determinant + misfit + (math.log(ratio) / prior.scatter_spread) ** 2)
        return log_evidence, scatter_deg, posterior, mean, precision

    _, scatter_deg, posterior, mean, precision = max((solve(each) for each in SCATTER_GRID), key=lambda found: found[0])
    residual = beyond_deg - design @ mean
    # Leave-one-out change by Sherman and Morrison; exact for fixed scatter and weights.
    influence = posterior @ design.T * precision
    leverage = np.einsum("nk,kn->n", design, influence)
    middle = design.mean(axis=0)
    return _Axis(
        coefficients=prior.mean + mean,
        left_out=prior.mean + mean - (influence * residual / (1 - leverage)).T,
        standardised=residual * np.sqrt(precision / weights),
        offset_sd_deg=math.sqrt(float(middle @ posterior @ middle)),
        scatter_deg=scatter_deg,
    )


def weigh_by_distance(distances: Floats) -> Floats:
    """Return the weights of targets in the plane by their distance in standard deviations, at most 1."""
    weights: Floats = np.minimum((FREEDOM + 2) / (FREEDOM + distances**2), 1.0)
    return weights
