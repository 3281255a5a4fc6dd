"""Simple and unusual answers over kept connections."""

import contextlib
import http.client
import socket
import threading

import pytest
from urllib3.util import parse_url

from func.adapters.direct_http import DirectConnections
from func.adapters.limited_socket import limit_sockets

OK = b"HTTP/1.1 200 OK\r\n"
SIMPLE = OK + b"Content-Length: 2\r\n\r\n{}"


@contextlib.contextmanager
def serve(*connections):
    """Answer the requests of each connection with the given bytes; yield port, requests and a semaphore.

    The semaphore is released when a connection is closed.
    """
    requests, closed = [], threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run():
            for answers in connections:
                connection, _ = server.accept()
                with connection:
                    for each in answers:
                        requests.append(connection.recv(65536))
                        connection.sendall(each)
                closed.release()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests, closed
        thread.join(5)


def exchange(connections, path="/x", headers=None, body=b"{}"):
    with limit_sockets(60.0, 10_000):
        return connections.exchange("PUT", path, headers or {}, body)


def connect(port, path=""):
    return DirectConnections(parse_url(f"http://127.0.0.1:{port}{path}"), None)


@pytest.mark.parametrize(
    "answer",
    [
        SIMPLE,
        OK + b"content-length:2\r\nX: y\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + SIMPLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SIMPLE,
        OK + b"Content-Length: 2\r\nX: a\r\n folded\r\n\r\n{}",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["length", "lower case", "chunks", "continue", "early hints", "folded header", "no reason"],
)
def test_a_connection_is_kept_after_a_complete_answer(answer):
    with serve([answer, SIMPLE]) as (port, requests, _):
        connections = connect(port)

        assert [exchange(connections).body, exchange(connections).body] == [b"{}", b"{}"]
        assert len(requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 2\r\n\r\n{}surplus",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nsurplus",
        OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Connection: close\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=[
        "close",
        "surplus",
        "surplus after chunks",
        "two lengths",
        "length and chunks",
        "close and keep",
        "no length",
        "HTTP/1.0",
    ],
)
def test_a_connection_that_ends_with_its_answer_is_replaced(answer):
    with serve([answer], [SIMPLE]) as (port, *_):
        connections = connect(port)

        assert [exchange(connections).body, exchange(connections).body] == [b"{}", b"{}"]


def test_an_idle_connection_that_the_service_closed_is_replaced():
    with serve([SIMPLE], [SIMPLE]) as (port, _, closed):
        connections = connect(port)
        exchange(connections)
        assert closed.acquire(timeout=60)

        assert exchange(connections).body == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
    ids=["length", "two lengths", "chunks"],
)
def test_an_answer_that_breaks_off_is_an_error(answer):
    with serve([answer]) as (port, *_), pytest.raises(http.client.IncompleteRead):
        exchange(connect(port))


def test_no_answer_is_an_error():
    with serve([b""]) as (port, *_), pytest.raises(http.client.RemoteDisconnected):
        exchange(connect(port))


def test_a_negative_size_of_a_chunk_is_an_error():
    with (
        serve([OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n"]) as (port, *_),
        pytest.raises(http.client.HTTPException),
    ):
        exchange(connect(port))


def test_an_early_hint_is_not_the_answer_to_the_next_request():
    first, second = OK + b"Content-Length: 1\r\n\r\n1", OK + b"Content-Length: 1\r\n\r\n2"
    with serve([b"HTTP/1.1 103 Early Hints\r\n\r\n" + first, second]) as (port, *_):
        connections = connect(port)

        assert [exchange(connections).body, exchange(connections).body] == [b"1", b"2"]


def test_a_switch_of_protocols_ends_the_connection():
    with serve([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], [SIMPLE]) as (port, *_):
        connections = connect(port)

        assert [exchange(connections).status, exchange(connections).status] == [101, 200]


def test_the_answer_to_head_has_no_body():
    with serve([OK + b"Content-Length: 5\r\n\r\n", SIMPLE]) as (port, *_):
        connections = connect(port)
        with limit_sockets(60.0, 10_000):
            answer = connections.exchange("HEAD", "/x", {}, None)

        assert (answer.status, answer.body, exchange(connections).body) == (200, b"", b"{}")


def test_status_and_retry_after_are_returned():
    with serve([b"HTTP/1.1 503 Busy\r\nRetry-After:  7 \r\nContent-Length: 0\r\n\r\n"]) as (port, *_):
        answer = exchange(connect(port))

    assert (answer.status, answer.body, answer.retry_after) == (503, b"", "7")


def test_an_answer_without_a_body_ends_with_its_head():
    with serve([b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"]) as (port, *_):
        assert exchange(connect(port)).status == 204


def test_the_request_is_sent_in_one_piece():
    with serve([SIMPLE]) as (port, requests, _):
        exchange(connect(port, "/api/"), "/s%20x?a=1", {"X": "y"}, b"[1]")

    head = f"PUT /api/s%20x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\nX: y\r\n"
    assert requests == [head.encode() + b"Content-Length: 3\r\n\r\n[1]"]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb"])
def test_a_header_cannot_contain_a_line_break(value):
    with pytest.raises(ValueError, match="line break"):
        exchange(connect(1), headers={"X": value})
