"""Grey patches of a frame, and histograms of their gradients."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.patches import gradient_histograms, sample_grey

RAMP = np.repeat(np.tile(np.arange(0, 200, 2, dtype=np.uint8), (80, 1))[..., None], 3, axis=2)
"""Brightness 2 x at column x."""


def sample(frame, x, y, scale=1.0):
    x, y = np.meshgrid(np.array(x, dtype=np.float32), np.array(y, dtype=np.float32))
    return sample_grey(frame, x, y, scale)


def test_whole_numbers_are_the_centres_of_pixels_and_halves_lie_between():
    assert sample(RAMP, [10, 10.5, 11], [5, 6]) == approx(np.array([[20, 21, 22], [20, 21, 22]]), abs=0.01)


def test_rows_are_interpolated_too():
    assert sample(RAMP.transpose(1, 0, 2), [5, 6], [10, 10.25]) == approx(np.array([[20, 20], [20.5, 20.5]]), abs=0.01)


def test_outside_the_frame_its_edge_is_repeated():
    assert sample(RAMP, [-30, -1, 99, 140], [-5, 90]) == approx(np.tile([0, 0, 198, 198], (2, 1)), abs=0.01)


def test_grey_weighs_green_most():
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 1] = 100

    assert sample(colours, [1, 2], [1, 2]) == approx(np.full((2, 2), 58.7), abs=0.01)


def test_a_large_face_is_sampled_from_every_second_pixel():
    striped = RAMP.copy()
    striped[:, 1::2] = 255

    found = sample(striped, [20, 40], [4, 8], scale=0.3)

    assert found == approx(np.array([[40, 80], [40, 80]]), abs=0.01)


@pytest.mark.parametrize(("turned", "bin_number"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_a_gradient_falls_into_the_bin_of_its_direction(turned, bin_number):
    # Brightness grows to the right, down, to the left, up: four bins, clockwise from the right.
    image = np.rot90(np.tile(np.arange(6, dtype=np.float32), (6, 1)), -turned).copy()

    histogram = gradient_histograms(image[None], cell_px=6, bins=4)

    assert histogram[0] == approx(np.eye(4)[bin_number], abs=1e-6)


def test_a_direction_between_two_bins_counts_for_both():
    across, down = np.meshgrid(np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32))

    histogram = gradient_histograms((across + down)[None], cell_px=6, bins=4)

    assert histogram[0] == approx(np.array([0.5, 0.5, 0, 0]) * 2**0.5, abs=1e-6)


def test_every_cell_has_its_own_histogram():
    images = np.zeros((2, 6, 12), np.float32)
    images[1, :, 6:] = np.arange(6)

    histograms = gradient_histograms(images, cell_px=6, bins=4)

    assert histograms.shape == (2, 8)
    assert histograms[0].sum() == 0
    assert histograms[1, 4] == approx(1.0, abs=0.1)
    assert histograms[1, :4].sum() < 0.1
