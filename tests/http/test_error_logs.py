"""Errors are logged with their trace, and without data of the viewer."""

import re

import pytest

from func.adapters.session_api import HttpSessionStore
from gaze_core import errors as core_errors
from gaze_core.errors import GazeError
from tests.adapters.upstream_services import refused_url


def test_the_log_has_the_trace_of_an_unexpected_error_but_no_viewer_data(world, make_body, caplog):
    caplog.set_level("DEBUG")
    world.landmarker.error = RuntimeError("viewer:7 or viewer%3A7 at 203.0.113.7 is unlucky")
    world.landmarker.error.__cause__ = KeyError("viewer:7")

    problem = world.post(make_body(session_id="viewer:7")).get_json()

    assert problem["instance"].removeprefix("urn:uuid:") in caplog.text
    trace = (
        r"RuntimeError at web/handler\.py:\d+ answer > .+ > fakes/face_landmarker\.py:\d+ detect caused by KeyError$"
    )
    assert re.search(trace, caplog.text.strip())
    assert_nothing_of_the_viewer(caplog)


@pytest.mark.parametrize(
    "error",
    [
        core_errors.SessionNotFoundError("viewer:7"),
        core_errors.SessionScoredError("viewer:7"),
        ValueError("viewer:7"),
        GazeError("viewer:7"),
    ],
)
def test_errors_of_the_session_api_are_logged_without_viewer_data(world, make_body, caplog, error):
    caplog.set_level("DEBUG")
    world.sessions.error = error

    world.post(make_body(session_id="viewer:7"))

    assert type(error).__name__ in caplog.text
    assert_nothing_of_the_viewer(caplog)


def test_an_unreachable_session_api_is_logged_without_viewer_data(world, make_body, caplog):
    caplog.set_level("DEBUG")
    world.sessions.update_session = HttpSessionStore(refused_url(), timeout_s=60, retries=0).update_session
    problem = world.post(make_body(session_id="viewer:7"))

    assert problem.status_code == 502
    assert "PUT /update_session failed" in caplog.text
    caplog.records[:] = [record for record in caplog.records if not record.name.startswith("urllib3")]  # as in main
    assert not any("viewer" in record.getMessage() for record in caplog.records)


def test_an_invalid_field_is_logged_without_its_value(world, make_body, caplog):
    caplog.set_level("DEBUG")

    world.post(make_body(session_id="viewer:7", ip_address="203.0.113.7\n", frame_number=0))

    assert "BadRequestError" in caplog.text
    assert_nothing_of_the_viewer(caplog)


def assert_nothing_of_the_viewer(caplog):
    assert not re.search(r"viewer(:|%3A)7|203\.0\.113\.7", caplog.text)
