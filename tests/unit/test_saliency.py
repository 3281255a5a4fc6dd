"""What a hit is, worked out by hand on small maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx

from gaze_core.errors import SaliencyMapError
from gaze_core.saliency import calc

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
