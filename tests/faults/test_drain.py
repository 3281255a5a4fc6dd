"""SIGTERM under load: every request of a connection that was accepted gets its answer, and the exit status is 0."""

import http.client
import json
import signal
import threading
import time
from collections import Counter

import pytest
import requests

from tests.faults.reliability_rows import Row, keep_rows
from tests.http.image_files import as_base64, make_image
from tests.running import run_function, serve_upstream

CLIENTS = 12


class Client(threading.Thread):
    """Sends frames until the port is closed; on one connection, or on a new one for each frame."""

    def __init__(self, port, number, *, keeps_connection):
        super().__init__(daemon=True)
        self.port = port
        self.keeps_connection = keeps_connection
        self.outcomes = Counter()
        self.errors = []
        self.slowest_answer_s = 0.0
        fields = {"session_id": f"s{number}", "video_id": "v", "ip_address": "203.0.113.7", "last_frame": False}
        self.fields = {**fields, "frame": as_base64(make_image())}

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        connection.auto_open = 0
        frame_number = 0
        while True:
            frame_number += 1
            if connection.sock is None:
                try:
                    connection.connect()
                except OSError:  # nobody listens any more
                    return
            started_s = time.monotonic()
            try:
                body = json.dumps({**self.fields, "frame_number": frame_number})
                connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(error)
                return
            self.outcomes[response.status] += 1
            self.slowest_answer_s = max(self.slowest_answer_s, time.monotonic() - started_s)
            if not self.keeps_connection:
                connection.close()


def stop_under_load(folder):
    """Return the exit status, the statuses of all answers, the errors of clients and the time of the slowest answer."""
    with (
        serve_upstream() as upstream,
        run_function(upstream, folder, LANDMARKERS="1", THREADS="4", LANDMARKER_WAIT_S="20") as function,
    ):
        assert requests.get(function.url("/health/readiness"), timeout=60).ok
        clients = [Client(function.port, number, keeps_connection=number % 2 == 0) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        while sum(sum(client.outcomes.values()) for client in clients) < 2 * CLIENTS:
            time.sleep(0.01)
        function.process.send_signal(signal.SIGTERM)
        status = function.process.wait(40)
        for client in clients:
            client.join(60)
            assert not client.is_alive()
        assert "Traceback" not in function.log_path.read_text()
    outcomes = sum((client.outcomes for client in clients), Counter())
    errors = [error for client in clients for error in client.errors]
    return status, outcomes, errors, max(client.slowest_answer_s for client in clients)


@pytest.mark.slow
def test_stopping_under_load_resets_nobody(tmp_path):
    status, outcomes, errors, _ = stop_under_load(tmp_path)

    assert (status, set(outcomes), errors) == (0, {200}, [])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stopping_ten_times_under_load_resets_nobody(tmp_path):
    stops = [stop_under_load(tmp_path) for _ in range(10)]

    acknowledged = sum(outcomes[200] for _, outcomes, _, _ in stops)
    reset = sum(len(errors) for _, _, errors, _ in stops)
    slowest_answer_s = max(seconds for _, _, _, seconds in stops)
    keep_rows("6-drain", [Row("SIGTERM under load (lost: reset)", 10, acknowledged, reset, 0, slowest_answer_s)])
    assert {(status, *outcomes) for status, outcomes, _, _ in stops} == {(0, 200)}
    assert reset == 0
