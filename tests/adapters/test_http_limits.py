"""No server or proxy can block a call beyond its timeout or fill the memory."""

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from func.adapters.http_client import HttpClient, UpstreamErrors
from func.deadline import limit_calls
from gaze_core.errors import ResultSinkBusyError, ResultSinkError, ResultSinkRefusedError, ResultSinkTimeoutError
from tests.adapters.hostile_servers import (
    DRIPS_FOR_S,
    answer,
    drip,
    flood,
    listen,
    make_certificate,
    read_head,
    stall_handshake,
    tunnel,
)

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 0.15
FAR_BEYOND_S = 60.0
"""The servers drip for 120 s, so that a busy machine has room."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

SLOW = {
    "status line": drip(b"HTTP/1.1 200 OK "),
    "header": drip(b"x", after=OK + b"X: "),
    "headers": drip(b"X: y\r\n", after=OK),
    "continue": drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": drip(b" ", after=OK + b"Content-Length: 1000\r\n\r\n"),
    "body without a length": drip(b" ", after=OK + b"\r\n"),
    "chunk": drip(b" ", after=CHUNKED + b"3e8\r\n"),
    "chunk's length": drip(b"0", after=CHUNKED),
    "trailers": drip(b"X: y\r\n", after=CHUNKED + b"0\r\n"),
}
TALKATIVE = {
    "status line": flood(b"x"),
    "header": flood(b"x", after=OK + b"X: "),
    "headers": flood(b"X: y\r\n", after=OK),
    "continue": flood(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": flood(b" ", after=OK + b"Content-Length: 209715200\r\n\r\n"),
    "body that claims more than the memory": flood(b" ", after=OK + b"Content-Length: 99999999999999999\r\n\r\n"),
    "body without a length": flood(b" ", after=OK + b"\r\n"),
    "chunks": flood(b"10\r\n0123456789abcdef\r\n", after=CHUNKED),
    "chunk's length": flood(b"0", after=CHUNKED),
    "trailers": flood(b"X: y\r\n", after=CHUNKED + b"0\r\n"),
    "compressed": flood(b"x", after=OK + b"Content-Encoding: gzip\r\n\r\n"),
}

REFUSED_BY_LIBRARIES = {"status line", "header", "headers", "chunk's length"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["plain", "TLS", "TLS through a proxy"])
def reach(request, certificate):
    """A function that serves something and yields a client for it."""

    @contextlib.contextmanager
    def serve(server, timeout_s=TIMEOUT_S):
        with contextlib.ExitStack() as stack:
            if request.param == "plain":
                yield make_client(f"http://127.0.0.1:{stack.enter_context(listen(server))}", timeout_s=timeout_s)
                return
            port = stack.enter_context(listen(server, tls=certificate[1]))
            proxy = None
            if request.param == "TLS through a proxy":
                proxy = f"http://127.0.0.1:{stack.enter_context(listen(tunnel()))}"
            yield make_client(f"https://127.0.0.1:{port}", timeout_s=timeout_s, ca_bundle=certificate[0], proxy=proxy)

    return serve


def make_client(url, *, timeout_s=TIMEOUT_S, retries=0, **kwargs):
    errors = UpstreamErrors(ResultSinkError, ResultSinkTimeoutError, ResultSinkBusyError, ResultSinkRefusedError)
    return HttpClient(url, service="aggregator", errors=errors, timeout_s=timeout_s, retries=retries, **kwargs)


def call(client):
    return client.call("PUT", ("x",), expected=(200,), payload={})


def demand_timeout(client):
    started_s = time.monotonic()
    with pytest.raises(ResultSinkTimeoutError, match="not answered in time"):
        call(client)
    assert time.monotonic() - started_s < FAR_BEYOND_S


def test_an_answer_arrives(reach):
    with reach(answer(b'{"a": 1}'), timeout_s=30) as client:
        assert call(client).body == {"a": 1}


@pytest.mark.parametrize("place", SLOW)
def test_a_slow_answer_is_cut_off(reach, place):
    with reach(SLOW[place]) as client:
        demand_timeout(client)


@pytest.mark.parametrize("place", TALKATIVE)
def test_an_endless_answer_is_cut_off(reach, place):
    with reach(TALKATIVE[place], timeout_s=30) as client, pytest.raises(ResultSinkError) as caught:
        call(client)

    # The libraries themselves refuse a long line and many headers: which, depends on their versions.
    reason = r"failed: \w+" if place in REFUSED_BY_LIBRARIES else "was answered with more than 1048576 bytes"
    assert re.fullmatch(f"aggregator: PUT /x {reason}", str(caught.value))


def test_a_slow_handshake_is_cut_off(certificate):
    with listen(stall_handshake) as port:
        demand_timeout(make_client(f"https://127.0.0.1:{port}", ca_bundle=certificate[0]))


@pytest.mark.parametrize("raw", [b"x", b"X: y\r\n"], ids=["header", "headers"])
def test_a_slow_proxy_is_cut_off(certificate, raw):
    with listen(drip(raw, after=OK + b"X: ")) as port:
        demand_timeout(make_client("https://192.0.2.1", ca_bundle=certificate[0], proxy=f"http://127.0.0.1:{port}"))


def test_endless_headers_of_a_proxy_are_cut_off(certificate):
    with listen(flood(b"X: y\r\n", after=OK)) as port:
        proxy = f"http://127.0.0.1:{port}"
        client = make_client("https://192.0.2.1", timeout_s=30, ca_bundle=certificate[0], proxy=proxy)
        with pytest.raises(ResultSinkError, match="more than 1048576 bytes"):
            call(client)


def test_a_server_that_never_reads_is_cut_off(reach):
    def stay(connection):
        read_head(connection)
        time.sleep(DRIPS_FOR_S)

    with reach(stay) as client:
        started_s = time.monotonic()
        with pytest.raises(ResultSinkTimeoutError):
            client.call("PUT", ("x",), expected=(200,), payload={"x": "x" * 20_000_000})
        assert time.monotonic() - started_s < FAR_BEYOND_S


def test_the_deadline_of_the_request_cuts_all_tries_off():
    with listen(SLOW["body"]) as port, limit_calls(TIMEOUT_S):
        demand_timeout(make_client(f"http://127.0.0.1:{port}", timeout_s=60, retries=9))


def test_a_certificate_of_an_unknown_authority_is_refused(certificate):
    with listen(answer(b"{}"), tls=certificate[1]) as port:
        client = make_client(f"https://127.0.0.1:{port}", timeout_s=30)
        with pytest.raises(ResultSinkError, match="SSLCertVerificationError"):
            call(client)


def test_connections_under_tls_are_kept(certificate):
    heads, connections = [], []

    def serve(connection):
        connections.append(connection)
        answer(b"{}", heads=heads)(connection)

    with listen(serve, tls=certificate[1]) as port:
        client = make_client(f"https://127.0.0.1:{port}", timeout_s=30, ca_bundle=certificate[0])
        for _ in range(3):
            client.call("GET", ("x",), expected=(200,))

    assert (len(heads), len(connections)) == (3, 1)


def test_the_password_of_a_proxy_is_sent_to_the_proxy_only(certificate):
    asked, answered = [], []
    with (
        listen(answer(b"{}", heads=answered), tls=certificate[1]) as port,
        listen(tunnel(heads=asked)) as proxy_port,
    ):
        proxy = f"http://user:p%40ss@127.0.0.1:{proxy_port}"
        call(make_client(f"https://127.0.0.1:{port}", timeout_s=30, ca_bundle=certificate[0], proxy=proxy))

    assert b"proxy-authorization: basic dxnlcjpwqhnz" in asked[0].lower()
    assert b"authorization" not in answered[0].lower()


SCRIPT = """
import sys
from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionStoreError

def find_peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

store = HttpSessionStore(sys.argv[1], timeout_s=60, retries=0)
rest_mb = find_peak_mb()
try:
    store.store_settings("s", {"a": 1}) if sys.argv[2] == "PUT" else store.get_session("s")
except SessionStoreError as error:
    assert sys.argv[3] in str(error), error
    print(find_peak_mb() - rest_mb)
"""


def measure_peak(server, method, reason):
    """Return the MB that a child process takes above rest for a call that must fail for the reason."""
    with listen(server) as port:
        child = subprocess.run(
            [sys.executable, "-c", SCRIPT, f"http://127.0.0.1:{port}", method, reason],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )
    assert child.returncode == 0, child.stderr
    return float(child.stdout)


@pytest.mark.parametrize(("method", "limit_mb"), [("PUT", 60), ("GET", 200)])
@pytest.mark.parametrize("place", ["body", "body without a length"])
def test_an_answer_of_200_mb_does_not_fill_the_memory(method, limit_mb, place):
    reason = f"session API: {method} /{'update' if method == 'PUT' else 'get'}_session was answered with more than"

    assert measure_peak(TALKATIVE[place], method, reason) < limit_mb


@pytest.mark.parametrize(("method", "size_bytes", "limit_mb"), [("PUT", 1_000_000, 60), ("GET", 60_000_000, 200)])
def test_an_answer_of_many_elements_does_not_fill_the_memory(method, size_bytes, limit_mb):
    body = b'{"message":[' + b",".join([b'{"":0}'] * (size_bytes // 7)) + b"]}"

    assert measure_peak(answer(body), method, "too many JSON elements") < limit_mb
