"""GET /openapi.json."""

import re

import jsonschema_rs
import pytest

from func.web.problems import PROBLEMS


@pytest.fixture
def document(world):
    return world.client.get("/openapi.json").get_json()


def walk(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def test_every_reference_resolves(document):
    references = {node["$ref"] for node in walk(document) if isinstance(node, dict) and "$ref" in node}

    assert references
    for reference in references:
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert isinstance(target, dict)


def test_every_answer_has_the_request_id_in_a_format_that_is_accepted(document):
    answers = [
        answer
        for methods in document["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
    ]

    patterns = {answer["headers"]["X-Request-Id"]["schema"]["pattern"] for answer in answers}
    assert patterns == {"^[A-Za-z0-9._:+/=@-]{1,128}$"}
    assert "Retry-After" in document["paths"]["/gaze"]["post"]["responses"]["503"]["headers"]


def test_a_frame_may_have_the_headers_of_a_trace(document):
    parameters = document["paths"]["/gaze"]["post"]["parameters"]

    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("X-Request-Id", "header", False),
        ("traceparent", "header", False),
        ("tracestate", "header", False),
    ]
    assert "up to 512 characters" in parameters[2]["description"]


def test_it_has_every_route(world, document):
    assert document["openapi"] == "3.1.0"
    assert list(document["paths"]) == list(world.handler._routes)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert world.client.open(path, method=method.upper()).status_code not in {404, 405}
            assert operation["operationId"]
            assert "200" in operation["responses"]


def test_it_has_every_error_status(document):
    statuses = {int(status) for status in document["paths"]["/gaze"]["post"]["responses"]}

    assert statuses == {200} | {problem.status for problem in PROBLEMS.values()}
    assert statuses == {200, 400, 401, 404, 405, 408, 409, 410, 413, 415, 422, 500, 502, 503, 504}


def test_operation_ids_are_unique(document):
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]

    assert len(ids) == len(set(ids))


def test_a_valid_request_matches_the_schema(document, make_body):
    body = make_body(
        timestamp_ms=1.5,
        video_time_ms=3,
        total_frames=9,
        screen={"width_mm": 345, "height_mm": 194, "width_px": 1920, "height_px": 1080},
        viewport={"x": 0, "y": 0, "width": 1, "height": 1},
        camera={"vertical_fov_deg": 63, "offset_x_mm": 0, "offset_y_mm": 8, "tilt_deg": 0, "mirrored": False},
        calibration_target=[0.5, 0.5],
        calibration_use="fit",
    )

    assert list(find_misfits(document, {"$ref": "#/components/schemas/FrameRequest"}, body)) == []


@pytest.mark.parametrize(
    "fields", [{"session_id": "a/b"}, {"frame_number": 0}, {"frame_number": None}, {"calibration_target": [1, 2, 3]}]
)
def test_an_invalid_request_does_not_match(document, make_body, fields):
    assert list(find_misfits(document, {"$ref": "#/components/schemas/FrameRequest"}, make_body(**fields)))


@pytest.mark.parametrize("last_frame", [False, True])
def test_answers_match_the_schema(world, document, make_body, last_frame):
    answer = world.post(make_body(frame_number=1, last_frame=last_frame)).get_json()

    schema = document["paths"]["/gaze"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(find_misfits(document, schema, answer)) == []


def test_problem_documents_match_the_schema(world, document, make_body):
    problem = world.post(make_body(frame_number=0)).get_json()

    assert list(find_misfits(document, {"$ref": "#/components/schemas/ProblemDocument"}, problem)) == []


TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def find_misfits(document, schema, value, path=""):  # noqa: PLR0912 - one branch for each keyword
    """Yield mismatches of a value and a schema, for the subset of JSON Schema that the document uses."""
    if "$ref" in schema:
        yield from find_misfits(
            document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], value, path
        )
        return
    for union in ("anyOf", "oneOf"):
        if union in schema and all(any(find_misfits(document, option, value, path)) for option in schema[union]):
            yield f"{path}: none of {union}"
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{path}: not {kind}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{path}: not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: not one of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: does not match"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: too small"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: too large"
    if kind == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path}: wrong length"
        for index, (part, item) in enumerate(zip(value, schema.get("prefixItems", []), strict=False)):
            yield from find_misfits(document, item, part, f"{path}/{index}")
    if kind == "object":
        yield from (f"{path}/{name}: missing" for name in schema.get("required", ()) if name not in value)
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from find_misfits(document, part, value[name], f"{path}/{name}")


def test_the_answer_to_a_last_frame_with_a_warning_matches_the_schema(world, document, make_body):
    for number, timestamp_ms in ((1, 40.0), (2, None)):
        world.post(make_body(frame_number=number, timestamp_ms=timestamp_ms))

    answer = world.post(make_body(frame_number=3, last_frame=True, frame=None)).get_json()

    assert [warning["code"] for warning in answer["result"]["warnings"]] == ["mixed_timestamps"]
    schema = {"$ref": "#/components/schemas/CompletedAnswer", "components": document["components"]}
    jsonschema_rs.validate(schema, answer)
