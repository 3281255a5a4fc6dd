"""Retries of reads from MongoDB, and its TLS options, without a server."""

from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure

from func.adapters import mongo_reader
from func.adapters.mongo_reader import MongoReader, find_tls_options
from gaze_core.errors import SaliencyStoreError, SaliencyStoreRefusedError, SaliencyStoreTimeoutError

BUNDLE = Path("/etc/ca.pem")


class Reads:
    """Operation that raises the given errors in turn, then returns 7."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.count = 0

    def __call__(self, _database):
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return 7


@pytest.fixture
def reader():
    return MongoReader("mongodb://localhost", database="d", timeout_s=60)


def test_a_read_is_retried_once_after_a_broken_connection(reader):
    assert reader.read(Reads(AutoReconnect("x"))) == 7


@pytest.mark.parametrize(
    ("errors", "kind", "reads"),
    [
        ([AutoReconnect("x")] * 2, SaliencyStoreError, 2),
        ([NetworkTimeout("x")], SaliencyStoreTimeoutError, 1),
        ([OperationFailure("x")], SaliencyStoreError, 1),
        ([OperationFailure("bad auth: user viewer", 18)], SaliencyStoreRefusedError, 1),
        ([OperationFailure("not authorized", 13)], SaliencyStoreRefusedError, 1),
        ([OperationFailure("user not found", 11)], SaliencyStoreRefusedError, 1),
        ([OperationFailure("bad auth", 8000)], SaliencyStoreRefusedError, 1),
        ([OperationFailure("cursor not found", 43)], SaliencyStoreError, 1),
    ],
    ids=["broken again", "too slow", "failed", "password", "rights", "user", "atlas", "cursor"],
)
def test_any_other_failure_is_an_error(reader, errors, kind, reads):
    operation = Reads(*errors)

    with pytest.raises(SaliencyStoreError) as caught:
        reader.read(operation)

    assert (type(caught.value), operation.count) == (kind, reads)


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://h/?tls=true",
        "mongodb://h/db?retryReads=true&ssl=true",
        "mongodb://h/?TLS=True",
        "mongodb+srv://h",
        "mongodb+srv://h/?w=1",
    ],
)
def test_a_uri_with_tls_trusts_the_bundle(uri):
    assert find_tls_options(uri, BUNDLE) == {"tlsCAFile": "/etc/ca.pem"}


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://h",
        "mongodb://h/?tls=false",
        "mongodb+srv://h/?tls=false",
        "mongodb://h/?tls=true&tlsCAFile=/other.pem",
        "mongodb+srv://h/?tlscafile=/other.pem",
    ],
)
def test_a_uri_without_tls_or_with_its_own_bundle_is_unchanged(uri):
    assert find_tls_options(uri, BUNDLE) == {}


def test_without_a_bundle_the_uri_is_unchanged():
    assert find_tls_options("mongodb://h/?tls=true", None) == {}


def test_the_driver_gets_the_bundle():
    reader = MongoReader("mongodb://127.0.0.1:1/?tls=true", database="d", timeout_s=0.1, ca_bundle=Path("/nowhere.pem"))

    with pytest.raises(SaliencyStoreError, match="URI or CA bundle cannot be used"):
        reader.read(Reads())


class DenyingDatabase:
    """Database of a server that denies access."""

    def command(self, _name):
        raise OperationFailure("Authentication failed: user viewer", 18)


def test_denied_access_is_logged_once_with_what_to_check_and_without_the_server_s_message(reader, monkeypatch, caplog):
    monkeypatch.setattr(reader, "_find_database", DenyingDatabase)

    assert [reader.is_reachable(), reader.is_reachable()] == [False, False]

    (line,) = [record.getMessage() for record in caplog.records if record.name == mongo_reader.__name__]
    assert "check user, password and authSource in MONGO_URI" in line
    assert "viewer" not in line
