"""The server: what functions-framework's gunicorn starts in its worker process.

functions-framework serves an ASGI function with the worker class `uvicorn_worker.UvicornWorker`. `install_worker` puts
ours in its place: the same uvicorn, with limits on connections and a drain that resets nobody.
"""

import asyncio
import contextlib
import ctypes
import resource
import signal
import socket
import struct
import sys
from functools import partial
from typing import Any

import uvicorn
import uvicorn_worker  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from uvicorn.protocols.http.flow_control import CLOSE_HEADER

from func.errors import NotReadyError
from func.settings import Settings
from func.web.connections import MAX_HEAD_BYTES, Connections, GuardedProtocol, Limits
from func.web.handler import Handler
from func.web.metrics import Metrics
from func.web.native_output import divert_native_output

KEEP_ALIVE_S = 95.0
"""Longer than the 90 s of Go's clients, queue-proxy among them: then they close idle connections, and no request
crosses a close. When connections run short, idle ones are closed earlier."""

DRAIN_S = 29.0
"""How long requests under way may take once the process stops; gunicorn kills it after 30 s."""

_BACKLOG_S = 0.2
"""How long the server goes on accepting connections that the kernel has accepted before."""

_LAST_REQUEST_S = 1.0
"""How long a kept connection may still bring a request, so that none crosses the close."""

_SPARE_FILES = 64

_SO_ATTACH_FILTER = 26
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load byte 13 of the TCP header: its flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
"""Classic BPF. It leaves handshakes that have begun alone; their clients may have sent a request already."""


def install_worker(handler: Handler, settings: Settings, metrics: Metrics) -> None:
    """Make functions-framework serve this application with our worker."""
    Worker.handler, Worker.settings, Worker.metrics = handler, settings, metrics
    uvicorn_worker.UvicornWorker = Worker  # gunicorn finds the class by this name


class Worker(uvicorn_worker.UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """A gunicorn worker that serves the application itself, so that every path gets our answers."""

    handler: Handler
    settings: Settings
    metrics: Metrics

    def run(self) -> None:
        """Serve until the process is stopped."""
        divert_native_output()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        settings = self.settings
        _raise_file_limit(settings.max_connections + _SPARE_FILES)
        connections = Connections(
            Limits(
                connections=settings.max_connections,
                connections_per_peer=settings.max_connections_per_peer,
                head_timeout_s=settings.head_timeout_s,
                answer_timeout_s=settings.answer_timeout_s,
                drop_bytes=settings.max_body_bytes,
            ),
            self.metrics,
            self.handler.refuse_frame,
        )
        config = uvicorn.Config(
            self.handler,
            http=partial(GuardedProtocol, connections=connections),  # type: ignore[arg-type]  # it is only called
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(KEEP_ALIVE_S),
            timeout_graceful_shutdown=int(DRAIN_S),
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            backlog=self.cfg.settings["backlog"].value,
        )
        server = DrainingServer(config, connections)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        loading = asyncio.create_task(_load_early(self.handler))
        await server.serve(sockets=self.sockets)
        loading.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


async def _load_early(handler: Handler) -> None:
    with contextlib.suppress(NotReadyError):  # logged; the first readiness probe tries again
        await handler.load()


class DrainingServer(uvicorn.Server):
    """uvicorn's server that keeps deadlines of connections, and stops without resetting any."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._guarded = connections
        self._deadlines: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._deadlines = asyncio.create_task(self._guarded.keep_deadlines())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, then finish what is under way; every answer from now on closes its connection."""
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE_HEADER]
        self._guarded.refuse_frame = lambda: None  # the application says that the connection closes
        for listening in sockets or []:
            _keep_new_connections_out(listening)
        await asyncio.sleep(_BACKLOG_S)
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUEST_S)
        await super().shutdown(sockets)
        if self._deadlines is not None:
            self._deadlines.cancel()


def _keep_new_connections_out(listening: Any) -> None:  # noqa: ANN401 - a socket, or gunicorn's wrapper of one
    """Let the kernel ignore new connections, while those in the backlog can still be accepted.

    Their clients try again after a second and find the port closed. Where the kernel knows no such filter, those that
    come between the last accept and the close are reset.
    """
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program)
    with contextlib.suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer)),
        )


def _raise_file_limit(needed: int) -> None:
    """Allow this process as many open files as its connections may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard) if hard > 0 else needed, hard))
