"""`gaze bench start`: time from the start of the function to its first answered frame, and its memory afterwards."""

import contextlib
import http
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gaze_tools.bench.request import ENGINES, SentBody, list_settings, make_frames, post_frame, send
from gaze_tools.bench.server import ROOT, against_option, read_cpu_s
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services
from gaze_tools.stack.processes import find_free_port, run_process

FRAMES = 200
"""Frames after which the memory is read."""

FIRST_FRAME_TIMEOUT_S = 60.0


@dataclass(slots=True)
class FunctionStart:
    """A function to start and what was measured, one value for each start.

    Attributes:
        name: Checkout and engine.
        folder: Checkout.
        engine: Landmark engine.
        cpu_s: CPU time of all its processes up to the first answered frame.
        wall_s: Time up to the first answered frame.
        worker_mib: Proportional set size of the worker: its own memory and its share of what it shares.
        resident_mib: Resident memory of the worker, shared pages included.
        total_mib: Proportional set size of all its processes.
    """

    name: str
    folder: Path
    engine: str
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    worker_mib: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    total_mib: list[float] = field(default_factory=list)


def measure_start(
    start: FunctionStart, python: Path, upstream: UpstreamServices, sent: SentBody, log_dir: Path
) -> None:
    """Start a function, wait for the answer to its first frame, send `FRAMES` more and read its memory."""
    port = find_free_port()
    command = [
        str(python.with_name("functions-framework")),
        f"--source={start.folder / 'func' / 'main.py'}",
        "--target=handle",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    environment = {
        **os.environ,
        **upstream.environment(),
        **list_settings(start.engine, start.folder),
        "PYTHONPATH": str(start.folder),
        "LOG_LEVEL": "WARNING",
    }
    started_s = time.perf_counter()
    log_path = log_dir / f"{start.name}.log"
    with run_process(command, log_path=log_path, environment=environment) as process:
        body = sent.make_body(f"start-{time.monotonic_ns()}", 1)
        while True:
            with contextlib.suppress(OSError):
                if post_frame(port, body, sent.content_type) == http.HTTPStatus.OK:
                    break
            if process.poll() is not None or time.perf_counter() - started_s > FIRST_FRAME_TIMEOUT_S:
                raise click.ClickException(f"{start.name} did not answer a frame:\n{log_path.read_text()[-2000:]}")
            time.sleep(0.02)
        start.wall_s.append(time.perf_counter() - started_s)
        start.cpu_s.append(read_cpu_s(process.pid))
        send(port, sent, FRAMES)
        memory = {pid: read_memory_mib(pid) for pid in list_processes(process.pid)}
        worker = max(memory.values(), key=lambda each: each["Rss"])
        start.worker_mib.append(worker["Pss"])
        start.resident_mib.append(worker["Rss"])
        start.total_mib.append(sum(each["Pss"] for each in memory.values()))


def list_processes(process_id: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [process_id, *map(int, children)]


def read_memory_mib(process_id: int) -> Mapping[str, float]:
    """Return the sizes in a process's summary of its memory map, MiB."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(size) / 1024 for name, size, *_ in map(str.split, lines)}


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
    and that others import if they find them, such as pandas; use `--python` to measure the packages of an image.
    """
    _, frames = make_frames()
    folders = [*(path.resolve() for path in against), ROOT]
    starts = [FunctionStart(f"{folder.name}-{each}", folder, each) for folder in folders for each in engine or ENGINES]
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        for _ in range(rounds):
            for each in starts:
                measure_start(each, (python or Path(sys.executable)).absolute(), upstream, frames["face"], log_dir)
    table = Table(title=f"Medians of {rounds} starts", title_justify="left")
    for column in ("function", "CPU s", "wall s", "worker PSS MiB", "worker RSS MiB", "all PSS MiB"):
        table.add_column(column, justify="left" if column == "function" else "right")
    for each in starts:
        times = (f"{statistics.median(values):.2f}" for values in (each.cpu_s, each.wall_s))
        sizes = (f"{statistics.median(values):.0f}" for values in (each.worker_mib, each.resident_mib, each.total_mib))
        table.add_row(each.name, *times, *sizes)
    Console(width=110).print(table)
