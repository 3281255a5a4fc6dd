"""Fixtures of the tests of `gaze_tools`."""

import pytest

from func.adapters.saliency_store import MongoSaliencyMaps


@pytest.fixture
def store(mongo_uri, database):
    return MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=10)
