"""Fixtures of the kit's tests."""

import pytest

from func.adapters import http_client


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A busy machine may take longer than a second for an answer to `GET /`."""
    monkeypatch.setattr(http_client, "_REACHABLE_TIMEOUT_S", 30.0)
