"""Behaviour of every saliency map store, the fake and the real one."""

import numpy as np
import pytest

from func.adapters.saliency_store import MongoSaliencyMaps
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.ports import UnusableMap, UsableMap
from gaze_core.video_times import VideoTimes
from tests.adapters.upstream_services import is_reached
from tests.fakes.saliency_store import FakeSaliencyMaps


def make_map(value):
    """Return a map of 2 rows and 3 columns that its first pixel identifies."""
    return np.array([[value, 0, 255], [1, 2, 3]], dtype=np.uint8)


@pytest.fixture(params=["fake", "real"])
def make_store(request):
    """Return a function that creates a store with maps by video, stored as the demo stores them."""
    if request.param == "fake":
        return FakeSaliencyMaps
    uri, database = request.getfixturevalue("mongo_uri"), request.getfixturevalue("database")

    def make(by_video, *, fps=20.0, held_every=None, times=None):
        from gaze_tools.saliency.seed import seed_saliency_maps

        for video_id, maps in by_video.items():
            usable = {number: each for number, each in maps.items() if not isinstance(each, Exception)}
            seed_saliency_maps(
                database,
                video_id,
                usable,
                fps=fps if times is None else times.fps,
                width=3,
                height=2,
                how="by hand",
                frame_count=None if times is None else times.frame_count,
                starts_s=None if times is None else times.starts_s,
                duration_s=None if times is None else times.duration_s,
            )
            for number in maps.keys() - usable.keys():
                database[video_id].insert_one({"generation": 1, "frame_num": number, "saliency_map": "not a map"})
            if held_every:
                database["videos"].update_one({"_id": video_id}, {"$set": {"held": True, "every": held_every}})
        return MongoSaliencyMaps(uri, database=database.name, timeout_s=60)

    return make


def read(store, video_id, **kwargs):
    return [(number, each.tolist()) for number, each in store.extract_saliencyMap(video_id, **kwargs).maps]


def test_maps_come_in_the_order_of_their_frames(make_store):
    store = make_store({"v": {10: make_map(10), 2: make_map(2), 1: make_map(1)}})

    assert read(store, "v") == [
        (1, [[1, 0, 255], [1, 2, 3]]),
        (2, [[2, 0, 255], [1, 2, 3]]),
        (10, [[10, 0, 255], [1, 2, 3]]),
    ]


def test_only_the_wanted_frames_come(make_store):
    store = make_store({"v": {number: make_map(number) for number in range(1, 101)}})

    found = read(store, "v", frame_nums=[70, 3, 3, 500])

    assert [(number, pixels[0][0]) for number, pixels in found] == [(3, 3), (70, 70)]


@pytest.mark.parametrize("frame_nums", [[], [99], {0, -1}])
def test_a_video_without_the_wanted_frames_has_no_maps_to_read(make_store, frame_nums):
    store = make_store({"v": {1: make_map(1)}})

    assert read(store, "v", frame_nums=frame_nums) == []


@pytest.mark.parametrize("frame_nums", [None, [1], []])
def test_a_video_without_any_map_is_not_found(make_store, frame_nums):
    store = make_store({"v": {1: make_map(1)}})

    with pytest.raises(SaliencyMapNotFoundError, match="'other'"):
        store.extract_saliencyMap("other", frame_nums=frame_nums)


class TestHeldMaps:
    def test_a_frame_has_the_latest_map_among_those_it_is_held_for(self, make_store):
        store = make_store({"v": {1: make_map(1), 6: make_map(6), 11: make_map(11)}}, held_every=5)

        found = read(store, "v", frame_nums=[1, 5, 6, 7, 12, 15])

        assert [(number, pixels[0][0]) for number, pixels in found] == [
            (1, 1), (5, 1), (6, 6), (7, 6), (12, 11), (15, 11)
        ]  # fmt: skip

    def test_a_map_is_held_only_for_its_frames(self, make_store):
        store = make_store({"v": {6: make_map(6), 16: make_map(16)}}, held_every=5)

        found = read(store, "v", frame_nums=range(-3, 40))

        assert [number for number, _ in found] == [6, 7, 8, 9, 10, 16, 17, 18, 19, 20]

    def test_an_unusable_map_is_held_too(self, make_store):
        store = make_store({"v": {1: make_map(1), 6: SaliencyMapError("not a map"), 11: make_map(11)}}, held_every=5)

        video = store.extract_saliencyMap("v", frame_nums=[5, 8, 11])

        assert [(type(each), each.frame_nums) for each in video.stored] == [
            (UsableMap, (5,)),
            (UnusableMap, (8,)),
            (UsableMap, (11,)),
        ]

    def test_a_map_comes_once_with_all_its_frames(self, make_store):
        store = make_store({"v": {1: make_map(1), 6: make_map(6)}}, held_every=5)

        stored = list(store.extract_saliencyMap("v", frame_nums=[2, 3, 6]).stored)

        assert [(each.frame_nums, each.saliency_map[0, 0]) for each in stored] == [((2, 3), 1), ((6,), 6)]

    def test_without_frames_every_map_comes_once_under_its_own_number(self, make_store):
        store = make_store({"v": {1: make_map(1), 6: make_map(6)}}, held_every=5)

        assert [number for number, _ in read(store, "v")] == [1, 6]

    def test_maps_are_held_only_if_the_facts_say_so(self, make_store):
        store = make_store({"v": {1: make_map(1), 6: make_map(6)}})

        assert [number for number, _ in read(store, "v", frame_nums=[1, 2, 5, 6, 7])] == [1, 6]
        assert store.extract_saliencyMap("v").held_every is None


def test_the_frame_rate_is_known_without_reading_a_map(make_store):
    assert make_store({"v": {1: make_map(1)}}, fps=29.97).extract_saliencyMap("v").fps == 29.97


class TestTimes:
    def test_frames_are_found_by_the_frame_rate(self, make_store):
        times = make_store({"v": {1: make_map(1), 2: make_map(2)}}, fps=25.0).extract_saliencyMap("v").times

        assert [times.find_frame(position_ms) for position_ms in (0.0, 39.0, 40.0)] == [1, 1, 2]

    def test_times_of_their_own_come_first(self, make_store):
        starts_s = np.array([0.0, 1.0, 1.04])
        stored = VideoTimes(fps=1.9, frame_count=3, duration_s=5.0, starts_s=starts_s)

        times = make_store({"v": {1: make_map(1), 3: make_map(3)}}, times=stored).extract_saliencyMap("v").times

        assert np.allclose(times.starts_s, starts_s, rtol=0, atol=1e-6)
        assert [times.find_frame(position_ms) for position_ms in (999, 1000, 1040, 5000)] == [1, 2, 3, 3]
        assert (times.fps, times.duration_s, times.frame_count) == (1.9, 5.0, 3)

    def test_a_position_after_the_end_has_no_held_map(self, make_store):
        stored = VideoTimes(fps=10.0, frame_count=7, duration_s=0.7, held_every=5)
        store = make_store({"v": {1: make_map(1), 6: make_map(6)}}, times=stored, held_every=5)

        numbers = [store.extract_saliencyMap("v").times.find_frame(position_ms) for position_ms in (700, 1000)]

        assert [number for number, _ in read(store, "v", frame_nums=numbers)] == [7]


def test_an_unusable_map_does_not_affect_others(make_store):
    store = make_store({"v": {1: make_map(1), 2: SaliencyMapError("not a map"), 3: make_map(3)}})

    first, broken, third = store.extract_saliencyMap("v").stored

    assert (first.frame_nums, broken.frame_nums, third.frame_nums) == ((1,), (2,), (3,))
    assert isinstance(broken, UnusableMap)
    assert (first.saliency_map[0, 0], third.saliency_map[0, 0]) == (1, 3)


def test_videos_do_not_mix(make_store):
    store = make_store({"a": {1: make_map(1)}, "a.b": {1: make_map(2)}})

    assert read(store, "a") == [(1, [[1, 0, 255], [1, 2, 3]])]
    assert read(store, "a.b") == [(1, [[2, 0, 255], [1, 2, 3]])]


@pytest.mark.parametrize(
    "video_id",
    ["", "videos", "system.users", "a/b", "a b", "$a", "ä", "a\0", ".a", "a.", "a..b", "..", "a" * 101, "a\n"],
)
def test_an_id_that_cannot_name_a_collection_is_refused(make_store, video_id):
    with pytest.raises(ValueError, match="not a video id"):
        make_store({}).extract_saliencyMap(video_id)


@pytest.mark.parametrize("video_id", ["contents1", "A-1_b.mp4", "systems", "videos2", "-", "a" * 100])
def test_any_other_id_names_a_video(make_store, video_id):
    assert read(make_store({video_id: {1: make_map(9)}}), video_id) == [(1, [[9, 0, 255], [1, 2, 3]])]


def test_a_running_store_is_reachable(make_store):
    assert is_reached(make_store({}))
