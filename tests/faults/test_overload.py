"""More frames than the function can take: each is answered at once, with 200 or 503, and connections stay usable."""

import http.client
import json
import threading
from collections import Counter

import pytest
import requests

from tests.http.image_files import as_base64, make_image
from tests.running import run_function, serve_upstream

CLIENTS = 8
FRAMES = 15


@pytest.fixture(scope="module")
def function(tmp_path_factory):
    settings = {"LANDMARKERS": "1", "LANDMARKER_WAIT_S": "0"}
    with serve_upstream() as upstream, run_function(upstream, tmp_path_factory.mktemp("busy"), **settings) as running:
        assert requests.get(running.url("/health/readiness"), timeout=60).ok
        yield running


def send_frames(port, session_id, answers):
    """Send frames over one connection, which must never close."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    connection.auto_open = 0
    fields = {"session_id": session_id, "video_id": "v", "ip_address": "203.0.113.7", "last_frame": False}
    image = as_base64(make_image(width_px=1280, height_px=720))
    for number in range(1, FRAMES + 1):
        body = json.dumps({**fields, "frame_number": number, "frame": image})
        connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answers.append((response.status, response.headers, response.read()))
    connection.close()


def test_frames_beyond_capacity_are_refused_and_connections_stay_usable(function):
    answers = []
    clients = [
        threading.Thread(target=send_frames, args=(function.port, f"s{number}", answers)) for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    statuses = Counter(status for status, _, _ in answers)
    assert statuses.keys() == {200, 503}
    assert statuses.total() == CLIENTS * FRAMES
    for status, headers, body in answers:
        if status == 503:
            assert headers["Content-Type"] == "application/problem+json"
            assert int(headers["Retry-After"]) >= 1
            assert json.loads(body)["type"] == "/problems/busy"
    assert function.read_metric("gaze_shed_total") == statuses[503]
    lines = function.log_path.read_text().count("error=DetectionBusyError")
    assert lines + function.read_metric("gaze_log_lines_suppressed_total") == statuses[503]


def test_a_single_client_is_never_refused(function):
    answers = []
    send_frames(function.port, "alone", answers)

    assert {status for status, _, _ in answers} == {200}
