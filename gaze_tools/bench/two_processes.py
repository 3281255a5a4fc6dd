"""Two processes of the function on two cores, against one."""

import contextlib
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.load import (
    LOAD_SIZE,
    LoadRound,
    measure_networks,
    median_costs,
    number_networks,
    run_engines,
    send_load,
)
from gaze_tools.bench.names import BARE_NETWORKS, ENGINES
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity, list_numbers
from gaze_tools.bench.sampling import StepCost, alternate
from gaze_tools.bench.server import RunningServer, measure_cpu, pinned_to
from gaze_tools.stack.launcher import UpstreamServices

SECTION = "two processes on two cores"
COUNTS = {1: "one process", 2: "two processes"}

_CLIENTS = 2
"""Clients of each process: one frame is in the landmarker while another one waits or is stored."""


@dataclass(frozen=True, slots=True)
class ProcessesRound:
    """What one measurement found.

    Attributes:
        load: What the frames took.
        upstream_ms: CPU time of the upstream services for a frame.
        clients_ms: CPU time of the clients for a frame.
    """

    load: LoadRound
    upstream_ms: float
    clients_ms: float


def measure_two_processes(
    upstream: UpstreamServices, log_dir: Path, *, rounds: int, frames: int
) -> tuple[list[BenchNumber], list[str]]:
    """Return CPU time and throughput of one and two processes, and what could not be measured.

    Each process has a core of its own and one landmarker. Upstream services and clients run on both cores; their CPU
    time counts apart.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        rounds: Measurements of each engine and number of processes, in turns.
        frames: Frames of each process and measurement.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return [], ["two processes: this machine has one core."]
    load = load_frames(LOAD_SIZE, 8)
    networks = BareNetworks(load[0].image)
    cases = list(itertools.product(ENGINES, COUNTS))
    found: dict[tuple[str, int], list[ProcessesRound]] = {case: [] for case in cases}
    between: list[StepCost] = []
    with contextlib.ExitStack() as stack:
        running: list[dict[str, RunningServer]] = []
        for core in cores:
            with pinned_to([core]):
                started = run_engines(upstream, log_dir, suffix=f"-core-{core}", settings={"LANDMARKERS": "1"})
                running.append(stack.enter_context(started))
        for engine, count in alternate(cases, rounds):
            between.append(measure_networks(networks))
            servers = [by_engine[engine] for by_engine in running[:count]]
            found[engine, count].append(_measure(servers, upstream, load, frames))
    numbers = number_networks(SECTION, MeasuredQuantity.CPU_MS, median_costs(between, rounds))
    for (engine, count), each in found.items():
        name = name_processes(engine, count)
        cpu_ms = {
            name: [measured.load.cpu_ms for measured in each],
            f"{name}: upstream services": [measured.upstream_ms for measured in each],
            f"{name}: clients": [measured.clients_ms for measured in each],
        }
        numbers += list_numbers(SECTION, MeasuredQuantity.CPU_MS, cpu_ms, baselines=[BARE_NETWORKS])
        rate = {name: [measured.load.frames_per_s for measured in each]}
        numbers += list_numbers(SECTION, MeasuredQuantity.FRAMES_PER_S, rate)
    return numbers, []


def name_processes(engine: str, count: int) -> str:
    """Return the name of the step with one or two processes."""
    return f"{engine}, {COUNTS[count]}"


def _measure(
    servers: Sequence[RunningServer], upstream: UpstreamServices, load: Sequence[BenchFrame], frames: int
) -> ProcessesRound:
    clients_s = time.process_time()
    with measure_cpu({"upstream": list(upstream.pids.values())}) as cpu_s:
        sent = send_load(servers, load, clients=_CLIENTS, frames=frames)
    clients_s = time.process_time() - clients_s
    return ProcessesRound(sent, 1000 * cpu_s["upstream"] / sent.frames, 1000 * clients_s / sent.frames)
