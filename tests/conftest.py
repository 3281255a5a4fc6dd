"""Settings and fixtures shared by several folders of tests."""

import itertools

import pytest
from hypothesis import settings
from pymongo import MongoClient

# No deadline: a busy machine must not fail a test. "quick" is for mutation testing.
settings.register_profile("project", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=10, derandomize=True)
settings.load_profile("project")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def mongo_uri():
    """Address of a server that all tests share."""
    from gaze_tools.stack.mongo import start_mongo

    with start_mongo() as server:
        yield server.uri


@pytest.fixture(scope="session")
def mongo_client(mongo_uri):
    with MongoClient(mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        yield client


@pytest.fixture
def database(mongo_client):
    """An empty database of one test."""
    return mongo_client[f"test_{next(_numbers)}"]
