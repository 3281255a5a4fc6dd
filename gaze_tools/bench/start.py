"""Time from the start of the function to its first answered frame, and its memory: `gaze bench start` and `all`."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frame_stages import BARE_NETWORKS
from gaze_tools.bench.load import measure_networks
from gaze_tools.bench.request import ENGINES, SentBody, list_settings, make_frames, post_frame, send
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity
from gaze_tools.bench.sampling import StepCost, alternate
from gaze_tools.bench.server import ROOT, against_option, read_cpu_s
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services
from gaze_tools.stack.processes import find_free_port, run_process

SECTION = "start to first answered frame, and memory after 200 more"

FRAMES = 200
"""Frames after which the memory is read."""

FIRST_FRAME_TIMEOUT_S = 120.0

_POLL_S = 0.01
_PACKAGES = ("func", "gaze_core", "models")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class FunctionMemory:
    """Memory of a function, bytes.

    Attributes:
        worker_pss: Proportional set size of its largest process: its own memory and its share of what it shares.
        worker_rss: Resident memory of that process, shared pages included.
        total_pss: Proportional set size of all its processes.
    """

    worker_pss: int
    worker_rss: int
    total_pss: int


@dataclass(frozen=True, slots=True)
class MeasuredStart:
    """What one start of the function took.

    Attributes:
        cost: Time up to the first answered frame, and CPU time of all processes until then.
        memory: Memory after `FRAMES` more frames.
    """

    cost: StepCost
    memory: FunctionMemory


@dataclass(frozen=True, slots=True)
class StartedFunction:
    """A function to start.

    Attributes:
        name: Checkout and engine.
        folder: Checkout.
        engine: Landmark engine.
    """

    name: str
    folder: Path
    engine: str


def measure_start(
    function: StartedFunction, python: Path, upstream: UpstreamServices, sent: SentBody, log_dir: Path
) -> MeasuredStart:
    """Start a function, wait for the answer to its first frame, send `FRAMES` more and read its memory.

    The first frame is sent until it is answered, as by a client that does not wait for readiness.

    Args:
        function: The function, with one landmarker.
        python: Python with the packages.
        upstream: Running services.
        sent: The frame.
        log_dir: Directory for logs.

    Raises:
        RuntimeError: The function ended, or did not answer within `FIRST_FRAME_TIMEOUT_S`.
    """
    port = find_free_port()
    command = [
        str(python.with_name("functions-framework")),
        f"--source={function.folder / 'func' / 'main.py'}",
        "--target=handle",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    environment = {
        **os.environ,
        **upstream.environment(),
        **list_settings(function.engine, function.folder),
        "PYTHONPATH": str(function.folder),
        "LOG_LEVEL": "WARNING",
    }
    log_path = log_dir / f"start-{function.name}.log"
    started_s = time.perf_counter()
    with run_process(command, log_path=log_path, environment=environment) as process:
        body = sent.make_body(f"start-{time.monotonic_ns()}", 1)
        while not _is_answered(port, body, sent.content_type):
            if process.poll() is not None or time.perf_counter() - started_s > FIRST_FRAME_TIMEOUT_S:
                raise RuntimeError(f"{function.name} did not answer a frame:\n{log_path.read_text()[-2000:]}")
            time.sleep(_POLL_S)
        cost = StepCost(time.perf_counter() - started_s, read_cpu_s(process.pid))
        send(port, sent, FRAMES)
        return MeasuredStart(cost, read_memory(process.pid))


def compile_packages(python: Path, folder: Path) -> None:
    """Compile the function's own code in a checkout, as images do; its packages were compiled by their installation."""
    subprocess.run([python, "-m", "compileall", "-q", *_PACKAGES], cwd=folder, check=True)


def read_memory(process_id: int) -> FunctionMemory:
    """Return the memory of a process and its children."""
    sizes = []
    for each in list_processes(process_id):
        with contextlib.suppress(OSError):
            rollup = Path("/proc", str(each), "smaps_rollup").read_text()
            found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", rollup, re.MULTILINE))
            sizes.append((1024 * int(found["Rss"]), 1024 * int(found["Pss"])))
    worker_rss, worker_pss = max(sizes)
    return FunctionMemory(worker_pss, worker_rss, sum(pss for _, pss in sizes))


def list_processes(process_id: int) -> tuple[int, ...]:
    """Return the ids of a process and its children."""
    return (process_id, *_list_children(process_id))


def _list_children(process_id: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == process_id:
                yield int(entry.parent.name)


def _is_answered(port: int, body: bytes, content_type: str) -> bool:
    try:
        return post_frame(port, body, content_type) == HTTPStatus.OK
    except (OSError, HTTPException):
        return False


def measure_in_turns(
    functions: Sequence[StartedFunction], python: Path, upstream: UpstreamServices, log_dir: Path, *, rounds: int
) -> dict[StartedFunction, list[MeasuredStart]]:
    """Return `rounds` starts of each function; they take turns, so that a machine that becomes slower does so for all.

    Args:
        functions: The functions.
        python: Python with the packages.
        upstream: Running services.
        log_dir: Directory for logs.
        rounds: Starts of each function.
    """
    sent = make_frames()[1]["face"]
    for folder in {function.folder for function in functions}:
        compile_packages(python, folder)
    found: dict[StartedFunction, list[MeasuredStart]] = {function: [] for function in functions}
    for function in alternate(functions, rounds):
        found[function].append(measure_start(function, python, upstream, sent, log_dir))
    return found


def measure_starts(upstream: UpstreamServices, log_dir: Path, *, rounds: int) -> list[BenchNumber]:
    """Start the function of this checkout with each engine, and return times and memory.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        rounds: Starts of each engine, in turns.
    """
    networks = BareNetworks(make_frames()[0])
    functions = [StartedFunction(engine, ROOT, engine) for engine in ENGINES]
    bare = []
    found: dict[StartedFunction, list[MeasuredStart]] = {function: [] for function in functions}
    for turn in range(rounds):
        bare.append(measure_networks(networks))
        order = functions if turn % 2 == 0 else functions[::-1]
        for function, starts in measure_in_turns(order, _this_python(), upstream, log_dir, rounds=1).items():
            found[function] += starts
    numbers = _to_numbers(BARE_NETWORKS, bare)
    for function, starts in found.items():
        numbers += _to_numbers(function.engine, [start.cost for start in starts], BARE_NETWORKS)
        memory_mb = tuple(start.memory.total_pss / 1e6 for start in starts)
        numbers.append(
            BenchNumber(section=SECTION, name=function.engine, quantity=MeasuredQuantity.MEMORY_MB, samples=memory_mb)
        )
    return numbers


def _to_numbers(name: str, costs: Sequence[StepCost], *baselines: str) -> list[BenchNumber]:
    return [
        BenchNumber(
            section=SECTION,
            name=name,
            quantity=quantity,
            samples=tuple(samples),
            baselines=baselines,
            is_reference=name == BARE_NETWORKS,
        )
        for quantity, samples in (
            (MeasuredQuantity.CPU_SECONDS, [cost.cpu_s for cost in costs]),
            (MeasuredQuantity.SECONDS, [cost.wall_s for cost in costs]),
        )
    ]


def _this_python() -> Path:
    return Path(sys.executable).absolute()


@click.command()
@against_option
@click.option(
    "--engine", type=click.Choice(ENGINES), multiple=True, help="Landmark engine; may be repeated.  [default: both]"
)
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python with the packages of an image, such as those of requirements-lite.lock.  [default: this one]",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Starts of each function.")
def start(against: tuple[Path, ...], engine: tuple[str, ...], python: Path | None, rounds: int) -> None:
    """Measure the start of the function, up to the answer to its first frame, and its memory after 200 frames.

    CPU time does not depend on what else the machine does. A development environment has packages that the images lack
    and that others import if they find them, such as pandas; use `--python` to measure the packages of an image. The
    function's own code is compiled first, as in the images.
    """
    folders = [*(path.resolve() for path in against), ROOT]
    functions = [
        StartedFunction(f"{folder.name}-{each}", folder, each) for folder in folders for each in engine or ENGINES
    ]
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        try:
            found = measure_in_turns(
                functions, python.absolute() if python else _this_python(), upstream, log_dir, rounds=rounds
            )
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
    _print_table(found, rounds)


def _print_table(found: dict[StartedFunction, list[MeasuredStart]], rounds: int) -> None:
    table = Table(title=f"Medians of {rounds} starts", title_justify="left")
    for column in ("function", "CPU s", "wall s", "worker PSS MiB", "MB", "worker RSS MiB", "all PSS MiB"):
        table.add_column(column, justify="left" if column == "function" else "right")
    for function, starts in found.items():
        pss = statistics.median(start.memory.worker_pss for start in starts)
        table.add_row(
            function.name,
            f"{statistics.median(start.cost.cpu_s for start in starts):.2f}",
            f"{statistics.median(start.cost.wall_s for start in starts):.2f}",
            f"{pss / _MIB:.0f}",
            f"{pss / 1e6:.0f}",
            f"{statistics.median(start.memory.worker_rss for start in starts) / _MIB:.0f}",
            f"{statistics.median(start.memory.total_pss for start in starts) / _MIB:.0f}",
        )
    Console(width=110).print(table)
