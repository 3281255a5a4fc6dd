"""The real function in a process of its own, with upstream services that say yes to everything."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from gaze_tools.stack.processes import find_free_port, kill_process

ROOT = Path(__file__).parents[1]
FUNCTIONS_FRAMEWORK = [
    str(Path(sys.executable).with_name("functions-framework")),
    "--source",
    str(ROOT / "func/main.py"),
    "--target",
    "handle",
]


class YesServices(BaseHTTPRequestHandler):
    """A session API and an aggregator that say yes to everything."""

    protocol_version = "HTTP/1.1"
    frames = {}  # noqa: RUF012 - one session for all

    def do_POST(self):
        body = self._read()
        self._answer({"status": "success", "message": "yes", "session_id": body.get("session_id")})

    def do_PUT(self):
        sent = self._read()["data"]["components"]["gaze_tracking"]
        self.frames.update({key: value for key, value in sent.items() if key not in self.frames})
        self._answer({"message": "Session Updated Successfully"})

    def do_GET(self):
        session = {"session_id": "s", "components": {"gaze_tracking": self.frames}}
        self._answer(session if self.path.startswith("/get_session/") else {})

    def _read(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve_upstream():
    """Run the upstream services, without any frame yet, and yield their port."""
    YesServices.frames.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), YesServices)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True, slots=True)
class RunningFunction:
    """A running function: its port, its process and where its output goes."""

    port: int
    process: subprocess.Popen
    log_path: Path

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def read_metric(self, name):
        """Return the sum of a metric over its labels."""
        text = requests.get(self.url("/metrics"), timeout=60).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@contextlib.contextmanager
def run_function(upstream_port, log_dir, **settings):
    """Run the function until the block ends; it is alive, and perhaps not ready."""
    port = find_free_port()
    log_path = log_dir / "log"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*FUNCTIONS_FRAMEWORK, "--port", str(port), "--host", "127.0.0.1"],
            env={
                **os.environ,
                "MONGO_URI": "mongodb://127.0.0.1:9",
                "MONGO_TIMEOUT_S": "0.2",
                # However busy the machine is, no request fails because it takes long.
                "REQUEST_TIMEOUT_S": "120",
                "HTTP_TIMEOUT_S": "60",
                "SESSION_API_URL": f"http://127.0.0.1:{upstream_port}",
                "AGGREGATOR_URL": f"http://127.0.0.1:{upstream_port}",
                **settings,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = RunningFunction(port, process, log_path)
    try:
        deadline_s = time.monotonic() + 60
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(running.url("/health/liveness"), timeout=5).ok:
                    break
            assert process.poll() is None, f"the server does not start: {log_path.read_text()}"
            assert time.monotonic() < deadline_s, f"the server does not start: {log_path.read_text()}"
            time.sleep(0.05)
        yield running
    finally:
        # Stopping it in order takes seconds, and the tests of draining show that it works.
        kill_process(process)
