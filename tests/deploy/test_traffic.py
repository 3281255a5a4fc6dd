"""Shares, pods and counters, as numbers."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gaze_tools.deploy.health import READ_OWN_PAGE, RequestCounts, compare_counts, read_counts
from gaze_tools.deploy.kubectl import DeployError
from gaze_tools.deploy.traffic import count_needed_pods, split_traffic


@pytest.mark.parametrize(
    ("shares", "percent", "expected"),
    [
        ({"a": 100}, 10, {"a": 90, "n": 10}),
        ({"a": 100}, 100, {"a": 0, "n": 100}),
        ({"a": 90, "n": 10}, 50, {"a": 50, "n": 50}),
        ({"a": 90, "b": 10}, 1, {"a": 89, "b": 10, "n": 1}),
        ({"a": 33, "b": 33, "c": 34}, 50, {"a": 17, "b": 16, "c": 17, "n": 50}),
        ({"n": 100}, 50, {"n": 100}),
    ],
)
def test_the_rest_is_divided_in_proportion(shares, percent, expected):
    assert split_traffic(shares, "n", percent) == expected


@pytest.mark.parametrize(
    ("serving", "percent", "expected"),
    [(30, 1, 1), (30, 10, 3), (30, 50, 15), (31, 50, 16), (30, 100, 30), (0, 100, 1)],
)
def test_a_share_needs_its_share_of_the_pods(serving, percent, expected):
    assert count_needed_pods(serving, percent) == expected


def test_only_frames_count():
    page = """\
# TYPE gaze_requests_total counter
gaze_requests_total{method="POST",route="/gaze",status="200"} 90.0
gaze_requests_total{method="POST",route="/gaze",status="503"} 10.0
gaze_requests_total{method="GET",route="/metrics",status="500"} 7.0
"""

    assert read_counts(page) == RequestCounts(answered=100, failed=10)


@pytest.mark.parametrize(("failed", "is_refused"), [(5, False), (6, True)])
def test_more_than_five_percent_of_errors_are_too_many(failed, is_refused):
    before, after = {"p": RequestCounts(50, 3)}, {"p": RequestCounts(150, 3 + failed)}

    if is_refused:
        with pytest.raises(DeployError, match="6 of 100 requests"):
            compare_counts(before, after, 0.05)
    else:
        compare_counts(before, after, 0.05)


def test_few_errors_prove_nothing():
    compare_counts({}, {"p": RequestCounts(4, 4)}, 0.05)


class _PathPage(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"page {self.path}".encode())

    def log_message(self, *_):
        pass


def test_pages_are_on_the_port_for_management():
    with HTTPServer(("127.0.0.1", 0), _PathPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {**os.environ, "MANAGEMENT_PORT": str(server.server_port)}
        program = [sys.executable, "-c", READ_OWN_PAGE, "/metrics"]
        page = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
        server.shutdown()

    assert page == "page /metrics\n"
