"""The eye image set: loading, choosing people, and the groups of people."""

import os

import numpy as np
import pytest

from research.dataset.eye_images import shard_path
from research.eye_network.image_set import find_image_set, load_image_set, split_people
from tests.fakes.eye_images import make_eye_images, write_shards


def test_loading_returns_what_the_shards_hold(tmp_path):
    images = make_eye_images(people=12)

    loaded, split = load_image_set(write_shards(images, tmp_path / "set", held_out=2))

    assert loaded.digest() == images.digest()
    assert loaded.images.dtype == np.uint8
    assert (split.first_selection, split.first_held_out, split.end) == (9, 10, 12)


def test_a_directory_without_a_set_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"research\.dataset\.eye_images"):
        find_image_set(tmp_path)


def test_of_several_sets_the_one_made_last_is_found(tmp_path):
    for number, name in enumerate(("b", "c", "a")):
        os.utime(write_shards(make_eye_images(people=1), tmp_path / name) / "plan.json", (0, 10 - number))

    assert find_image_set(tmp_path) == tmp_path / "b"
    assert find_image_set(tmp_path / "a") == tmp_path / "a"


def test_a_set_without_a_column_is_an_error_that_names_it(tmp_path):
    folder = write_shards(make_eye_images(people=1), tmp_path / "set")
    np.savez(shard_path(folder, 0), identity=np.zeros(1, dtype=np.int32))

    with pytest.raises(ValueError, match="lack images, head_deg"):
        load_image_set(folder)


@pytest.mark.parametrize("angle_deg", [60.5, np.nan])
def test_pairs_that_cannot_be_learnt_from_are_left_out(tmp_path, angle_deg):
    images = make_eye_images(people=12, pairs_per_person=3)
    images.both_deg[1, 0] = angle_deg

    loaded, _ = load_image_set(write_shards(images, tmp_path / "set"))

    assert np.array_equal(loaded.both_deg, np.delete(images.both_deg, 1, axis=0))


def test_a_direction_of_60_degrees_is_kept(tmp_path):
    images = make_eye_images(people=12, pairs_per_person=3)
    images.both_deg[1, 0] = 60.0

    assert len(load_image_set(write_shards(images, tmp_path / "set"))[0]) == 36


def test_the_digest_depends_on_a_single_grey_level():
    images, other = make_eye_images(), make_eye_images()
    other.images[3, 1, 20, 30] += 1

    assert images.digest() != other.digest()


def test_choosing_people_excludes_the_upper_number():
    assert make_eye_images(people=6).of_people(2, 4).people.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("first_held_out", "end", "first_selection"), [(500, 600, 450), (2000, 2400, 1940), (20, 24, 18)]
)
def test_a_tenth_of_the_people_before_the_test_group_at_most_60_are_selection_people(
    first_held_out, end, first_selection
):
    assert split_people(first_held_out, end).selection == (first_selection, first_held_out)


def test_too_few_people_to_select_are_an_error():
    with pytest.raises(ValueError, match="9 people who are not test people are too few"):
        split_people(9, 20)
