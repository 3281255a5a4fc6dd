"""A real Prometheus that scrapes the running function, and traffic that moves every metric."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import requests
import yaml

from gaze_tools.client import GazeClient, encode_jpeg
from gaze_tools.sample_clip import SAMPLE, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.launcher import start_function_server, start_upstream_services
from gaze_tools.stack.processes import await_ready, find_free_port, run_process

SCRAPE_S = 1
SETTINGS = {"LANDMARKERS": "1", "LANDMARKER_WAIT_S": "0.05", "BARRIER_TIMEOUT_S": "1"}
"""One landmarker and hardly any wait, so that a burst of frames is refused."""

AUTOSCALER = """
kube_horizontalpodautoscaler_status_current_replicas{namespace="gaze",horizontalpodautoscaler="gaze-function-00001"} 3
kube_horizontalpodautoscaler_status_desired_replicas{namespace="gaze",horizontalpodautoscaler="gaze-function-00001"} 4
kube_horizontalpodautoscaler_spec_max_replicas{namespace="gaze",horizontalpodautoscaler="gaze-function-00001"} 50
"""
"""As kube-state-metrics exports an autoscaler."""


class _ClusterMetrics(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(AUTOSCALER.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve_cluster_metrics():
    """Serve `AUTOSCALER` and yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ClusterMetrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Prometheus:
    """A client of a Prometheus server."""

    def __init__(self, url):
        self.url = url

    def query(self, expression, at_s):
        """Return the samples of an instant query; a query that fails raises ValueError."""
        return self._ask("query", {"query": expression, "time": at_s})

    def query_range(self, expression, start_s, end_s, step_s):
        return self._ask("query_range", {"query": expression, "start": start_s, "end": end_s, "step": step_s})

    def _ask(self, path, parameters):
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]["result"]


@contextlib.contextmanager
def run_prometheus(targets, folder):
    """Run Prometheus until the block ends.

    Args:
        targets: Ports on this machine, with the labels that their series get.
        folder: Its data and log.
    """
    port = find_free_port()
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s"},
        "scrape_configs": [
            {
                "job_name": "gaze",
                "static_configs": [{"targets": [f"127.0.0.1:{each}"], "labels": labels} for each, labels in targets],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    log_path = folder / "prometheus.log"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with run_process(command, log_path=log_path) as process:
        url = f"http://127.0.0.1:{port}"
        await_ready("Prometheus", process, f"{url}/-/ready", log_path=log_path, timeout_s=60)
        yield Prometheus(url)


@contextlib.contextmanager
def monitor_function(folder):
    """Run the function with its upstream services and Prometheus; yield the function's address and Prometheus."""
    management_port = find_free_port()
    settings = {**SETTINGS, "MANAGEMENT_PORT": str(management_port)}
    with (
        start_upstream_services(folder) as upstream,
        start_function_server(upstream, folder, settings=settings) as function,
        serve_cluster_metrics() as cluster_port,
    ):
        seed_sample_maps(upstream, 60)
        targets = [(management_port, {"namespace": "gaze", "pod": "gaze-function-1"}), (cluster_port, {})]
        with run_prometheus(targets, folder) as prometheus:
            yield function.url, prometheus


def send_everything(url, *, seconds):
    """Send frames of all kinds, bursts, broken requests and whole sessions for some time."""
    frames = list(read_frames(str(SAMPLE / "clip.mp4"), 30))
    end_s = time.monotonic() + seconds
    viewer = 0
    while time.monotonic() < end_s:
        viewer += 1
        address, setup = f"203.0.113.{viewer}", {name: read_truth()[name] for name in ("screen", "camera")}
        with GazeClient(url) as client:
            calibration = client.start_calibration(ip_address=address, **setup)
            calibration.measure((0.5, 0.5), frames[1:7])
            calibration.finish()
            viewing = client.start_viewing("sample", ip_address=address, calibration=calibration, **setup)
            _watch(viewing, frames)
        _send_burst(url, frames[0])
        _send_broken(url)


def _watch(viewing, frames):
    for image in [*frames[:10], np.full_like(frames[0], 90), cv2.rotate(frames[0], cv2.ROTATE_180)]:
        viewing.send(image)
    viewing.complete()


def _send_burst(url, frame):
    image = encode_jpeg(frame)

    def send(number):
        metadata = {"session_id": "burst", "video_id": "sample", "ip_address": "203.0.113.250", "frame_number": number}
        files = {"frame": ("1.jpg", image), "metadata": (None, json.dumps(metadata), "application/json")}
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{url}/gaze", files=files, timeout=10)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(1, 33)))


def _send_broken(url):
    requests.post(f"{url}/gaze", json={"session_id": "broken"}, timeout=10)
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"not HTTP\r\n\r\n")
        connection.recv(1000)
