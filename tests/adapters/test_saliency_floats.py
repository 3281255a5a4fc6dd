"""Nested lists of doubles in BSON, against the ordinary decoder of `bson`."""

import struct

import bson
import numpy as np
import pytest
from bson.errors import BSONError
from hypothesis import given, settings
from hypothesis import strategies as st

from func.adapters.saliency_documents import decode_map
from func.adapters.saliency_floats import decode_document
from gaze_core.errors import SaliencyMapError
from gaze_core.saliency import MAX_MAP_SIDE

FLOATS = [[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]]


def encode(saliency_map, **more):
    return bson.encode({"_id": bson.ObjectId(b"123456789012"), "frame_num": 7, "saliency_map": saliency_map, **more})


def decode(decoder, raw):
    """Return everything that a decoder makes of a document, as text, or its error."""
    try:
        document = decoder(raw)
    except BSONError as error:
        return type(error)
    found = document.get("saliency_map")
    if isinstance(found, np.ndarray):
        document = {**document, "saliency_map": found.tolist()}
    return repr(sorted(document.items()))


def find_map(decoder, raw):
    """Return the map of a document, or why it is unusable."""
    try:
        return decode_map([decoder(raw)]).tolist()
    except SaliencyMapError as error:
        return str(error)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 10), (10, 1), (9, 11), (11, 100), (101, 101), (33, 1001), (1001, 7)]
)
def test_doubles_become_an_array(height, width):
    floats = np.random.default_rng(0).random((height, width)) - 0.5

    found = decode_document(encode(floats.tolist(), later=[1, "a"]))

    assert found["saliency_map"].dtype == np.float64
    np.testing.assert_array_equal(found["saliency_map"], floats)
    assert (found["frame_num"], found["later"]) == (7, [1, "a"])


def test_a_memoryview_is_read_like_bytes():
    assert decode_document(memoryview(encode(FLOATS)))["saliency_map"].tolist() == FLOATS


def test_special_doubles_keep_their_bits():
    numbers = [-0.0, float("inf"), float("-inf"), 5e-324, struct.unpack("<d", b"\1\2\3\4\5\6\xf8\x7f")[0]]

    found = decode_document(encode([numbers]))["saliency_map"]

    assert found.tobytes() == np.array(numbers).tobytes()


@pytest.mark.parametrize(
    "other",
    [
        [],
        [[]],
        [[], []],
        [[0.1], []],
        [[0.1, 0.2], [0.3]],
        [[0.3], [0.1, 0.2]],
        [[0.1, 1]],
        [[0.1], [1]],
        [[0.1], [None]],
        [[0.1], 0.2],
        [0.1, 0.2],
        [[[0.1]]],
        [["0.1"]],
        [[True, 0.5]],
        0.5,
        {"0": {"0": 0.5}},
        b"bytes",
        None,
    ],
)
def test_everything_else_is_decoded_as_before(other):
    raw = encode(other)

    assert not isinstance(decode_document(raw).get("saliency_map"), np.ndarray)
    assert decode(decode_document, raw) == decode(bson.decode, raw)
    assert find_map(decode_document, raw) == find_map(bson.decode, raw)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1])
def test_bad_doubles_are_refused_as_before(bad):
    raw = encode([[0.5, bad], [0.5, 0.5]])

    assert isinstance(decode_document(raw)["saliency_map"], np.ndarray)
    assert find_map(decode_document, raw) == find_map(bson.decode, raw)


def test_the_last_of_several_maps_counts_as_before():
    raw = encode(FLOATS)
    second = bson.encode({"saliency_map": [[0.5]]})[4:-1]
    raw = struct.pack("<i", len(raw) + len(second)) + raw[4:-1] + second + b"\0"

    assert decode_document(raw)["saliency_map"] == [[0.5]]


def test_a_map_inside_another_value_is_not_the_map():
    raw = bson.encode({"other": {"saliency_map": FLOATS}, "text": "\x04saliency_map"})

    assert decode(decode_document, raw) == decode(bson.decode, raw)


def test_very_long_rows_are_left_to_the_ordinary_decoder():
    at_most, more = ([[0.5] * width] for width in (MAX_MAP_SIDE, MAX_MAP_SIDE + 1))

    assert isinstance(decode_document(encode(at_most))["saliency_map"], np.ndarray)
    assert decode_document(encode(more))["saliency_map"] == more


numbers = st.one_of(st.floats(), st.floats(0, 1), st.integers(-5, 5), st.none(), st.text(max_size=3))
rows = st.one_of(st.lists(numbers, max_size=4), numbers)
even = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda size: st.lists(st.lists(st.floats(), min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0])
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.lists(rows, max_size=4), even))
def test_any_lists_are_decoded_as_before(saliency_map):
    raw = encode(saliency_map)

    assert decode(decode_document, raw) == decode(bson.decode, raw)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([FLOATS, [[0.5] * 11] * 12]))
def test_malformed_documents_are_decoded_as_before(data, saliency_map):
    """Changed bytes, above all in lengths, types and keys; missing and additional bytes."""
    raw = bytearray(encode(saliency_map, later="text"))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(
            st.one_of(st.sampled_from([0, 1, 4, 0x30, 0x31, 0x7F, 0x80, 0xFF]), st.integers(0, 255))
        )
    end = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))
    changed = bytes(raw[:end])

    assert decode(decode_document, changed) == decode(bson.decode, changed)


def test_every_byte_counts():
    raw = encode(FLOATS)
    for position in range(len(raw)):
        for value in (0, 1, 4, 0x31, 0xFF):
            changed = raw[:position] + bytes([value]) + raw[position + 1 :]

            assert decode(decode_document, changed) == decode(bson.decode, changed), (position, value)
