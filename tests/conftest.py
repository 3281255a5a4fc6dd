"""What tests of several folders need from a real MongoDB."""

import itertools

import pytest
from pymongo import MongoClient

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
