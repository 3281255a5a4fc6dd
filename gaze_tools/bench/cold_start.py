"""From the start of the function to its first answered frame, and its memory at rest."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import func
from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frame_stages import BARE_NETWORKS, ENGINES
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.load import LOAD_SIZE, function_settings, measure_networks
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity
from gaze_tools.bench.sampling import StepCost
from gaze_tools.bench.server import read_cpu_s
from gaze_tools.stack.launcher import UpstreamServices
from gaze_tools.stack.processes import find_free_port, run_process

SECTION = "start to first answered frame, and memory at rest"
START_TIMEOUT_S = 120.0

_SETTLE_S = 1.0
_POLL_S = 0.01


def measure_starts(upstream: UpstreamServices, log_dir: Path, *, rounds: int) -> list[BenchNumber]:
    """Start the function with each engine, with one landmarker, and return times and memory.

    The first frame is sent until it is answered, as a client would that does not wait for readiness. Memory is the
    proportional set size of the server's processes a second after that.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        rounds: Starts of each engine, in turns.
    """
    frame = load_frames(LOAD_SIZE, 1)[0]
    networks = BareNetworks(frame.image)
    found: dict[str, list[tuple[StepCost, float]]] = {engine: [] for engine in ENGINES}
    bare = []
    for turn in range(rounds):
        bare.append(measure_networks(networks))
        for engine in ENGINES if turn % 2 == 0 else reversed(ENGINES):
            found[engine].append(_start(engine, upstream, log_dir, frame))
    return [
        *_to_numbers(BARE_NETWORKS, bare),
        *(
            number
            for engine, starts in found.items()
            for number in (
                *_to_numbers(engine, [cost for cost, _ in starts], BARE_NETWORKS),
                BenchNumber(
                    section=SECTION,
                    name=engine,
                    quantity=MeasuredQuantity.MEMORY_MB,
                    samples=tuple(memory_mb for _, memory_mb in starts),
                ),
            )
        ),
    ]


def read_memory_mb(process_id: int) -> float:
    """Return the proportional set size of a process and its children, in MB of 10^6 bytes."""
    total_kib = 0
    for each in (process_id, *_list_children(process_id)):
        with contextlib.suppress(OSError):
            rollup = Path("/proc", str(each), "smaps_rollup").read_text()
            total_kib += sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE))
    return total_kib * 1024 / 1e6


def _list_children(process_id: int) -> Iterable[int]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == process_id:
                yield int(entry.parent.name)


def _start(engine: str, upstream: UpstreamServices, log_dir: Path, frame: BenchFrame) -> tuple[StepCost, float]:
    port = find_free_port()
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        f"--source={Path(func.__file__).with_name('main.py')}",
        "--target=handle",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    settings = {**os.environ, **upstream.environment(), **function_settings(engine), "LANDMARKERS": "1"}
    body = frame.make_body(f"start-{engine}-{time.monotonic_ns()}", 1)
    started_s = time.perf_counter()
    with run_process(command, log_path=log_dir / f"start-{engine}.log", environment=settings) as process:
        while not _send(port, body):
            if process.poll() is not None or time.perf_counter() - started_s > START_TIMEOUT_S:
                raise RuntimeError(f"the function ({engine}) did not answer a frame")
            time.sleep(_POLL_S)
        cost = StepCost(time.perf_counter() - started_s, read_cpu_s(process.pid))
        time.sleep(_SETTLE_S)
        return cost, read_memory_mb(process.pid)


def _send(port: int, body: bytes) -> bool:
    """Return whether a frame was answered with 200."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)) as connection:
        try:
            connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False


def _to_numbers(name: str, costs: Iterable[StepCost], *baselines: str) -> list[BenchNumber]:
    found = list(costs)
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
            (MeasuredQuantity.CPU_SECONDS, [cost.cpu_s for cost in found]),
            (MeasuredQuantity.SECONDS, [cost.wall_s for cost in found]),
        )
    ]
