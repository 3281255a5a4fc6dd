"""Whether somebody else sat down in the middle of a session, from what its frames measure anyway.

Nobody changes places unseen: the face is gone for a moment, or jumps. Only there the frames before and after are
compared, by the traits of `viewer_change` that need no targets: how far the lids are open, and how far the estimates of
the gaze disagree. Within a session, camera, light and screen stay, so these traits change less when one viewer comes
back than between two calibrations: on rendered people, the lids by 2 instead of 4 hundredths.

Still it is no recognition: it finds a quarter of the changes. The threshold is set for few false alarms; error
rates and how they were measured are in docs/attention-score.md ("Another viewer in the middle").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze_core import viewer_return_prior
from gaze_core.types import Floats
from gaze_core.viewer_change import TRAITS, ViewerPrior, compare_viewers

RETURN_PRIOR = ViewerPrior(np.array(viewer_return_prior.PEOPLE), np.array(viewer_return_prior.RETURNS))
"""Distribution of the traits within one session; its second covariance is that of one viewer's returns."""

CHANGE_THRESHOLD = 6.0
"""Log-likelihood ratio beyond which a single return is taken for another viewer."""

BREAK_S = 1.0
"""Time without a usable face after which somebody else may sit there."""

JUMP_MM = 80.0
"""Distance sideways or upwards that no head covers from one frame to the next, within `JUMP_S`."""

JUMP_S = 0.3

MAX_SPREAD_DEG = 8.0
"""Frames in which the eye network predicts a larger error, such as dark ones, tell nothing about a viewer."""

_NEEDED = np.arange(len(TRAITS)) >= 2
"""The traits that are compared: all but the errors at targets."""


@dataclass(frozen=True, slots=True)
class ViewerChange:
    """A change of the viewer within a session.

    Attributes:
        first: Index of the segment from which on the viewer is another one.
        others: Indices of all segments with another viewer than the first compared one.
    """

    first: int
    others: tuple[int, ...]


def split_at_breaks(times_s: Floats, origin_mm: Floats) -> NDArray[np.int64]:
    """Return the segment of each frame, from 0; a new one begins wherever the viewer may have changed, shape (n,).

    Args:
        times_s: Times of the frames with a usable gaze, ascending, shape (n,).
        origin_mm: Midpoint between the eyes in each of them, camera frame, shape (n, 3).
    """
    if not len(times_s):
        return np.zeros(0, dtype=np.int64)
    steps_s = np.diff(times_s)
    moved_mm = np.linalg.norm(np.diff(origin_mm[:, :2], axis=0), axis=1)
    is_break = (steps_s >= BREAK_S) | ((moved_mm > JUMP_MM) & (steps_s <= JUMP_S))
    return np.concatenate([[0], np.cumsum(is_break)]).astype(np.int64)


def find_viewer_change(traits: Sequence[Floats | None], prior: ViewerPrior = RETURN_PRIOR) -> ViewerChange | None:
    """Compare each segment with the first one; None if the viewer seems to be the same throughout, or nothing says so.

    With several segments, the threshold grows by the logarithm of their number, so that a session with many breaks has
    no more false alarms than one with a single break.

    Args:
        traits: Traits of each segment in the order of `TRAITS`, shape (9,); None for one with too few frames. Segments
            that lack one of those that need no target are left out.
        prior: Distribution of the traits.
    """
    known = [
        (index, np.where(_NEEDED, each, np.nan))
        for index, each in enumerate(traits)
        if each is not None and np.isfinite(each[_NEEDED]).all()
    ]
    if len(known) < 2:
        return None
    (_, first), *later = known
    limit = CHANGE_THRESHOLD + math.log(len(later))
    others = []
    for index, each in later:
        compared = compare_viewers(first, each, prior)
        if compared is not None and compared.log_likelihood_ratio > limit:
            others.append(index)
    return ViewerChange(others[0], tuple(others)) if others else None
