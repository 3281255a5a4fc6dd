"""Limits on JSON texts before they are parsed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from func.json_limits import LONG_STRING_BYTES, JsonLimitError, JsonLimits, check_json

PLENTY = JsonLimits(structure=1000, depth=20)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def count_structure(value):
    """Count opening brackets, commas and colons."""
    if isinstance(value, dict):
        return 1 + max(len(value) - 1, 0) + len(value) + sum(map(count_structure, value.values()))
    if isinstance(value, list):
        return 1 + max(len(value) - 1, 0) + sum(map(count_structure, value))
    return 0


def measure_depth(value):
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(measure_depth, children), default=0)


@given(value=values, ascii_only=st.booleans())
def test_exactly_the_structure_and_depth_of_a_text_are_counted(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    structure, depth = count_structure(value), measure_depth(value)

    assert check_json(text, JsonLimits(structure, depth)) == []
    if structure:
        with pytest.raises(JsonLimitError, match="elements"):
            check_json(text, JsonLimits(structure - 1, depth))
        with pytest.raises(JsonLimitError, match="nests"):
            check_json(text, JsonLimits(structure, depth - 1))


@given(text=st.binary(max_size=300) | st.text('[]{},:"\\ 1a', max_size=60).map(str.encode))
def test_what_a_parser_accepts_is_counted_and_nothing_else_fails(text):
    try:
        check_json(text, PLENTY)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
            json.loads(text)


@pytest.mark.parametrize("inside", [b"[" * 2000, rb"\"" * 2000, rb"\\", rb"\\\"[[[[[[", b"{,:}"])
def test_marks_inside_strings_do_not_count(inside):
    check_json(b'["' + inside + b'"]', JsonLimits(structure=1, depth=1))


def test_long_strings_are_located():
    text = b'{"a": "' + b"x" * LONG_STRING_BYTES + b'", "b": "' + b"y" * (LONG_STRING_BYTES + 1) + b'"}'

    (found,) = check_json(text, PLENTY)

    assert text[found] == b"y" * (LONG_STRING_BYTES + 1)
