"""Storing frames takes one request to the session API each, or one for several frames, over a connection that stays."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from func.adapters.session_api import HttpSessionStore
from tests.http.image_files import as_base64, make_image
from tests.http.test_batches import batch, frames

SMALL = as_base64(make_image(width_px=64, height_px=48))


@contextlib.contextmanager
def count_calls():
    """Run a session API that keeps connections open; yield its address, and method and client port of each request."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            self._answer(lambda sent: sent["data"]["components"]["gaze_tracking"])

        def do_POST(self):
            self._answer(lambda _: {})

        def do_GET(self):
            self._answer(lambda _: {})

        def _answer(self, read_stored):
            seen.append((self.command, self.client_address[1]))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stored = read_stored(json.loads(body or b"{}"))
            answer = json.dumps({"message": "done", "stored": stored, "written": list(stored)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def calls(world):
    """Method and client port of each request to the session API that the world uses."""
    with count_calls() as (url, seen):
        store = HttpSessionStore(url, timeout_s=60, retries=0)
        for name in ("update_session", "update_frames", "get_session", "create_session", "store_settings"):
            setattr(world.sessions, name, getattr(store, name))
        yield seen


def test_each_single_frame_is_one_put_over_the_same_connection(world, make_body, calls):
    for number in range(2, 10):
        assert world.post(make_body(session_id="s", frame_number=number)).status_code == 200

    assert [method for method, _ in calls] == ["PUT"] * 8
    assert len({port for _, port in calls}) == 1


def test_several_frames_are_one_put_over_the_same_connection(world, calls):
    for first in (2, 22, 42):
        sent = frames(*range(first, first + 20), frame=SMALL)
        assert world.post(batch(sent)).get_json()["status"] == "success"

    assert [method for method, _ in calls] == ["PUT"] * 3
    assert len({port for _, port in calls}) == 1
