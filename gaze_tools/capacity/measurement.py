"""What a frame costs on this machine: two real functions and their neighbours under a bounded load on loopback.

CPU is read as the processes' own time from /proc, since wall time says as much about what else runs on the machine.
"""

import itertools
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.load import Client, Load, encode_clip, post, probe, run_load
from gaze_tools.capacity.processor_time import PARTS, read_cpu_s
from gaze_tools.capacity.queues import closed_throughput, mean_wait_s
from gaze_tools.capacity.store_costs import StoreCosts, measure_store
from gaze_tools.demo import seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_neighbours

OPEN_INTERVAL_S = 0.2
"""Between two frames of a viewer of the open load: 5 a second, so that a slow machine keeps up."""

_MAPS = 1000
"""So that every frame of the session that is scored has one."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the last frame of a session took.

    Attributes:
        frames: Of the session; those whose gaze is unknown have no score.
        cpu_s: Of the function.
        duration_s: From the request to the answer.
    """

    frames: int
    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """What the start of one function took, from its process to readiness."""

    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Crowding:
    """One function with more clients than it has threads.

    Attributes:
        clients: Each waits for an answer before the next request.
        load: What came of theirs.
        probe_s: Median time of a readiness probe meanwhile.
    """

    clients: int
    load: Load
    probe_s: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run.

    Attributes:
        start: Of the first function.
        alone: One function, one client, closed loop: what everything else is predicted from.
        opened: Two functions; viewers who send frames at their own pace.
        closed: Two functions; clients who send the next frame when the last is answered.
        detect_s: Mean time for which a frame of `alone` held a landmarker, its features and prediction included.
        scoring: Of a session of `alone`.
        store: What the frames of `alone` left behind.
        crowding: Far more clients than threads, on one function.
        open_rate_fps: What the viewers of `opened` sent.
        closed_clients: How many clients `closed` had.
    """

    start: Start
    alone: Load
    opened: Load
    closed: Load
    detect_s: float
    scoring: Scoring
    store: StoreCosts
    crowding: Crowding
    open_rate_fps: float
    closed_clients: int


def measure(
    log_dir: Path,
    assumptions: Assumptions,
    *,
    duration_s: float = 10.0,
    open_rate_fps: float = 10.0,
    closed_clients: int = 4,
    crowding_clients: int = 150,
) -> Measurement:
    """Start the stack with the cluster's settings, load it four times, stop it.

    Args:
        log_dir: Where the processes' output goes.
        assumptions: Say the settings of the functions.
        duration_s: Of each load.
        open_rate_fps: Frames a second of the open load.
        closed_clients: Of the closed load.
        crowding_clients: Of the last load.
    """
    settings = {
        "THREADS": str(assumptions.threads),
        "LANDMARKERS": str(assumptions.landmarkers),
        "SCORING_PLACES": str(assumptions.scoring_places),
        "LANDMARKER_WAIT_S": str(assumptions.landmarker_wait_s),
    }
    jpegs = encode_clip()
    sessions = itertools.count(1)
    with ExitStack() as stack:
        neighbours = stack.enter_context(start_neighbours(log_dir))
        seed_sample_maps(neighbours, _MAPS)
        started_s = time.monotonic()
        first = stack.enter_context(start_function(neighbours, log_dir, name="first", settings=settings))
        start = Start(read_cpu_s("function"), time.monotonic() - started_s)
        run_load([Client(first, next(sessions))], jpegs, duration_s=2)
        before = read_stage(first, "detect")
        viewer = Client(first, next(sessions))
        alone = run_load([viewer], jpegs, duration_s=duration_s)
        after = read_stage(first, "detect")
        scoring = measure_scoring(viewer, alone.frames)
        store = measure_store(neighbours, jpegs)
        second = stack.enter_context(start_function(neighbours, log_dir, name="second", settings=settings))
        run_load([Client(second, next(sessions))], jpegs, duration_s=2)
        functions = itertools.cycle((first, second))
        viewers = max(1, round(open_rate_fps * OPEN_INTERVAL_S))
        opened = run_load(
            [Client(next(functions), next(sessions)) for _ in range(viewers)],
            jpegs,
            duration_s=duration_s,
            interval_s=OPEN_INTERVAL_S,
        )
        closed = run_load(
            [Client(next(functions), next(sessions)) for _ in range(closed_clients)], jpegs, duration_s=duration_s
        )
        crowd = [Client(first, next(sessions)) for _ in range(crowding_clients)]
        with probe(first) as waits_s:
            load = run_load(crowd, jpegs, duration_s=duration_s)
        # The first few find no queue yet.
        crowding = Crowding(crowding_clients, load, statistics.median(waits_s[len(waits_s) // 4 :]))
    return Measurement(
        start=start,
        alone=alone,
        opened=opened,
        closed=closed,
        detect_s=(after[0] - before[0]) / (after[1] - before[1]),
        scoring=scoring,
        store=store,
        crowding=crowding,
        open_rate_fps=viewers / OPEN_INTERVAL_S,
        closed_clients=closed_clients,
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity of a run beside what the plan's formulas make of the run's first load.

    Attributes:
        name: With its unit.
        predicted: By the formulas.
        measured: In the run.
    """

    name: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted


def check_predictions(measurement: Measurement, *, cores: int, request_cores: float = 1.0) -> list[Check]:
    """Predict the two loads on two functions from the one on one function, and compare.

    Functions, neighbours and clients share this machine: one station with its cores as servers, whose work takes longer
    than its CPU time by the factor by which it did in the first load.

    Args:
        measurement: Of a run.
        cores: Of this machine.
        request_cores: CPU request of a pod, for the utilisation that the autoscaler would see.
    """
    alone, opened, closed = measurement.alone, measurement.opened, measurement.closed
    cpu_s = alone.cpu_per_frame_s("function")
    stretch = max(1.0, alone.latency_s / alone.cpu_per_frame_s(*PARTS))
    demand_s = alone.cpu_per_frame_s() * stretch
    rate_fps = measurement.open_rate_fps
    closed_fps = closed_throughput(measurement.closed_clients, demand_s, servers=cores)
    open_latency_s = alone.latency_s + mean_wait_s(cores, rate_fps, demand_s, variation=0.5)
    return [
        Check("open load: throughput, frames/s", rate_fps, opened.throughput_fps),
        Check("open load: CPU of the function, ms a frame", 1000 * cpu_s, 1000 * opened.cpu_per_frame_s("function")),
        Check(
            "open load: utilisation of two pods' requests, %",
            100 * rate_fps * cpu_s / (2 * request_cores),
            100 * opened.cpu_s["function"] / opened.duration_s / (2 * request_cores),
        ),
        Check("open load: latency, ms", 1000 * open_latency_s, 1000 * opened.latency_s),
        Check("closed load: CPU of the function, ms a frame", 1000 * cpu_s, 1000 * closed.cpu_per_frame_s("function")),
        Check("closed load: throughput, frames/s", closed_fps, closed.throughput_fps),
        Check("closed load: latency, ms", 1000 * measurement.closed_clients / closed_fps, 1000 * closed.latency_s),
    ]


def measure_scoring(client: Client, frames: int) -> Scoring:
    """Say that a session is over after so many frames, and return what its scoring took."""
    with requests.Session() as http:
        http.trust_env = False
        cpu_s, started_s = read_cpu_s("function"), time.monotonic()
        answer = post(http, client, client.make_body(frames + 1, None))
        duration_s = time.monotonic() - started_s
    answer.raise_for_status()
    return Scoring(frames=frames, cpu_s=read_cpu_s("function") - cpu_s, duration_s=duration_s)


def read_stage(function_url: str, stage: str) -> tuple[float, float]:
    """Return the seconds and the number of frames that a function has spent in a stage so far."""
    text = requests.get(f"{function_url}/metrics", timeout=10, proxies={"no_proxy": "*"}).text
    found = [
        float(line.rpartition(" ")[2])
        for name in ("sum", "count")
        for line in text.splitlines()
        if line.startswith(f'gaze_stage_seconds_{name}{{stage="{stage}"}}')
    ]
    return found[0], found[1]
