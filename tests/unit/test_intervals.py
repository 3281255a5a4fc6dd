"""Confidence intervals of series with known statistics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.intervals import block_length, mean_interval, median_step_s, student_quantile_975


def autoregressive(rng, count, correlation):
    noise = rng.normal(size=count)
    values = np.empty(count)
    values[0] = noise[0] / math.sqrt(1 - correlation**2)
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + noise[index]
    return values


def test_independent_values_have_the_textbook_interval():
    values = np.random.default_rng(7).normal(10.0, 2.0, 5000)

    estimate = mean_interval(values, 0.05)

    # 1.96 × 2 / sqrt(5000) = 0.0554, a little more for the blocks.
    assert estimate.high - estimate.value == approx(0.0554, rel=0.12)
    assert estimate.effective_samples == approx(5000, rel=0.2)


def test_an_impulse_has_the_standard_error_of_independent_values():
    # s² / n = 1 / 40 × 1 / 40: the mean over all blocks is exact once it is divided by 1 - 6 / 40. Student's quantile
    # for 1.5 × 40 / 6 - 1 = 9 degrees of freedom is 2.262.
    values = np.zeros(40)
    values[17] = 1.0

    estimate = mean_interval(values, 0.05)

    assert estimate.high - estimate.value == approx(2.262 / 40, rel=1e-3)
    assert estimate.effective_samples == approx(39)
    assert estimate.frames == 40


def test_blocks_of_independent_values_are_six_frames_long():
    # Politis and White's block length is 1.
    values = np.zeros(40)
    values[17] = 1.0

    assert block_length(values) == 1.0
    assert mean_interval(values, 0.05).block_s == approx(6 * 0.05)


def test_blocks_are_at_most_a_quarter_of_the_series():
    assert mean_interval(np.arange(40.0), 0.05).block_s == approx(10 * 0.05)


def test_correlated_values_have_fewer_effective_samples():
    # (1 - 0.9) / (1 + 0.9) of the samples of an autoregressive series are effective: 1 in 19.
    found = [
        mean_interval(autoregressive(np.random.default_rng(seed), 20000, 0.9), 0.05).effective_samples
        for seed in range(9)
    ]

    assert np.median(found) == approx(20000 / 19, rel=0.2)


def test_95_percent_of_the_intervals_cover_the_mean():
    rng = np.random.default_rng(9)
    estimates = [mean_interval(autoregressive(rng, 1000, 0.8), 0.05) for _ in range(400)]
    held = sum(estimate.low <= 0 <= estimate.high for estimate in estimates)

    # 380 expected, standard deviation 4.4.
    assert 366 <= held <= 394


@given(st.lists(st.booleans(), min_size=20, max_size=200))
def test_the_interval_of_a_proportion_stays_within_its_limits(hits):
    values = np.array(hits, dtype=float)
    estimate = mean_interval(values, 0.05, proportion=float(values.mean()), unit=100.0)
    if estimate.low is not None:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100


def test_near_the_upper_limit_the_interval_is_longer_downwards():
    values = np.ones(2000)
    values[100:140] = 0.0
    values[1500:1540] = 0.0
    estimate = mean_interval(values, 0.05, proportion=float(values.mean()))

    assert estimate.value - estimate.low > 1.5 * (estimate.high - estimate.value)


@pytest.mark.parametrize("values", [np.ones(500), np.zeros(500), np.arange(19.0)])
def test_a_constant_or_short_series_has_no_interval(values):
    estimate = mean_interval(values, 0.05)

    assert (estimate.low, estimate.high, estimate.block_s, estimate.interval_reliable) == (None, None, None, False)


@pytest.mark.parametrize(("frames", "is_reliable"), [(2400, True), (2399, True), (2390, False), (600, False)])
def test_intervals_are_reliable_from_120_s(frames, is_reliable):
    values = np.random.default_rng(10).normal(size=frames)

    assert mean_interval(values, 0.05).interval_reliable is is_reliable


@pytest.mark.parametrize("share", [0.05, 0.95])
@pytest.mark.parametrize(("frames", "is_reliable"), [(2400, False), (6000, True)])
def test_intervals_near_a_limit_are_reliable_from_300_s(frames, is_reliable, share):
    hits = (np.random.default_rng(13).uniform(size=frames) < share).astype(float)

    assert mean_interval(hits, 0.05, proportion=float(hits.mean())).interval_reliable is is_reliable


def test_a_series_with_a_single_change_has_no_reliable_interval():
    values = np.concatenate([np.zeros(3000), np.ones(3000)]) + np.random.default_rng(11).normal(0, 0.1, 6000)

    assert not mean_interval(values, 0.05).interval_reliable


@pytest.mark.parametrize(
    ("correlation", "expected"),
    # (1.5 (slope / spectrum)² n)^(1/3), slope / spectrum = 2 r / (1 - r²): 0, 4/3 and 9.47.
    [(0.0, 1.0), (0.5, 37.6), (0.9, 139.1)],
)
def test_blocks_grow_with_the_correlation(correlation, expected):
    lengths = [block_length(autoregressive(np.random.default_rng(seed), 20000, correlation)) for seed in range(9)]

    assert np.median(lengths) == approx(expected, rel=0.2, abs=6)


@pytest.mark.parametrize(
    ("degrees_of_freedom", "quantile", "relative_error"),
    [
        (3, 3.182446, 2e-3),
        (5, 2.570582, 2e-4),
        (10, 2.228139, 5e-6),
        (30, 2.042272, 1e-6),
        (1e9, 1.959964, 1e-6),
    ],
)
def test_student_quantiles_match_the_table(degrees_of_freedom, quantile, relative_error):
    assert student_quantile_975(degrees_of_freedom) == approx(quantile, rel=relative_error)


@pytest.mark.parametrize("correlation", [0.3, 0.7, 0.95])
def test_the_block_length_is_the_formula_of_politis_and_white(correlation):
    # Written out: correlations are insignificant from the first of five consecutive lags on; the flat-top window falls
    # from 1 at half of its width to 0.
    values = autoregressive(np.random.default_rng(3), 400, correlation)
    deviations = values - values.mean()
    covariance = [float(deviations[: 400 - lag] @ deviations[lag:]) / 400 for lag in range(60)]
    limit = 2 * math.sqrt(math.log10(400) / 400) * covariance[0]
    last = next(lag for lag in range(60) if all(abs(covariance[lag + step]) < limit for step in range(1, 6)))
    window = {lag: min(1.0, 2 * (1 - lag / (2 * last))) for lag in range(1, 2 * last + 1)}
    spectrum = covariance[0] + 2 * sum(window[lag] * covariance[lag] for lag in window)
    slope = 2 * sum(window[lag] * lag * covariance[lag] for lag in window)

    assert block_length(values) == approx((1.5 * (slope / spectrum) ** 2 * 400) ** (1 / 3))


@pytest.mark.parametrize(
    ("times_s", "step_s"),
    [([0.0, 0.04, 0.08, 5.0], 0.04), ([0.0, 0.0, 0.0, 0.04], 0.04), ([0.0, 2.0, 4.0], 2.0), ([7.0], 0.05)],
)
def test_the_step_is_the_median_time_between_frames(times_s, step_s):
    assert median_step_s(np.array(times_s)) == approx(step_s)
