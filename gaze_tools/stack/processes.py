"""Child processes that never outlive their parent."""

import contextlib
import ctypes
import errno
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import requests

STOP_TIMEOUT_S = 10.0
_PR_SET_PDEATHSIG = 1

_PORTS = range(10_000, 20_000)
_first = secrets.randbelow(len(_PORTS))
_ports: Iterator[int] = itertools.cycle([*_PORTS[_first:], *_PORTS[:_first]])
"""In a row, from a random one: a port comes up again as late as possible."""

_MARKS_KEPT = 256
_marks: deque[socket.socket] = deque()


class ProcessError(Exception):
    """A process of the local stack did not start, or died."""


def find_free_port() -> int:
    """Return a TCP port of the loopback interface that is not in use, another one each time.

    Linux gives it to no outgoing connection, and this function to no other process while this one runs, so that none
    takes it before its service listens, or while that is down.
    """
    return find_free_ports(1)[0]


def find_free_ports(count: int) -> range:
    """Return several ports in a row, each as `find_free_port` returns it."""
    taken: list[tuple[int, socket.socket]] = []
    while len(taken) < count:
        port = next(_ports)
        mark = _take_port(port)
        if mark is None or (taken and port != taken[-1][0] + 1):
            for _, each in taken:
                each.close()
            taken.clear()
        if mark is not None:
            taken.append((port, mark))
    _marks.extend(mark for _, mark in taken)
    while len(_marks) > _MARKS_KEPT:
        _marks.popleft().close()
    return range(taken[0][0], taken[-1][0] + 1)


def _take_port(port: int) -> socket.socket | None:
    """Return the mark of a port, now that of this process; None if the port is in use or marked by another one."""
    mark = _mark_port(port)
    if mark is None or is_port_free(port):
        return mark
    mark.close()
    return None


def _mark_port(port: int) -> socket.socket | None:
    """Return a UDP socket on a port, which tells other processes that it is taken; None if one of them has done so."""
    mark = socket.socket(type=socket.SOCK_DGRAM)
    try:
        mark.bind(("127.0.0.1", port))
    except OSError as error:
        mark.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return mark


def is_port_free(port: int) -> bool:
    """Return whether a server can listen on a TCP port of the loopback interface."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier server that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextlib.contextmanager
def run_process(
    command: Sequence[str], *, log_path: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background; on exit, stop it and its children with SIGTERM, then SIGKILL.

    Args:
        command: Program and arguments.
        log_path: File that its output is appended to.
        environment: Complete environment of the process; None means that of this process.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with _interrupt_afterwards():
            with log_path.open("ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    # Its own process group: Ctrl-C reaches only this process, which then stops the children in order.
                    start_new_session=True,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  no threads yet
                )
            stack.callback(stop_process, process)
        yield process


@contextlib.contextmanager
def _interrupt_afterwards() -> Iterator[None]:
    """Delay Ctrl-C to the end of a block, for parent and child: an interrupted start would leave a child behind."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    arrived: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if arrived:
        raise KeyboardInterrupt


def stop_process(process: subprocess.Popen[bytes], *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Stop a process and its group: SIGTERM, then SIGKILL if it takes longer than `timeout_s`."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    kill_process(process)


def kill_process(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to a process and its group, and wait for its end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def await_ready(name: str, process: subprocess.Popen[bytes], url: str, *, log_path: Path, timeout_s: float) -> None:
    """Wait until a GET of `url` returns 200.

    Raises:
        ProcessError: The process died or was not ready in time; the message ends with the last lines of its log.
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
    # Only Linux has this: without it, the children of a killed launcher would keep running.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
