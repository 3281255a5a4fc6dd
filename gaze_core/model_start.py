"""The start of the gaze model's regressors: the direction that the features themselves state.

The trees of the model are fitted to what this start leaves over. It is part of the model file, and has the two methods
that scikit-learn asks of such an estimator.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gaze_core.features import FEATURE_NAMES
from gaze_core.gaze import gaze_direction

PITCH_DISTRUST = 0.25
"""Share of the measured head pitch that the start takes back from the gaze.

A measured pitch is part of the gaze direction, since the eyes are measured relative to the head. Faces differ from the
canonical face, so it errs by some degrees between people: portraits of people who face the lens scatter by 4 to 5
degrees. The best estimate of an angle with variance v from a measurement with error variance e is v / (v + e) of it;
8 degrees for heads in front of webcams and 4 to 5 for the error make that 0.75 to 0.8.
"""

_PITCH = FEATURE_NAMES.index("head_rotation_x")


@dataclass(frozen=True)
class FeatureDirection:
    """Predicts one angle of the gaze from the gaze vector and the head pitch among the features; learns nothing.

    Attributes:
        axis: 0 for gaze_x, 1 for gaze_y.
        pitch_distrust: Share of the head pitch that gaze_y is reduced by.
    """

    axis: int
    pitch_distrust: float = PITCH_DISTRUST

    def fit(self, features: NDArray[np.float64], angles_deg: NDArray[np.float64], sample_weight: Any = None) -> Self:  # noqa: ANN401 - as scikit-learn calls it
        """Return the estimator unchanged."""
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the angle in degrees, camera frame, shape (n,).

        Args:
            features: Model inputs in the order of `FEATURE_NAMES`, shape (n, 7).
        """
        angles_deg: NDArray[np.float64] = gaze_direction(features[:, :3])[:, self.axis]
        if self.axis == 1:
            angles_deg = angles_deg - self.pitch_distrust * features[:, _PITCH]
        return angles_deg
