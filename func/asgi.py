"""Entry point of images built by `func build`.

func's scaffolding imports `new` from the package `function` (`func/shim`), calls it once and passes requests to
`handle`. It answers the two health paths itself, from `alive` and `ready`.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from func.errors import NotReadyError, UnusableModelError
from func.web.exchange import Receive, Scope, Send
from func.web.handler import Handler
from func.web.native_output import divert_native_output
from func.web.start import end, start


class Function:
    """Adapts the handler to the interface of func's middleware.

    Args:
        handler: Answers requests.
        management: Socket of the management port, if there is one.
    """

    def __init__(self, handler: Handler, management: socket.socket | None = None) -> None:
        self._handler = handler
        self._management = management
        self._stopped = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._loading: Future[bool] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._handler(scope, receive, send)

    def start(self, _environment: Mapping[str, str]) -> None:
        """Load model and landmarkers. func calls it before the first request.

        Exits with one line on stderr if they stay unusable.
        """
        if self._management is not None:
            self._serving = asyncio.get_running_loop().create_task(self._serve_management(self._management))
        try:
            self._load().result()
        except UnusableModelError as error:
            end(error.line)

    def stop(self) -> None:
        """Accept no more work. func calls it when the server stops."""
        self._stopped.set()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._handler.close()

    def alive(self) -> tuple[bool, str]:
        """Report the process as alive."""
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        """Return whether model and landmarkers are loaded; retry in the background if loading failed.

        Never blocks, because it runs in the server's event loop.
        """
        if self._loading is None or (self._loading.done() and not self._has_loaded()):
            self._load()
        is_ready = self._has_loaded()
        return is_ready, "ready" if is_ready else "loading"

    async def _serve_management(self, management: socket.socket) -> None:
        """Serve the management port with func's own server, which cannot take a second port."""
        import hypercorn.asyncio  # noqa: PLC0415 - only func's images have it
        import hypercorn.config  # noqa: PLC0415

        config = hypercorn.config.Config()
        config.bind = [f"fd://{management.detach()}"]  # hypercorn closes it
        await hypercorn.asyncio.serve(self._handler, config, shutdown_trigger=self._stopped.wait)

    def _has_loaded(self) -> bool:
        loading = self._loading
        return loading is not None and loading.done() and loading.exception() is None and loading.result()

    def _load(self) -> "Future[bool]":
        self._loading = self._loader.submit(self._is_loaded)
        return self._loading

    def _is_loaded(self) -> bool:
        try:
            self._handler.load_now()
        except UnusableModelError:
            raise
        except NotReadyError:  # logged where it was raised
            return False
        return True


def new() -> Function:
    """Return the function. func calls it once per process."""
    started = start(os.environ)
    divert_native_output()
    return Function(started.handler, started.management)
