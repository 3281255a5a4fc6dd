"""Serves the stand-ins of one machine with gunicorn."""

import argparse
import os
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from pymongo import MongoClient
from pymongo.database import Database

MONGO_TIMEOUT_MS = 10_000


def serve(description: str, create_app: Callable[[Database[dict[str, Any]]], Flask], *, database: str) -> None:
    """Serve an application as the command line says, until SIGTERM.

    Prints one line with the address once it listens. Several processes may serve the same database.

    Args:
        description: For `--help`.
        create_app: Makes the application from its database.
        database: Default of its name.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 means any")
    parser.add_argument("--mongo-uri", default=os.environ.get("MONGO_URI"), help="or MONGO_URI in the environment")
    parser.add_argument("--database", default=database)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=16, help="of each process")
    arguments = parser.parse_args()
    if not arguments.mongo_uri:
        parser.error("--mongo-uri or MONGO_URI must be given")
    _Server(create_app, arguments).run()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, create_app: Callable[[Database[dict[str, Any]]], Flask], arguments: argparse.Namespace) -> None:
        self._create_app = create_app
        self._arguments = arguments
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"{self._arguments.host}:{self._arguments.port}",
            "worker_class": "gthread",
            "workers": self._arguments.workers,
            "threads": self._arguments.threads,
            "keepalive": 30,
            "graceful_timeout": 1,
            "loglevel": "warning",
            # It would be one file in the home folder for every server of the user.
            "control_socket_disable": True,
            "when_ready": _say_where,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        # In the worker: a client made before the fork hangs after it.
        client: MongoClient[dict[str, Any]] = MongoClient(
            self._arguments.mongo_uri,
            serverSelectionTimeoutMS=MONGO_TIMEOUT_MS,
            socketTimeoutMS=MONGO_TIMEOUT_MS,
        )
        return self._create_app(client[self._arguments.database])


def _say_where(server: Any) -> None:  # noqa: ANN401  gunicorn has no types
    host, port = server.LISTENERS[0].sock.getsockname()
    print(f"listening on http://{host}:{port}", flush=True)
