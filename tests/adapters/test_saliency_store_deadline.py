"""Saliency maps are read before the deadline of the request."""

import time

import pytest

from func.adapters.saliency_store import MongoSaliencyMaps
from func.deadline import limit_calls
from gaze_core.errors import SaliencyStoreTimeoutError
from tests.adapters.upstream_services import refused_url
from tests.fakes.clock import FakeClock


def whole(frame_num):
    return {"frame_num": frame_num, "saliency_map": [[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]]}


def test_maps_are_read_until_the_deadline_of_the_request(mongo_uri, database):
    clock = FakeClock()
    database["v"].insert_many([whole(number) for number in range(1, 101)])
    maps = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60).extract_saliencyMap("v").maps
    with limit_calls(8.0, clock=clock):
        assert next(maps)[0] == 1
        clock.advance(8.0)

        with pytest.raises(SaliencyStoreTimeoutError, match="the deadline of the request has passed"):
            list(maps)


def test_after_the_deadline_nothing_is_read(mongo_uri, database):
    clock = FakeClock()
    database["v"].insert_one(whole(1))
    store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=60)
    with limit_calls(8.0, clock=clock):
        clock.advance(8.0)

        with pytest.raises(SaliencyStoreTimeoutError, match="the deadline of the request has passed"):
            store.extract_saliencyMap("v")


def test_the_deadline_cuts_the_search_for_a_server_short():
    nowhere = refused_url().replace("http", "mongodb")
    started_s = time.monotonic()
    with limit_calls(0.3), pytest.raises(SaliencyStoreTimeoutError):
        MongoSaliencyMaps(nowhere, timeout_s=60).extract_saliencyMap("v")

    assert time.monotonic() - started_s < 50
