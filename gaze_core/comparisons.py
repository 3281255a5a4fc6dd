"""Which gazes of a viewer are compared with the gaze at a moment, for the shuffled AUC."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Floats

Integers = NDArray[np.int64]

SHUFFLE_GAP_S = 2.0
"""Smallest time between a moment and its comparison gazes: longer than a fixation and its neighbours."""

COMPARISONS = 64
"""Largest number of comparison gazes per map."""

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class MapLookup:
    """Gaze points at which the maps of some frames are evaluated.

    Attributes:
        places: Frames in order of time, shape (m,).
        positions: Gaze points in order of time, for each frame its own, its k comparison gazes, and the gaze closest to
            each lag, shape (m, 1 + k + lags).
        is_used: Whether each comparison gaze is used, shape (m, k); none for a gaze off the video.
        has_lagged: Whether the gaze closest to each lag is close enough, shape (m, lags).
    """

    places: Integers
    positions: Integers
    is_used: NDArray[np.bool_]
    has_lagged: NDArray[np.bool_]

    def take(self, frames: slice) -> "MapLookup":
        """Return the look-up of some of its frames."""
        return MapLookup(self.places[frames], self.positions[frames], self.is_used[frames], self.has_lagged[frames])


def compare(own: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Return 1 where the own value is higher, 0.5 at ties and 0 elsewhere."""
    shares: Floats = (own > others) + 0.5 * (own == others)
    return shares


def comparison_positions(
    candidate_times_s: Floats, moments_s: Floats, seeds: Integers, *, count: int = COMPARISONS
) -> tuple[Integers, NDArray[np.bool_]]:
    """Return evenly spaced comparison candidates for each moment among those at least `SHUFFLE_GAP_S` away.

    The starting point advances by the golden ratio with the seed, so that all candidates are used about equally often
    without a random generator.

    Args:
        candidate_times_s: Times of the candidates, ascending, shape (n,).
        moments_s: Times of the moments, shape (m,).
        seeds: Integer for each moment that determines its starting point, shape (m,).
        count: Largest number of candidates per moment.

    Returns:
        Positions among the candidates, and whether each is used, both of shape (m, count).
    """
    # Frames exactly at the limit must not depend on the last bit of a difference.
    tolerance_s = 1e-6
    before = np.searchsorted(candidate_times_s, moments_s - SHUFFLE_GAP_S + tolerance_s, side="right")
    after = np.searchsorted(candidate_times_s, moments_s + SHUFFLE_GAP_S - tolerance_s, side="left")
    available = (before + candidate_times_s.size - after)[:, None]
    slots = np.arange(count)[None, :]
    phase = (seeds * _GOLDEN_RATIO % 1.0)[:, None]
    spaced = np.floor((slots + phase) * available / count).astype(np.int64)
    picks = np.where(available <= count, slots, spaced)
    is_used = np.broadcast_to(slots < available, picks.shape)
    picks = np.where(picks < before[:, None], picks, picks + (after - before)[:, None])
    return np.minimum(picks, candidate_times_s.size - 1), is_used.copy()
