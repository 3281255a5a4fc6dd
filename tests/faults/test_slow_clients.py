"""Clients that are slow, silent or greedy: while they are there, health, metrics and honest frames are answered."""

import contextlib
import json
import socket
import statistics
import threading
import time

import pytest
import requests

from tests.faults.reliability_rows import Row, keep_rows
from tests.http.image_files import as_base64, make_image
from tests.running import run_function, serve_upstream

TIMEOUT_S = 120.0
"""HEAD_TIMEOUT_S, BODY_TIMEOUT_S and ANSWER_TIMEOUT_S where nobody may wait for them."""
PROMPT_S = 30.0
"""Much less, and much more than an answer takes on a busy machine."""
CUT_S = 0.5
"""The timeouts where they are to pass."""
MAX_CONNECTIONS = 300
POST = b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"


attacks = []
"""For each attack, the statuses of honest clients and the time that each answer took."""


@pytest.fixture(scope="module", autouse=True)
def row():
    """Keep the row of the table in docs/reliability.md."""
    yield
    if attacks:
        answers = [answer for attack in attacks for answer in attack]
        acknowledged = sum(status == 200 for status, _ in answers)
        slowest_answer_s = max(duration_s for _, duration_s in answers)
        fault = "slow, silent and greedy clients (lost: honest requests not answered 200)"
        keep_rows(
            "5-slow-clients",
            [Row(fault, len(attacks), acknowledged, len(answers) - acknowledged, 0, slowest_answer_s)],
        )


@pytest.fixture(scope="module")
def run_with_timeouts(tmp_path_factory):
    """Return a context manager that runs a function with these timeouts for slow clients."""

    @contextlib.contextmanager
    def run(timeout_s):
        settings = {
            "HEAD_TIMEOUT_S": timeout_s,
            "BODY_TIMEOUT_S": timeout_s,
            "ANSWER_TIMEOUT_S": timeout_s,
            "MAX_CONNECTIONS": MAX_CONNECTIONS,
            "MAX_CONNECTIONS_PER_PEER": MAX_CONNECTIONS,
            "LANDMARKER_WAIT_S": 60,
            "LANDMARKERS": 1,
            "THREADS": 4,
        }
        environ = {name: str(value) for name, value in settings.items()}
        folder = tmp_path_factory.mktemp("slow")
        with serve_upstream() as upstream, run_function(upstream, folder, **environ) as running:
            assert requests.get(running.url("/health/readiness"), timeout=60).ok
            yield running

    return run


@pytest.fixture(scope="module")
def function(run_with_timeouts):
    with run_with_timeouts(TIMEOUT_S) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_function(run_with_timeouts):
    with run_with_timeouts(CUT_S) as running:
        yield running


@pytest.fixture
def attack(function):
    with attack_on(function) as connect:
        yield connect


@pytest.fixture
def attack_hasty(hasty_function):
    with attack_on(hasty_function) as connect:
        yield connect


@contextlib.contextmanager
def attack_on(function):
    """Yield a maker of connections that send something and are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect(count, sent=b"", *, receive_buffer_bytes=None):
            connections = []
            for _ in range(count):
                connection = stack.enter_context(socket.socket())
                connection.settimeout(60)
                if receive_buffer_bytes:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
                connection.connect(("127.0.0.1", function.port))
                if sent:
                    send(connection, sent)
                connections.append(connection)
            return connections

        yield connect
    deadline_s = time.monotonic() + 60
    while function.read_metric("gaze_connections ") > 5:
        assert time.monotonic() < deadline_s, "connections stay open though their clients have gone"
        time.sleep(0.1)


def send(connection, data):
    """Send as far as the server takes it."""
    connection.settimeout(0.2)
    with contextlib.suppress(OSError):
        connection.sendall(data)
    connection.settimeout(60)


@contextlib.contextmanager
def drip(connections, piece, *, pause_s=0.1):
    """Send a piece on every connection again and again while the block runs."""
    is_over = threading.Event()

    def run():
        while not is_over.wait(pause_s):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.send(piece, socket.MSG_DONTWAIT)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def assert_honest_clients_are_served(function):
    """Ask for health and metrics on new connections and send a frame, as gateways and probes do."""
    answers = []
    attacks.append(answers)

    def ask(method, path, **kwargs):
        started_s = time.monotonic()
        status = requests.request(method, function.url(path), timeout=60, **kwargs).status_code
        answers.append((status, time.monotonic() - started_s))

    for path in ("/health/liveness", "/metrics") * 3:
        ask("GET", path)
    assert statistics.median(duration_s for _, duration_s in answers) < PROMPT_S
    body = {
        "session_id": "honest",
        "video_id": "v",
        "ip_address": "203.0.113.7",
        "frame_number": time.monotonic_ns() % 10**9 + 1,
        "last_frame": False,
        "frame": as_base64(make_image()),
    }
    ask("POST", "/gaze", json=body)
    assert {status for status, _ in answers} == {200}


def await_accepted(function):
    """Wait until all connections made so far are accepted: the kernel hands them over in their order."""
    with contextlib.suppress(requests.ConnectionError):
        requests.get(function.url("/health/liveness"), timeout=60)


def read_status(connection):
    """Return the status of the answer and its content type.

    What follows is not read: a connection may end with a reset, as its client went on sending.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    head = received.partition(b"\r\n\r\n")[0].lower()
    return int(head.split()[1]), head.partition(b"content-type: ")[2].partition(b"\r\n")[0].decode()


ATTACKS = {
    "one byte and silence": (40, b"G"),
    "half a head": (40, b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Le"),
    "a body that never comes": (40, POST + b"Content-Length: 1000\r\n\r\n{"),
    "a body without end": (40, POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"2\r\n  \r\n" * 100),
    "keep-alive and silence": (40, b"GET /health/liveness HTTP/1.1\r\nHost: h\r\n\r\n"),
    "silence, on more connections than there may be": (MAX_CONNECTIONS + 50, b""),
}


@pytest.mark.parametrize(("count", "sent"), ATTACKS.values(), ids=ATTACKS)
def test_clients_that_fall_silent_keep_nobody_waiting(function, attack, count, sent):
    attack(count, sent)
    await_accepted(function)
    time.sleep(0.5)

    assert_honest_clients_are_served(function)


def test_heads_that_drip_keep_nobody_waiting(function, attack):
    connections = attack(40, b"GET /health/liveness HTTP/1.1\r\n")
    with drip(connections, b"X-A: b\r\n"):
        assert_honest_clients_are_served(function)


@pytest.mark.parametrize(
    ("sent", "piece"),
    [(b"GET /health/liveness HTTP/1.1\r\n", b"X-A: b\r\n"), (POST + b"Content-Length: 100000\r\n\r\n{", b" ")],
    ids=["head", "body"],
)
def test_a_request_that_drips_is_408_after_its_timeout(attack_hasty, sent, piece):
    started_s = time.monotonic()
    (connection,) = attack_hasty(1, sent)
    with drip([connection], piece):
        status = read_status(connection)

    assert status == (408, "application/problem+json")
    assert time.monotonic() - started_s > CUT_S


def test_many_bodies_that_drip_keep_nobody_waiting(function, attack):
    connections = attack(200, POST + b"Content-Length: 100000\r\n\r\n{")
    with drip(connections, b" ", pause_s=0.2):
        assert_honest_clients_are_served(function)


def test_bodies_that_drip_on_every_connection_make_room_for_others(function, attack):
    connections = attack(MAX_CONNECTIONS, POST + b"Content-Length: 100000\r\n\r\n{")
    await_accepted(function)
    with drip(connections, b" ", pause_s=0.5):
        time.sleep(1.2)
        assert_honest_clients_are_served(function)

    assert read_status(connections[0]) == (503, "application/problem+json")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 1_000_000, 414),
        (b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 100_000, 431),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a:b\r\n" * 2000 + b"\r\n", 431),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 500_000, 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
    ids=[
        "request line",
        "header",
        "headers",
        "no HTTP",
        "length",
        "tiny headers",
        "tiny chunks",
        "two lengths",
    ],
)
def test_a_request_that_is_endless_costly_or_malformed_gets_a_problem_document(function, attack, sent, status):
    first, *_ = attack(20, sent)

    assert_honest_clients_are_served(function)
    assert read_status(first) == (status, "application/problem+json")


def test_an_endless_request_line_costs_next_to_no_cpu(function, attack):
    piece = b"a" * 65536
    (connection,) = attack(1, b"GET /")
    cpu_s = function.read_metric("process_cpu_seconds_total")
    for _ in range(1000):
        try:
            connection.sendall(piece)
        except OSError:
            break

    assert function.read_metric("process_cpu_seconds_total") - cpu_s < 1
    assert function.read_metric("process_resident_memory_bytes") < 800e6


def test_pipelined_requests_whose_answers_nobody_reads_keep_nobody_waiting(function, attack):
    attack(12, b"GET /health/liveness HTTP/1.1\r\nHost: h\r\n\r\n" * 20_000, receive_buffer_bytes=4096)

    assert_honest_clients_are_served(function)


def test_large_answers_that_nobody_reads_keep_nobody_waiting(function, attack):
    attack(12, b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 1000, receive_buffer_bytes=4096)

    assert_honest_clients_are_served(function)


def test_connections_whose_large_answers_nobody_reads_are_cut(hasty_function, attack_hasty):
    attack_hasty(12, b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n" * 1000, receive_buffer_bytes=4096)

    deadline_s = time.monotonic() + 60
    while hasty_function.read_metric('gaze_connections_refused_total{reason="unread"}') < 12:
        assert time.monotonic() < deadline_s, "connections stay open"
        time.sleep(0.1)


def test_one_client_s_many_large_bodies_do_not_keep_small_ones_out(function, attack):
    attack(12, POST + b"Content-Length: 8000000\r\n\r\n" + b" " * 7_000_000)

    assert_honest_clients_are_served(function)
    assert function.read_metric("gaze_body_bytes") <= 64 * 2**20


def test_frames_whose_clients_have_gone_are_not_detected(function):
    fields = {"session_id": "gone", "video_id": "v", "ip_address": "203.0.113.7", "frame_number": 1}
    image = as_base64(make_image(width_px=1920, height_px=1080))
    body = json.dumps({**fields, "last_frame": False, "frame": image}).encode()
    gone, detected = function.read_metric("gaze_clients_gone_total"), function.read_metric("gaze_frames_total")
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", function.port)) as connection:
            connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    deadline_s = time.monotonic() + 60
    ended = 0
    while ended < 30:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
        ended = function.read_metric("gaze_clients_gone_total") + function.read_metric("gaze_frames_total")
        ended -= gone + detected

    assert function.read_metric("gaze_clients_gone_total") > gone
