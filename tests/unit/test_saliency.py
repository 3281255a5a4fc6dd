"""What a hit is and what the map metrics say, worked out by hand on small maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.errors import SaliencyMapError
from gaze_core.saliency import (
    auc,
    auc_judd,
    blur_map,
    blur_sigma_px,
    calc,
    cc,
    kl_divergence,
    nss,
    sim,
)
from gaze_core.types import Screen, Viewport

TEN = np.arange(10, dtype=float).reshape(2, 5)
"""Ten different values: the upper 30 % are 7, 8 and 9 in the second row's last three columns."""


def centre_of(row, column, *, height=2, width=5):
    return [(column + 0.5) / width, (row + 0.5) / height]


@pytest.mark.parametrize(("column", "is_hit"), [(1, False), (2, True), (3, True), (4, True)])
def test_the_upper_30_percent_are_hits(column, is_hit):
    assert calc([centre_of(1, column)], TEN).hits.tolist() == [is_hit]


def test_ties_count_half():
    # 6 zeros, 4 ones: a one is above 6 and half of 4, so 8 of 10; a zero is above 3 of 10.
    score = calc([centre_of(0, 0), centre_of(1, 4)], np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 1]]))

    assert score.ranks.tolist() == [0.3, 0.8]
    assert score.hits.tolist() == [False, True]
    assert score.chance == 0.4


def test_exactly_70_percent_is_a_hit():
    # 4 zeros, 6 ones: a one is above 4 and half of 6: exactly 7 of 10.
    score = calc([centre_of(1, 4)], np.array([[0, 0, 0, 0, 1], [1, 1, 1, 1, 1]]))

    assert score.hits.tolist() == [True]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_map_is_hit_by_nothing(value):
    score = calc([[0.5, 0.5]], np.full((4, 4), value))

    assert score.hits.tolist() == [False]
    assert score.chance == 0.0


def test_chance_is_the_share_of_pixels_that_would_hit():
    assert calc([[0.5, 0.5]], TEN).chance == 0.3


@pytest.mark.parametrize(
    ("point", "rank"),
    [([0.0, 0.0], 0.05), ([0.2, 0.0], 0.15), ([0.19999, 0.49999], 0.05), ([1.0, 1.0], 0.95), ([0.0, 0.5], 0.55)],
)
def test_a_point_lies_in_the_pixel_that_its_floor_says(point, rank):
    assert calc([point], TEN).ranks.tolist() == approx([rank])


@pytest.mark.parametrize("point", [[-0.01, 0.5], [0.5, 1.01], [2, 2]])
def test_a_point_off_the_map_hits_nothing(point):
    score = calc([point], TEN)

    assert score.hits.tolist() == [False]
    assert np.isnan(score.ranks).all()


def test_a_one_pixel_map_is_flat():
    assert calc([[0.5, 0.5]], [[3.0]]).hits.tolist() == [False]


maps = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 6).map(float))
points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5)


@given(maps, points, st.floats(0.1, 10), st.floats(0, 5))
def test_gain_and_offset_of_a_map_change_nothing(saliency_map, gaze_points, gain, offset):
    score = calc(gaze_points, saliency_map)
    scaled = calc(gaze_points, np.round(gain * saliency_map + offset, 9))

    assert scaled.hits.tolist() == score.hits.tolist()
    assert scaled.chance == score.chance


@given(maps, points)
def test_mirroring_map_and_gaze_changes_nothing(saliency_map, gaze_points):
    _, width = saliency_map.shape
    centred = [[(np.floor(min(x * width, width - 1)) + 0.5) / width, y] for x, y in gaze_points]

    score = calc(centred, saliency_map)
    mirrored = calc([[1 - x, y] for x, y in centred], saliency_map[:, ::-1])

    assert mirrored.hits.tolist() == score.hits.tolist()


@given(maps)
def test_every_pixel_hit_makes_up_the_chance_level(saliency_map):
    height, width = saliency_map.shape
    everywhere = [centre_of(r, c, height=height, width=width) for r in range(height) for c in range(width)]

    score = calc(everywhere, saliency_map)

    assert score.hits.mean() == approx(score.chance)


@given(arrays(np.uint8, (4, 6)), points)
def test_bytes_and_floats_score_the_same(saliency_map, gaze_points):
    as_bytes, as_floats = calc(gaze_points, saliency_map), calc(gaze_points, saliency_map / 255)

    assert as_bytes.hits.tolist() == as_floats.hits.tolist()
    assert as_bytes.ranks.tolist() == as_floats.ranks.tolist()


@pytest.mark.parametrize(
    ("saliency_map", "complaint"),
    [
        ([[0.1, float("nan")]], "not finite"),
        ([[0.1, -0.1]], "negative"),
        ([0.1, 0.2], "shape"),
        (np.zeros((0, 5)), "shape"),
        ([["a", "b"]], "numbers"),
        (np.zeros((3, 3), dtype=complex), "numbers"),
    ],
)
def test_a_map_that_cannot_be_one_is_refused(saliency_map, complaint):
    with pytest.raises(SaliencyMapError, match=complaint):
        calc([[0.5, 0.5]], saliency_map)


@pytest.mark.parametrize("gaze_points", [[0.5, 0.5], [[0.5]], [[float("nan"), 0.5]]])
def test_gaze_points_of_another_shape_are_misuse(gaze_points):
    with pytest.raises(ValueError, match="gaze_points"):
        calc(gaze_points, TEN)


def test_calc_says_how_many_standard_deviations_the_gaze_lies_above_the_mean():
    # The values 0 to 9 have mean 4.5 and sample standard deviation 3.0277.
    score = calc([centre_of(1, 4), centre_of(0, 0), [2.0, 2.0]], TEN)

    assert score.nss.tolist() == approx([1.4863, -1.4863, float("nan")], abs=1e-4, nan_ok=True)


def test_a_flat_map_has_no_nss():
    assert np.isnan(calc([[0.5, 0.5]], np.full((3, 3), 0.1)).nss).all()


class TestFixations:
    def test_nss_is_the_mean_over_fixations(self):
        assert nss(TEN, [[1, 4], [1, 4], [0, 0]]) == approx(1.4863 / 3, abs=1e-4)

    def test_auc_is_the_mean_share_of_pixels_below(self):
        assert auc(TEN, [[1, 4]]) == approx(0.95)
        assert auc(TEN, [[1, 4], [0, 1]]) == approx((0.95 + 0.15) / 2)

    def test_auc_of_a_flat_map_is_chance(self):
        assert auc(np.ones((4, 4)), [[0, 0], [3, 2]]) == 0.5

    def test_the_staircase_has_a_step_at_each_fixated_value(self):
        # Four of the nine other pixels are above 5: from (0, 0) to (4/9, 1) to (1, 1).
        assert auc_judd(TEN, [[1, 0]]) == approx(7 / 9)
        assert auc_judd(TEN, [[1, 4]]) == approx(1.0)

    def test_a_pixel_fixated_twice_is_one_step_of_the_staircase(self):
        assert auc_judd(TEN, [[1, 0], [1, 0]]) == approx(7 / 9)

    def test_chance_is_a_half_for_auc_and_three_quarters_for_the_staircase_with_one_fixation(self):
        everywhere = [[row, column] for row in range(2) for column in range(5)]

        assert np.mean([auc(TEN, [pixel]) for pixel in everywhere]) == approx(0.5)
        assert np.mean([auc_judd(TEN, [pixel]) for pixel in everywhere]) == approx(0.75)

    @pytest.mark.parametrize("metric", [nss, auc, auc_judd])
    def test_without_a_fixation_there_is_no_number(self, metric):
        assert np.isnan(metric(TEN, np.zeros((0, 2), dtype=int)))

    @pytest.mark.parametrize("metric", [nss, auc_judd])
    @pytest.mark.parametrize("saliency_map", [np.full((2, 3), 0.1), [[3.0]]])
    def test_a_flat_map_has_no_number(self, metric, saliency_map):
        assert np.isnan(metric(saliency_map, [[0, 0]]))

    def test_with_every_pixel_fixated_there_is_no_staircase(self):
        assert np.isnan(auc_judd([[1.0, 2.0]], [[0, 0], [0, 1]]))

    @pytest.mark.parametrize("metric", [nss, auc, auc_judd])
    @pytest.mark.parametrize(
        ("fixations", "complaint"),
        [([[2, 0]], "off the map"), ([[0, -1]], "off the map"), ([[0.5, 0.5]], "integers"), ([0, 1], "shape")],
    )
    def test_fixations_must_be_pixels_of_the_map(self, metric, fixations, complaint):
        with pytest.raises(ValueError, match=complaint):
            metric(TEN, fixations)


class TestDensities:
    def test_a_map_agrees_with_itself(self):
        assert (cc(TEN, TEN), sim(TEN, TEN), kl_divergence(TEN, TEN)) == approx((1, 1, 0), abs=1e-12)

    def test_a_map_turned_around_is_the_opposite(self):
        assert cc(TEN, TEN[::-1, ::-1]) == approx(-1)

    def test_what_does_not_overlap_is_not_similar(self):
        assert sim([[1, 0, 0, 0]], [[0, 0, 0, 1]]) == 0
        assert sim([[1, 1, 0, 0]], [[0, 1, 1, 0]]) == approx(0.5)

    def test_twice_as_many_places_cost_the_logarithm_of_two(self):
        assert kl_divergence([[1, 1, 1, 1]], [[1, 1, 0, 0]]) == approx(0.693147, abs=1e-6)

    def test_a_fixated_place_without_saliency_costs_36_nats(self):
        assert kl_divergence([[1, 0]], [[0, 1]]) == approx(36.0437, abs=1e-4)

    @pytest.mark.parametrize("metric", [cc, sim])
    def test_a_flat_map_has_no_number(self, metric):
        assert np.isnan(metric(np.full((2, 5), 0.1), TEN))
        assert np.isnan(metric(TEN, np.full((2, 5), 0.1)))

    def test_zeros_have_no_divergence(self):
        assert np.isnan(kl_divergence(np.zeros((2, 5)), TEN))
        assert np.isnan(kl_divergence(TEN, np.zeros((2, 5))))

    @pytest.mark.parametrize("metric", [cc, sim, kl_divergence])
    def test_shapes_must_agree(self, metric):
        with pytest.raises(ValueError, match="shape"):
            metric(TEN, TEN.T)

    @pytest.mark.parametrize("metric", [cc, sim, kl_divergence])
    def test_a_density_that_cannot_be_one_is_refused(self, metric):
        with pytest.raises(SaliencyMapError, match="negative"):
            metric(TEN, -TEN)


two_maps = st.tuples(st.integers(1, 7), st.integers(2, 7)).flatmap(
    lambda shape: st.tuples(*[arrays(np.float64, shape, elements=st.integers(0, 50).map(float))] * 2)
)
fixated = st.lists(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)), min_size=1, max_size=6)


def every_metric(saliency_map, density, fixations):
    return {
        "nss": nss(saliency_map, fixations),
        "auc": auc(saliency_map, fixations),
        "auc_judd": auc_judd(saliency_map, fixations),
        "cc": cc(saliency_map, density),
        "sim": sim(saliency_map, density),
        "kl_divergence": kl_divergence(saliency_map, density),
    }


def pixels(fractions, shape):
    return [[int(row * shape[0]), int(column * shape[1])] for row, column in fractions]


class TestInvariance:
    @given(two_maps, fixated, st.floats(0.1, 10), st.floats(0, 5))
    def test_gain_and_offset(self, both, fractions, gain, offset):
        saliency_map, density = both
        seen = pixels(fractions, saliency_map.shape)
        expected = every_metric(saliency_map, density, seen)
        moved = every_metric(np.round(gain * saliency_map + offset, 9), density, seen)
        for metrics in (expected, moved):
            del metrics["kl_divergence"]

        assert moved == approx(expected, abs=1e-6, nan_ok=True)

    @given(two_maps, fixated, st.floats(0.1, 10))
    def test_gain_alone_changes_no_divergence(self, both, fractions, gain):
        saliency_map, density = both

        expected = kl_divergence(saliency_map, density)
        assert kl_divergence(gain * saliency_map, density) == approx(expected, abs=1e-6, nan_ok=True)

    @given(two_maps, fixated)
    def test_mirroring(self, both, fractions):
        saliency_map, density = both
        seen = pixels(fractions, saliency_map.shape)
        mirrored = [[row, saliency_map.shape[1] - 1 - column] for row, column in seen]

        expected = every_metric(saliency_map, density, seen)
        assert every_metric(saliency_map[:, ::-1], density[:, ::-1], mirrored) == approx(
            expected, abs=1e-9, nan_ok=True
        )

    @given(two_maps, fixated, st.integers(2, 3))
    def test_enlarging(self, both, fractions, factor):
        """NSS, the staircase and the divergence's epsilon know how many pixels there are; the others must not."""
        saliency_map, density = both
        seen = pixels(fractions, saliency_map.shape)
        enlarged = [[row * factor, column * factor] for row, column in seen]
        expected = every_metric(saliency_map, density, seen)
        large = every_metric(*(np.kron(one, np.ones((factor, factor))) for one in both), enlarged)
        for metrics in (expected, large):
            del metrics["nss"], metrics["auc_judd"], metrics["kl_divergence"]

        assert large == approx(expected, abs=1e-6, nan_ok=True)


class TestBlur:
    def test_one_pixel_becomes_a_gaussian(self):
        row = np.zeros((1, 21))
        row[0, 10] = 2.5

        blurred = blur_map(row, 0, 1.0) / 65535

        assert blurred[0, 8:13].tolist() == approx([0.0540, 0.2420, 0.3989, 0.2420, 0.0540], abs=1e-4)

    def test_beyond_the_edge_nothing_is_assumed(self):
        # Half of the Gaussian lies beyond the edge: the rest of its weights, 1.7534, must do.
        column = np.zeros((21, 1))
        column[0, 0] = 1.0

        assert blur_map(column, 1.0, 0)[0, 0] / 65535 == approx(1 / 1.7534, abs=1e-4)

    @given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.floats(0.3, 30), st.floats(0, 30))
    def test_it_stays_within_the_map_and_is_the_same_in_a_mirror(self, saliency_map, sigma_rows_px, sigma_columns_px):
        blurred = blur_map(saliency_map, sigma_rows_px, sigma_columns_px)
        mirrored = blur_map(saliency_map[:, ::-1], sigma_rows_px, sigma_columns_px)[:, ::-1]

        assert blurred.shape == saliency_map.shape
        assert mirrored.astype(float) == approx(blurred.astype(float), abs=1)
        if blurred.dtype == np.uint16:
            levels = 65535 * (saliency_map / saliency_map.max())
            assert levels.min() - 1 <= blurred.min() <= blurred.max() <= levels.max() + 1

    def test_a_gaussian_far_wider_than_the_map_makes_it_its_mean(self):
        # A third of 65535 everywhere.
        assert np.unique(blur_map(np.repeat([[0.0, 0.0, 3.0]], 70, axis=0), 5000.0, 5000.0)).tolist() == [21845]

    def test_several_strips_join(self):
        """A map higher than a strip, against the sum written out."""
        ramp = np.arange(200.0)[:, None] % 37
        weights = np.exp(-0.5 * ((np.arange(200)[:, None] - np.arange(200)) / 3.0) ** 2)

        blurred = blur_map(ramp, 3.0, 0) * (36 / 65535)

        assert blurred[:, 0] == approx((weights @ ramp)[:, 0] / weights.sum(axis=1), abs=5e-3)

    def test_equal_places_stay_equal(self):
        saliency_map = np.full((40, 40), 77, dtype=np.uint8)
        saliency_map[:, 30:] = 200

        # 77 of 200 is level 25231 of 65535.
        assert np.unique(blur_map(saliency_map, 2.0, 2.0)[:, :20]).tolist() == [25231]

    def test_a_flat_map_stays_flat(self):
        assert np.unique(blur_map(np.full((30, 40), 0.1), 3, 3)).tolist() == [0.1]

    @pytest.mark.parametrize("sigma_px", [-1.0, float("nan"), float("inf")])
    def test_the_standard_deviation_must_make_sense(self, sigma_px):
        with pytest.raises(ValueError, match="standard deviation"):
            blur_map(TEN, sigma_px, 1.0)

    def test_a_degree_at_573_mm_is_ten_mm_of_mean_error(self):
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
    def test_accuracy_and_distance_must_make_sense(self, accuracy_deg, distance_mm):
        with pytest.raises(ValueError, match=r"accuracy_deg|distance_mm"):
            blur_sigma_px(accuracy_deg, distance_mm, (100, 200))
