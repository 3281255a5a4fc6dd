"""The local stack in parts that can be stopped, paused, replaced and started again at the same address."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from gaze_tools.stack.launcher import FunctionServer, UpstreamServices, start_function_server
from gaze_tools.stack.mongo import MongoServer, make_mongo_uri, start_mongo
from gaze_tools.stack.processes import await_ready, find_free_port, run_process

_READY_TIMEOUT_S = 30.0

SETTINGS = {
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "LANDMARKERS": "1",
    "LANDMARKER_WAIT_S": "0.1",
    "HTTP_TIMEOUT_S": "1",
    "MONGO_TIMEOUT_S": "1",
    "REQUEST_TIMEOUT_S": "4",
    "BARRIER_TIMEOUT_S": "1",
}
"""Short timeouts, so that the drill is short, and one landmarker, so that it is easily overloaded."""


class StackPart:
    """A process of the stack."""

    def __init__(self, start: Callable[[], AbstractContextManager[subprocess.Popen[bytes] | MongoServer]]) -> None:
        self._start = start
        self._running = contextlib.ExitStack()
        self._pid = 0

    def start(self) -> None:
        """Start it, and return once it answers."""
        self._pid = self._running.enter_context(self._start()).pid

    def stop(self) -> None:
        """Stop it, if it runs."""
        self._running.close()

    def pause(self) -> None:
        """Let it hang: it accepts connections and does not answer."""
        os.killpg(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.killpg(self._pid, signal.SIGCONT)


class DrillStack:
    """Function, session API, aggregator, and two databases: one for both of them, one for saliency maps.

    Start and stop its parts in one thread: processes end with the thread that started them.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare the parts.

        Args:
            folder: Where logs and data go.
        """
        self.folder = folder
        self.log_path = folder / "function.log"
        self._everything = contextlib.ExitStack()
        self._maps_port = find_free_port()
        self.maps = StackPart(lambda: start_mongo(folder / "maps", port=self._maps_port))
        sessions_port = find_free_port()
        self._sessions = StackPart(lambda: start_mongo(folder / "sessions", port=sessions_port))
        self._sessions_uri = make_mongo_uri(sessions_port)
        self._ports = {"session_api": find_free_port(), "aggregator": find_free_port()}
        self.session_api = StackPart(lambda: self._run_service("session_api"))
        self.aggregator = StackPart(lambda: self._run_service("aggregator"))
        self.upstream = UpstreamServices(
            make_mongo_uri(self._maps_port), self._find_url("session_api"), self._find_url("aggregator")
        )
        self.url = ""

    def __enter__(self) -> "DrillStack":
        """Start everything."""
        with contextlib.ExitStack() as undo:
            for part in (self.maps, self._sessions, self.session_api, self.aggregator):
                undo.callback(part.stop)
                part.start()
            self.url = undo.enter_context(self.start_function()).url
            self._everything = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._everything.close()

    def start_function(self, name: str = "function", **settings: str) -> AbstractContextManager[FunctionServer]:
        """Run a function of this stack until the block ends.

        Args:
            name: Name of its log.
            **settings: Environment variables.

        Raises:
            ProcessError: It does not start.
        """
        return start_function_server(self.upstream, self.folder, name=name, settings={**SETTINGS, **settings})

    @contextlib.contextmanager
    def refuse_results(self) -> Iterator[None]:
        """Replace the aggregator by one that answers 403, until the block ends."""
        self.aggregator.stop()
        server = ThreadingHTTPServer(("127.0.0.1", self._ports["aggregator"]), _Refusing)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            self.aggregator.start()

    @contextlib.contextmanager
    def _run_service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        log_path, port = self.folder / f"{name}.log", self._ports[name]
        module = f"gaze_tools.stack.{name}"
        command = [sys.executable, "-m", module, "--port", str(port), "--mongo-uri", self._sessions_uri]
        with run_process(command, log_path=log_path) as process:
            health = f"{self._find_url(name)}/health"
            await_ready(name, process, health, log_path=log_path, timeout_s=_READY_TIMEOUT_S)
            yield process

    def _find_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"


class _Refusing(BaseHTTPRequestHandler):
    """Answers 403."""

    def do_POST(self) -> None:
        """Refuse a result."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""
