"""Blinks in recordings of eye openness with known events."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.blinks import Blink, find_blinks, open_level
from tests.cpu_growth import cpu_growth
from tests.fakes.viewing import RATE_HZ, clock, spans

intervals = st.lists(st.integers(35, 65), min_size=60, max_size=60)

OPEN, SHUT = [0.3], [0.05]


def blinks(openness, *, rate_hz=RATE_HZ, **parameters):
    return find_blinks(clock(len(openness), rate_hz=rate_hz), openness, **parameters)


def test_the_eyes_shut_and_open_again():
    # Half of the open level, 0.15, is three fifths of the way from 0.3 to 0.05: 30 of 50 ms.
    assert blinks(OPEN * 10 + SHUT * 3 + OPEN * 10) == (Blink(approx(0.48), approx(0.14)),)


def test_every_blink_is_found():
    found = blinks((OPEN * 10 + [0.15, 0.05, 0.1, 0.2]) * 4 + OPEN * 10)

    assert [blink.onset_s for blink in found] == approx([0.5, 1.2, 1.9, 2.6])


@pytest.mark.parametrize("level", [0.15, 0.3, 0.5])
def test_the_threshold_depends_on_the_viewers_open_level(level):
    assert len(blinks([level] * 20 + [0.2 * level] * 3 + [level] * 20)) == 1


def test_looking_down_is_not_a_blink():
    assert blinks(OPEN * 20 + [0.2] * 5 + OPEN * 20) == ()


def test_a_single_outlier_at_30_hz_is_not_a_blink():
    assert blinks(OPEN * 20 + SHUT + OPEN * 20, rate_hz=30) == ()


def test_more_than_half_a_second_is_not_a_blink():
    assert blinks(OPEN * 40 + SHUT * 11 + OPEN * 40) == ()


def test_without_an_upper_limit_longer_closures_are_found():
    openness = OPEN * 40 + SHUT * 11 + OPEN * 40

    assert blinks(openness, max_duration_s=math.inf) == (Blink(approx(1.98), approx(0.54)),)


def test_half_a_second_is_a_blink():
    # The lids cross 0.15 exactly on the samples at 1.95 and 2.45 s.
    openness = OPEN * 39 + [0.15] + SHUT * 9 + [0.15] + OPEN * 40

    assert spans(blinks(openness)) == [(1.95, 0.5)]


def test_a_lost_frame_within_a_blink_is_bridged():
    openness = OPEN * 10 + SHUT + [math.nan] + SHUT + OPEN * 10

    assert blinks(openness) == (Blink(approx(0.48), approx(0.14)),)


def test_a_lost_face_ends_a_blink():
    openness = OPEN * 10 + SHUT * 3 + [math.nan] * 10 + OPEN * 10

    assert blinks(openness) == (Blink(approx(0.48), approx(0.12)),)


def test_a_lost_face_separates_two_blinks():
    openness = OPEN * 10 + SHUT * 3 + [math.nan] * 4 + SHUT * 3 + OPEN * 10

    assert spans(blinks(openness)) == [(0.48, 0.12), (0.85, 0.12)]


def test_eyes_shut_at_an_end_of_the_recording_blink_up_to_it():
    assert spans(blinks(SHUT * 4 + OPEN * 30 + SHUT * 4)) == [(0.0, 0.17), (1.68, 0.17)]


@pytest.mark.parametrize("openness", [[], OPEN, OPEN * 2, OPEN * 30, [math.nan] * 30, [0.0] * 30])
def test_eyes_that_never_shut_never_blink(openness):
    assert blinks(openness) == ()


@given(arrays(np.float64, 60, elements=st.floats(0, 0.5) | st.just(math.nan)), intervals)
def test_blinks_follow_each_other_and_last_50_to_500_ms(openness, steps_ms):
    found = find_blinks(np.cumsum(steps_ms) / 1000, openness)

    assert all(0.05 - 1e-6 <= blink.duration_s <= 0.5 + 1e-6 for blink in found)
    assert all(a.onset_s + a.duration_s <= b.onset_s + 1e-9 for a, b in itertools.pairwise(found))


@given(st.floats(0.1, 10), st.integers(-1000, 1000))
def test_neither_scale_of_openness_nor_time_offset_matters(gain, shift_s):
    openness = np.array(OPEN * 10 + SHUT * 3 + OPEN * 10)

    assert find_blinks(clock(23) + shift_s, gain * openness) == (Blink(approx(shift_s + 0.48), approx(0.14)),)


@pytest.mark.parametrize("rate_hz", [20, 30])
def test_noise_neither_adds_nor_hides_blinks(rate_hz):
    # Six blinks of 0.25 s from the first movement of the lids to the last.
    time_s = clock(20 * rate_hz, rate_hz=rate_hz)
    lids = [np.interp(time_s, [m - 0.1, m - 0.02, m + 0.02, m + 0.15], [1, 0.2, 0.2, 1]) for m in range(3, 20, 3)]
    openness = 0.3 * np.min(lids, axis=0) + np.random.default_rng(0).normal(0, 0.015, len(time_s))

    found = find_blinks(time_s, openness)

    assert [blink.onset_s for blink in found] == approx([2.95, 5.95, 8.95, 11.95, 14.95, 17.95], abs=0.03)
    assert [blink.duration_s for blink in found] == approx([0.12] * 6, abs=0.04)


def test_time_grows_linearly_with_the_recording():
    openness = np.tile(OPEN * 50 + SHUT * 4, 2000)

    assert len(find_blinks(clock(108_000, rate_hz=30), openness)) == 2000
    assert cpu_growth(lambda count: find_blinks(clock(count, rate_hz=30), openness[:count]), 4_000) < 9


@pytest.mark.parametrize(
    ("time_s", "openness", "complaint"),
    [
        ([0, 1], [0.3], "same shape"),
        ([0, 1], [[0.3, 0.3]], "shape"),
        ([0, 0], [0.3, 0.3], "increasing"),
        ([0, 1], [0.3, -0.1], "negative"),
        ([0, 1], [0.3, math.inf], "NaN"),
    ],
)
def test_malformed_samples_are_misuse(time_s, openness, complaint):
    with pytest.raises(ValueError, match=complaint):
        find_blinks(time_s, openness)


@pytest.mark.parametrize(
    "parameters", [{"shut_share": 1}, {"min_duration_s": -1}, {"max_duration_s": 0}, {"max_gap_s": -1}]
)
def test_parameters_out_of_range_are_misuse(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        blinks(OPEN * 10, **parameters)


def test_the_open_level_ignores_eyes_that_are_shut_two_thirds_of_the_time():
    assert open_level(OPEN * 10 + SHUT * 20 + [math.nan]) == 0.3


def test_unmeasured_eyes_have_no_open_level():
    assert open_level([math.nan, math.nan]) is None
