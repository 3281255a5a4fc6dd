"""Splitting multipart bodies into parts."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from func.web.multipart import MAX_HEADER_BYTES, MAX_PARTS, MultipartError, Part, split_multipart

HEADER = b'Content-Disposition: form-data; name="frame"\r\n\r\n'


def build(*datas, boundary=b"X", line_break=b"\r\n"):
    parts = b"".join(
        b"--" + boundary + line_break + HEADER.replace(b"\r\n", line_break) + data + line_break for data in datas
    )
    return parts + b"--" + boundary + b"--" + line_break


@pytest.mark.parametrize("line_break", [b"\r\n", b"\n"])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"", b"--", b"\r\n-", b"\r\n--"])
@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 65_537])
def test_data_may_end_in_any_line_break(line_break, end, size):
    data = b"\xff" * size + end

    assert split_multipart(build(data, line_break=line_break), "X") == [Part("frame", data)]


@given(datas=st.lists(st.binary() | st.text("\r\n-X ").map(str.encode), min_size=1, max_size=4))
def test_any_data_without_the_boundary_is_unchanged(datas):
    datas = [data.replace(b"--boundary", b"") for data in datas]

    assert [part.data for part in split_multipart(build(*datas, boundary=b"boundary"), "boundary")] == datas


@given(body=st.text('--X\r\n \t:;="a').map(str.encode) | st.binary())
def test_any_body_is_split_or_refused(body):
    with contextlib.suppress(MultipartError):
        split_multipart(body, "X")


def test_text_before_and_after_the_parts_is_ignored():
    assert split_multipart(b"before\r\n" + build(b"1") + b"after\r\n--X\r\n", "X") == [Part("frame", b"1")]


def test_spaces_may_follow_a_boundary_and_longer_lines_are_data():
    body = build(b"1\r\n--XY\r\n2").replace(b"--X\r\n", b"--X \t\r\n")

    assert split_multipart(body, "X") == [Part("frame", b"1\r\n--XY\r\n2")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"content-disposition:form-data; name=frame", "frame"),
        (b'A: b\r\nContent-Disposition: form-data; filename="x; name=y"; name="frame"', "frame"),
        (b"Content-Type: image/jpeg", None),
        (b"Content-Disposition: form-data", None),
    ],
)
def test_the_name_of_a_part_is_its_form_field(header, name):
    assert split_multipart(b"--X\r\n" + header + b"\r\n\r\n1\r\n--X--", "X") == [Part(name, b"1")]


def test_a_part_without_headers_has_no_name():
    assert split_multipart(b"--X\r\n\r\n1\r\n--X--", "X") == [Part(None, b"1")]


def test_parts_and_headers_are_limited():
    assert len(split_multipart(build(*[b"1"] * MAX_PARTS), "X")) == MAX_PARTS
    with pytest.raises(MultipartError, match="parts"):
        split_multipart(build(*[b"1"] * (MAX_PARTS + 1)), "X")
    with pytest.raises(MultipartError, match="headers"):
        split_multipart(b"--X\r\nA: " + b"b" * MAX_HEADER_BYTES + b"\r\n\r\n1\r\n--X--", "X")


@pytest.mark.parametrize("boundary", ["", "X" * 71])
def test_a_boundary_has_one_to_seventy_characters(boundary):
    with pytest.raises(MultipartError, match="boundary"):
        split_multipart(build(b"1", boundary=boundary.encode()), boundary)


def test_a_truncated_body_is_refused():
    body = build(b"1", b"2")

    for end in range(len(body) - len("--\r\n")):
        with pytest.raises(MultipartError):
            split_multipart(body[:end], "X")
