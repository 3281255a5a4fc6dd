"""A local MongoDB-compatible server: SecantusDB, run as a separate process and never imported."""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from gaze_tools.stack.processes import ProcessError, read_tail, run_process

READY_TIMEOUT_S = 60.0

_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


_IN_USE = "Device or resource busy"
"""The storage engine's message about a directory that another process has open."""


@dataclass(frozen=True, slots=True)
class MongoServer:
    """A running server.

    Attributes:
        uri: Address for pymongo, with a write concern under which acknowledged writes survive a kill of the server.
        pid: Process id.
    """

    uri: str
    pid: int


@contextlib.contextmanager
def start_mongo(data_dir: Path | None = None, *, port: int = 0) -> Iterator[MongoServer]:
    """Run a server until the context exits or the thread that entered it ends.

    Args:
        data_dir: Directory for the data; None keeps the data in memory.
        port: Port to listen on; 0 means any free one.

    Raises:
        ProcessError: The server did not start.
    """
    with tempfile.TemporaryDirectory(prefix="mongo-", ignore_cleanup_errors=True) as scratch:
        log_path = Path(scratch, "mongo.log")
        # An empty file: otherwise it reads settings from the current directory or the user's home.
        config_path = Path(scratch, "secantusd.toml")
        config_path.touch()
        command = [
            str(Path(sys.executable).with_name("secantusd-py")),
            *("--config", str(config_path)),
            "--standalone",
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--storage-path", ":memory:" if data_dir is None else str(data_dir)),
            *("--cache-size", "256M"),
            # There are no replicas, so a short log of operations is enough.
            *("--oplog-max-entries", "1000", "--oplog-retention-seconds", "60"),
        ]
        with run_process(command, log_path=log_path) as process:
            listening_port = _await_port(process, log_path, data_dir)
            uri = make_mongo_uri(listening_port)
            _await_answer(uri, log_path)
            yield MongoServer(uri, process.pid)


def make_mongo_uri(port: int) -> str:
    """Return the address of a server on this machine."""
    return f"mongodb://127.0.0.1:{port}/?w=1&journal=true&directConnection=true"


def _await_port(process: subprocess.Popen[bytes], log_path: Path, data_dir: Path | None) -> int:
    """Return the port that the server reports in its log."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        found = _LISTENING.search(log_path.read_text(errors="replace"))
        if found:
            return int(found[1])
        if process.poll() is not None:
            if _IN_USE in log_path.read_text(errors="replace"):
                raise ProcessError(f"the data in {data_dir} is in use by another process, which may still be stopping")
            raise ProcessError(f"the MongoDB stand-in stopped with status {process.returncode}:\n{read_tail(log_path)}")
        time.sleep(0.02)
    raise ProcessError(f"the MongoDB stand-in was not ready within {READY_TIMEOUT_S:g} s:\n{read_tail(log_path)}")


def _await_answer(uri: str, log_path: Path) -> None:
    client: MongoClient[dict[str, object]]
    with MongoClient(uri, serverSelectionTimeoutMS=READY_TIMEOUT_S * 1000) as client:
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise ProcessError(f"the MongoDB stand-in does not respond:\n{read_tail(log_path)}") from error
