"""Connections that carry many requests, as those of a gateway do."""

import http.client
import json
import time

import pytest

from gaze_tools.sample_clip import SAMPLE
from tests.running import run_function, serve_upstream

pytestmark = pytest.mark.slow

TIMEOUT_S = 1.5
"""REQUEST_TIMEOUT_S; the requests here take a tenth of it."""
TRIES = 3
"""A busy machine makes a request late now and then; a connection with the fault makes every one late."""


def post(connection, frames):
    image = (SAMPLE / "recording" / "frames" / "0001.jpg").read_bytes()
    metadata = {
        "session_id": "s",
        "video_id": "v",
        "ip_address": "203.0.113.7",
        "frames": [{"frame_number": number} for number in frames],
    }
    boundary = b"--x\r\nContent-Disposition: form-data; name="
    body = boundary + b'"metadata"\r\n\r\n' + json.dumps(metadata).encode()
    for _ in frames:
        body += b"\r\n" + boundary + b'"frame"; filename="f"\r\n\r\n' + image
    body += b"\r\n--x--\r\n"
    connection.request("POST", "/gaze", body, {"Content-Type": "multipart/form-data; boundary=x"})
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_large_body_does_not_shorten_the_time_of_later_requests(tmp_path):
    with (
        serve_upstream() as upstream,
        run_function(upstream, tmp_path, REQUEST_TIMEOUT_S=str(TIMEOUT_S), LANDMARKER_WAIT_S="30") as running,
    ):
        post(http.client.HTTPConnection("127.0.0.1", running.port, timeout=60), [1])  # loads the models
        statuses = []
        while len(statuses) < TRIES and 200 not in statuses:
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            post(connection, range(2, 12))  # 200 KB: the server pauses reading and resumes it within the request
            time.sleep(TIMEOUT_S)
            statuses.append(post(connection, [12 + len(statuses)]))

    assert statuses[-1] == 200, statuses
