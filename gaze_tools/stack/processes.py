"""Child processes that never outlive their parent."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import requests

STOP_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1


class ProcessError(Exception):
    """A process of the local stack did not start, or died."""


def find_free_port() -> int:
    """Return a TCP port on which nobody listens on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def run_process(
    command: Sequence[str], *, log_path: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background; on leaving, it and its children are stopped: SIGTERM, then SIGKILL.

    Args:
        command: Program and arguments.
        log_path: Where its output goes.
        environment: The whole of its environment; None means ours.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  no threads yet
        )
    try:
        yield process
    finally:
        stop_process(process)


def stop_process(process: subprocess.Popen[bytes], *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Stop a process and its whole group: SIGTERM, and SIGKILL when it takes longer than `timeout_s`."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_ready(name: str, process: subprocess.Popen[bytes], url: str, *, log_path: Path, timeout_s: float) -> None:
    """Wait until a GET of `url` answers 200.

    Raises:
        ProcessError: The process died or the time is over; the message ends with the end of its log.
    """
    deadline = time.monotonic() + timeout_s
    with requests.Session() as http:
        http.trust_env = False
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ProcessError(f"{name} stopped with status {process.returncode}:\n{read_tail(log_path)}")
            with contextlib.suppress(requests.RequestException):
                if http.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
    raise ProcessError(f"{name} was not ready within {timeout_s:g} s:\n{read_tail(log_path)}")


def read_tail(log_path: Path, lines: int = 30) -> str:
    """Return the last lines of a log."""
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent() -> None:
    # Linux alone has this: without it a killed launcher would leave its children behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
