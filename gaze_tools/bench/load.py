"""The command `gaze bench load`: the function on its own server, with 1 to 32 clients."""

import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.names import BARE_NETWORKS, ENGINES, LOAD, name_load
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.request import name_session, send_bodies
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity, list_numbers, make_report, to_numbers, to_samples
from gaze_tools.bench.sampling import StepCost, alternate, timed
from gaze_tools.bench.server import RunningServer, Variant, engine_settings, read_cpu_s, start_variant
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

CLIENTS = (1, 2, 4, 8, 16, 32)
LOAD_SIZE = (640, 480)
FRAMES_PER_ROUND = 48
"""Frames of each measurement."""

_BARE_RUNS = 10
_WARM_UP_FRAMES = 20
_WAIT_S = 30.0
"""Longest wait for a landmarker: no frame is refused, so that every answer counts the same."""


@dataclass(frozen=True, slots=True)
class LoadRound:
    """What one measurement found.

    Attributes:
        frames: Number of frames, all answered with 200.
        frames_per_s: Answered frames per second.
        cpu_ms: CPU time of the functions for each frame.
        median_ms: Median of the time from sending a frame to its answer.
        p99_ms: 99th percentile of that.
    """

    frames: int
    frames_per_s: float
    cpu_ms: float
    median_ms: float
    p99_ms: float


def function_settings(engine: str) -> dict[str, str]:
    """Return the settings of a patient function with an engine."""
    patient = {"LANDMARKER_WAIT_S": str(_WAIT_S), "REQUEST_TIMEOUT_S": str(2 * _WAIT_S), "LOG_LEVEL": "WARNING"}
    return {**engine_settings(engine), **patient}


@contextlib.contextmanager
def run_engines(
    upstream: UpstreamServices, log_dir: Path, *, suffix: str = "", settings: Mapping[str, str] | None = None
) -> Iterator[dict[str, RunningServer]]:
    """Run a function with each engine, let it answer some frames, and yield them by engine.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        suffix: End of the names of the log files.
        settings: More environment variables of the functions.
    """
    load = load_frames(LOAD_SIZE, 1)
    with contextlib.ExitStack() as stack:
        running = {}
        for engine in ENGINES:
            variant = Variant(engine + suffix, settings={**function_settings(engine), **(settings or {})})
            running[engine] = stack.enter_context(start_variant(variant, upstream, log_dir))
            send_load([running[engine]], load, clients=2, frames=_WARM_UP_FRAMES)
        yield running


def measure_load(
    upstream: UpstreamServices, log_dir: Path, *, clients: Sequence[int] = CLIENTS, rounds: int, frames: int
) -> list[BenchNumber]:
    """Return throughput, CPU time and latency for each engine and number of clients.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        clients: Numbers of concurrent clients.
        rounds: Measurements of each, in turns.
        frames: Frames of each measurement; at least one for each client.
    """
    load = load_frames(LOAD_SIZE, 8)
    networks = BareNetworks(load[0].image)
    found: dict[tuple[str, int], list[LoadRound]] = {}
    between: list[StepCost] = []
    with run_engines(upstream, log_dir) as running:
        cases = list(itertools.product(ENGINES, clients))
        for engine, count in alternate(cases, rounds):
            between.append(measure_networks(networks))
            each = send_load([running[engine]], load, clients=count, frames=max(frames, count))
            found.setdefault((engine, count), []).append(each)
    return _to_numbers(found, median_costs(between, rounds))


def send_load(servers: Sequence[RunningServer], load: Sequence[BenchFrame], *, clients: int, frames: int) -> LoadRound:
    """Send frames from several clients, each of which waits for an answer before its next frame.

    Args:
        servers: Functions to send to, all at once.
        load: Frames to repeat.
        clients: Number of clients of each function; each has a session of its own.
        frames: Number of frames of all clients of a function.

    Raises:
        RuntimeError: A frame was not answered with 200.
    """
    session = name_session()
    sent = [
        (server.port, [load[at % len(load)].make_body(f"{session}-{name}", at + 1) for at in range(frames // clients)])
        for name, server in enumerate(server for server in servers for _ in range(clients))
    ]
    cpu_s, started_s = _read_cpu_s(servers), time.perf_counter()
    with ThreadPoolExecutor(len(sent)) as pool:
        latencies_s = list(itertools.chain.from_iterable(pool.map(lambda each: send_bodies(*each), sent)))
    wall_s, cpu_s = time.perf_counter() - started_s, _read_cpu_s(servers) - cpu_s
    count = len(latencies_s)
    median_s, p99_s = np.quantile(latencies_s, (0.5, 0.99)).tolist()
    return LoadRound(count, count / wall_s, 1000 * cpu_s / count, 1000 * median_s, 1000 * p99_s)


def measure_networks(networks: BareNetworks) -> StepCost:
    """Return the median cost of the bare networks in a few runs."""
    run = timed(lambda _: networks.run())
    return _median_cost([run(turn) for turn in range(_BARE_RUNS)])


def median_costs(costs: Sequence[StepCost], rounds: int) -> list[StepCost]:
    """Return the median cost in each round, from the costs of several measurements between those of other steps.

    The whole round counts, because other work comes and goes.
    """
    per_round = len(costs) // rounds
    return [_median_cost(costs[at * per_round : (at + 1) * per_round]) for at in range(rounds)]


def number_networks(section: str, quantity: MeasuredQuantity, costs: Sequence[StepCost]) -> list[BenchNumber]:
    """Return the wall or CPU time of the bare networks in a section, as the reference of its other numbers."""
    samples = {BARE_NETWORKS: to_samples(quantity, costs)}
    return list_numbers(section, quantity, samples, are_references=True)


def _median_cost(costs: Sequence[StepCost]) -> StepCost:
    return StepCost(statistics.median(cost.wall_s for cost in costs), statistics.median(cost.cpu_s for cost in costs))


def _read_cpu_s(servers: Iterable[RunningServer]) -> float:
    return sum(read_cpu_s(server.process_id) for server in servers)


def _to_numbers(found: Mapping[tuple[str, int], Sequence[LoadRound]], bare: Sequence[StepCost]) -> list[BenchNumber]:
    numbers = to_numbers(LOAD, {BARE_NETWORKS: bare}, [BARE_NETWORKS])
    for (engine, clients), rounds in found.items():
        name = name_load(engine, clients)
        cpu_ms = {name: [each.cpu_ms for each in rounds]}
        wall_ms = {name: [each.median_ms for each in rounds], f"{name}, p99": [each.p99_ms for each in rounds]}
        numbers += list_numbers(LOAD, MeasuredQuantity.CPU_MS, cpu_ms, baselines=[BARE_NETWORKS])
        numbers += list_numbers(LOAD, MeasuredQuantity.WALL_MS, wall_ms, baselines=[BARE_NETWORKS])
        rate = {name: [each.frames_per_s for each in rounds]}
        numbers += list_numbers(LOAD, MeasuredQuantity.FRAMES_PER_S, rate)
    return numbers


@click.command()
@click.option("--clients", type=click.IntRange(min=1), multiple=True, help="Number of clients; may be repeated.")
@click.option("--rounds", type=click.IntRange(min=1), default=8, show_default=True, help="Measurements of each.")
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=FRAMES_PER_ROUND,
    show_default=True,
    help="Frames of each measurement.",
)
@report_options("load")
def load(clients: tuple[int, ...], rounds: int, frames: int, name: str, output: Path) -> None:
    """Load the function with 1 to 32 clients: throughput, CPU time and latency with both engines.

    Each engine runs on its own server with the local upstream services. Clients wait for an answer before they send the
    next frame. CPU time is that of the server alone.
    """
    machine = read_machine_facts()
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        numbers = measure_load(upstream, Path(folder), clients=clients or CLIENTS, rounds=rounds, frames=frames)
    save_and_print(make_report(name, machine, numbers), output)
