"""The command `gaze bench load`: the function on its own server, with 1 to 32 clients."""

import contextlib
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import click
import numpy as np

import func
from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frame_stages import BARE_NETWORKS, ENGINES
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity, make_report, to_numbers
from gaze_tools.bench.sampling import StepCost, timed
from gaze_tools.bench.server import read_cpu_s
from gaze_tools.stack.launcher import UpstreamServices, start_function_server, start_upstream_services

SECTION = "load"
CLIENTS = (1, 2, 4, 8, 16, 32)
LOAD_SIZE = (640, 480)
FRAMES_PER_ROUND = 48
"""Frames of each measurement; CPU time of processes has steps of 10 ms, which is then 2 % of the measured time."""

_BARE_RUNS = 10
_WARM_UP_FRAMES = 20
_WAIT_S = 30.0
"""Longest wait for a landmarker: no frame is refused, so that every answer counts the same."""


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """A running function.

    Attributes:
        engine: Its landmark engine.
        port: Port on the loopback interface.
        process_id: Process id of the server.
    """

    engine: str
    port: int
    process_id: int


@dataclass(frozen=True, slots=True)
class LoadRound:
    """What one measurement found.

    Attributes:
        frames_per_s: Answered frames per second.
        cpu_ms: CPU time of the function for each frame.
        median_ms: Median of the time from sending a frame to its answer.
        p99_ms: 99th percentile of that.
    """

    frames_per_s: float
    cpu_ms: float
    median_ms: float
    p99_ms: float


def function_settings(engine: str) -> dict[str, str]:
    """Return the settings of a function with an engine: `litert` comes with the gaze model as ONNX."""
    settings = {"FACE_LANDMARKER": engine, "LANDMARKER_WAIT_S": str(_WAIT_S), "LOG_LEVEL": "WARNING"}
    if engine == "litert":
        settings["GAZE_MODEL"] = str(Path(func.__file__).parents[1] / "models" / "gaze_model.onnx")
    return settings


@contextlib.contextmanager
def run_target(engine: str, upstream: UpstreamServices, log_dir: Path) -> Iterator[LoadTarget]:
    """Run a function with an engine and let it answer some frames."""
    settings = function_settings(engine)
    with start_function_server(upstream, log_dir, name=engine, settings=settings) as server:
        yield LoadTarget(engine, int(server.url.rpartition(":")[2]), server.process.pid)


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
    bare: list[StepCost] = []
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(run_target(engine, upstream, log_dir)) for engine in ENGINES]
        for target in targets:
            send_load(target, load, clients=2, frames=_WARM_UP_FRAMES)
        cases = list(itertools.product(targets, clients))
        for at in range(rounds):
            # Between the measurements of the whole round, because other work comes and goes.
            between = []
            for target, count in cases if at % 2 == 0 else reversed(cases):
                between.append(measure_networks(networks))
                each = send_load(target, load, clients=count, frames=max(frames, count))
                found.setdefault((target.engine, count), []).append(each)
            bare.append(_median_cost(between))
    return _to_numbers(found, bare)


def send_load(target: LoadTarget, load: Sequence[BenchFrame], *, clients: int, frames: int) -> LoadRound:
    """Send frames from several clients, each of which waits for an answer before its next frame.

    Args:
        target: Function to send to.
        load: Frames to repeat.
        clients: Number of clients; each has a session of its own.
        frames: Number of frames of all clients.

    Raises:
        RuntimeError: A frame was not answered with 200.
    """
    session = f"load-{target.engine}-{time.monotonic_ns()}"
    per_client = frames // clients
    bodies = [
        [load[at % len(load)].make_body(f"{session}-{client}", at + 1) for at in range(per_client)]
        for client in range(clients)
    ]
    latencies_s: list[float] = []
    threads = [threading.Thread(target=_send, args=(target.port, each, latencies_s)) for each in bodies]
    cpu_s, started_s = read_cpu_s(target.process_id), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - started_s
    cpu_s = read_cpu_s(target.process_id) - cpu_s
    if len(latencies_s) != clients * per_client:
        raise RuntimeError(f"the function ({target.engine}) did not answer all frames with 200")
    median_s, p99_s = np.quantile(latencies_s, (0.5, 0.99)).tolist()
    return LoadRound(len(latencies_s) / wall_s, 1000 * cpu_s / len(latencies_s), 1000 * median_s, 1000 * p99_s)


def _send(port: int, bodies: Sequence[bytes], latencies_s: list[float]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        for body in bodies:
            started_s = time.perf_counter()
            connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status == HTTPStatus.OK:
                latencies_s.append(time.perf_counter() - started_s)


def measure_networks(networks: BareNetworks) -> StepCost:
    """Return the median cost of the bare networks in a few runs."""
    run = timed(lambda _: networks.run())
    return _median_cost([run(turn) for turn in range(_BARE_RUNS)])


def _median_cost(costs: Sequence[StepCost]) -> StepCost:
    return StepCost(statistics.median(cost.wall_s for cost in costs), statistics.median(cost.cpu_s for cost in costs))


def _to_numbers(found: Mapping[tuple[str, int], Sequence[LoadRound]], bare: Sequence[StepCost]) -> list[BenchNumber]:
    def number(name: str, quantity: MeasuredQuantity, samples: Iterable[float], *baselines: str) -> BenchNumber:
        return BenchNumber(section=SECTION, name=name, quantity=quantity, samples=tuple(samples), baselines=baselines)

    numbers = to_numbers(SECTION, {BARE_NETWORKS: bare}, [BARE_NETWORKS])
    for (engine, clients), rounds in found.items():
        name = f"{engine}, {clients} client{'s' * (clients > 1)}"
        numbers += [
            number(name, MeasuredQuantity.CPU_MS, (each.cpu_ms for each in rounds), BARE_NETWORKS),
            number(name, MeasuredQuantity.FRAMES_PER_S, (each.frames_per_s for each in rounds)),
            number(name, MeasuredQuantity.WALL_MS, (each.median_ms for each in rounds), BARE_NETWORKS),
            number(f"{name}, p99", MeasuredQuantity.WALL_MS, (each.p99_ms for each in rounds)),
        ]
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
