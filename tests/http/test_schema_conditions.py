"""Conditions in the OpenAPI document that depend on several fields, on literal requests: schema and answer agree."""

import jsonschema_rs
import pytest

from func.web.openapi import describe_api
from tests.http.conftest import IMAGE

ACCEPTED = [
    {"frame_number": 17.0},
    {"last_frame": False},
    {"last_frame": True, "frame": None},
    {"calibration_target": [0.5, 0.5], "calibration_use": "validate"},
    {"screen": {"width_mm": 345, "height_mm": 194}},
    {"screen": {}},
    {"session_id": "..."},
    {"video_id": "videos1"},
    {"video_id": "a.b"},
    {"ip_address": "10.0.0.1, 10.0.0.2"},
    {"ip_address": "Café Zürich"},
]

REFUSED = [
    {"frame": None},
    {"frame": ""},
    {"frame": None, "last_frame": False},
    {"frame_number": 17.5},
    {"frame_number": "17"},
    {"calibration_use": "fit"},
    {"screen": {"width_mm": 345}},
    {"screen": {"height_px": 1080}},
    {"session_id": ".."},
    {"video_id": "videos"},
    {"video_id": "system.users"},
    {"video_id": "a..b"},
    {"video_id": ".a"},
    {"video_id": "a" * 101},
    {"ip_address": "203.0.113.7\n"},
    {"ip_address": "\x85"},
    {"ip_address": "\u2028"},
]


@pytest.fixture(scope="module")
def matches():
    """Return a function that says whether a request matches the schema."""
    components = describe_api()["components"]
    validator = jsonschema_rs.validator_for({"$ref": "#/components/schemas/FrameRequest", "components": components})
    return validator.is_valid


@pytest.mark.parametrize("fields", ACCEPTED)
def test_what_the_schema_allows_is_accepted(world, make_body, matches, fields):
    body = make_body(**fields)

    assert matches(body)
    assert world.post(body).status_code in {200, 410}


@pytest.mark.parametrize("fields", REFUSED)
def test_what_the_schema_forbids_is_refused(world, make_body, matches, fields):
    body = make_body(**fields)

    assert not matches(body)
    assert world.post(body).status_code == 400


TARGET = {"calibration_target": [0.5, 0.5]}
USE = {"calibration_use": "validate"}


@pytest.mark.parametrize(
    ("shared", "frame", "is_valid"),
    [
        ({}, {}, True),
        ({}, {"last_frame": True, "frame": None}, True),
        ({}, {"frame": None}, False),
        ({}, {"frame": ""}, False),
        ({}, {"frame_number": 0}, False),
        ({}, {"session_id": "s"}, False),
        ({}, {"total_frames": 9}, False),
        ({"frames": []}, {}, False),
        ({"frame": IMAGE}, {}, False),
        ({"frame_number": 1}, {}, False),
        ({"last_frame": False}, {}, True),
        ({"last_frame": True}, {}, False),
        ({}, USE, False),
        (USE, {}, False),
        (TARGET, USE, True),
        (USE, TARGET, True),
        ({}, TARGET | USE, True),
        (TARGET | USE, {}, True),
        (TARGET | USE, {"calibration_target": None}, False),
        (TARGET | USE, {"calibration_target": None, "calibration_use": None}, True),
        (TARGET | USE, {"calibration_use": None}, True),
    ],
)
def test_schema_and_answer_agree_on_requests_with_several_frames(world, shared, frame, is_valid):
    components = describe_api()["components"]
    schema = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("FrameRequest", "BatchRequest")]}
    viewing = {"session_id": "s", "video_id": "v", "ip_address": "203.0.113.7"}
    body = {**viewing, "frames": [{"frame_number": 1, "frame": IMAGE} | frame]} | shared

    assert jsonschema_rs.validator_for({**schema, "components": components}).is_valid(body) == is_valid
    assert (world.post(body).status_code == 200) == is_valid


def test_null_as_a_frame_is_refused_by_both(world, make_body, matches):
    body = make_body() | {"frame": None}

    assert not matches(body)
    assert world.post(body).status_code == 400


@pytest.mark.parametrize(
    ("metadata", "has_frame", "is_valid"), [({}, True, True), ({}, False, False), ({"last_frame": True}, False, True)]
)
def test_the_frame_of_a_multipart_request_is_required_unless_it_is_the_last(make_body, metadata, has_frame, is_valid):
    document = describe_api()
    content = document["paths"]["/gaze"]["post"]["requestBody"]["content"]["multipart/form-data"]
    validator = jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})

    parts = {"metadata": make_body(frame=None, **metadata)} | ({"frame": "any"} if has_frame else {})

    assert validator.is_valid(parts) == is_valid
