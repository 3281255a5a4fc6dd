"""Settings and fixtures shared by several folders of tests."""

import itertools
import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from pymongo import MongoClient

# A busy machine must not fail a test, so nothing has a limit of time; and no test fails by chance, so the examples are
# the same each time. `--hypothesis-profile random` looks for others; "quick" is for mutation testing.
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("project", **UNHURRIED, derandomize=True)
settings.register_profile("random", **UNHURRIED)
settings.register_profile("quick", deadline=None, max_examples=10, derandomize=True)
settings.load_profile("project")
# Hypothesis also draws constants of those modules of the project that happen to be imported, so its examples would
# depend on the tests that the same process ran before.
assert callable(providers._get_local_constants)
providers._get_local_constants = lambda: providers._local_constants

# Tests talk to services on the loopback interface, where no proxy of the environment reaches them.
for _name in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# Threads of clients that several tests share log at level DEBUG at any time, into the log of whichever test runs.
logging.getLogger("pymongo").setLevel("INFO")

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
