"""The same handler as an ASGI application, for images that `func build` makes.

func's scaffolding imports `new` from the package `function` (`func/shim`), calls it once and serves what it returns:
`handle` gets every request but those for the two health paths, which func answers itself by asking `alive` and `ready`.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import flask
from a2wsgi import WSGIMiddleware
from werkzeug.test import create_environ

from func.settings import read_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from a2wsgi.asgi_typing import HTTPScope, Receive, Send


class Function:
    """What func's middleware serves.

    Args:
        answer: Answers a request.
        threads: How many it is asked to answer at a time.
    """

    def __init__(self, answer: Callable[[flask.Request], flask.Response], *, threads: int) -> None:
        self._answer = answer
        self._middleware = WSGIMiddleware(cast("Any", self._serve), workers=threads)
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._loading: Future[bool] | None = None

    async def handle(self, scope: "HTTPScope", receive: "Receive", send: "Send") -> None:
        """Answer one request."""
        # The handler reads no query, and one that is not ASCII would fail before it gets there.
        scope["query_string"] = b""
        await self._middleware(scope, receive, send)

    def start(self, _environment: Mapping[str, str]) -> None:
        """Load model and landmarkers before the first request; func calls it when the server starts."""
        self._load().result()

    def stop(self) -> None:
        """Take no new work; func calls it when the server stops."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._middleware.executor.shutdown(wait=False)

    def alive(self) -> tuple[bool, str]:
        """Return that the process is alive, which its answer shows."""
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Return whether model and landmarkers are loaded; loading that failed is tried again meanwhile.

        It runs in the server's event loop and so never waits.
        """
        if self._loading is None or (self._loading.done() and not self._loading.result()):
            self._load()
        is_ready = self._loading is not None and self._loading.done() and self._loading.result()
        return is_ready, "ready" if is_ready else "loading"

    def _load(self) -> "Future[bool]":
        self._loading = self._loader.submit(self._is_ready)
        return self._loading

    def _is_ready(self) -> bool:
        """Return whether the handler is ready; it loads everything before it says so."""
        return self._answer(flask.Request(create_environ("/health/readiness"))).status_code == 200

    def _serve(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request, as WSGI has it."""
        environ["wsgi.input_terminated"] = True  # a body without a length ends by itself, as under gunicorn
        return self._answer(flask.Request(environ))(environ, start_response)


def new() -> Function:
    """Return the function; func calls it once in a process."""
    from func.main import handle  # noqa: PLC0415 - it reads the environment and may end the process

    return Function(handle, threads=read_settings(os.environ).threads)
