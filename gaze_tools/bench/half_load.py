"""Latency of a whole request while the function gets half of the frames that it could answer."""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.load import LOAD_SIZE, measure_networks, median_costs, number_networks, run_engines, send_load
from gaze_tools.bench.names import BARE_NETWORKS, ENGINES
from gaze_tools.bench.open_loop import OpenLoopOutcome, send_at_fixed_rate
from gaze_tools.bench.request import FrameConnection, connect, name_session
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity, list_numbers
from gaze_tools.bench.sampling import StepCost, alternate
from gaze_tools.bench.server import RunningServer
from gaze_tools.stack.launcher import UpstreamServices

SECTION = "half load"
SHARE_OF_CAPACITY = 0.5

_CAPACITY_CLIENTS, _CAPACITY_FRAMES = 4, 48
_SENDERS = 16
"""Connections, each with a session of its own: far more than requests on their way at half load."""


@dataclass(frozen=True, slots=True)
class HalfLoadRound:
    """What one measurement found.

    Attributes:
        capacity_per_s: Frames per second of clients that wait for each answer.
        outcome: Latencies at half of that rate.
    """

    capacity_per_s: float
    outcome: OpenLoopOutcome


def measure_half_load(upstream: UpstreamServices, log_dir: Path, *, rounds: int, frames: int) -> list[BenchNumber]:
    """Return median and 99th percentile of the latency at half load, and the capacity, for each engine.

    The capacity is measured anew before each measurement, as other work comes and goes.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        rounds: Measurements of each engine, in turns.
        frames: Frames of each measurement; the 99th percentile needs some hundreds.
    """
    load = load_frames(LOAD_SIZE, 8)
    networks = BareNetworks(load[0].image)
    found: dict[str, list[HalfLoadRound]] = {engine: [] for engine in ENGINES}
    between: list[StepCost] = []
    with run_engines(upstream, log_dir, suffix="-half-load") as running:
        for engine in alternate(ENGINES, rounds):
            between.append(measure_networks(networks))
            found[engine].append(_measure(running[engine], load, frames))
    numbers = number_networks(SECTION, MeasuredQuantity.WALL_MS, median_costs(between, rounds))
    for engine, each in found.items():
        latencies_ms = {
            name_median(engine): [1000 * measured.outcome.median_s for measured in each],
            name_p99(engine): [1000 * measured.outcome.p99_s for measured in each],
        }
        numbers += list_numbers(SECTION, MeasuredQuantity.WALL_MS, latencies_ms, baselines=[BARE_NETWORKS])
        capacity = {f"{engine}, capacity": [measured.capacity_per_s for measured in each]}
        numbers += list_numbers(SECTION, MeasuredQuantity.FRAMES_PER_S, capacity)
    return numbers


def name_median(engine: str) -> str:
    """Return the name of the step with the median latency."""
    return f"{engine}, median"


def name_p99(engine: str) -> str:
    """Return the name of the step with the 99th percentile."""
    return f"{engine}, p99"


def _measure(server: RunningServer, load: Sequence[BenchFrame], frames: int) -> HalfLoadRound:
    capacity = send_load([server], load, clients=_CAPACITY_CLIENTS, frames=_CAPACITY_FRAMES).frames_per_s
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(server.port)) for _ in range(_SENDERS)]
        senders = [functools.partial(_send, each, name_session(), load) for each in connections]
        for send in senders:
            send(frames)  # opens the session, which a viewing does once in thousands of frames
        outcome = send_at_fixed_rate(senders, rate_per_s=SHARE_OF_CAPACITY * capacity, count=frames)
    return HalfLoadRound(capacity, outcome)


def _send(connection: FrameConnection, session: str, load: Sequence[BenchFrame], number: int) -> object:
    return connection.post(load[number % len(load)].make_body(session, number + 1))
