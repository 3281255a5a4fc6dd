"""Writing saliency maps: what is stored, and how a video's maps are replaced."""

import datetime as dt
import hashlib

import numpy as np
import pytest

from gaze_core.errors import SaliencyMapError
from gaze_core.ports import UsableMap
from gaze_tools.saliency.seed import seed_saliency_maps

FACTS = {"fps": 20.0, "width": 640, "height": 360, "how": "by hand"}


def make_map(value):
    return np.array([[value, 0, 255], [1, 2, 3]], dtype=np.uint8)


def read(store):
    return [(number, each[0].tolist()) for number, each in store.extract_saliencyMap("v").maps]


def test_the_facts_of_a_video_are_kept(database):
    digest = seed_saliency_maps(database, "v", {3: make_map(7), 4: make_map(8)}, **FACTS)

    facts = database["videos"].find_one()
    assert facts.pop("recipe")["how"] == "by hand"
    assert abs(facts.pop("published_at") - dt.datetime.now(dt.UTC).replace(tzinfo=None)) < dt.timedelta(minutes=10)
    assert facts == {
        "_id": "v",
        "last_generation": 1,
        "generation": 1,
        "building": [],
        "fps": 20.0,
        "width": 640,
        "height": 360,
        "frame_count": 4,
        "first_frame": 3,
        "every": 1,
        "held": False,
        "map_count": 2,
        "map_height": 2,
        "map_width": 3,
        "how": "by hand",
        "digest": digest,
    }


def test_the_digest_covers_numbers_shapes_and_pixels(database, store):
    digest = seed_saliency_maps(database, "v", {3: make_map(7)}, **FACTS)

    number, rows, columns = b"\0\0\0\0\0\0\0\x03", b"\0\0\0\0\0\0\0\x02", b"\0\0\0\0\0\0\0\x03"
    assert digest == hashlib.sha256(number + rows + columns + b"\x07\x00\xff\x01\x02\x03").hexdigest()
    assert store.extract_saliencyMap("v").digest == digest


def test_a_document_has_the_third_form(database):
    seed_saliency_maps(database, "v", {3: make_map(7)}, **FACTS)

    document = database["v"].find_one({}, {"_id": 0, "saliency_map": 0})
    assert document == {
        "generation": 1,
        "frame_num": 3,
        "height": 2,
        "width": 3,
        "dtype": "uint8",
        "encoding": "zlib",
    }


def test_the_index_leads_to_a_frame(database):
    seed_saliency_maps(database, "v", {3: make_map(7)}, **FACTS)

    keys = [list(index["key"]) for index in database["v"].index_information().values()]
    assert [("generation", 1), ("frame_num", 1), ("chunk_index", 1)] in keys


def test_floats_from_0_to_1_are_kept_in_steps(database, store):
    seed_saliency_maps(database, "v", {1: np.array([[0.0, 0.5, 1.0]])}, **FACTS)

    assert read(store) == [(1, [0, 128, 255])]


def test_pairs_can_be_streamed(database, store):
    seed_saliency_maps(database, "v", ((number, make_map(number)) for number in range(1, 101)), **FACTS)

    assert [number for number, _ in read(store)] == list(range(1, 101))


def test_new_maps_replace_the_old_ones(database, store):
    seed_saliency_maps(database, "v", {1: make_map(1), 2: make_map(2)}, **FACTS)
    seed_saliency_maps(database, "v", {2: make_map(9)}, **FACTS)

    assert read(store) == [(2, [9, 0, 255])]


def test_new_maps_replace_those_of_older_programs(database, store):
    database["v"].insert_one({"frame_num": 1, "saliency_map": [[0.5]]})
    assert read(store) == [(1, [0.5])]

    seed_saliency_maps(database, "v", {2: make_map(9)}, **FACTS)

    assert read(store) == [(2, [9, 0, 255])]


def test_a_reader_amid_the_old_maps_reads_on(database, store):
    database["v"].insert_one({"frame_num": 1, "saliency_map": [[0.5]]})
    for value in (1, 2):
        stored = store.extract_saliencyMap("v").stored
        seed_saliency_maps(database, "v", {1: make_map(value), 2: make_map(value)}, **FACTS)

        assert all(isinstance(each, UsableMap) for each in stored)


def test_generations_go_when_their_grace_is_over(database):
    for value in (1, 2, 3):
        seed_saliency_maps(database, "v", {1: make_map(value)}, **FACTS)
    assert sorted(document["generation"] for document in database["v"].find()) == [1, 2, 3]

    seed_saliency_maps(database, "v", {1: make_map(4)}, **FACTS, grace_s=0)

    assert sorted(document["generation"] for document in database["v"].find()) == [4]


def test_maps_of_two_sizes_are_refused(database, store):
    with pytest.raises(ValueError, match="frame 2 has 1×2 pixels, those before it 2×3"):
        seed_saliency_maps(database, "v", {1: make_map(1), 2: make_map(1)[:1, :2]}, **FACTS)


def test_maps_at_irregular_distances_cannot_be_held(database):
    with pytest.raises(ValueError, match="irregularly spaced"):
        seed_saliency_maps(database, "v", {number: make_map(1) for number in (1, 3, 4)}, **FACTS, held=True)


def test_a_seeding_that_breaks_off_changes_nothing_for_readers(database, store):
    seed_saliency_maps(database, "v", {1: make_map(1)}, **FACTS)

    def break_off():
        for number in range(1, 51):
            yield number, make_map(2)
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        seed_saliency_maps(database, "v", break_off(), **FACTS)

    assert read(store) == [(1, [1, 0, 255])]


@pytest.mark.parametrize(
    ("maps", "error"),
    [
        ([(2, make_map(1)), (1, make_map(1))], ValueError),
        ([(2, make_map(1)), (2, make_map(1))], ValueError),
        ([(1, np.array([[1.5]]))], ValueError),
        ([(1, np.array([[300]]))], ValueError),
        ([(1, np.array([[-0.5]]))], SaliencyMapError),
        ([(1, np.array([[np.nan]]))], SaliencyMapError),
        ([(1, np.zeros(3))], SaliencyMapError),
    ],
)
def test_what_is_no_map_is_refused(database, maps, error):
    with pytest.raises(error):
        seed_saliency_maps(database, "v", maps, **FACTS)

    assert "generation" not in database["videos"].find_one()


def test_a_video_s_id_must_name_a_collection(database):
    with pytest.raises(ValueError, match="not a video id"):
        seed_saliency_maps(database, "videos", {1: make_map(1)}, **FACTS)
