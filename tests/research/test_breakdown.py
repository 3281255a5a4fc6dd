"""Means, intervals and maps of errors, on values that can be computed by hand."""

import numpy as np
import pytest
from pytest import approx

from research.evaluation.breakdown import (
    ErrorsByCalibration,
    ImageErrors,
    bin_errors,
    find_mean_error,
    map_errors,
    resample_people,
)


def make_errors(**changed):
    """Return four images of two people: two in the middle of the screen, one in its corner, one above it."""
    given = {
        "point": np.array([[0.5, 0.5], [0.45, 0.6], [0.99, 0.99], [0.5, -0.2]]),
        "angular_deg": np.array([1.0, 2.0, 4.0, 8.0]),
        "offset_deg": np.array([[1.0, 0.0], [0.0, 2.0], [-4.0, 0.0], [0.0, -8.0]]),
        "pose_deg": np.array([[0.0, -20.0, 0.0], [0.0, 0.0, 0.0], [0.0, 4.9, 0.0], [0.0, 5.0, 0.0]]),
        "distance_mm": np.array([450.0, 450.0, 650.0, 900.0]),
        "iris_diameter_px": np.array([7.0, 9.0, 9.0, 30.0]),
        "identity": np.array([1, 1, 2, 2]),
        "is_in_range": np.array([True, True, True, False]),
    }
    return ImageErrors(**(given | changed))


def bin_by_yaw(errors):
    return bin_errors(errors.pose_deg[:, 1], errors.angular_deg, errors.identity, (-5, 5))


def test_a_bin_includes_its_lower_edge_and_the_outer_bins_are_open():
    assert [summary.images for summary in bin_by_yaw(make_errors())] == [1, 2, 1]


def test_the_mean_of_a_bin_is_that_of_its_images():
    assert [summary.mean_deg for summary in bin_by_yaw(make_errors())] == [1.0, 3.0, 8.0]


def test_an_empty_bin_has_no_mean():
    empty = bin_errors(np.array([1.0]), np.array([3.0]), np.array([0]), (5,))[1]

    assert (empty.images, empty.people, empty.interval_deg) == (0, 0, None)
    assert np.isnan(empty.mean_deg)


def test_an_unknown_value_is_in_no_bin():
    bins = bin_errors(np.array([np.nan, 1.0]), np.array([3.0, 4.0]), np.array([0, 1]), (5,))

    assert [each.images for each in bins] == [1, 0]


def test_people_with_equal_errors_give_an_interval_of_no_width():
    assert resample_people(np.full(10, 3.0), np.repeat(np.arange(5), 2)) == (3.0, 3.0)


def test_the_interval_contains_the_mean_and_is_narrower_than_the_range_of_people():
    low, high = resample_people(np.arange(20.0), np.arange(20))

    assert 0 < low < 9.5 < high < 19


def test_many_images_of_one_person_do_not_narrow_the_interval():
    few = resample_people(np.arange(5.0), np.arange(5))

    assert resample_people(np.repeat(np.arange(5.0), 100), np.repeat(np.arange(5), 100)) == approx(few)


def test_four_people_are_too_few_for_an_interval():
    summary = find_mean_error(np.arange(40.0), np.repeat(np.arange(4), 10))

    assert summary.interval_deg is None
    assert summary.is_uncertain


def test_the_map_has_the_screen_inside_and_a_ring_beyond_its_edges():
    found = map_errors(make_errors())

    assert found.images.shape == (5, 7)
    assert {(row, column): found.images[row, column] for row, column in np.argwhere(found.images)} == {
        (2, 3): 2,
        (3, 5): 1,
        (0, 3): 1,
    }


def test_a_cell_has_its_images_mean_error_and_mean_offset():
    found = map_errors(make_errors())

    assert found.mean_deg[2, 3] == 1.5
    assert found.offset_deg[2, 3].tolist() == [0.5, 1.0]


def test_a_cell_without_images_has_no_mean():
    assert np.isnan(map_errors(make_errors()).mean_deg[1, 1])


def test_a_gaze_that_misses_the_screen_plane_is_in_no_cell():
    errors = make_errors(point=np.array([[0.5, 0.5], [np.nan, np.nan], [np.inf, 0.5], [0.5, 0.5]]))

    assert map_errors(errors).images.sum() == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"distance_mm": np.array([450.0])},
        {"pose_deg": np.zeros((4, 2))},
        {"angular_deg": np.array([1.0, 2.0, 4.0, np.nan])},
        {"angular_deg": np.empty(0)},
    ],
    ids=["too few distances", "no roll", "an unknown error", "no image"],
)
def test_inconsistent_errors_are_a_misuse(changed):
    with pytest.raises(ValueError, match=r"shape|finite|no image"):
        make_errors(**changed)


def test_every_person_needs_an_error_at_every_stage():
    with pytest.raises(ValueError, match="every person needs an error"):
        ErrorsByCalibration(np.ones(3), np.ones(3), np.ones(2))
