"""Start the function and its upstream services on one machine: MongoDB stand-in, session API, aggregator, function."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import func
from gaze_tools.stack.mongo import start_mongo
from gaze_tools.stack.processes import await_ready, find_free_port, kill_process, run_process

FUNCTION_READY_TIMEOUT_S = 60.0
UPSTREAM_READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class UpstreamServices:
    """Addresses of the function's upstream services.

    Attributes:
        mongo_uri: Address of MongoDB, for pymongo.
        session_api_url: Base address of the session API.
        aggregator_url: Base address of the aggregator.
        pids: Process id of each service by name, if they run on this machine.
    """

    mongo_uri: str
    session_api_url: str
    aggregator_url: str
    pids: Mapping[str, int] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point the function to these services."""
        return {
            "MONGO_URI": self.mongo_uri,
            "SESSION_API_URL": self.session_api_url,
            "AGGREGATOR_URL": self.aggregator_url,
        }


@dataclass(frozen=True, slots=True)
class FunctionServer:
    """A running function.

    Attributes:
        url: Base address, such as `http://127.0.0.1:8080`.
        process: The server; its workers are in the same process group.
    """

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Send SIGKILL to the server and its workers, as a node failure would."""
        kill_process(self.process)


@dataclass(frozen=True, slots=True)
class UpstreamPorts:
    """Ports of the upstream services; 0 means any free one."""

    session_api: int = 0
    aggregator: int = 0
    mongo: int = 0


_OTHER_SERVICES = {"MONGO_DATABASE", "OUTBOUND_PROXY", "CA_BUNDLE"}
"""Settings of a function that calls upstream services elsewhere; here, a proxy would send frames off this machine."""


def _inherited_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OTHER_SERVICES}


@contextlib.contextmanager
def start_upstream_services(
    log_dir: Path,
    *,
    data_dir: Path | None = None,
    ports: UpstreamPorts | None = None,
    session_ttl_s: float | None = None,
) -> Iterator[UpstreamServices]:
    """Run the MongoDB stand-in, the session API and the aggregator; stop them on exit.

    Args:
        log_dir: Directory for their logs.
        data_dir: Directory for the data; None means a temporary one.
        ports: Ports to listen on; None means any free ones.
        session_ttl_s: Lifetime of a session after its last use; None means that of the session API.

    Raises:
        ProcessError: A service did not start.
    """
    with contextlib.ExitStack() as stack:
        ports = ports or UpstreamPorts()
        mongo = stack.enter_context(start_mongo(data_dir, port=ports.mongo))
        urls, pids = {}, {"database": mongo.pid}
        lifetime = [] if session_ttl_s is None else ["--ttl-s", str(session_ttl_s)]
        options = {"session_api": ["--operator-calls", *lifetime], "aggregator": []}
        for name, wanted in (("session_api", ports.session_api), ("aggregator", ports.aggregator)):
            port = wanted or find_free_port()
            log_path = log_dir / f"{name}.log"
            process = stack.enter_context(
                run_process(
                    [sys.executable, "-m", f"gaze_tools.stack.{name}", "--port", str(port), "--mongo-uri", mongo.uri]
                    + options[name],
                    log_path=log_path,
                )
            )
            pids[name] = process.pid
            urls[name] = f"http://127.0.0.1:{port}"
            await_ready(name, process, f"{urls[name]}/health", log_path=log_path, timeout_s=UPSTREAM_READY_TIMEOUT_S)
        yield UpstreamServices(mongo.uri, urls["session_api"], urls["aggregator"], pids)


@contextlib.contextmanager
def start_function(
    upstream: UpstreamServices,
    log_dir: Path,
    *,
    name: str = "function",
    port: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run the function and yield its base address; see `start_function_server`."""
    with start_function_server(upstream, log_dir, name=name, port=port, settings=settings) as server:
        yield server.url


@contextlib.contextmanager
def start_function_server(
    upstream: UpstreamServices,
    log_dir: Path,
    *,
    name: str = "function",
    port: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Iterator[FunctionServer]:
    """Run the function under functions-framework and yield it once it is ready; stop it on exit.

    Args:
        upstream: Upstream services of the function.
        log_dir: Directory for its log.
        name: Name of the log file and in error messages.
        port: Port to listen on; 0 means any free one.
        settings: Additional environment variables. The caller's own are inherited, except those that lead to other
            upstream services.

    Raises:
        ProcessError: The function did not start, or the port is in use.
    """
    port = port or find_free_port()
    url = f"http://127.0.0.1:{port}"
    log_path = log_dir / f"{name}.log"
    with run_process(
        [
            str(Path(sys.executable).with_name("functions-framework")),
            f"--source={Path(func.__file__).with_name('main.py')}",
            "--target=handle",
            "--host=127.0.0.1",
            f"--port={port}",
        ],
        log_path=log_path,
        environment={**_inherited_environment(), **upstream.environment(), **(settings or {})},
    ) as process:
        await_ready(name, process, f"{url}/health/readiness", log_path=log_path, timeout_s=FUNCTION_READY_TIMEOUT_S)
        yield FunctionServer(url, process)
