"""Run the kit against services on the loopback interface."""

import contextlib
import threading

from werkzeug.serving import make_server

from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.clients import Target
from gaze_tools.conformance.kit import Effort, Run
from gaze_tools.conformance.runner import Verdict, remove_sessions, run_checks
from tests.conformance.broken_services import session_api

SMALL = Effort(threads=6, updates=18, rounds=2, frames=600, result_bytes=1_200_000, calls=8)


class _QuietHandler(session_api.KeepAliveHandler):
    def log(self, *_args, **_kwargs):
        pass


@contextlib.contextmanager
def serve(app):
    """Serve a WSGI application with kept connections and yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_kit(service, app, *, only=(), wait_s=0.0, timeout_s=5.0, effort=SMALL, has_results=True):
    """Return the outcomes of the checks of one service by id."""
    with serve(app) as url:
        run = Run("test", effort, wait_s, f"{url}/results" if has_results else None)
        targets = {service: Target(url, timeout_s)}
        checks = [each for each in CHECKS if not only or each.id in only]
        outcomes = {each.check.id: each for each in run_checks(checks, targets, run, begin=lambda _: None)}
        if service == "session":
            remove_sessions(targets[service], run)
        return outcomes


def find_complaints(outcomes):
    """Return the ids of the checks that failed, required or not."""
    return {name for name, each in outcomes.items() if each.verdict in {Verdict.FAILED, Verdict.WARNING}}
