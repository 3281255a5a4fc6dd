"""Serve the session API and the aggregator with gunicorn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from pymongo import MongoClient

from gaze_tools.stack.tracing import configure_log, continue_traces

MONGO_TIMEOUT_MS = 10_000

CreateApp = Callable[..., Flask]
"""Returns an application that keeps its data in the database given first; further options are keywords."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of the command line.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 means any free one.
        mongo_uri: Address of the MongoDB.
        database: Database with the data.
        workers: Number of processes.
        threads: Threads per process.
    """

    host: str
    port: int
    mongo_uri: str
    database: str
    workers: int
    threads: int


def make_server_command(
    create_app: CreateApp, *, database: str, help_text: str | None, app_options: Sequence[click.Option] = ()
) -> click.Command:
    """Return a command that serves an application until SIGTERM and prints its address once it listens.

    Several processes may serve the same database.

    Args:
        create_app: Makes the application.
        database: Default name of the database, and of the service in traces.
        help_text: Text of `--help`.
        app_options: Options of the application; their values are its keyword arguments.
    """

    @click.command(help=help_text)
    @click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
    @click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0 means any.", show_default=True)
    @click.option("--mongo-uri", envvar="MONGO_URI", required=True, show_envvar=True, help="Address of the MongoDB.")
    @click.option("--database", default=database, show_default=True, help="Database with the data.")
    @click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
    @click.option("--threads", type=click.IntRange(min=1), default=16, show_default=True, help="Threads per process.")
    def serve(**options: Any) -> None:  # noqa: ANN401  click checks their types
        names = [str(option.name) for option in app_options]
        make = partial(create_app, **{name: options.pop(name) for name in names})
        configure_log()
        _Server(make, database.replace("_", "-"), ServerOptions(**options)).run()

    serve.params.extend(app_options)
    return serve


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, create_app: CreateApp, service: str, options: ServerOptions) -> None:
        self._create_app = create_app
        self._service = service
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"{self._options.host}:{self._options.port}",
            "worker_class": "gthread",
            "workers": self._options.workers,
            "threads": self._options.threads,
            "keepalive": 30,
            "graceful_timeout": 1,
            "loglevel": "warning",
            # All servers of a user would share one socket file in the home directory.
            "control_socket_disable": True,
            "when_ready": _print_address,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # In the worker: a client that was created before the fork hangs.
        client: MongoClient[dict[str, Any]] = MongoClient(
            self._options.mongo_uri,
            serverSelectionTimeoutMS=MONGO_TIMEOUT_MS,
            socketTimeoutMS=MONGO_TIMEOUT_MS,
        )
        app = self._create_app(client[self._options.database])
        continue_traces(app, self._service)
        return app


def _print_address(server: Any) -> None:  # noqa: ANN401  gunicorn has no types
    host, port = server.LISTENERS[0].sock.getsockname()
    click.echo(f"listening on http://{host}:{port}")
