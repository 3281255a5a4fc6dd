"""Upstream services on the loopback interface: real applications, and a server that misbehaves as instructed."""

import contextlib
import functools
import json
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from werkzeug.serving import WSGIRequestHandler, make_server


@contextlib.contextmanager
def serve(app):
    """Serve a WSGI application with a thread for each request and yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, *_args, **_kwargs):
        pass


@dataclass(frozen=True)
class Answer:
    """A whole answer; `body` is sent as JSON unless it is bytes."""

    status: int
    body: object
    headers: tuple = ()


@dataclass(frozen=True)
class Hang:
    """No answer at all for so long."""

    duration_s: float


@dataclass(frozen=True)
class Gathered:
    """An answer that is sent once the barrier has been reached by concurrent requests."""

    answer: Answer
    barrier: threading.Barrier


@dataclass(frozen=True)
class Cut:
    """Bytes, then the end of the connection."""

    raw: bytes


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict
    body: object
    port: int
    """The caller's, which tells connections apart."""


class UpstreamService:
    """Gives its answers in order, one a request, and repeats the last one."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self._lock = threading.Lock()

    def take(self, request):
        with self._lock:
            self.requests.append(request)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def misbehave(*answers):
    """Serve an `UpstreamService` and yield it with its `url`."""
    service = UpstreamService(*answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve_request(self):
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else None
            request = Request(self.command, self.path, dict(self.headers), body, self.client_address[1])
            act(service.take(request), self)

        do_GET = do_PUT = do_POST = serve_request  # noqa: N815  the names that http.server looks for

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def act(answer, handler):
    match answer:
        case Answer():
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            handler.send_response(answer.status)
            for name, value in answer.headers:
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        case Gathered():
            answer.barrier.wait(60)
            act(answer.answer, handler)
        case Hang():
            time.sleep(answer.duration_s)
            handler.close_connection = True
        case Cut():
            handler.wfile.write(answer.raw)
            handler.close_connection = True


def is_reached(adapter, probes=30):
    """Return whether one of several probes reaches the service: each waits a second, which a busy machine may need."""
    return any(adapter.is_reachable() for _ in range(probes))


def refused_url():
    """Return an address that refuses each connection, for as long as this process runs."""
    return f"http://127.0.0.1:{_bind_without_listening().getsockname()[1]}"


@functools.cache
def _bind_without_listening():
    """Return a socket whose port nobody else can take."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound
