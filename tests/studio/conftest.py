"""Fixtures of the studio's tests."""

from tests.gaze_tools.conftest import store, video  # noqa: F401  fixtures
