"""Measures of portraits, on literal landmarks."""

import numpy as np
import pytest

from gaze_core.landmarks import LANDMARK_COUNT, Landmarks
from research.realism.portraits import Distribution, describe, measure_portrait


def portrait(iris_y_px=-10.0, outer_y_px=0.0):
    """Both eyes 100 px wide, their corners on one line; the image is 1000 px square, y down."""
    points = np.zeros((LANDMARK_COUNT, 3))
    # The viewer's left eye is on the right of the image: outer corner 263, inner corner 362.
    for outer, inner, upper, lower, iris, x, direction in (
        (263, 362, 386, 374, 473, 600.0, 1.0),
        (33, 133, 159, 145, 468, 400.0, -1.0),
    ):
        points[inner, :2] = x, 500.0
        points[outer, :2] = x + direction * 100, 500.0 + outer_y_px
        middle = x + direction * 50
        points[upper, :2], points[lower, :2] = (middle, 480.0), (middle, 512.0)
        points[iris, :2] = middle, 500.0 + iris_y_px
        for step, (dx, dy) in enumerate(((22, 0), (0, -22), (-22, 0), (0, 22)), start=1):
            points[iris + step, :2] = middle + dx, 500.0 + iris_y_px + dy
    return Landmarks(points / 1000, 1000, 1000)


def test_lengths_are_in_units_of_the_eye_width():
    assert measure_portrait(portrait()) == pytest.approx(
        {
            "iris_above_corners": 0.10,
            "upper_lid": 0.20,
            "lower_lid": -0.12,
            "iris_diameter": 0.44,
            "canthal_tilt_deg": 0.0,
        }
    )


def test_an_outer_corner_5_px_higher_tilts_the_eye_by_3_degrees():
    assert measure_portrait(portrait(outer_y_px=-5.0))["canthal_tilt_deg"] == pytest.approx(2.86, abs=0.01)


def test_sets_are_pooled_with_the_differences_between_them():
    names = ("iris_above_corners", "upper_lid", "lower_lid", "iris_diameter", "canthal_tilt_deg")
    low, high = ({"people": 10} | {name: {"mean": mean, "sd": 0.0} for name in names} for mean in (0.0, 2.0))

    table = describe({"sets": {"a": low, "b": high}}, dict.fromkeys(names, Distribution(0.5, 0.25)), 3)

    assert "| 0.500 ± 0.250 | 1.000 ± 1.000 | 0.000 ± 0.000 | 2.000 ± 0.000 |" in table
