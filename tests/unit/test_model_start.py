"""The start of the gaze model's regressors."""

import numpy as np
import pytest

from gaze_core.model_start import FeatureDirection

# Gaze 30 degrees to the right in the image, the viewer's left, and level; head pitch 8 degrees.
FEATURES = np.array([[0.5, 0.0, -np.sqrt(0.75), 8.0, 20.0, 5.0, 600.0]])


def test_gaze_x_is_the_vectors_horizontal_angle():
    assert FeatureDirection(0).predict(FEATURES) == pytest.approx([-30.0])


def test_gaze_y_takes_back_a_quarter_of_the_head_pitch():
    assert FeatureDirection(1).predict(FEATURES) == pytest.approx([-2.0])


def test_without_distrust_gaze_y_is_the_vectors_vertical_angle():
    assert FeatureDirection(1, pitch_distrust=0.0).predict(FEATURES) == pytest.approx([0.0])


def test_fitting_changes_nothing():
    start = FeatureDirection(1)

    assert start.fit(FEATURES, np.array([40.0])) is start
    assert start.predict(FEATURES) == pytest.approx([-2.0])
