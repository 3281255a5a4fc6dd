"""Ranks without sorting the map, against a full sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from gaze_core import pixel_ranks
from gaze_core.pixel_ranks import is_rankable, rank_values
from gaze_core.saliency import calc

TINY = 5e-324


def rank_by_sorting(pixels, values, middle):
    """Return the ranks from the distinct values and their numbers."""
    distinct, counts = np.unique(pixels, return_counts=True)
    through = np.cumsum(counts)
    at = np.searchsorted(distinct, values)
    at_middle = np.searchsorted(through, middle, side="right")
    return (through - counts)[at], through[at], (through - counts)[at_middle], through[at_middle]


def check(pixels, middle):
    found = rank_values(pixels, pixels, middle)
    below, through, middle_below, middle_through = rank_by_sorting(pixels, pixels, middle)

    assert found.below.tolist() == below.tolist()
    assert found.through.tolist() == through.tolist()
    assert (found.middle_below, found.middle_through) == (middle_below, middle_through)


numbers = st.one_of(
    st.floats(0, 1),
    st.floats(0, 1e308),
    st.sampled_from([0.0, -0.0, TINY, 2 * TINY, 1e-320, 2.2250738585072014e-308, 1e-9, 0.1, 0.1 + 1e-17, 1.0, 1e308]),
    st.integers(0, 5).map(float),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=60).filter(lambda found: min(found) < max(found)), st.floats(0, 0.999))
def test_ranks_of_doubles_are_those_of_a_full_sort(found, share):
    check(np.array(found), int(share * len(found)))
    with pytest.MonkeyPatch.context() as patch:
        # As if so few pixels were too many to sort.
        patch.setattr(pixel_ranks, "_FEW", 2)
        patch.setattr(pixel_ranks, "_LARGE_BIN", 2)
        check(np.array(found), int(share * len(found)))


def test_many_clusters_of_pixels_are_not_divided_one_by_one(monkeypatch):
    clusters = np.linspace(0.1, 1.0, 200)[:, None] * (1 + np.arange(20) * 1e-12)
    divided = []
    divide = pixel_ranks._divide
    monkeypatch.setattr(pixel_ranks, "_FEW", 2)
    monkeypatch.setattr(pixel_ranks, "_divide", lambda *args, **more: divided.append(1) or divide(*args, **more))

    check(clusters.ravel(), 2800)

    assert len(divided) <= 1 + 50


def test_equal_pixels_have_no_ranks():
    assert rank_values(np.full(20_000, 0.5), np.array([0.5]), 14_000) is None


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([np.float16, np.float32, np.int32, np.uint32, np.int8]).flatmap(
        lambda dtype: arrays(dtype, 40, elements=None if np.dtype(dtype).kind != "f" else {"min_value": 0})
    )
)
def test_ranks_of_other_numbers_are_those_of_a_full_sort(pixels):
    pixels = np.where(np.isfinite(pixels), np.abs(pixels), 0).astype(pixels.dtype)
    pixels = np.maximum(pixels, 0)
    pixels[:2] = 0, 1

    check(pixels, 28)


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(0).random(20_000),
        np.random.default_rng(1).random(20_000) ** 40,
        np.maximum(np.random.default_rng(2).random(20_000) - 0.95, 0),
        np.minimum(np.random.default_rng(3).random(20_000), 0.6),
        np.exp(-np.random.default_rng(4).random(20_000) * 700),
        np.append(np.full(19_999, 0.3), 0.30000000000000004),
        np.append(np.random.default_rng(5).random(19_999), 1e300),
        np.round(np.random.default_rng(6).random(20_000) * 3),
        np.round(np.random.default_rng(6).random(20_000) * 9),
        np.where(np.arange(20_000) % 2 == 0, 0.5, 1) + 1e-12 * np.random.default_rng(8).random(20_000),
        np.append(np.full(12_000, 0.6), 0.6 + 1e-15 * np.random.default_rng(9).integers(0, 9, 8_000)),
    ],
    ids=[
        "even",
        "skewed",
        "sparse",
        "saturated",
        "exponential",
        "nearly flat",
        "outlier",
        "few levels",
        "levels",
        "two clusters",
        "in a bin",
    ],
)
def test_ranks_of_large_maps_are_those_of_a_full_sort(pixels):
    check(pixels, 14_000)

    # The same map as a whole through `calc`, whose integers are counted and not binned.
    shaped = pixels.reshape(100, 200)
    points = np.random.default_rng(7).random((50, 2))
    _, order = np.unique(shaped, return_inverse=True)
    by_order = calc(points, order.reshape(100, 200).astype(np.int64))
    score = calc(points, shaped)

    assert score.hits.tolist() == by_order.hits.tolist()
    assert score.ranks.tolist() == by_order.ranks.tolist()
    assert score.chance == by_order.chance
    # From 0 to 1, because rounding would swamp the nearly flat map.
    scaled = (shaped - shaped.min()) / np.ptp(shaped)
    at = scaled[(points[:, 1] * 100).astype(int), (points[:, 0] * 200).astype(int)]
    assert_allclose(score.nss, (at - scaled.mean()) / scaled.std(ddof=1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f2", True), ("f4", True), ("f8", True), ("g", False), ("i4", True), ("u4", True), ("i8", False), ("u8", False)],
)
def test_doubles_represent_numbers_of_up_to_32_bits(dtype, expected):
    assert is_rankable(np.dtype(dtype)) is expected
