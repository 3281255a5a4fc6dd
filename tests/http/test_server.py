"""The real server over loopback."""

import http.client
import io
import json
import os
import select
import socket
import subprocess
import sys
import time

import pytest
import requests
from gunicorn.config import Config

from func.adapters.otlp_spans import CLOSE_S
from func.web.server import BACKLOG_S, DRAIN_S, LAST_REQUEST_S
from tests.http.image_files import as_base64, make_image
from tests.running import FUNCTIONS_FRAMEWORK, ROOT, YesServices, run_function, serve_upstream

MAX_BODY_BYTES = 1_000_000


@pytest.fixture(scope="module")
def runtime_folder(tmp_path_factory):
    """Where the server could open sockets for its control."""
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(scope="module")
def server(tmp_path_factory, runtime_folder):
    """Return the port of a running function."""
    environ = {
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "BODY_TIMEOUT_S": "120",
        "LANDMARKERS": "1",
        "THREADS": "4",
        "XDG_RUNTIME_DIR": str(runtime_folder),
    }
    with serve_upstream() as upstream, run_function(upstream, tmp_path_factory.mktemp("server"), **environ) as running:
        yield running.port


def url(port, path):
    return f"http://127.0.0.1:{port}{path}"


def test_an_invalid_setting_ends_the_process_with_one_line_that_names_it():
    environ = {name: value for name, value in os.environ.items() if name != "MONGO_URI"}

    finished = subprocess.run(FUNCTIONS_FRAMEWORK, env=environ, capture_output=True, text=True, check=False)

    assert finished.returncode == 1
    assert finished.stderr.splitlines() == ["gaze-function cannot start: MONGO_URI must be set"]


@pytest.mark.parametrize(("keys", "warnings"), [("", 1), ("0123456789abcdef0123456789abcdef", 0)])
def test_missing_token_keys_are_logged_once_at_start(keys, warnings):
    environ = {**os.environ, "MONGO_URI": "mongodb://localhost", "SESSION_TOKEN_KEYS": keys}

    finished = subprocess.run(
        [sys.executable, "-c", "import func.main"],
        env=environ, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert [line for line in finished.stderr.splitlines() if " WARNING " in line] == [
        line for line in finished.stderr.splitlines() if "SESSION_TOKEN_KEYS is not set" in line
    ]
    assert finished.stderr.count("SESSION_TOKEN_KEYS") == warnings
    assert "0123456789abcdef" not in finished.stderr


def test_the_process_is_live_before_models_are_loaded(server):
    assert requests.get(url(server, "/health/liveness"), timeout=60).json() == {"status": "alive"}


def test_an_unknown_path_is_404_and_the_connection_stays_usable(server):
    with requests.Session() as session:
        for _ in range(3):
            response = session.post(url(server, "/nothing"), data=b"x" * 1000, timeout=60)
            assert (response.status_code, response.json()["title"]) == (404, "Unknown path")


def test_a_huge_body_is_refused_without_being_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=60)
    connection.putrequest("POST", "/gaze")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(300 * 10**6))
    connection.endheaders()

    response = connection.getresponse()

    assert response.status == 413
    assert json.loads(response.read())["title"] == "Too large"
    assert response.headers["Cache-Control"] == "no-store"
    connection.close()


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=X"])
def test_a_huge_body_of_unknown_length_is_refused_when_it_passes_the_limit(server, content_type):
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=60)
    connection.putrequest("POST", "/gaze")
    connection.putheader("Content-Type", content_type)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for _ in range(MAX_BODY_BYTES // 50_000):
        connection.send(b"c350\r\n" + b" " * 50_000 + b"\r\n")
    connection.send(b"1\r\n ")  # no more, since the server may close with the byte beyond the limit

    assert connection.getresponse().status == 413  # its end never comes
    connection.close()


def test_a_body_of_unknown_length_within_the_limit_is_read(server):
    response = requests.post(
        url(server, "/gaze"),
        data=iter([b'{"session_id":', b" 7}"]),
        headers={"Content-Type": "application/json"},
        timeout=60,
    )

    assert response.status_code == 400
    assert response.json()["errors"][0] == {"field": "session_id", "detail": "must be a string"}


def test_broken_chunks_are_400(server):
    with socket.create_connection(("127.0.0.1", server), timeout=60) as connection:
        connection.sendall(
            b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def stall(port, path="/gaze", head=b"Content-Type: application/json\r\nContent-Length: 1000", body=b"{"):
    """Return a connection with an incomplete request."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n" + body)
    return connection


def read_answer(connection):
    """Return the status of the next answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


@pytest.mark.parametrize(
    "request_of_stalled",
    [{}, {"head": b"Content-Type: application/json\r\nTransfer-Encoding: chunked", "body": b"3e8\r\n{"}],
    ids=["length", "chunks"],
)
def test_liveness_is_answered_while_more_clients_than_threads_are_stalled(server, request_of_stalled):
    stalled = [stall(server, **request_of_stalled) for _ in range(8)]

    assert requests.get(url(server, "/health/liveness"), timeout=60).json() == {"status": "alive"}

    assert select.select(stalled, [], [], 0)[0] == []
    for connection in stalled:
        connection.close()


def test_an_unknown_path_is_404_without_waiting_for_the_body(server):
    with stall(server, path="/nothing") as connection:
        assert read_answer(connection) == 404


def test_a_slow_body_within_its_timeout_is_read_and_its_connection_reused(server):
    connection = stall(server, head=b"Content-Type: application/json\r\nContent-Length: 2")
    for last in (b"}", b"{}"):
        time.sleep(0.1)
        connection.sendall(last)
        assert read_answer(connection) == 400
        connection.sendall(
            b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        )
    connection.close()


def test_multipart_and_json_fields_are_checked(server):
    as_multipart = requests.post(
        url(server, "/gaze"), files={"metadata": (None, "{}"), "frame": ("f.jpg", make_image())}, timeout=5
    )
    as_json = requests.post(url(server, "/gaze"), json={}, timeout=60)

    assert as_multipart.status_code == as_json.status_code == 400
    assert as_multipart.json()["errors"] == as_json.json()["errors"]


def test_metrics_and_openapi_are_served(server):
    assert "gaze_requests_total" in requests.get(url(server, "/metrics"), timeout=60).text
    assert requests.get(url(server, "/openapi.json"), timeout=60).json()["openapi"] == "3.1.0"


def test_the_function_is_ready_although_an_upstream_service_is_down(server):
    card = json.loads((ROOT / "models" / "gaze_model.json").read_text())
    expected = {
        "status": "ready",
        "eye_network": "used" if "network" in card.get("estimates", ()) else "unused",
        "neighbours": {"session_api": "reachable", "saliency_store": "unreachable", "aggregator": "reachable"},
    }
    # On a busy machine a service that runs may take longer than the second that a probe waits.
    deadline_s = time.monotonic() + 60
    while (answer := requests.get(url(server, "/health/readiness"), timeout=60).json()) != expected:
        assert time.monotonic() < deadline_s, answer
        time.sleep(0.2)


def test_a_frame_is_processed_over_json_and_multipart(server):
    metadata = {"session_id": "s", "video_id": "v", "ip_address": "203.0.113.7", "frame_number": 1, "last_frame": False}
    image = make_image()

    as_json = requests.post(url(server, "/gaze"), json={**metadata, "frame": as_base64(image)}, timeout=60)
    as_multipart = requests.post(
        url(server, "/gaze"),
        files={"metadata": (None, json.dumps({**metadata, "frame_number": 2})), "frame": ("f", io.BytesIO(image))},
        timeout=60,
    )

    assert (as_json.json()["message"], as_json.json()["validity"]) == ("Frame processed", "no_face")
    assert as_multipart.json() == {**as_json.json(), "frame_number": 2}
    assert set(YesServices.frames) == {"1", "2"}


def test_no_socket_lets_others_control_the_server(server, runtime_folder):
    time.sleep(0.5)  # gunicorn would open it after it has started the worker

    assert [path.name for path in runtime_folder.iterdir() if path.is_socket()] == []


def test_a_process_that_stops_ends_before_gunicorn_kills_it():
    assert 28.9 < BACKLOG_S + LAST_REQUEST_S + DRAIN_S + CLOSE_S < Config().graceful_timeout - 0.5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_request_that_does_not_end_is_cancelled_and_the_process_ends_by_itself(tmp_path):
    with (
        serve_upstream() as upstream,
        run_function(upstream, tmp_path, LANDMARKERS="1", BODY_TIMEOUT_S="100") as running,
        socket.create_connection(("127.0.0.1", running.port)) as connection,
    ):
        head = b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head + b"{")
        time.sleep(1)
        running.process.terminate()
        status = running.process.wait(60)

    assert status == 0
    assert "timeout graceful shutdown exceeded" in running.log_path.read_text()
