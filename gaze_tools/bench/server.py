"""Servers to measure, of this checkout and others, and the CPU time of their processes."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

import func
from gaze_tools.stack.launcher import UpstreamServices
from gaze_tools.stack.processes import await_ready, find_free_port, run_process

READY_TIMEOUT_S = 60.0

ROOT = Path(func.__file__).parents[1]

FRAMEWORK = (
    str(Path(sys.executable).with_name("functions-framework")),
    "--source={folder}/func/main.py",
    "--target=handle",
    "--host=127.0.0.1",
    "--port={port}",
)
"""Command line of the function; it names its source by the full path, so the working directory does not matter."""

_CPU_CLOCK = 2
"""Linux' clock of the CPU time of a process, from the lowest bits of a clock id (CPUCLOCK_SCHED)."""

against_option = click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Another checkout to measure, before this one; may be repeated.",
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A server to measure.

    Attributes:
        name: Its name in tables and of its log file.
        folder: Checkout.
        command: Command line; `{port}` and `{folder}` are replaced.
        settings: Additional environment variables.
    """

    name: str
    folder: Path = ROOT
    command: Sequence[str] = FRAMEWORK
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is ready.

    Attributes:
        name: Name of its variant.
        port: Port on the loopback interface.
        process_id: Process id.
    """

    name: str
    port: int
    process_id: int


def engine_settings(engine: str, folder: Path = ROOT) -> dict[str, str]:
    """Return the settings of a function with a landmark engine: `litert` comes with the gaze model as ONNX."""
    settings = {"FACE_LANDMARKER": engine}
    if engine == "litert":
        settings["GAZE_MODEL"] = str(folder / "models" / "gaze_model.onnx")
    return settings


@contextlib.contextmanager
def start_variant(variant: Variant, upstream: UpstreamServices, log_dir: Path) -> Iterator[RunningServer]:
    """Run a server and yield it once it is ready; stop it on exit."""
    port = find_free_port()
    command = [part.format(port=port, folder=variant.folder) for part in variant.command]
    log_path = log_dir / f"{variant.name}.log"
    environment = {
        **os.environ,
        **upstream.environment(),
        "PYTHONPATH": os.pathsep.join([str(variant.folder), str(log_dir), os.environ.get("PYTHONPATH", "")]),
        "LOG_LEVEL": "WARNING",
        "THREADS": "16",
        **variant.settings,
    }
    with run_process(command, log_path=log_path, environment=environment) as process:
        url = f"http://127.0.0.1:{port}/health/readiness"
        await_ready(variant.name, process, url, log_path=log_path, timeout_s=READY_TIMEOUT_S)
        yield RunningServer(variant.name, port, process.pid)


def read_cpu_s(process_id: int) -> float:
    """Return the CPU time of a process and its children, in seconds; its resolution is far below a millisecond."""
    total_s = 0.0
    for each in (process_id, *_list_children(process_id)):
        with contextlib.suppress(OSError):  # it has ended
            total_s += time.clock_gettime((~each << 3) | _CPU_CLOCK)
    return total_s


@contextlib.contextmanager
def measure_cpu(process_ids: Mapping[str, Sequence[int]]) -> Iterator[dict[str, float]]:
    """Yield a dictionary that has the CPU seconds of groups of processes by name after the block."""

    def read() -> dict[str, float]:
        return {name: sum(map(read_cpu_s, each)) for name, each in process_ids.items()}

    before = read()
    used: dict[str, float] = {}
    yield used
    used |= {name: cpu_s - before[name] for name, cpu_s in read().items()}


@contextlib.contextmanager
def pinned_to(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts in the block, on some cores; the processes stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _list_children(process_id: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == process_id:
                found.append(int(entry.parent.name))
    return found
