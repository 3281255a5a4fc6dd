"""Blur of saliency maps to the accuracy of the gaze."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.blur import BlurredMap, blur_map, blur_sigma_px, smooth_map
from gaze_core.saliency import calc, find_pixels
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


def make_clouds(seed, shape=(270, 480)):
    """Return a uint8 map with structures of all sizes and few salient places."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal(shape))
    rows, columns = np.fft.fftfreq(shape[0])[:, None] * shape[0], np.fft.rfftfreq(shape[1]) * shape[1]
    clouds = np.fft.irfft2(noise / (1 + np.hypot(rows, columns) / 4) ** 1.5, s=shape)
    clouds = (clouds - clouds.min()) / np.ptp(clouds)
    return (255 * clouds**2).round().astype(np.uint8)


POINTS = np.random.default_rng(0).random((2000, 2))


class TestSmoothMap:
    @pytest.mark.parametrize("sigmas_px", [(12, 12), (25, 25), (50, 90), (90, 20), (0, 40), (300, 300)])
    @pytest.mark.parametrize("dtype", [np.uint8, np.float64])
    def test_scores_are_those_of_the_whole_blurred_map(self, sigmas_px, dtype):
        for seed in range(3):
            clouds = make_clouds(seed).astype(dtype) / (1 if dtype == np.uint8 else 255)
            smooth = smooth_map(clouds, *sigmas_px)
            assert isinstance(smooth, BlurredMap)
            score, exact = smooth.score(POINTS), calc(POINTS, blur_map(clouds, *sigmas_px))

            assert np.abs(score.ranks - exact.ranks).mean() < 0.006
            assert abs((score.ranks - exact.ranks).mean()) < 0.005
            assert (score.hits != exact.hits).mean() < 0.012
            assert abs(score.hits.mean() - exact.hits.mean()) < 0.012
            assert np.abs(score.nss - exact.nss).mean() < 0.02
            assert score.chance == approx(exact.chance, abs=0.012)

    def test_a_narrow_blur_computes_all_pixels(self):
        clouds = make_clouds(0)

        assert np.array_equal(smooth_map(clouds, 3.9, 3.9), blur_map(clouds, 3.9, 3.9))
        assert isinstance(smooth_map(clouds, 4.1, 4.1), BlurredMap)

    def test_a_small_map_with_a_narrow_blur_computes_all_pixels(self):
        small, large = make_clouds(0, (99, 100)), make_clouds(0, (101, 100))

        assert np.array_equal(smooth_map(small, 6.0, 6.0), blur_map(small, 6.0, 6.0))
        assert isinstance(smooth_map(large, 6.0, 6.0), BlurredMap)

    def test_points_between_the_nodes_of_a_steep_map_are_interpolated_by_a_cubic(self):
        # A single bright pixel becomes a Gaussian; nodes are half a standard deviation apart.
        bright = np.zeros((200, 200), dtype=np.uint8)
        bright[100, 100] = 255
        at = np.arange(80, 121)
        smooth = smooth_map(bright, 5.0, 5.0)
        assert isinstance(smooth, BlurredMap)
        values = smooth.value_at(find_pixels(np.stack([(at + 0.5) / 200, np.full(41, 0.5025)], axis=1), (200, 200)))

        assert values / values.max() == approx(np.exp(-0.5 * ((at - 100) / 5.0) ** 2), abs=0.006)

    def test_sums_of_many_bright_rows_do_not_overflow(self):
        bright = np.full((8192, 20), 255, dtype=np.uint8)
        bright[:20] = 254

        # Cells are 257 or 512 rows high.
        for sigma_px in (1028.0, 2048.0):
            assert smooth_map(bright, sigma_px, 0.0).cells[-2] == approx(65535)

    def test_cells_are_a_quarter_of_a_standard_deviation_wide_and_samples_half_of_one(self):
        wide, narrow = smooth_map(make_clouds(0), 24.0, 24.0), smooth_map(make_clouds(0), 12.0, 12.0)

        assert (wide.cells.shape, wide.samples.size) == ((45, 80), 48 * 48)
        assert (narrow.cells.shape, narrow.samples.size) == ((90, 160), 48 * 80)

    def test_an_axis_has_16_cells_or_more(self):
        assert smooth_map(make_clouds(0), 300.0, 300.0).cells.shape == (17, 16)

    def test_a_blur_wider_than_the_map_keeps_the_slope(self):
        ramp = np.repeat([np.arange(480.0)], 270, axis=0)

        ranks = smooth_map(ramp, 2000.0, 2000.0).score([[0.01, 0.5], [0.5, 0.5], [0.99, 0.5]]).ranks

        assert ranks == approx([0.01, 0.5, 0.99], abs=0.02)

    def test_equal_pixels_stay_equal(self):
        saliency_map = np.full((270, 480), 77, dtype=np.uint8)
        saliency_map[:, 400:] = 200
        score = smooth_map(saliency_map, 12.0, 12.0).score([[0.1, 0.1], [0.3, 0.7], [0.5, 0.2]])

        # Most of the map has the value 77, and the ranks are in the middle of it.
        assert score.ranks.tolist() == [score.ranks[0]] * 3
        assert score.ranks[0] == approx(0.74 / 2, abs=0.02)

    def test_points_off_the_map_are_misses_without_a_rank(self):
        score = smooth_map(make_clouds(0), 25.0, 25.0).score([[1.1, 0.5], [0.5, -0.1], [1.0, 1.0]])

        assert np.isnan(score.ranks).tolist() == np.isnan(score.nss).tolist() == [True, True, False]
        assert score.hits[:2].tolist() == [False, False]

    def test_a_flat_map_stays_flat(self):
        assert np.unique(smooth_map(np.full((270, 480), 0.1), 30, 30)).tolist() == [0.1]

    def test_products_are_small_enough_for_one_thread(self):
        """OpenBLAS starts threads beyond 262,144 products."""
        sizes = []

        class Watched(np.ndarray):
            def __array_ufunc__(self, ufunc, method, *inputs, **options):
                plain = [np.asarray(each) for each in inputs]
                if ufunc is np.matmul:
                    sizes.append(plain[0].shape[0] * plain[0].shape[1] * plain[1].shape[1])
                return getattr(ufunc, method)(*plain, **options)

        smooth = smooth_map(make_clouds(0), 6.0, 6.0)
        smooth.columns.apply(np.ascontiguousarray(smooth.cells.T).view(Watched))

        assert sum(sizes) > 1_000_000
        assert max(sizes) <= 262_144


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
