"""Fixtures of the studio's tests."""

import pytest

from tests.gaze_tools.conftest import store, video  # noqa: F401  fixtures
from tests.studio.browser import run_services


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    with run_services(tmp_path_factory.mktemp("studio")) as running:
        yield running
