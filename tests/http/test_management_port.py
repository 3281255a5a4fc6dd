"""What each port serves: everything on one, or `/gaze` and short health on the first and the rest on a second."""

import asyncio
import os
import re
import socket
import subprocess
import sys

import pytest
import requests

from func.asgi import Function
from gaze_tools.stack.processes import await_ready, find_free_port, run_process
from tests.running import FUNCTIONS_FRAMEWORK, ROOT, run_function, serve_upstream

FIRST, SECOND = "http://localhost:8080", "http://localhost:9000"


@pytest.fixture
def client(make_world):
    return make_world(MANAGEMENT_PORT="9000").client


@pytest.mark.parametrize(
    ("method", "path", "first", "second"),
    [
        ("GET", "/metrics", 404, 200),
        ("GET", "/openapi.json", 404, 200),
        ("GET", "/health/liveness", 200, 200),
        ("GET", "/health/readiness", 200, 200),
        ("POST", "/gaze", 415, 404),
        ("OPTIONS", "/gaze", 204, 404),
        ("OPTIONS", "/metrics", 404, 204),
    ],
)
def test_each_port_serves_its_paths(client, method, path, first, second):
    statuses = [client.open(path, base_url=url, method=method).status_code for url in (FIRST, SECOND)]

    assert statuses == [first, second]


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/gaze"])
@pytest.mark.parametrize("url", [FIRST, SECOND])
def test_without_the_setting_every_port_serves_every_path(world, path, url):
    assert world.client.options(path, base_url=url).status_code == 204


@pytest.mark.parametrize(
    ("url", "path", "route"),
    [
        (FIRST, "/gaze", "/gaze"),
        (SECOND, "/gaze", "unknown"),
        (FIRST, "/metrics", "unknown"),
        (SECOND, "/metrics", "/metrics"),
        (FIRST, "/health/liveness", "/health/liveness"),
        (SECOND, "/health/liveness", "/health/liveness"),
    ],
)
def test_a_path_that_a_port_does_not_serve_is_measured_as_unknown(client, url, path, route):
    client.options(path, base_url=url)

    page = client.get("/metrics", base_url=SECOND).get_data(as_text=True)
    assert re.search(rf'^gaze_requests_total{{method="OPTIONS",route="{route}",', page, re.MULTILINE)
    assert page.count('method="OPTIONS"') == 1


@pytest.mark.parametrize("url", [FIRST, SECOND])
def test_a_request_that_fails_is_logged_whatever_its_port(client, caplog, url):
    caplog.set_level("INFO", "func.requests")
    path = "/metrics" if url == FIRST else "/gaze"

    client.get(path, base_url=url, headers={"X-Request-Id": "gw-1"})

    (line,) = [record.msg for record in caplog.records if record.name == "func.requests"]
    assert (line.name, line.fields["status"], line.fields["problem"]) == ("request failed", 404, "unknown-path")


def test_readiness_of_the_first_port_says_nothing_about_upstream_services(client):
    assert client.get("/health/readiness", base_url=FIRST).get_json() == {"status": "ready"}
    assert client.get("/health/readiness", base_url=SECOND).get_json()["neighbours"]["session_api"] == "reachable"


@pytest.mark.slow
def test_the_server_listens_on_both_ports(tmp_path):
    port = find_free_port()
    with serve_upstream() as upstream, run_function(upstream, tmp_path, MANAGEMENT_PORT=str(port)) as running:
        statuses = [
            requests.get(f"http://127.0.0.1:{each}{path}", timeout=60).status_code
            for each in (running.port, port)
            for path in ("/metrics", "/health/liveness")
        ]

    assert statuses == [404, 200, 200, 200]


FUNC_SERVER = """
import asyncio, os, hypercorn.asyncio, hypercorn.config
from func.asgi import new

class Middleware:
    \"\"\"Starts and stops the function as func's own middleware does.\"\"\"
    def __init__(self):
        self.function = new()
    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            return await self.function.handle(scope, receive, send)
        await receive()
        self.function.start(os.environ)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.function.stop()
        await send({"type": "lifespan.shutdown.complete"})

config = hypercorn.config.Config()
config.bind = [os.environ["LISTEN_ADDRESS"]]
asyncio.run(hypercorn.asyncio.serve(Middleware(), config))
"""


def test_func_s_own_server_closes_the_socket_alone(world):
    management = socket.create_server(("127.0.0.1", 0))

    async def serve():
        function = Function(world.handler, management)
        function.start({})
        await asyncio.sleep(0)
        function.stop()

    asyncio.run(serve())

    assert management.fileno() == -1


@pytest.mark.slow
def test_func_s_own_server_listens_on_both_ports(tmp_path):
    ports = [find_free_port(), find_free_port()]
    log_path = tmp_path / "log"
    environ = {
        **os.environ,
        "MONGO_URI": "mongodb://127.0.0.1:9",
        "LISTEN_ADDRESS": f"127.0.0.1:{ports[0]}",
        "MANAGEMENT_PORT": str(ports[1]),
    }
    with run_process([sys.executable, "-c", FUNC_SERVER], log_path=log_path, environment=environ) as process:
        ready = f"http://127.0.0.1:{ports[0]}/health/readiness"
        await_ready("func's server", process, ready, log_path=log_path, timeout_s=120)
        statuses = [requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).status_code for port in ports]
        process.terminate()
        process.wait(120)

    assert statuses == [404, 200]


def find_end(port, **environ):
    done = subprocess.run(
        FUNCTIONS_FRAMEWORK,
        env={**os.environ, "MONGO_URI": "mongodb://localhost", "MANAGEMENT_PORT": str(port), **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_port_that_is_in_use_ends_the_process_with_one_line():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        end = find_end(port)

    assert end == (
        1,
        [f"gaze-function cannot start: MANAGEMENT_PORT cannot listen on port {port}: Address already in use"],
    )


def test_it_is_not_the_port_of_the_frames():
    assert find_end(8080, PORT="8080") == (
        1,
        ["gaze-function cannot start: MANAGEMENT_PORT must differ from PORT = 8080"],
    )
