"""Saliency metrics, worked out by hand on small maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.errors import SaliencyMapError
from gaze_core.saliency_metrics import auc, auc_judd, cc, kl_divergence, nss, sim

TEN = np.arange(10, dtype=float).reshape(2, 5)


class TestFixations:
    def test_nss_is_the_mean_over_fixations(self):
        assert nss(TEN, [[1, 4], [1, 4], [0, 0]]) == approx(1.4863 / 3, abs=1e-4)

    def test_auc_is_the_mean_share_of_pixels_below(self):
        assert auc(TEN, [[1, 4]]) == approx(0.95)
        assert auc(TEN, [[1, 4], [0, 1]]) == approx((0.95 + 0.15) / 2)

    def test_auc_of_a_flat_map_is_chance(self):
        assert auc(np.ones((4, 4)), [[0, 0], [3, 2]]) == 0.5

    def test_auc_judd_has_a_threshold_at_each_fixated_value(self):
        # Four of the nine other pixels are above 5: from (0, 0) to (4/9, 1) to (1, 1).
        assert auc_judd(TEN, [[1, 0]]) == approx(7 / 9)
        assert auc_judd(TEN, [[1, 4]]) == approx(1.0)

    def test_auc_judd_counts_a_pixel_fixated_twice_once(self):
        assert auc_judd(TEN, [[1, 0], [1, 0]]) == approx(7 / 9)

    def test_chance_with_one_fixation_is_one_half_for_auc_and_three_quarters_for_auc_judd(self):
        everywhere = [[row, column] for row in range(2) for column in range(5)]

        assert np.mean([auc(TEN, [pixel]) for pixel in everywhere]) == approx(0.5)
        assert np.mean([auc_judd(TEN, [pixel]) for pixel in everywhere]) == approx(0.75)

    @pytest.mark.parametrize("metric", [nss, auc, auc_judd])
    def test_without_a_fixation_the_metric_is_undefined(self, metric):
        assert np.isnan(metric(TEN, np.zeros((0, 2), dtype=int)))

    @pytest.mark.parametrize("metric", [nss, auc_judd])
    @pytest.mark.parametrize("saliency_map", [np.full((2, 3), 0.1), [[3.0]]])
    def test_a_flat_map_has_no_metric(self, metric, saliency_map):
        assert np.isnan(metric(saliency_map, [[0, 0]]))

    def test_with_every_pixel_fixated_auc_judd_is_undefined(self):
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

    def test_disjoint_distributions_are_not_similar(self):
        assert sim([[1, 0, 0, 0]], [[0, 0, 0, 1]]) == 0
        assert sim([[1, 1, 0, 0]], [[0, 1, 1, 0]]) == approx(0.5)

    def test_spreading_over_twice_as_many_pixels_costs_the_logarithm_of_two(self):
        assert kl_divergence([[1, 1, 1, 1]], [[1, 1, 0, 0]]) == approx(0.693147, abs=1e-6)

    def test_density_where_the_map_is_zero_costs_36_nats(self):
        assert kl_divergence([[1, 0]], [[0, 1]]) == approx(36.0437, abs=1e-4)

    @pytest.mark.parametrize("metric", [cc, sim])
    def test_a_flat_map_has_no_metric(self, metric):
        assert np.isnan(metric(np.full((2, 5), 0.1), TEN))
        assert np.isnan(metric(TEN, np.full((2, 5), 0.1)))

    def test_the_divergence_of_zeros_is_undefined(self):
        assert np.isnan(kl_divergence(np.zeros((2, 5)), TEN))
        assert np.isnan(kl_divergence(TEN, np.zeros((2, 5))))

    @pytest.mark.parametrize("metric", [cc, sim, kl_divergence])
    def test_shapes_must_agree(self, metric):
        with pytest.raises(ValueError, match="shape"):
            metric(TEN, TEN.T)

    @pytest.mark.parametrize("metric", [cc, sim, kl_divergence])
    def test_an_unusable_density_is_rejected(self, metric):
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
        """NSS, AUC-Judd and the divergence depend on the number of pixels; the other metrics must not."""
        saliency_map, density = both
        seen = pixels(fractions, saliency_map.shape)
        enlarged = [[row * factor, column * factor] for row, column in seen]
        expected = every_metric(saliency_map, density, seen)
        large = every_metric(*(np.kron(one, np.ones((factor, factor))) for one in both), enlarged)
        for metrics in (expected, large):
            del metrics["nss"], metrics["auc_judd"], metrics["kl_divergence"]

        assert large == approx(expected, abs=1e-6, nan_ok=True)
