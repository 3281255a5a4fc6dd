"""Documents in MongoDB, valid and malformed, and failures of MongoDB."""

import os
import threading
import warnings
import zlib

import bson
import numpy as np
import pytest
from bson.int64 import Int64

from func.adapters.saliency_store import MongoSaliencyMaps
from func.deadline import limit_calls
from gaze_core.errors import (
    SaliencyMapError,
    SaliencyMapNotFoundError,
    SaliencyStoreError,
    SaliencyStoreTimeoutError,
)
from gaze_core.ports import FaceFacts, UnusableMap
from tests.adapters.upstream_services import refused_url

FLOATS = [[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]]
PIXELS = bytes([1, 2, 3, 4, 5, 6])


def whole(frame_num, saliency_map=FLOATS, **more):
    return {"frame_num": frame_num, "saliency_map": saliency_map, **more}


def chunks(frame_num, size_bytes, *, first=0):
    content = bson.encode({"frame_num": frame_num, "saliency_map": FLOATS})
    parts = [content[start : start + size_bytes] for start in range(0, len(content), size_bytes)]
    return [
        {"frame_num": frame_num, "chunk_index": index, "data": part} for index, part in enumerate(parts, start=first)
    ]


def compressed(frame_num, pixels=PIXELS, **more):
    return {
        "frame_num": frame_num,
        "height": 2,
        "width": 3,
        "dtype": "uint8",
        "encoding": "zlib",
        "saliency_map": zlib.compress(pixels),
        **more,
    }


@pytest.fixture
def read(mongo_uri, database):
    """Store documents of the video `v` and return its maps by frame, as lists or errors."""

    def read_back(*documents, pointer=None, frame_nums=None):
        if documents:
            database["v"].insert_many([dict(document) for document in documents])
        if pointer is not None:
            database["videos"].replace_one({"_id": "v"}, pointer, upsert=True)
        store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60)
        return {
            number: SaliencyMapError(each.reason) if isinstance(each, UnusableMap) else each.saliency_map.tolist()
            for each in store.extract_saliencyMap("v", frame_nums=frame_nums).stored
            for number in each.frame_nums
        }

    return read_back


class TestForms:
    def test_nested_lists_are_read(self, read):
        assert read(whole(7)) == {7: FLOATS}

    def test_whole_numbers_in_nested_lists_are_read(self, read):
        assert read(whole(7, [[0, 1], [2, 3]])) == {7: [[0, 1], [2, 3]]}

    def test_compressed_pixels_are_read(self, read):
        assert read(compressed(7)) == {7: [[1, 2, 3], [4, 5, 6]]}

    @pytest.mark.parametrize("first", [0, 1], ids=["from 0", "from 1"])
    def test_chunks_are_joined_in_the_order_of_their_index(self, read, first):
        documents = chunks(7, 20, first=first)
        assert len(documents) > 3

        assert read(*reversed(documents)) == {7: FLOATS}

    def test_a_video_may_have_maps_in_all_forms(self, read):
        found = read(compressed(3), *chunks(2, 40), whole(1))

        assert list(found) == [1, 2, 3]
        assert found == {1: FLOATS, 2: FLOATS, 3: [[1, 2, 3], [4, 5, 6]]}

    @pytest.mark.parametrize("number", [7.0, Int64(7), 7], ids=["double", "int64", "int32"])
    def test_a_frame_number_may_have_any_type_of_whole_number(self, read, number):
        assert read(whole(number), *chunks(number - 1, 20), frame_nums=[6, 7]) == {6: FLOATS, 7: FLOATS}

    def test_chunks_of_frames_may_be_mixed_and_their_numbers_of_different_types(self, read):
        mixed = [*chunks(2.0, 20), *chunks(Int64(1), 20), *chunks(3, 20)]
        mixed.sort(key=lambda document: document["chunk_index"] * 5 % 7)
        assert read(*mixed) == {
            1: FLOATS,
            2: FLOATS,
            3: FLOATS,
        }

    def test_documents_without_a_frame_number_are_left_out(self, read):
        assert read(whole("7"), whole(None), whole(7.5), whole(float("nan")), whole(8)) == {8: FLOATS}

    def test_the_first_of_several_maps_of_a_frame_is_used(self, read, caplog):
        assert read(whole(7), whole(7, [[1.0]])) == {7: FLOATS}
        assert "several saliency maps of a frame: video=v video_frame=7" in caplog.text

    def test_a_whole_map_takes_precedence_over_chunks(self, read):
        assert read(*chunks(7, 20)[:2], whole(7, [[1.0]])) == {7: [[1.0]]}

    def test_maps_of_full_size_are_read_in_batches(self, read):
        noise = np.random.default_rng(0).integers(0, 256, (100, 270 * 480), dtype=np.uint8)
        documents = [
            compressed(number, noise[number].tobytes(), height=270, width=480) for number in reversed(range(100))
        ]

        found = read(*documents)

        assert list(found) == list(range(100))
        assert all(np.array_equal(np.ravel(found[number]), noise[number]) for number in (0, 50, 99))


class TestUnusableMaps:
    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (whole(7, [[0.0, float("nan")]]), "not finite"),
            (whole(7, [[0.0, float("inf")]]), "not finite"),
            (whole(7, [[0.0, -0.1]]), "negative"),
            (whole(7, [[0.0], [0.0, 1.0]]), "differ in length"),
            (whole(7, [["a", "b"]]), "must contain real numbers"),
            (whole(7, [[None]]), "must contain real numbers"),
            (whole(7, [[{}]]), "must contain real numbers"),
            (whole(7, [0.5, 0.5]), "shape"),
            (whole(7, []), "shape"),
            (whole(7, "text"), "unknown form"),
            ({"frame_num": 7}, "unknown form"),
            (compressed(7, PIXELS[:5]), "does not have 2×3"),
            (compressed(7, PIXELS + b"\0"), "does not have 2×3"),
            (compressed(7, saliency_map=zlib.compress(PIXELS) + b"more"), "does not have 2×3"),
            (compressed(7, saliency_map=zlib.compress(PIXELS)[:-3]), "does not have 2×3"),
            (compressed(7, saliency_map=b"not zlib"), "corrupt"),
            (compressed(7, saliency_map=[1]), "not of type Binary"),
            (compressed(7, height=-2), "positive"),
            (compressed(7, width="3"), "positive"),
            (compressed(7, height=10**9), "over the limit"),
            (compressed(7, dtype="float32"), "not supported"),
            (compressed(7, encoding="lz4"), "not supported"),
        ],
    )
    def test_an_unusable_map_has_a_reason(self, read, document, reason):
        found = read(document, whole(8))

        assert isinstance(found[7], SaliencyMapError)
        assert reason in str(found[7])
        assert found[8] == FLOATS

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda parts: parts[1:], "not BSON"),
            (lambda parts: parts[:-1], "not BSON"),
            (lambda parts: parts[:1] + parts[2:], "missing or duplicated"),
            (lambda parts: [*parts, parts[1]], "missing or duplicated"),
            (lambda parts: [*parts[:-1], {**parts[-1], "data": "text"}], "no data of type Binary"),
            (lambda parts: [*parts[:-1], {**parts[-1], "chunk_index": None}], "no integer index"),
            (lambda parts: [*parts[:-1], {**parts[-1], "data": b"\xff" * 5}], "not BSON"),
        ],
        ids=["first lost", "last lost", "middle lost", "twice", "text", "no index", "garbage"],
    )
    def test_unusable_chunks_have_a_reason(self, read, spoil, reason):
        found = read(*spoil(chunks(7, 20)), whole(8))

        assert isinstance(found[7], SaliencyMapError)
        assert reason in str(found[7])
        assert found[8] == FLOATS

    def test_deeply_nested_chunks_are_unusable(self, read):
        depth = 100_000
        sizes = [5 + 8 * level for level in range(depth + 1)]
        nested = b"".join(size.to_bytes(4, "little") + b"\x03a\0" for size in reversed(sizes[1:]))
        nested += b"\x05\0\0\0\0" + b"\0" * depth

        found = read({"frame_num": 7, "chunk_index": 0, "data": nested})

        assert isinstance(found[7], SaliencyMapError)

    def test_a_zip_bomb_is_not_inflated(self, read):
        import tracemalloc

        bomb = compressed(7, bytes(100_000_000))
        tracemalloc.start()
        try:
            found = read(bomb)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert isinstance(found[7], SaliencyMapError)
        assert peak_bytes < 5_000_000


class TestSizes:
    def test_a_map_of_a_different_size_is_unusable(self, read):
        found = read(whole(1), whole(2, [[0.5]]), whole(3))

        assert (found[1], found[3]) == (FLOATS, FLOATS)
        assert "1×1 pixels, not 2×3" in str(found[2])

    def test_the_size_in_the_facts_applies_to_the_first_map_too(self, read):
        found = read(whole(1, [[0.5]]), whole(2), pointer={"map_height": 2, "map_width": 3})

        assert "1×1 pixels, not 2×3" in str(found[1])
        assert found[2] == FLOATS

    def test_an_unusable_map_does_not_determine_the_size(self, read):
        found = read(whole(1, [[-1.0]]), whole(2))

        assert "negative" in str(found[1])
        assert found[2] == FLOATS

    @pytest.mark.parametrize("pixel", [0.0, 0.7])
    def test_a_map_may_have_one_pixel(self, read, pixel):
        assert read(whole(1, [[pixel]])) == {1: [[pixel]]}


class TestStreaming:
    def test_frames_far_apart_are_all_found(self, read):
        numbers = [1, 2, 999, 1000, 1001, 5000, 70_000]
        documents = [compressed(number) for number in numbers]

        assert list(read(*documents, frame_nums=numbers)) == numbers
        assert list(read(frame_nums=[0, 1000, 1002, 69_999, 70_000])) == [1000, 70_000]

    def test_a_generation_with_an_index_is_read_in_stretches(self, read, database):
        database["v"].create_index([("generation", 1), ("frame_num", 1), ("chunk_index", 1)])
        documents = [compressed(number, generation=3) for number in range(1, 2501)]

        found = read(*documents, pointer={"generation": 3}, frame_nums=range(1, 2501))

        assert list(found) == list(range(1, 2501))

    @pytest.mark.parametrize("form", ["lists", "chunks", "compressed"])
    def test_memory_stays_bounded_in_every_form(self, mongo_uri, database, form):
        import tracemalloc

        floats = np.random.default_rng(0).random((120, 200)).round(3)
        for number in range(1, 41):
            if form == "lists":
                documents = [whole(number, floats.tolist())]
            elif form == "chunks":
                content = bson.encode(whole(number, floats.tolist()))
                documents = [
                    {"frame_num": number, "chunk_index": index, "data": content[start : start + 300_000]}
                    for index, start in enumerate(range(0, len(content), 300_000))
                ]
            else:
                pixels = (floats * 255).astype(np.uint8).tobytes()
                documents = [compressed(number, pixels, height=120, width=200)]
            database["v"].insert_many(documents)
        store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60)
        tracemalloc.start()
        try:
            count = sum(each.shape == (120, 200) for _, each in store.extract_saliencyMap("v").maps)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        # 40 maps as arrays of floats alone would take 8 MB, as lists 31 MB.
        assert count == 40
        assert peak_bytes < 6_000_000


class TestFacts:
    @pytest.mark.parametrize("fps", [None, "25", 0, -25.0, float("nan"), True])
    def test_malformed_facts_are_ignored(self, mongo_uri, database, fps):
        database["v"].insert_one(whole(1))
        database["videos"].insert_one({"_id": "v", "fps": fps, "held": "yes", "every": 5, "map_count": "many"})

        video = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60).extract_saliencyMap("v")

        assert (video.fps, video.held_every) == (None, None)
        assert [number for number, _ in video.maps] == [1]


class TestGenerations:
    def test_the_default_generation_is_0(self, read):
        assert read(whole(1), whole(2, generation=1), whole(3, generation=0)) == {1: FLOATS, 3: FLOATS}

    def test_only_the_current_generation_is_read(self, read):
        found = read(whole(1), whole(1, [[1.0]], generation=2), whole(3, generation=1), pointer={"generation": 2})

        assert found == {1: [[1.0]]}

    def test_an_empty_generation_has_no_map(self, read):
        with pytest.raises(SaliencyMapNotFoundError):
            read(whole(1), pointer={"generation": 3})

    def test_a_generation_that_is_not_an_integer_is_an_error(self, read):
        with pytest.raises(SaliencyStoreError, match="not an integer"):
            read(whole(1), pointer={"generation": "2"})

    @pytest.mark.parametrize(("facts", "digest"), [({}, None), ({"digest": "ab12"}, "ab12"), ({"digest": 5}, None)])
    def test_the_digest_comes_from_the_facts(self, mongo_uri, database, facts, digest):
        database["v"].insert_one(whole(1))
        database["videos"].insert_one({"_id": "v", **facts})

        assert (
            MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60).extract_saliencyMap("v").digest == digest
        )

    def test_maps_replaced_while_being_read_are_an_error(self, mongo_uri, database):
        database["v"].insert_many([whole(1), whole(2)])
        maps = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60).extract_saliencyMap("v").maps
        assert next(maps)[0] == 1
        database["v"].delete_many({})

        with pytest.raises(SaliencyStoreError, match="replaced while they were read"):
            next(maps)


class TestTroubles:
    @pytest.fixture
    def nowhere(self):
        return refused_url().replace("http", "mongodb")

    def test_a_missing_server_is_a_timeout(self, nowhere):
        with pytest.raises(SaliencyStoreTimeoutError, match="did not answer in time"):
            MongoSaliencyMaps(nowhere, timeout_s=0.2).extract_saliencyMap("v")

    def test_a_missing_server_is_unreachable(self, nowhere):
        assert MongoSaliencyMaps(nowhere, timeout_s=0.2).is_reachable() is False

    def test_a_server_that_goes_away_while_maps_are_read_is_an_error(self, tmp_path):
        from pymongo import MongoClient

        from gaze_tools.stack.mongo import start_mongo

        with start_mongo(tmp_path) as server:
            with MongoClient(server.uri) as client:
                client["saliency_db"]["v"].insert_many([whole(1), whole(2)])
            maps = MongoSaliencyMaps(server.uri, timeout_s=60).extract_saliencyMap("v").maps
            assert next(maps)[0] == 1
            os.kill(server.pid, 9)

            with limit_calls(0.5), pytest.raises(SaliencyStoreError):
                next(maps)

    def test_the_error_for_a_malformed_uri_does_not_quote_it(self):
        with pytest.raises(SaliencyStoreError) as caught:
            MongoSaliencyMaps("mongodb://user:secret@:bad:", timeout_s=1).extract_saliencyMap("v")

        assert "secret" not in str(caught.value)

    def test_a_message_never_names_the_server(self, nowhere):
        with pytest.raises(SaliencyStoreError) as caught:
            MongoSaliencyMaps(nowhere, timeout_s=0.2).extract_saliencyMap("v")

        assert "127.0.0.1" not in str(caught.value)

    def test_a_timeout_must_be_positive(self):
        with pytest.raises(ValueError, match="positive"):
            MongoSaliencyMaps("mongodb://x", timeout_s=0)


def test_a_child_after_a_fork_reads_through_a_client_of_its_own(mongo_uri, database):
    database["v"].insert_one(whole(1))
    store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60)
    assert len(list(store.extract_saliencyMap("v").maps)) == 1
    pid = os.fork()
    if pid == 0:
        try:
            # pymongo warns of a client made before the fork.
            warnings.simplefilter("error")
            found = list(store.extract_saliencyMap("v").maps)
            os._exit(0 if len(found) == 1 else 2)
        finally:
            os._exit(1)

    assert os.waitpid(pid, 0)[1] == 0


def test_threads_share_one_client(mongo_uri, database):
    database["v"].insert_many([whole(number) for number in range(20)])
    store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60)
    counts = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(list(store.extract_saliencyMap("v").maps)))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [20] * 6


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ({"channel": True, "share": 0.5}, FaceFacts(channel=True, share=0.5)),
        ({"channel": False, "share": None}, FaceFacts(channel=False)),
        ({"channel": False}, FaceFacts(channel=False)),
        ({"channel": False, "share": 2}, FaceFacts(channel=False)),
        ({"channel": False, "share": True}, FaceFacts(channel=False)),
        ({"channel": 1, "share": 0.5}, None),
        ("yes", None),
        (None, None),
    ],
)
def test_what_is_known_of_faces_comes_with_the_maps(mongo_uri, database, stored, read):
    database["v"].insert_one(whole(1))
    database["videos"].insert_one({"_id": "v", "faces": stored})

    assert MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60).extract_saliencyMap("v").faces == read
