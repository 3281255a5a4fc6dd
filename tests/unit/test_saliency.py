"""Hits, ranks and chance of gaze points, worked out by hand on small maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.errors import SaliencyMapError
from gaze_core.saliency import calc, check_map

TEN = np.arange(10, dtype=float).reshape(2, 5)
"""Ten different values; the upper 30 % are 7, 8 and 9 in the last three columns of the second row."""


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


def test_just_under_70_percent_is_a_miss():
    # Of 1,000 different values the 700th has rank 0.6995, the next one 0.7005.
    score = calc([[0.6995, 0.5], [0.7005, 0.5]], np.arange(1000.0)[None, :])

    assert score.hits.tolist() == [False, True]


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.uint16])
def test_every_kind_of_number_makes_a_map(dtype):
    assert calc([centre_of(1, 4)], TEN.astype(dtype)).ranks.tolist() == [0.95]


@pytest.mark.parametrize("width", [200, 201, 500, 501])
def test_bytes_of_maps_of_any_size_are_counted_alike(width):
    # 399 rows: an even number of pixels and an odd one, of maps below and above 100,000 pixels.
    pixels = np.random.default_rng(width).integers(0, 256, (399, width)).astype(np.uint8)
    points = np.random.default_rng(1).random((200, 2))

    one_by_one, wider = calc(points, pixels), calc(points, pixels.astype(np.uint16))

    assert one_by_one.ranks.tolist() == wider.ranks.tolist()
    assert one_by_one.nss.tolist() == wider.nss.tolist()
    assert one_by_one.chance == wider.chance


def test_a_map_has_at_most_the_pixels_of_a_4k_frame():
    assert check_map(np.zeros((2304, 4096), dtype=np.uint8)).shape == (2304, 4096)
    with pytest.raises(SaliencyMapError, match="at most 9437184 pixels, not 9441280"):
        check_map(np.zeros((2305, 4096), dtype=np.uint8))


def test_the_sides_of_a_map_are_limited():
    # Blurring computes matrices of up to side × side / 2 numbers, here 270 MB.
    assert check_map(np.zeros((1, 8192), dtype=np.uint8)).shape == (1, 8192)
    for shape in ((1, 8193), (8193, 1)):
        with pytest.raises(SaliencyMapError, match="at most 8192 pixels, not"):
            check_map(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_map_has_no_hits(value):
    score = calc([[0.5, 0.5]], np.full((4, 4), value))

    assert score.hits.tolist() == [False]
    assert score.chance == 0.0


def test_chance_is_the_share_of_pixels_that_would_hit():
    assert calc([[0.5, 0.5]], TEN).chance == 0.3


@pytest.mark.parametrize(
    ("point", "rank"),
    [([0.0, 0.0], 0.05), ([0.2, 0.0], 0.15), ([0.19999, 0.49999], 0.05), ([1.0, 1.0], 0.95), ([0.0, 0.5], 0.55)],
)
def test_a_point_belongs_to_the_pixel_given_by_floor(point, rank):
    assert calc([point], TEN).ranks.tolist() == approx([rank])


@pytest.mark.parametrize("point", [[-0.01, 0.5], [0.5, 1.01], [2, 2]])
def test_a_point_off_the_map_is_a_miss(point):
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
def test_the_hits_among_all_pixels_give_the_chance_level(saliency_map):
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
def test_an_unusable_map_is_rejected(saliency_map, complaint):
    with pytest.raises(SaliencyMapError, match=complaint):
        calc([[0.5, 0.5]], saliency_map)


@pytest.mark.parametrize("gaze_points", [[0.5, 0.5], [[0.5]], [[float("nan"), 0.5]]])
def test_malformed_gaze_points_are_misuse(gaze_points):
    with pytest.raises(ValueError, match="gaze_points"):
        calc(gaze_points, TEN)


def test_nss_is_in_standard_deviations_above_the_mean():
    # The values 0 to 9 have mean 4.5 and sample standard deviation 3.0277.
    score = calc([centre_of(1, 4), centre_of(0, 0), [2.0, 2.0]], TEN)

    assert score.nss.tolist() == approx([1.4863, -1.4863, float("nan")], abs=1e-4, nan_ok=True)


def test_pixels_with_equal_values_weigh_by_their_number_in_nss():
    # Six zeros and four ones have mean 0.4 and sample standard deviation 0.5164.
    score = calc([centre_of(0, 0), centre_of(1, 4)], np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 1]]))

    assert score.nss.tolist() == approx([-0.7746, 1.1619], abs=1e-4)


def test_a_flat_map_has_no_nss():
    assert np.isnan(calc([[0.5, 0.5]], np.full((3, 3), 0.1)).nss).all()
