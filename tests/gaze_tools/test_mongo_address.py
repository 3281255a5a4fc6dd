"""What the commands say about MONGO_URI and a server that does not respond."""

import time
import warnings

import pytest
from click.testing import CliRunner
from pymongo import MongoClient

from gaze_tools.cli import main
from gaze_tools.saliency import connection

REPORT = ["report", "s", "--session-api", "http://127.0.0.1:9", "--out", "nowhere"]


@pytest.mark.parametrize("arguments", [["saliency", "verify", "v"], ["saliency", "list"], REPORT])
def test_a_server_that_is_not_there_is_one_line_without_its_password(monkeypatch, arguments):
    monkeypatch.setattr("gaze_tools.saliency.connection.CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gaze_tools.saliency.connection._OPERATION_TIMEOUT_S", 250.0)
    started = time.monotonic()

    result = CliRunner().invoke(main, [*arguments, "--mongo-uri", "mongodb://someone:secret@127.0.0.1:9/?x=1"])

    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == (
        "Error: MongoDB at 127.0.0.1:9 does not respond within 0.2 s: start it, or change MONGO_URI (--mongo-uri)."
    )
    assert time.monotonic() - started < 125


def test_a_warning_about_another_client_is_not_shown(mongo_uri, monkeypatch, capsys):
    def create(*arguments, **options):
        warnings.warn("Unclosed MongoClient", ResourceWarning, stacklevel=2)
        return MongoClient(*arguments, **options)

    monkeypatch.setattr("gaze_tools.saliency.connection.MongoClient", create)

    connection.check_connection(mongo_uri)

    assert capsys.readouterr().err == ""


def test_a_server_has_three_seconds_to_respond():
    assert connection.CONNECT_TIMEOUT_S == 3


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://someone:p@ss@127.0.0.1", "it is malformed; in user name and password, write @ as %40"),
        ("mongodb://someone:%zz@127.0.0.1", "it is malformed; in user name and password, write @ as %40"),
        ("mongodb://127.0.0.1:99999", "Port must be an integer between 0 and 65535"),
        ("mongodb://127.0.0.1/?tls=yes", "The value of tls must be 'true' or 'false'"),
        ("mongodb://127.0.0.1/?tls=true&tlsCAFile=/nothing", "names a file that cannot be read"),
        ("mongodb+srv://", "cannot be used"),
    ],
)
def test_a_malformed_address_is_one_line(uri, reason):
    result = CliRunner().invoke(main, ["saliency", "list"], env={"MONGO_URI": uri})

    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert result.output.startswith("Error: MONGO_URI")
    assert reason in result.output
    assert "p@ss" not in result.output
    assert "zz" not in result.output
