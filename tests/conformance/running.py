"""Run the kit against services on the loopback interface."""

import contextlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import unquote

from werkzeug.test import run_wsgi_app

from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.clients import ServiceTarget
from gaze_tools.conformance.kit import KitEffort, Run
from gaze_tools.conformance.runner import CheckVerdict, remove_sessions, run_checks

SMALL = KitEffort(threads=6, updates=18, earlier_frames=100, rounds=2, frames=600, result_bytes=1_200_000, calls=4)


class _Handler(BaseHTTPRequestHandler):
    """Serves the WSGI application of its server; keeps connections, unlike werkzeug's server."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet.
    wbufsize = 65536

    def serve_request(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # Asked as a proxy, it answers for the service as well.
        path, _, query = re.sub(r"^http://[^/]+", "", self.path).partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(raw)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(raw),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "client.socket": self.connection,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()},
        }
        body, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        content = b"".join(body)
        self.send_response_only(int(status.split()[0]))
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = serve_request  # noqa: N815  the names that http.server looks for

    def log_message(self, *_args):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_args):
        """Say nothing about connections that a fault has closed."""


@contextlib.contextmanager
def serve(app, *, tls=None):
    """Serve a WSGI application and yield its URL.

    Args:
        app: The application.
        tls: Context of a server with https; None for http.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.app = app
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_kit(service, app, *, only=(), wait_s=0.0, timeout_s=5.0, effort=SMALL, has_results=True, ttl_s=None):
    """Return the outcomes of the checks of one service by id."""
    with serve(app) as url:
        run = Run("test", effort, wait_s, f"{url}/results" if has_results else None, ttl_s)
        targets = {service: ServiceTarget(url, timeout_s)}
        checks = [each for each in CHECKS if not only or each.id in only]
        outcomes = {each.check.id: each for each in run_checks(checks, targets, run, begin=lambda _: None)}
        if service == "session":
            remove_sessions(targets[service], run)
        return outcomes


def find_complaints(outcomes):
    """Return the ids of the checks that failed, required or not."""
    return {name for name, each in outcomes.items() if each.verdict in {CheckVerdict.FAILED, CheckVerdict.WARNING}}
