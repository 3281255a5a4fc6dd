"""The gunicorn worker: uvicorn with limits on connections and a shutdown that resets no connection.

functions-framework serves an ASGI function with the worker class `uvicorn_worker.UvicornWorker`, which
`install_worker` replaces.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
import uvicorn_worker  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.config import ControlSocketDisable  # type: ignore[import-untyped]
from uvicorn.protocols.http.flow_control import CLOSE_HEADER

from func.errors import NotReadyError, UnusableModelError
from func.web.connections import Connections, GuardedProtocol, Limits
from func.web.handler import Handler
from func.web.native_output import CrashFile, divert_native_output
from func.web.start import Started, report_end

KEEP_ALIVE_S = 95.0
"""Maximum idle time of a connection. Longer than the 90 s of Go clients such as queue-proxy: they close first, and no
request meets a closing connection. Idle connections are closed earlier if connections run out."""

DRAIN_S = 27.0
"""Time for unfinished requests once idle connections are closed. With the two waits below and a second for the last
spans, the process ends by itself before gunicorn kills it, 30 s after it was asked to stop."""

BACKLOG_S = 0.2
"""How long the server still accepts connections from the kernel's backlog after it is asked to stop."""

LAST_REQUEST_S = 1.0
"""How long idle connections stay open after that, so that no request meets a closing connection."""

_SPARE_FILES = 64

_SO_ATTACH_FILTER = 26
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load byte 13 of the TCP header: its flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
"""Classic BPF program. It does not affect handshakes in progress: their clients may already have sent a request."""


def install_worker(started: Started) -> None:
    """Make functions-framework use `Worker` for this handler."""
    Worker.started = started
    uvicorn_worker.UvicornWorker = Worker  # gunicorn finds the class by this name
    # No socket in the home directory that could change the server. functions-framework passes no options of gunicorn.
    ControlSocketDisable.default = True
    logging.getLogger("gunicorn.error").addFilter(_EndOfWorker())


class Worker(uvicorn_worker.UvicornWorker):  # type: ignore[misc]  # uvicorn_worker has no types
    """A gunicorn worker that serves the handler directly, without functions-framework's own routes."""

    started: Started

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*arguments, **options)
        self._crash_file: CrashFile | None = None
        if self.started.settings.log_format == "json":
            self._crash_file = CrashFile()
            self.cfg.set("child_exit", _log_crash)

    def run(self) -> None:
        """Serve until the process is asked to stop."""
        divert_native_output(self._crash_file)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        handler, settings = self.started.handler, self.started.settings
        _raise_file_limit(settings.max_connections + _SPARE_FILES)
        connections = Connections(
            Limits(
                connections=settings.max_connections,
                connections_per_peer=settings.max_connections_per_peer,
                head_timeout_s=settings.head_timeout_s,
                answer_timeout_s=settings.answer_timeout_s,
                drop_bytes=settings.max_body_bytes,
            ),
            self.started.metrics,
            handler.refuse_frame,
        )
        config = uvicorn.Config(
            handler,
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
            backlog=self.cfg.settings["backlog"].value,
        )
        server = DrainingServer(config, connections, handler.close_spans)
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
        loading = asyncio.create_task(_load_early(handler))
        management = self.started.management
        # One server for both ports: they share limits and shutdown, and the handler distinguishes them.
        await server.serve(sockets=[*self.sockets, *([management] if management else [])])
        loading.cancel()
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


async def _load_early(handler: Handler) -> None:
    """Load the models. If they stay unusable, end this process and its parent, which would only start it again."""
    try:
        await handler.load()
    except UnusableModelError as error:
        report_end(error.line)
        # MediaPipe's library may hang in the normal exit of a forked process.
        os._exit(Arbiter.APP_LOAD_ERROR)
    except NotReadyError:  # logged; the next readiness probe retries
        pass


def _log_crash(_arbiter: Arbiter, worker: Worker) -> None:
    """Log why a worker crashed. gunicorn calls it in the parent process."""
    if worker._crash_file is not None:
        worker._crash_file.log()


class _EndOfWorker(logging.Filter):
    """Drops gunicorn's lines about a worker that could not load the models: its own line says more."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep a line."""
        if "exited with code" in record.msg and record.args and record.args[-1] == Arbiter.APP_LOAD_ERROR:  # type: ignore[index]
            self._is_ending = True
        return not (self._is_ending and record.msg.startswith(("Worker (pid", "Shutting down", "Reason")))


class DrainingServer(uvicorn.Server):
    """uvicorn's server with deadlines for connections, which stops without resetting any of them."""

    def __init__(self, config: uvicorn.Config, connections: Connections, close_spans: Callable[[], None]) -> None:
        super().__init__(config)
        self._guarded = connections
        self._close_spans = close_spans
        self._deadlines: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen and to enforce deadlines."""
        await super().startup(sockets)
        self._deadlines = asyncio.create_task(self._guarded.keep_deadlines())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, then finish pending requests; their answers close the connections."""
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE_HEADER]
        self._guarded.refuse_frame = lambda _: None  # early refusals would keep their connection open
        for listening in sockets or []:
            _keep_new_connections_out(listening)
        await asyncio.sleep(BACKLOG_S)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_REQUEST_S)
        await super().shutdown(sockets)
        if self._deadlines is not None:
            self._deadlines.cancel()
        self._close_spans()  # here, because uvicorn raises the signal again afterwards, which ends the process


def _keep_new_connections_out(listening: Any) -> None:  # noqa: ANN401 - a socket, or gunicorn's wrapper of one
    """Make the kernel ignore new connections, while those in the backlog can still be accepted.

    Clients retry after a second and find the port closed. If the kernel does not support the filter, connections that
    arrive between the last accept and the close are reset.
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
    """Raise the limit on open files to what the connections may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard) if hard > 0 else needed, hard))
