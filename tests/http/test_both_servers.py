"""The whole HTTP suite once more, through the ASGI application that func's builders serve.

Every test of this folder that asks for a `world` is collected here a second time. Its client then speaks to
`func.asgi.Function` as func's middleware does, instead of to Flask as functions-framework does. What only a real server
can show is in `test_server.py`; the health paths under func's own middleware are at the end.
"""

import asyncio
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from werkzeug.test import Client

from func.asgi import Function
from func.errors import NotReadyError
from tests.http.conftest import World

PIECE_BYTES = 65536
SUITE = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != Path(__file__).stem)


class AsgiWorld(World):
    """A world whose client reaches the handler through ASGI."""

    def __init__(self, **environ):
        super().__init__(**environ)
        self.function = Function(self.handler.handle, threads=self.settings.threads)
        self.client = Client(self._serve)

    def _serve(self, environ, start_response):
        """Pass a request on as an ASGI server does: the body in pieces, without knowing whether anybody reads it."""
        body, left = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or sys.maxsize)
        headers = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
        headers += [(name, environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
            "query_string": environ["QUERY_STRING"].encode(),
            "headers": [(name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers],
        }
        sent = []

        async def receive():
            nonlocal left
            piece = body.read(min(PIECE_BYTES, left))
            left -= len(piece)
            return {"type": "http.request", "body": piece, "more_body": bool(piece) and left > 0}

        async def send(message):
            sent.append(message)

        asyncio.run(self.function.handle(scope, receive, send))
        start_response(
            f"{sent[0]['status']} ", [(name.decode().title(), value.decode()) for name, value in sent[0]["headers"]]
        )
        return [message.get("body", b"") for message in sent[1:]]


@pytest.fixture
def world():
    return AsgiWorld()


@pytest.fixture
def make_world():
    return AsgiWorld


def find_suite():
    """Return the tests of the other files that ask for a world, and the fixtures of these files, by name."""
    found = {}
    fixture_type = type(world)
    for name in SUITE:
        pytest.register_assert_rewrite(f"tests.http.{name}")
        module = importlib.import_module(f"tests.http.{name}")
        fixtures = {key: value for key, value in vars(module).items() if isinstance(value, fixture_type)}
        asking = {"world", "make_world"} | {
            key for key, value in fixtures.items() if {"world", "make_world"} & set(inspect.signature(value).parameters)
        }
        for key, value in vars(module).items():
            is_test = key.startswith("test_") and inspect.isfunction(value)
            if (is_test and asking & inspect.signature(value).parameters.keys()) or (key in fixtures and key in asking):
                new_key = f"{key}__{name}" if is_test else key
                assert new_key not in found, f"two files have a fixture called {key}"
                found[new_key] = value
    return found


globals().update(find_suite())


def call(function, path, query_string=b""):
    """Return the status and body of a GET, asked as func's middleware asks."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": query_string,
        "headers": [],
    }
    asyncio.run(function.handle(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_the_whole_suite_is_here():
    assert {"test_errors", "test_fields", "test_frames", "test_images", "test_last_frame"} <= set(SUITE)
    assert sum("__test_last_frame" in name for name in globals()) > 5


def test_it_is_ready_once_func_has_started_it():
    world = AsgiWorld()

    world.function.start({})

    assert world.function.alive() == (True, "alive")
    assert world.function.ready() == (True, "ready")


def test_what_could_not_be_loaded_is_tried_again_without_keeping_the_server():
    world = AsgiWorld()
    world.build_error = NotReadyError("model or landmarker could not be loaded")
    world.function.start({})
    assert world.function.ready() == (False, "loading")

    world.build_error = None
    while not world.function.ready()[0]:
        pass

    assert world.function.ready() == (True, "ready")


def test_a_query_that_is_no_text_changes_nothing():
    status, body = call(AsgiWorld().function, "/health/liveness", query_string=b"\xff\xfe")

    assert (status, body) == (200, b'{"status": "alive"}')


def test_func_finds_new_in_the_package_function():
    """In a process of its own, since it reads the environment."""
    program = "import function; print(sorted(set(dir(function.new())) & {'handle', 'start', 'stop', 'alive', 'ready'}))"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MONGO_URI": "mongodb://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "['alive', 'handle', 'ready', 'start', 'stop']"
