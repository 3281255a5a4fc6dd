"""What func's builders serve: the same handler, under func's own middleware.

The handler is one ASGI application under both servers, so that the other tests of this folder hold for both.
"""

import asyncio
import os
import subprocess
import sys

import pytest

from func.asgi import Function
from func.errors import NotReadyError


@pytest.fixture
def function(world):
    return Function(world.handler)


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


def test_it_is_ready_once_func_has_started_it(function):
    function.start({})

    assert function.alive() == (True, "alive")
    assert function.ready() == (True, "ready")


def test_what_could_not_be_loaded_is_tried_again_without_keeping_the_server(world, function):
    world.build_error = NotReadyError("model or landmarker could not be loaded")
    function.start({})
    assert function.ready() == (False, "loading")

    world.build_error = None
    while not function.ready()[0]:
        pass

    assert function.ready() == (True, "ready")


def test_a_query_that_is_no_text_changes_nothing(function):
    status, body = call(function, "/health/liveness", query_string=b"\xff\xfe")

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
