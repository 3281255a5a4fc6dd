"""Services in processes of their own that can be killed at any moment and started again at the same address."""

import contextlib
import os
import signal
import sys
from pathlib import Path

from gaze_tools.stack.launcher import UpstreamServices
from gaze_tools.stack.mongo import start_mongo
from gaze_tools.stack.processes import await_ready, find_free_port, kill_process, run_process

QUICK_FUNCTION = Path(__file__).with_name("quick_function.py")
READY_TIMEOUT_S = 60


class Service:
    """A process that is killed with its children and started again."""

    def __init__(self, name, run):
        """Prepare the service.

        Args:
            name: For messages.
            run: Returns a context manager that runs the process and yields it; it has a `pid`.
        """
        self.name = name
        self._run = run
        self._running = contextlib.ExitStack()
        self.process = None

    def start(self):
        self.process = self._running.enter_context(self._run())

    def kill(self):
        """Kill the process and its children without a warning; harmless when it does not run."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._running.close()


class Stack:
    """Two functions, two processes of the session API, the aggregator and the database: each can be killed.

    Start, kill and stop them in one thread: processes end with the thread that started them.
    """

    def __init__(self, folder, *, settings):
        self._folder = folder
        self._settings = settings
        self.mongo_port = find_free_port()
        self.mongo_uri = f"mongodb://127.0.0.1:{self.mongo_port}/?w=1&journal=true&directConnection=true"
        self.urls = {}
        self.services = {"database": Service("database", self._run_database)}
        for name in ("session API 1", "session API 2"):
            self._add(name, self._command_of("gaze_tools.stack.session_api"))
        self._add("aggregator", self._command_of("gaze_tools.stack.aggregator"))
        # Each function has a session API of its own; both share the database.
        for number in (1, 2):
            upstream = UpstreamServices(self.mongo_uri, self.urls[f"session API {number}"], self.urls["aggregator"])
            environment = {**os.environ, **upstream.environment(), **settings}
            self._add(f"function {number}", command_of_function, environment=environment)
        self.function_urls = [self.urls["function 1"], self.urls["function 2"]]

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            for service in self.services.values():
                undo.callback(service.kill)
                service.start()
            for name, url in self.urls.items():
                self._await_ready(name, url)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def kill(self, name):
        """Kill a service and start it again; it may take a while until it answers."""
        self.services[name].kill()
        self.services[name].start()

    def _add(self, name, make_command, *, environment=None):
        port = find_free_port()
        self.urls[name] = f"http://127.0.0.1:{port}"
        command = make_command(port)
        self.services[name] = Service(
            name, lambda: run_process(command, log_path=self.log_path(name), environment=environment)
        )

    def log_path(self, name):
        return self._folder / f"{name}.log"

    def _await_ready(self, name, url):
        path = "/health/readiness" if name.startswith("function") else "/health"
        process = self.services[name].process
        await_ready(name, process, f"{url}{path}", log_path=self.log_path(name), timeout_s=READY_TIMEOUT_S)

    def _run_database(self):
        return start_mongo(self._folder / "data", port=self.mongo_port)

    def _command_of(self, module):
        return lambda port: [sys.executable, "-m", module, "--port", str(port), "--mongo-uri", self.mongo_uri]


def command_of_function(port, source=QUICK_FUNCTION):
    """Return the command that serves the function on a port."""
    program = str(Path(sys.executable).with_name("functions-framework"))
    return [program, f"--source={source}", "--target=handle", "--host=127.0.0.1", f"--port={port}"]


@contextlib.contextmanager
def run_function(upstream, folder, *, name="function", settings=None, source=QUICK_FUNCTION):
    """Run the quick function, or another one, until the block ends; yield its URL and process once it is ready."""
    port = find_free_port()
    url, log_path = f"http://127.0.0.1:{port}", folder / f"{name}.log"
    environment = {**os.environ, **upstream.environment(), **(settings or {})}
    with run_process(command_of_function(port, source), log_path=log_path, environment=environment) as process:
        await_ready(name, process, f"{url}/health/readiness", log_path=log_path, timeout_s=READY_TIMEOUT_S)
        yield url, process
        # Stopping it in order takes seconds, and the tests of draining show that it works.
        kill_process(process)
