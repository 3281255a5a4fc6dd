"""The benchmark of scoring, on sessions of a second."""

import numpy as np
import pytest

from gaze_tools.bench.score_growth import ScoringLoad, measure_scoring
from tests.fakes.viewer import StraightGazeModel


class ShiftedGazeModel(StraightGazeModel):
    """Is 3 degrees off, so that a calibration improves it."""

    def predict(self, features):
        return np.add(super().predict(features), (3.0, 0.0))


@pytest.mark.parametrize("form", ["bytes", "floats"])
def test_every_frame_is_scored_calibrated_on_maps_that_are_held(form):
    load = ScoringLoad(30, every=5, size=(36, 64), form=form, calibrate=True)

    result = measure_scoring(load, ShiftedGazeModel()).result

    assert result.frames.scored == 30
    assert result.at_accuracy.source == "calibration"
