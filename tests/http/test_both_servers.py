"""The handler under func's own middleware, as in images made by func's builders.

Both servers use the same ASGI application, so the other tests in this folder apply to both.
"""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from func.asgi import Function
from func.errors import NotReadyError


@pytest.fixture
def function(world):
    return Function(world.handler)


def call(function, path, query_string=b""):
    """Send a GET request as func's middleware does; return status and body."""
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


def test_the_function_is_ready_after_start(function):
    function.start({})

    assert function.alive() == (True, "alive")
    assert function.ready() == (True, "ready")


def test_failed_loading_is_retried_in_the_background(world, function):
    world.build_error = NotReadyError("model or landmarker not loaded")
    function.start({})
    assert function.ready() == (False, "loading")

    world.build_error = None
    while not function.ready()[0]:
        time.sleep(0.01)

    assert function.ready() == (True, "ready")


def test_a_query_in_invalid_utf8_is_ignored(function):
    status, body = call(function, "/health/liveness", query_string=b"\xff\xfe")

    assert (status, body) == (200, b'{"status": "alive"}')


def test_func_finds_new_in_the_package_function():
    """Runs in a separate process because `new` reads the environment."""
    program = "import function; print(sorted(set(dir(function.new())) & {'handle', 'start', 'stop', 'alive', 'ready'}))"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MONGO_URI": "mongodb://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "['alive', 'handle', 'ready', 'start', 'stop']"
