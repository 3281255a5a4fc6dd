"""The function and its neighbours on one machine: MongoDB's stand-in, session API, aggregator, the function itself."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import func
from gaze_tools.stack.mongo import start_mongo
from gaze_tools.stack.processes import await_ready, find_free_port, run_process

FUNCTION_READY_TIMEOUT_S = 60.0
NEIGHBOUR_READY_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where the function's neighbours listen."""

    mongo_uri: str
    session_api_url: str
    aggregator_url: str

    def environment(self) -> dict[str, str]:
        """Return the settings by which the function finds them."""
        return {
            "MONGO_URI": self.mongo_uri,
            "SESSION_API_URL": self.session_api_url,
            "AGGREGATOR_URL": self.aggregator_url,
        }


@contextlib.contextmanager
def start_neighbours(log_dir: Path, *, data_dir: Path | None = None) -> Iterator[Neighbours]:
    """Run MongoDB's stand-in, the session API and the aggregator; stop them on leaving.

    Args:
        log_dir: Where their output goes.
        data_dir: Where the data stays; None means a folder that is removed at the end.
    """
    with contextlib.ExitStack() as stack:
        mongo = stack.enter_context(start_mongo(data_dir))
        urls = {}
        for name in ("session_api", "aggregator"):
            port = find_free_port()
            log_path = log_dir / f"{name}.log"
            process = stack.enter_context(
                run_process(
                    [sys.executable, "-m", f"gaze_tools.stack.{name}", "--port", str(port), "--mongo-uri", mongo.uri],
                    log_path=log_path,
                )
            )
            urls[name] = f"http://127.0.0.1:{port}"
            await_ready(name, process, f"{urls[name]}/health", log_path=log_path, timeout_s=NEIGHBOUR_READY_TIMEOUT_S)
        yield Neighbours(mongo.uri, urls["session_api"], urls["aggregator"])


@contextlib.contextmanager
def start_function(
    neighbours: Neighbours, log_dir: Path, *, name: str = "function", settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run the function under functions-framework and yield its address once it is ready; stop it on leaving.

    Args:
        neighbours: Where its neighbours are.
        log_dir: Where its output goes, under `name`.
        name: Tells several functions apart.
        settings: Further environment variables.
    """
    port = find_free_port()
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
        environment={**os.environ, **neighbours.environment(), **(settings or {})},
    ) as process:
        await_ready(name, process, f"{url}/health/readiness", log_path=log_path, timeout_s=FUNCTION_READY_TIMEOUT_S)
        yield url
