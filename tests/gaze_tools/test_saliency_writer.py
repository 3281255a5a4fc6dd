"""Replacing a video's maps: whole for readers and safe against a kill at any moment."""

import os
import random
import signal
import time

import numpy as np
import pytest
from pymongo import MongoClient

from gaze_core.errors import SaliencyMapNotFoundError, SaliencyStoreError
from gaze_tools.saliency.writer import (
    GRACE_S,
    ReplacedError,
    VideoDescription,
    find_missing,
    hide,
    open_generation,
    prune,
)

HOW = VideoDescription(fps=20.0, width=6, height=4, how="by hand")
FRAMES = 80


def make_map(value):
    return np.array([[value, 0, 255], [1, 2, 3]], dtype=np.uint8)


def write_all(database, value, *, frames=FRAMES, recipe=None, finish=True):
    generation = open_generation(database, "v", recipe or {"value": value})
    for number in range(1, frames + 1):
        generation.write(number, make_map(value))
    return generation.finish(HOW) if finish else generation.flush()


def read_values(store):
    return [int(each[0, 0]) for _, each in store.extract_saliencyMap("v").maps]


def generations(database):
    return sorted(set(database["v"].distinct("generation")))


class TestRecipes:
    def test_an_unfinished_generation_of_the_same_recipe_is_gone_on_with(self, database):
        generation = open_generation(database, "v", {"model": "a"})
        generation.write(1, make_map(1))
        generation.write(2, make_map(1))
        generation.flush()

        again = open_generation(database, "v", {"model": "a"})

        assert (again.number, again.done) == (generation.number, {1, 2})

    def test_what_is_done_is_not_written_again(self, database, store):
        open_generation(database, "v", {"model": "a"}).flush()
        write_all(database, 1, frames=2, recipe={"model": "a"}, finish=False)

        write_all(database, 9, frames=3, recipe={"model": "a"})

        assert read_values(store) == [1, 1, 9]

    def test_another_recipe_begins_anew(self, database):
        first = open_generation(database, "v", {"model": "a"})

        assert open_generation(database, "v", {"model": "b"}).number == first.number + 1

    def test_finished_maps_of_the_same_recipe_need_nothing(self, database):
        write_all(database, 1, recipe={"model": "a"})

        assert open_generation(database, "v", {"model": "a"}) is None
        assert open_generation(database, "v", {"model": "a"}, again=True).number == 2

    def test_two_writers_of_one_recipe_make_one_set(self, database, store):
        first, second = (open_generation(database, "v", {"model": "a"}) for _ in range(2))
        for number in range(1, 41):
            first.write(number, make_map(5))
            second.write(number, make_map(5))
        digest = first.finish(HOW)

        assert second.finish(HOW) == digest
        assert read_values(store) == [5] * 40
        assert prune(database, "v", grace_s=0) is None
        assert generations(database) == [1]

    def test_a_map_that_is_gone_when_it_is_read_back_is_never_shown(self, database, store):
        write_all(database, 1)
        generation = open_generation(database, "v", {"model": "b"})
        for number in (1, 2):
            generation.write(number, make_map(2))
        generation.flush()
        database["v"].delete_one({"_id": f"{generation.number}:2"})

        with pytest.raises(ReplacedError, match="frame 2"):
            generation.finish(HOW)
        assert read_values(store) == [1] * FRAMES


class TestGrace:
    def test_replaced_maps_stay_for_the_grace_period(self, database):
        write_all(database, 1)
        write_all(database, 2)

        assert 0 < prune(database, "v", grace_s=60) <= 60
        assert generations(database) == [1, 2]

    def test_then_they_go(self, database, store):
        write_all(database, 1)
        write_all(database, 2)

        assert prune(database, "v", grace_s=0) is None
        assert generations(database) == [2]
        assert read_values(store) == [2] * FRAMES

    def test_a_removal_that_was_killed_is_finished_by_the_next(self, database):
        write_all(database, 1)
        write_all(database, 2)
        database["videos"].update_one({"_id": "v"}, {"$set": {"retired": [], "deleting": [1]}})

        prune(database, "v", grace_s=GRACE_S)

        assert generations(database) == [2]
        assert database["videos"].find_one()["deleting"] == []

    def test_a_generation_nobody_goes_on_with_is_removed_after_a_day(self, database):
        write_all(database, 1, finish=False)
        prune(database, "v")
        assert generations(database) == [1]
        long_ago = database["videos"].find_one()["building"][0]["touched_at"].replace(year=2001)
        database["videos"].update_one({"_id": "v"}, {"$set": {"building.0.touched_at": long_ago}})

        prune(database, "v")

        assert generations(database) == []

    def test_a_reader_who_outlives_the_grace_is_told(self, database, store):
        write_all(database, 1)
        maps = store.extract_saliencyMap("v").maps
        next(maps)
        write_all(database, 2)
        prune(database, "v", grace_s=0)

        with pytest.raises(SaliencyStoreError, match="replaced while they were read"):
            list(maps)

    def test_a_reader_who_begins_to_list_after_the_removal_is_told(self, database, store):
        write_all(database, 1)
        maps = store.extract_saliencyMap("v", frame_nums=[1, 2]).maps
        write_all(database, 2)
        prune(database, "v", grace_s=0)

        with pytest.raises(SaliencyStoreError, match="replaced while they were read"):
            list(maps)


class TestDeletion:
    def test_readers_find_nothing_at_once(self, database, store):
        write_all(database, 1)

        assert hide(database, "v") is True
        with pytest.raises(SaliencyMapNotFoundError):
            store.extract_saliencyMap("v")

    def test_a_reader_amid_the_maps_finishes(self, database, store):
        write_all(database, 1)
        maps = store.extract_saliencyMap("v").maps
        next(maps)

        hide(database, "v")
        prune(database, "v", grace_s=60)

        assert len(list(maps)) == FRAMES - 1

    def test_old_documents_do_not_come_back(self, database, store):
        database["v"].insert_one({"frame_num": 1, "saliency_map": [[0.5]]})

        hide(database, "v")
        prune(database, "v", grace_s=0)

        assert "v" not in database.list_collection_names()
        assert database["videos"].find_one() is None

    def test_a_video_that_is_not_there_leaves_no_trace(self, database):
        assert hide(database, "v") is False
        assert database["videos"].find_one() is None

    def test_new_maps_may_follow(self, database, store):
        write_all(database, 1)
        hide(database, "v")
        write_all(database, 2)

        prune(database, "v", grace_s=0)

        assert read_values(store) == [2] * FRAMES


GRACE_OF_THE_KILLED_S = 2.0


def replace_for_ever(uri, name, seed):
    """What the child does until it is killed: one replacement after the other, and removals between."""
    with MongoClient(uri) as client:
        database = client[name]
        value = seed
        while True:
            value = value % 250 + 1
            write_all(database, value, recipe={"value": value, "pid": os.getpid()})
            prune(database, "v", grace_s=GRACE_OF_THE_KILLED_S)


def count_generations(database):
    return database["videos"].find_one({"_id": "v"})["last_generation"]


def read_in_time(store):
    """Return digest and values of the maps; a read that took longer than the grace, on a busy machine, is repeated."""
    while True:
        started_s = time.monotonic()
        try:
            video = store.extract_saliencyMap("v")
            return video.digest, [int(each[0, 0]) for _, each in video.maps]
        except SaliencyStoreError:
            if time.monotonic() - started_s < GRACE_OF_THE_KILLED_S:
                raise


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_set_for_readers(mongo_uri, database, store):
    """15 writers in turn are killed at random moments; after each and during all, every set that is read is whole."""
    write_all(database, 1)
    moments = random.Random(4)
    kills, seen = 0, set()
    for seed in range(15):
        pid = os.fork()
        if pid == 0:
            try:
                replace_for_ever(mongo_uri, database.name, 8 * seed)
            finally:
                os._exit(1)
        # Killed when it has begun 0, 1 or 2 generations and after a few reads. It begins the second after the first is
        # published.
        begun_before_kill = count_generations(database) + seed % 3
        reads_left = moments.randrange(1, 6)
        while reads_left:
            digest, values = read_in_time(store)
            assert len(values) == FRAMES
            assert len(set(values)) == 1
            seen.add((values[0], digest))
            reads_left -= count_generations(database) >= begun_before_kill
        os.kill(pid, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        assert len(set(read_in_time(store)[1])) == 1

    assert kills == 15
    # The first set, and at least one more in every third round: the last read of a round, or the first of the next.
    assert len(seen) > 5
    assert len({value for value, _ in seen}) == len(seen)
    # What the killed ones left goes in time, and the set that counts stays.
    database["videos"].update_one({"_id": "v"}, {"$set": {"building": []}})
    prune(database, "v", grace_s=0)
    assert set(read_values(store)) <= {value for value, _ in seen} | set(range(1, 251))


@pytest.mark.parametrize(
    ("present", "missing"),
    [({1, 6, 11, 16}, []), ({1, 11}, [6, 16]), (set(), [1, 6, 11, 16]), ({1, 2, 6, 11, 16}, [])],
)
def test_missing_frames_are_those_that_the_facts_expect(present, missing):
    assert find_missing({"first_frame": 1, "every": 5, "frame_count": 20}, present) == missing


def test_facts_that_expect_nothing_miss_nothing():
    assert find_missing({"frame_count": 20, "every": None}, {1}) == []
