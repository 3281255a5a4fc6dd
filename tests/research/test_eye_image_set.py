"""The eye image set: loading, choosing people, and the groups of people."""

import dataclasses

import numpy as np
import pytest

from research.eye_network.image_set import load_eye_images, split_people
from tests.fakes.eye_images import make_eye_images, write_shards


def test_loading_returns_what_the_shards_hold_in_the_order_of_their_names(tmp_path):
    images = make_eye_images(people=3)

    loaded = load_eye_images(write_shards(images, tmp_path / "set"))

    assert loaded.digest() == images.digest()
    assert loaded.images.dtype == np.uint8


def test_a_directory_without_shards_is_an_error_that_says_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"research\.dataset\.eye_images"):
        load_eye_images(tmp_path)


def test_a_shard_of_a_person_whose_face_was_never_found_is_skipped(tmp_path):
    folder = write_shards(make_eye_images(people=2), tmp_path / "set")
    np.savez(folder / "identity-00009.npz", identity=np.zeros(0, dtype=np.int32))

    assert load_eye_images(folder).people.tolist() == [0, 1]


def test_a_shard_without_a_column_is_an_error_that_names_it(tmp_path):
    np.savez(tmp_path / "identity-00000.npz", identity=np.zeros(1, dtype=np.int32))

    with pytest.raises(ValueError, match=r"identity-00000\.npz lacks images, head_deg"):
        load_eye_images(tmp_path)


def test_images_of_another_size_are_an_error(tmp_path):
    images = make_eye_images(people=1)
    small = dataclasses.replace(images, images=images.images[:, :, :40])

    with pytest.raises(ValueError, match=r"\(2, 40, 72\), not \(2, 48, 72\)"):
        load_eye_images(write_shards(small, tmp_path / "set"))


@pytest.mark.parametrize("angle_deg", [60.5, np.nan])
def test_pairs_that_cannot_be_learnt_from_are_left_out(tmp_path, angle_deg):
    images = make_eye_images(people=1, pairs_per_person=3)
    images.both_deg[1, 0] = angle_deg

    loaded = load_eye_images(write_shards(images, tmp_path / "set"))

    assert np.array_equal(loaded.both_deg, images.both_deg[[0, 2]])


def test_a_direction_of_60_degrees_is_kept(tmp_path):
    images = make_eye_images(people=1, pairs_per_person=3)
    images.both_deg[1, 0] = 60.0

    assert len(load_eye_images(write_shards(images, tmp_path / "set"))) == 3


def test_the_digest_depends_on_a_single_grey_level():
    images, other = make_eye_images(), make_eye_images()
    other.images[3, 1, 20, 30] += 1

    assert images.digest() != other.digest()


def test_choosing_people_excludes_the_upper_number():
    assert make_eye_images(people=6).of_people(2, 4).people.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("people", "held_out", "groups"),
    [
        (600, 100, (450, 500, 600)),
        (600, None, (450, 500, 600)),
        (2400, 400, (1940, 2000, 2400)),
        (24, 4, (18, 20, 24)),
    ],
)
def test_the_last_people_are_test_people_and_the_tenth_before_them_at_most_60_selection_people(
    people, held_out, groups
):
    split = split_people(make_eye_images(people, pairs_per_person=1), held_out)

    assert (split.first_selection, split.first_held_out, split.end) == groups


def test_too_few_people_to_select_are_an_error():
    with pytest.raises(ValueError, match="8 people with 2 held out are too few"):
        split_people(make_eye_images(people=8), 2)
