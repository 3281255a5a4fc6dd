"""JSON bodies: long strings bypass the parser without changing the request."""

import base64
import codecs
import json

import pytest

from func.errors import BadRequestError, PayloadTooLargeError
from func.json_limits import LONG_STRING_BYTES
from func.web.request import JSON_LIMITS, MAX_FIELDS_BYTES, MAX_LONG_STRINGS, parse_json, parse_json_request
from tests.corpus.attacks import JSON

FIELDS = {"session_id": "s", "video_id": "v", "ip_address": "::1", "frame_number": 1}
SIZES = [1, 2, 3, LONG_STRING_BYTES // 4 * 3 - 1, LONG_STRING_BYTES // 4 * 3 + 1, 100_000]


def image_of(frame, **fields):
    return parse_json_request(json.dumps({**FIELDS, "frame": frame, **fields}).encode()).image


def image_bytes(size):
    return bytes(number * 7 % 256 for number in range(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "prefix", ["", "data:image/jpeg;base64,", "data:application/octet-stream;base64,", "data:;base64,"]
)
def test_an_image_of_any_size_is_read_with_any_usual_prefix(size, prefix):
    assert image_of(prefix + base64.b64encode(image_bytes(size)).decode()) == image_bytes(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("line_break", ["\n", "\r\n", " ", "\t"])
def test_base64_may_have_line_breaks(size, line_break):
    text = base64.encodebytes(image_bytes(size)).decode().replace("\n", line_break)

    assert image_of(text) == image_bytes(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "escapes",
    [{"/": r"\/"}, {"+": r"\u002B", "=": r"\u003D", "/": r"\u002F"}, {"+": r"\u002b", "=": r"\u003d", "/": r"\u002f"}],
)
def test_base64_may_be_escaped_as_json_writers_do(size, escapes):
    text = "data:image/png;base64," + base64.b64encode(image_bytes(size)).decode()
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    body = json.dumps({**FIELDS, "frame": "@"}).replace("@", text).encode()

    assert parse_json_request(body).image == image_bytes(size)


@pytest.mark.parametrize(
    "text",
    ["A" * 5001, "A" * 4997 + "=AAA", "A" * 4996 + "!AAA", "A" * 4999 + "é", "data:text/html;base64," + "A" * 5000],
)
def test_a_long_string_that_is_not_base64_is_refused(text):
    with pytest.raises(BadRequestError) as caught:
        image_of(text)

    assert [problem.field for problem in caught.value.fields] == ["frame"]


def test_a_byte_order_mark_is_skipped():
    body = codecs.BOM_UTF8 + json.dumps({**FIELDS, "frame": "A" * 8000}).encode()

    assert parse_json_request(body).image == bytes(6000)


TEXT = json.dumps({**FIELDS, "frame": "A" * 8000})


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32-LE"),
        ("utf-32-be", "UTF-32-BE"),
    ],
)
def test_another_unicode_encoding_is_named(encoding, name):
    with pytest.raises(BadRequestError, match=f"^the body is in {name}; send it in UTF-8$"):
        parse_json_request(TEXT.encode(encoding))


@pytest.mark.parametrize("frame", ["AAAA", "A" * 8000])
def test_latin_1_is_named_with_the_position_in_the_whole_body(frame):
    body = json.dumps({"frame": frame, **FIELDS, "video_id": "café"}, ensure_ascii=False).encode("latin-1")
    at = body.index(b"\xe9") + 1

    with pytest.raises(
        BadRequestError, match=f"^the body is not UTF-8 at byte {at}, perhaps Latin-1; send it in UTF-8$"
    ):
        parse_json_request(body)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (codecs.BOM_UTF8, "the body is empty"),
        (b"{'session_id': 's'}", "the body is not valid JSON at character 2"),
        (b'{"session_id": "s",}', "the body is not valid JSON at character 20"),
        (b'{"frame": "' + b"A" * 8000 + b'",}', "the body is not valid JSON at character 8014"),
        (b'{"session_id": "s', "the body is not valid JSON: a string is not terminated"),
        (b'{"a": {"frame_number": 1, "frame_number": 2}}', "the body contains the key frame_number twice"),
        (b"[" + b"1" * 401 + b"]", "the body contains a number of more than 400 digits"),
    ],
)
def test_a_malformed_body_is_described(text, problem):
    with pytest.raises(BadRequestError) as caught:
        parse_json_request(text)

    assert str(caught.value) == problem


def test_the_image_is_found_among_other_long_strings():
    assert image_of("B" * 8000, before="A" * 8000, after={"x": ["C" * 8000]}) == base64.b64decode("B" * 8000)


@pytest.mark.parametrize("field", ["session_id", "video_id", "ip_address", "calibration_use"])
def test_no_other_field_accepts_a_long_string(field):
    with pytest.raises(BadRequestError) as caught:
        image_of("AAAA", **{field: "a" * 5000})

    assert field in {problem.field for problem in caught.value.fields}


@pytest.mark.parametrize("number", ["0", "1", "99"])
def test_text_that_looks_like_a_placeholder_is_not_an_image(number):
    with pytest.raises(BadRequestError, match="field"):
        image_of("~" * LONG_STRING_BYTES + number)


def test_limits_leave_room_for_thirty_two_frames_with_every_field():
    part = dict.fromkeys(("vertical_fov_deg", "offset_x_mm", "offset_y_mm", "tilt_deg", "mirrored"), 0.5)
    frame = {f"field_{number}": 1 for number in range(10)} | {"screen": part, "viewport": part, "camera": part}
    body = {**FIELDS, "last_frame": True, "frames": [{**frame, "frame": "A" * 40_000} for _ in range(32)]}

    assert parse_json_request(json.dumps(body).encode()).metadata.frame_number == 1


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (b"[" * 21 + b"]" * 21, BadRequestError, "deeper than 20"),
        (b"[" + b"0," * JSON_LIMITS.structure + b"0]", BadRequestError, "4096 JSON elements"),
        (b"[" + b" " * MAX_FIELDS_BYTES + b"]", PayloadTooLargeError, "besides images"),
        (json.dumps(["A" * 5000] * (MAX_LONG_STRINGS + 1)).encode(), PayloadTooLargeError, "64 long strings"),
    ],
)
def test_texts_over_a_limit_are_refused(text, error, match):
    with pytest.raises(error, match=match):
        parse_json(text, "the body")


def test_texts_at_the_limits_are_parsed():
    assert parse_json(b"[" * 20 + b"]" * 20, "the body")
    assert len(parse_json(b"[" + b"0," * (JSON_LIMITS.structure - 1) + b"0]", "the body")) == JSON_LIMITS.structure
    assert len(parse_json(json.dumps(["A" * 5000] * MAX_LONG_STRINGS).encode(), "the body")) == MAX_LONG_STRINGS


@pytest.mark.parametrize("name", ["json of small objects", "json of one integer", "json of nested objects"])
def test_attacks_are_refused(name):
    with pytest.raises((BadRequestError, PayloadTooLargeError)):
        parse_json_request(JSON[name]())
