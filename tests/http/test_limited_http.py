import h11
import pytest

from func.web.limited_http import LimitedConnection

GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_all(data):
    """Return the events of what a client has sent."""
    connection = LimitedConnection()
    connection.receive_data(data)
    events = []
    while (event := connection.next_event()) is not h11.NEED_DATA:
        events.append(event)
    return events


def find_hint(data):
    with pytest.raises(h11.RemoteProtocolError) as raised:
        read_all(data)
    return raised.value.error_status_hint


def test_a_hundred_headers_are_read_and_one_more_is_refused():
    assert len(read_all(GET + b"a:b\r\n" * 99 + b"\r\n")[0].headers) == 100
    assert find_hint(GET + b"a:b\r\n" * 100 + b"\r\n") == 431


def test_a_large_head_is_refused_even_if_it_came_as_a_whole():
    assert find_hint(GET + b"a: " + b"b" * 16_384 + b"\r\n\r\n") == 431


def test_a_long_request_line_is_refused_as_such():
    assert find_hint(b"GET /" + b"a" * 16_384 + b" HTTP/1.1\r\n\r\n") == 414


def test_a_large_head_behind_another_request_is_refused_as_well():
    connection = LimitedConnection()
    connection.receive_data(GET + b"\r\n" + GET + b"a:b\r\n" * 50_000 + b"\r\n")
    connection.next_event()
    connection.next_event()
    connection.send(h11.Response(status_code=204, headers=[]))
    connection.send(h11.EndOfMessage())
    connection.start_next_cycle()

    with pytest.raises(h11.RemoteProtocolError):
        connection.next_event()


def test_a_large_body_does_not_count_as_head():
    body = b"a\n" * 50_000
    events = read_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + body)

    assert sum(len(event.data) for event in events if isinstance(event, h11.Data)) == 100_000


def test_a_few_small_chunks_are_read_and_many_are_refused():
    assert len(read_all(CHUNKED + b"1\r\na\r\n" * 256)) == 257
    assert find_hint(CHUNKED + b"1\r\na\r\n" * 258) == 400


def test_any_number_of_larger_chunks_is_read():
    assert len(read_all(CHUNKED + (b"100\r\n" + b"a" * 256 + b"\r\n") * 5000)) == 5001


def test_content_length_beside_transfer_encoding_is_refused():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert find_hint(head + b"0\r\n\r\n") == 400
