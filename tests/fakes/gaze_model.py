"""Gaze model with a constant prediction."""

import numpy as np


class FakeGazeModel:
    """Predicts the same direction for all features."""

    def __init__(self, gaze_x_deg=0.0, gaze_y_deg=-9.0, *, digest="0" * 64, estimates=("landmarks",)):
        self.digest = digest
        self.estimates = estimates
        self.direction_deg = (gaze_x_deg, gaze_y_deg)

    def predict(self, features):
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != 7 or not np.isfinite(features).all():
            raise ValueError("features must be finite, shape (n, 7)")
        return np.tile(np.array(self.direction_deg), (len(features), 1))
