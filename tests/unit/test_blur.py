"""Blur of saliency maps to the accuracy of the gaze."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.blur import blur_map, blur_sigma_px
from gaze_core.types import Screen, Viewport


def test_a_single_pixel_becomes_a_gaussian():
    row = np.zeros((1, 21))
    row[0, 10] = 2.5

    blurred = blur_map(row, 0, 1.0) / 65535

    assert blurred[0, 8:13].tolist() == approx([0.0540, 0.2420, 0.3989, 0.2420, 0.0540], abs=1e-4)


def test_nothing_is_assumed_beyond_the_edge():
    # Half of the Gaussian lies beyond the edge; the remaining weights sum to 1.7534.
    column = np.zeros((21, 1))
    column[0, 0] = 1.0

    assert blur_map(column, 1.0, 0)[0, 0] / 65535 == approx(1 / 1.7534, abs=1e-4)


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.floats(0.3, 30), st.floats(0, 30))
def test_values_stay_within_the_range_of_the_map_and_mirror_with_it(saliency_map, sigma_rows_px, sigma_columns_px):
    blurred = blur_map(saliency_map, sigma_rows_px, sigma_columns_px)
    mirrored = blur_map(saliency_map[:, ::-1], sigma_rows_px, sigma_columns_px)[:, ::-1]

    assert blurred.shape == saliency_map.shape
    assert mirrored.astype(float) == approx(blurred.astype(float), abs=1)
    if blurred.dtype == np.uint16:
        levels = 65535 * (saliency_map / saliency_map.max())
        assert levels.min() - 1 <= blurred.min() <= blurred.max() <= levels.max() + 1


def test_a_gaussian_far_wider_than_the_map_makes_it_its_mean():
    # A third of 65535 everywhere.
    assert np.unique(blur_map(np.repeat([[0.0, 0.0, 3.0]], 70, axis=0), 5000.0, 5000.0)).tolist() == [21845]


def test_strips_join_seamlessly():
    """Compare a map higher than a strip with the direct sum."""
    ramp = np.arange(200.0)[:, None] % 37
    weights = np.exp(-0.5 * ((np.arange(200)[:, None] - np.arange(200)) / 3.0) ** 2)

    blurred = blur_map(ramp, 3.0, 0) * (36 / 65535)

    assert blurred[:, 0] == approx((weights @ ramp)[:, 0] / weights.sum(axis=1), abs=5e-3)


def test_equal_pixels_stay_equal():
    saliency_map = np.full((40, 40), 77, dtype=np.uint8)
    saliency_map[:, 30:] = 200

    # 77 of 200 is level 25231 of 65535.
    assert np.unique(blur_map(saliency_map, 2.0, 2.0)[:, :20]).tolist() == [25231]


def test_a_flat_map_stays_flat():
    assert np.unique(blur_map(np.full((30, 40), 0.1), 3, 3)).tolist() == [0.1]


@pytest.mark.parametrize("sigma_px", [-1.0, float("nan"), float("inf")])
def test_the_standard_deviation_must_be_finite_and_not_negative(sigma_px):
    with pytest.raises(ValueError, match="standard deviation"):
        blur_map(np.arange(10.0).reshape(2, 5), sigma_px, 1.0)


def test_a_degree_at_573_mm_is_ten_mm_of_mean_error():
    # The mean of an error that scatters in two directions is 1.2533 standard deviations.
    rows_px, columns_px = blur_sigma_px(
        1.0,
        573.0,
        (100, 400),
        screen=Screen(width_mm=400, height_mm=200),
        viewport=Viewport(width=0.5, height=0.5),
    )

    assert (rows_px, columns_px) == approx((10.0018 / 1.2533, 2 * 10.0018 / 1.2533), rel=1e-4)


@pytest.mark.parametrize(("accuracy_deg", "distance_mm"), [(-1, 500), (46, 500), (float("nan"), 500), (1, 0)])
def test_accuracy_and_distance_must_be_in_range(accuracy_deg, distance_mm):
    with pytest.raises(ValueError, match=r"accuracy_deg|distance_mm"):
        blur_sigma_px(accuracy_deg, distance_mm, (100, 200))
