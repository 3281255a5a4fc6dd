"""Offset of a viewer's gaze that wanders over time, from what a few targets show.

The offset is a random walk that starts at an unknown value near zero. Its most likely course given the targets, past
and future ones, is that of a Kalman smoother (Rauch and others, AIAA Journal 3, 1965). Here it is computed in
one step, as a Gaussian process with the covariance of a random walk: the same numbers, and any target can be left out.
"""

from dataclasses import dataclass

import numpy as np

from gaze_core.correction_fit import weigh_by_distance
from gaze_core.types import Floats

_ROBUST_STEPS = 6


@dataclass(frozen=True, slots=True)
class WalkPrior:
    """What is known about an offset before the first target, horizontally and vertically.

    Attributes:
        start_sd_deg: Standard deviation of the offset at time 0.
        walk_deg: Standard deviation by which it changes within a minute.
    """

    start_sd_deg: tuple[float, float]
    walk_deg: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class SeenOffsets:
    """Offsets that targets show.

    Attributes:
        times_s: When each target was shown, from 0, shape (n,).
        offsets_deg: True minus estimated direction there, to the right and up, shape (n, 2).
        noise_deg: Standard deviation of their error, shape (n, 2).
    """

    times_s: Floats
    offsets_deg: Floats
    noise_deg: Floats


@dataclass(frozen=True, slots=True, eq=False)
class OffsetTrack:
    """Most likely offsets.

    Attributes:
        offsets_deg: Offset at each wanted time, to the right and up, shape (m, 2).
        sd_deg: Standard deviation of its error, shape (m, 2).
        left_out_deg: Offset at each target according to the other targets, shape (n, 2).
    """

    offsets_deg: Floats
    sd_deg: Floats
    left_out_deg: Floats


def estimate_offsets(seen: SeenOffsets, at_s: Floats, prior: WalkPrior) -> OffsetTrack:
    """Return the most likely offsets at some times.

    A target that contradicts all others and the prior has little weight: the viewer did not look at it.

    Args:
        seen: Offsets at targets.
        at_s: Times of the wanted offsets, shape (m,).
        prior: Distribution of the offset before.
    """
    count = len(seen.times_s)
    weights, distances = np.ones(count), np.zeros((2, count))
    offsets_deg, variances = np.zeros((len(at_s), 2)), np.zeros((len(at_s), 2))
    left_out_deg = np.zeros((count, 2))
    for _ in range(_ROBUST_STEPS):
        for axis in (0, 1):
            known = _covariance(seen.times_s, seen.times_s, prior, axis)
            noise = seen.noise_deg[:, axis] ** 2
            inverse = np.linalg.inv(known + np.diag(noise / weights))
            pull = inverse @ seen.offsets_deg[:, axis]
            # Each target less what the others predict, and the variance of that difference, from the inverse.
            variance_alone = 1 / np.diag(inverse)
            surprise_deg = pull * variance_alone
            distances[axis] = surprise_deg / np.sqrt(variance_alone - noise / weights + noise)
            left_out_deg[:, axis] = seen.offsets_deg[:, axis] - surprise_deg
            towards = _covariance(at_s, seen.times_s, prior, axis)
            offsets_deg[:, axis] = towards @ pull
            before = np.diag(_covariance(at_s, at_s, prior, axis))
            variances[:, axis] = before - np.einsum("mn,nk,mk->m", towards, inverse, towards)
        weights = weigh_by_distance(np.hypot(*distances))
    return OffsetTrack(offsets_deg, np.sqrt(np.maximum(variances, 0.0)), left_out_deg)


def _covariance(first_s: Floats, second_s: Floats, prior: WalkPrior, axis: int) -> Floats:
    """Return the prior covariance of the offsets at two sets of times; before time 0, the offset stands still."""
    passed_min = np.maximum(np.minimum(first_s[:, None], second_s[None, :]), 0.0) / 60
    return np.asarray(prior.start_sd_deg[axis] ** 2 + prior.walk_deg[axis] ** 2 * passed_min)
