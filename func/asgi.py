"""The same handler for images that `func build` makes.

func's scaffolding imports `new` from the package `function` (`func/shim`), calls it once and serves what it returns:
`handle` gets every request but those for the two health paths, which func answers itself by asking `alive` and `ready`.
"""

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from func.errors import NotReadyError
from func.web.exchange import Receive, Scope, Send
from func.web.handler import Handler
from func.web.native_output import divert_native_output
from func.web.start import start


class Function:
    """What func's middleware serves.

    Args:
        handler: Answers requests.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._loading: Future[bool] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._handler(scope, receive, send)

    def start(self, _environment: Mapping[str, str]) -> None:
        """Load model and landmarkers before the first request; func calls it when the server starts."""
        self._load().result()

    def stop(self) -> None:
        """Take no new work; func calls it when the server stops."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._handler.close()

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
        self._loading = self._loader.submit(self._is_loaded)
        return self._loading

    def _is_loaded(self) -> bool:
        try:
            self._handler.load_now()
        except NotReadyError:  # logged where it was raised
            return False
        return True


def new() -> Function:
    """Return the function; func calls it once in a process."""
    handler = start(os.environ).handler
    divert_native_output()
    return Function(handler)
