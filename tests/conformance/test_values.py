"""Exact comparison of JSON values."""

import json

import pytest

from gaze_tools.conformance.values import find_difference


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("1.0", "1"),
        ("1e21", "1000000000000000000000"),
        ("1.7976931348623157e308", "17976931348623157" + 292 * "0"),  # as PostgreSQL's jsonb writes it
        ("0.1", "0.10000000000000001"),
        ("9007199254740993", "9007199254740993"),
    ],
)
def test_the_same_number_may_be_written_differently(sent, received):
    assert find_difference(json.loads(sent), json.loads(received)) is None


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("0.1", "0.1000000015"),
        ("9007199254740993", "9007199254740992"),
        ("1", "true"),
        ("0", "null"),
        ("0", "false"),
        ("true", "1.0"),
        ("1.5", '"1.5"'),
        ("1.5", "1" + 400 * "0"),
    ],
)
def test_another_value_is_a_difference(sent, received):
    assert find_difference(json.loads(sent), json.loads(received)) is not None
