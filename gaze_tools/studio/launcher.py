"""Start the studio's gateway beside a running function."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from gaze_tools.stack.launcher import UPSTREAM_READY_TIMEOUT_S, UpstreamServices
from gaze_tools.stack.processes import await_ready, find_free_port, run_process


@contextlib.contextmanager
def start_studio(
    upstream: UpstreamServices, function_url: str, log_dir: Path, directory: Path, *, port: int = 0
) -> Iterator[str]:
    """Run the gateway on the loopback interface and yield the address of its page; stop it on exit.

    Args:
        upstream: Running services.
        function_url: Base address of the running function.
        log_dir: Directory for its log.
        directory: Directory for films and finished sessions.
        port: Port to listen on; 0 means any free one.

    Raises:
        ProcessError: It did not start.
    """
    port = port or find_free_port()
    log_path = log_dir / "studio.log"
    command = [
        sys.executable,
        "-m",
        "gaze_tools.studio.gateway",
        "--port",
        str(port),
        "--mongo-uri",
        upstream.mongo_uri,
    ]
    command += ["--maps-uri", upstream.mongo_uri, "--function-url", function_url]
    command += ["--session-api-url", upstream.session_api_url, "--data", str(directory)]
    with run_process(command, log_path=log_path) as process:
        url = f"http://127.0.0.1:{port}"
        await_ready("studio", process, f"{url}/api/health", log_path=log_path, timeout_s=UPSTREAM_READY_TIMEOUT_S)
        # Browsers give a page of localhost the camera.
        yield f"http://localhost:{port}"
