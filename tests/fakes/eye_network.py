"""Eye network with given answers."""

import numpy as np

from gaze_core.types import EyeGazes, check_frame


def make_gazes(left_deg=(0.0, 0.0), right_deg=(0.0, 0.0), both_deg=(0.0, 0.0), *, spread_deg=2.0):
    """Return the answer of an eye network that is equally certain of every number."""
    return EyeGazes(
        eyes_deg=np.array([left_deg, right_deg], dtype=float),
        eyes_spread_deg=np.full((2, 2), spread_deg),
        both_deg=np.array(both_deg, dtype=float),
        both_spread_deg=np.full(2, spread_deg),
    )


class FakeEyeNetwork:
    """Gives the same answer for every frame, and remembers the views."""

    def __init__(self, gazes=None, *, digest="e" * 64):
        self.digest = digest
        self.gazes = gazes or make_gazes()
        self.error = None
        self.seen_views = []

    def estimate(self, frame, views):
        check_frame(frame)
        self.seen_views.append(views)
        if self.error is not None:
            raise self.error
        return self.gazes

    def warm_up(self, concurrent=1):
        """Do nothing."""
