"""Which requests may be refused without being parsed."""

import pytest

from func.web.early_refusal import measure_frame

PLAIN = b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("head", [PLAIN, PLAIN.replace(b"Host: h", b"Host: h\r\nConnection: keep-alive")])
def test_a_plain_request_is_measured(head):
    assert measure_frame(head + b"{}   ") == (len(head), 5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-2],
        PLAIN.replace(b"POST", b"PUT"),
        PLAIN.replace(b"/gaze", b"/gaze/"),
        PLAIN.replace(b"1.1", b"1.0"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: 5, 5"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Length: 6"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: +5"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
        PLAIN.replace(b"Content-Length: 5", b"Content-Length : 5"),
        PLAIN.replace(b"Content-Length: 5", b"X: a\r\n Content-Length: 5"),
        PLAIN.replace(b"Content-Length: 5", b"X: a\nContent-Length: 5"),
        PLAIN.replace(b"Content-Length: 5\r\n", b""),
        PLAIN.replace(b"Host: h", b"Host: h\r\nConnection: close"),
        PLAIN.replace(b"Host: h", b"Host: h\r\nConnection: keep-alive, Upgrade"),
        PLAIN.replace(b"Host: h", b"Host: h\r\nExpect: 100-continue"),
    ],
)
def test_any_other_request_is_left_to_the_parser(data):
    assert measure_frame(data) is None
