import numpy as np
import pytest
from pytest import approx

from research.rendering.window import Window, after_distortion, before_distortion, blur_reach_px


def test_a_window_grows_to_whole_jpeg_blocks_of_16_px():
    assert Window(33, 47, 20, 20).on_blocks(640, 480) == Window(32, 32, 32, 48)


def test_a_window_on_blocks_stays_inside_the_image():
    assert Window(-10, 470, 30, 30).on_blocks(640, 480) == Window(0, 464, 32, 16)
    assert Window(1270, 700, 30, 30).on_blocks(1280, 720) == Window(1264, 688, 16, 32)


def test_a_window_beside_the_image_is_refused():
    with pytest.raises(ValueError, match="outside the image"):
        Window(700, 10, 20, 20).on_blocks(640, 480)


def test_a_window_covers_the_points_it_is_made_around():
    assert Window.around(np.array([[10.2, 5.9], [12.0, 7.1]])) == Window(10, 5, 2, 3)


def test_padding_keeps_the_middle():
    assert Window(10, 20, 30, 40).padded(5) == Window(5, 15, 40, 50)


def test_slices_cut_the_window_out_of_an_image():
    image = np.arange(12).reshape(3, 4)

    assert image[Window(1, 1, 2, 2).slices].tolist() == [[5, 6], [9, 10]]


def test_distortion_moves_a_corner_by_its_share_of_the_half_diagonal():
    centre = np.array([[319.5, 239.5]])

    assert before_distortion(centre, 0.02, 640, 480) == approx(centre)
    edge = np.array([[319.5 + 400.0, 239.5]])  # 400 px is half the diagonal
    assert before_distortion(edge, 0.02, 640, 480) - edge == approx(np.array([[-8.0, 0.0]]))


def test_after_distortion_undoes_before_distortion():
    places = np.array([[0.0, 0.0], [600.0, 30.0], [100.0, 400.0]])

    assert after_distortion(before_distortion(places, 0.03, 640, 480), 0.03, 640, 480) == approx(places, abs=1e-2)


def test_blur_reaches_four_standard_deviations_and_half_the_motion():
    assert blur_reach_px(1.5, 5.0) == 6 + 3 + 2
