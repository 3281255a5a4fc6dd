"""The same handler as an ASGI application, for images that `func build` makes.

func's scaffolding imports `new` from the package `function` (`func/shim`), calls it once and serves what it returns:
`handle` gets every request but those for the two health paths, which func answers itself by asking `alive` and `ready`.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import flask
from a2wsgi import WSGIMiddleware
from werkzeug.test import Client

from func.main import handle
from func.settings import read_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from a2wsgi.asgi_typing import HTTPScope, Receive, Send


class Function:
    """What func's middleware serves.

    Args:
        application: Answers requests, as WSGI has it.
        threads: How many it serves at a time.
    """

    def __init__(self, application: "WSGIApplication", *, threads: int) -> None:
        self._client = Client(application)
        self._serve = WSGIMiddleware(application, workers=threads)
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._loading: Future[bool] | None = None

    async def handle(self, scope: "HTTPScope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        await self._serve(scope, receive, send)

    def start(self, _environment: Mapping[str, str]) -> None:
        """Load model and landmarkers before the first request; func calls it when the server starts."""
        self._load().result()

    def stop(self) -> None:
        """Let go of what serves requests; func calls it when the server stops."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._serve.executor.shutdown(wait=False, cancel_futures=True)

    def alive(self) -> tuple[bool, str]:
        """Return whether the process is alive, which its answering shows."""
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Return whether model and landmarkers are loaded; what failed before is tried again meanwhile.

        It runs in the server's event loop and so never waits.
        """
        if self._loading is None or (self._loading.done() and not self._loading.result()):
            self._load()
            return False, "loading"
        return (True, "ready") if self._loading.done() else (False, "loading")

    def _load(self) -> "Future[bool]":
        self._loading = self._loader.submit(self._is_ready)
        return self._loading

    def _is_ready(self) -> bool:
        """Return whether the handler is ready; its first answer waits until everything is loaded."""
        with self._client.get("/health/readiness") as response:
            return response.status_code == 200


def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer one request through the handler that functions-framework serves, as WSGI has it."""
    return handle(flask.Request(environ))(environ, start_response)


def new() -> Function:
    """Return the function; func calls it once in a process."""
    return Function(answer, threads=read_settings(os.environ).threads)
