"""Format of the result: reading, writing and its schema."""

import json
from typing import get_args

import jsonschema_rs
import pytest

from func.session.result import SessionResult, read_result
from func.session.result_codes import InvalidReason, WarningCode
from gaze_core.errors import SessionStoreError
from tests.fakes.completion import HIT, MISS, CompletionWorld, record

SCHEMA = SessionResult.model_json_schema(mode="serialization")
LEAST = {"final_score": 50, "score_valid": True, "coverage": 0.5}


def without_required(schema):
    """Return a schema without its list of keys: a stored result may be older than some of them."""
    if isinstance(schema, dict):
        return {name: without_required(value) for name, value in schema.items() if name != "required"}
    return [without_required(each) for each in schema] if isinstance(schema, list) else schema


@pytest.fixture
def world():
    return CompletionWorld()


def test_a_result_has_the_keys_in_the_documented_order(world):
    world.store(record(HIT), record(MISS))

    assert list(world.complete(3)) == [
        *("version", "video_id", "score_valid", "score_invalid_reason", "coverage", "frames", "lost", "model_digest"),
        *(
            "eye_network_digest",
            "smoothing",
            "calibration",
            "final_score",
            "chance_level",
            "lift_points",
            "interval_95",
        ),
        *("interval_reliable", "block_length_s", "effective_samples", "lift", "nss", "auc", "shuffled_auc", "lag"),
        *("maps_digest", "at_accuracy", "trace"),
    ]


def test_without_a_score_the_keys_are_the_same(world):
    world.store(record(HIT), record(MISS))
    scored = world.complete(3)
    world.sessions.expire("s")
    world.store(record(validity="no_face"))

    assert sorted(world.complete(2)) == sorted(scored)


def test_without_a_score_interval_reliable_comes_second():
    world = CompletionWorld(accuracy_deg=4.0)
    world.store(record(HIT), start=11)

    result = world.complete(12, total_frames=1)

    assert result["score_invalid_reason"] == "nothing_scored"
    assert list(result["at_accuracy"])[:3] == ["final_score", "interval_reliable", "chance_level"]


def test_the_stored_result_comes_back_byte_for_byte(world):
    world.store(record(HIT), record(MISS))
    world.complete(3)
    stored = world.sessions.get_session("s").settings["result"]

    assert json.dumps(read_result(stored).as_json()) == json.dumps(stored)


def test_a_result_of_another_version_keeps_exactly_its_keys():
    stored = LEAST | {"frames": {"received": 3}, "of_a_later_version": {"a": 1}}

    assert read_result(stored).as_json() == stored


@pytest.mark.parametrize(
    "later",
    [
        {"warnings": [{"code": "of_a_later_version", "frames": 2, "detail": "later"}]},
        {"score_valid": False, "score_invalid_reason": "of_a_later_version"},
        {"at_accuracy": {"final_score": 50, "accuracy_deg": 2.0, "source": "of_a_later_version"}},
    ],
    ids=["warning", "reason", "source"],
)
def test_codes_of_a_later_version_are_returned_unchanged_and_match_the_schema(later):
    """During a rolling upgrade, a process may return the result that a later version has stored."""
    stored = LEAST | later
    answer = read_result(stored).as_json()
    (name,) = later.keys() - {"score_valid"}
    schema = {"$defs": SCHEMA["$defs"]} | SCHEMA["properties"][name]

    assert answer == stored
    assert jsonschema_rs.validator_for(without_required(schema)).is_valid(answer[name])


def test_the_schema_names_the_codes_of_this_version():
    codes, _ = SCHEMA["$defs"]["ResultWarning"]["properties"]["code"]["anyOf"]
    reasons, _, _ = SCHEMA["properties"]["score_invalid_reason"]["anyOf"]

    assert (codes["enum"], reasons["enum"]) == (list(get_args(WarningCode)), list(get_args(InvalidReason)))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        LEAST | {"final_score": 100.5},
        LEAST | {"final_score": True},
        LEAST | {"final_score": float("nan")},
        LEAST | {"coverage": 1.5},
        LEAST | {"score_valid": 1},
        LEAST | {"frames": {"received": -1}},
        LEAST | {"score_invalid_reason": 1},
        LEAST | {"warnings": [{"code": None, "frames": 2, "detail": "no code"}]},
    ],
    ids=str,
)
def test_a_malformed_result_is_an_error(wrong):
    with pytest.raises(SessionStoreError):
        read_result(wrong)


def test_the_schema_describes_every_key():
    models = [SCHEMA, *SCHEMA["$defs"].values()]
    undescribed = [
        f"{model['title']}.{name}"
        for model in models
        for name, field in model["properties"].items()
        if "description" not in field and "$ref" not in field and name != "value"
    ]

    assert undescribed == []


def test_the_schema_s_example_is_a_result():
    (example,) = SCHEMA["examples"]

    assert read_result(example).as_json() == example
    assert sorted(example) == sorted(SCHEMA["required"])
