"""The cost of a frame on this machine: two real functions and their upstream services under a bounded local load.

CPU time is that of the processes, from /proc: wall time also depends on what else runs on the machine.
"""

import itertools
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.cpu_time import read_cpu_s
from gaze_tools.capacity.load import Client, Load, encode_clip, post, run_load
from gaze_tools.capacity.queues import closed_throughput, mean_wait_s
from gaze_tools.capacity.store_costs import StoreCosts, measure_store
from gaze_tools.sample_clip import seed_sample_maps
from gaze_tools.stack.launcher import start_function_server, start_upstream_services

OPEN_INTERVAL_S = 0.2
"""Interval between two frames of a viewer in the open load: 5 frames/s, so that a slow machine keeps up."""

_MAPS = 1000
"""Number of maps, so that every frame of the scored session has one."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Cost of scoring a session.

    Attributes:
        frames: Frames of the session, with or without a gaze.
        cpu_s: CPU time of the function.
        duration_s: Time from the request to the response.
    """

    frames: int
    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Cost of starting one function, up to readiness."""

    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """Measurements of one run.

    Attributes:
        start: Start of the first function.
        alone: One function, one client, closed load; everything else is predicted from it.
        opened: Two functions; viewers who send frames at a fixed rate.
        closed: Two functions; clients that send the next frame when the last one is answered.
        detect_s: Mean time for which a frame of `alone` occupied a landmarker, features and prediction included.
        scoring: Scoring of a session of `alone`.
        store: Bytes and database commands of the frames of `alone`.
        open_rate_fps: Frame rate of all viewers of `opened`.
        closed_clients: Number of clients of `closed`.
    """

    start: Start
    alone: Load
    opened: Load
    closed: Load
    detect_s: float
    scoring: Scoring
    store: StoreCosts
    open_rate_fps: float
    closed_clients: int


def measure_stack(
    log_dir: Path,
    assumptions: Assumptions,
    *,
    duration_s: float = 10.0,
    open_rate_fps: float = 10.0,
    closed_clients: int = 4,
) -> Measurement:
    """Start the stack with the settings of the cluster, apply three loads, and stop it.

    Args:
        log_dir: Directory for the logs.
        assumptions: Assumptions, which include the settings of the functions.
        duration_s: Length of each load.
        open_rate_fps: Frame rate of the open load.
        closed_clients: Clients of the closed load.
    """
    settings = {
        "LANDMARKERS": str(assumptions.landmarkers),
        "LANDMARKER_WAIT_S": str(assumptions.landmarker_wait_s),
    }
    jpegs = encode_clip()
    sessions = itertools.count(1)
    with ExitStack() as stack:
        upstream = stack.enter_context(start_upstream_services(log_dir))
        seed_sample_maps(upstream, _MAPS)
        started_s = time.monotonic()
        first_server = stack.enter_context(start_function_server(upstream, log_dir, name="first", settings=settings))
        first, first_pid = first_server.url, first_server.process.pid
        pids = {
            "function": [first_pid],
            "session API": [upstream.pids["session_api"]],
            "database": [upstream.pids["database"]],
        }
        start = Start(read_cpu_s([first_pid]), time.monotonic() - started_s)
        run_load([Client(first, next(sessions))], jpegs, pids, duration_s=2)
        before = read_stage(first, "detect")
        viewer = Client(first, next(sessions))
        alone = run_load([viewer], jpegs, pids, duration_s=duration_s)
        after = read_stage(first, "detect")
        scoring = measure_scoring(viewer, alone.frames, first_pid)
        store = measure_store(upstream, jpegs)
        second = stack.enter_context(start_function_server(upstream, log_dir, name="second", settings=settings))
        pids["function"].append(second.process.pid)
        run_load([Client(second.url, next(sessions))], jpegs, pids, duration_s=2)
        functions = itertools.cycle((first, second.url))
        viewers = max(1, round(open_rate_fps * OPEN_INTERVAL_S))
        opened = run_load(
            [Client(next(functions), next(sessions)) for _ in range(viewers)],
            jpegs,
            pids,
            duration_s=duration_s,
            interval_s=OPEN_INTERVAL_S,
        )
        closed = run_load(
            [Client(next(functions), next(sessions)) for _ in range(closed_clients)], jpegs, pids, duration_s=duration_s
        )
    return Measurement(
        start=start,
        alone=alone,
        opened=opened,
        closed=closed,
        detect_s=(after[0] - before[0]) / (after[1] - before[1]),
        scoring=scoring,
        store=store,
        open_rate_fps=viewers / OPEN_INTERVAL_S,
        closed_clients=closed_clients,
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A measured quantity and its prediction from the first load of the run.

    Attributes:
        name: Name with unit.
        predicted: Value predicted by the formulas.
        measured: Value measured in the run.
    """

    name: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured value divided by the predicted one."""
        return self.measured / self.predicted


def check_predictions(measurement: Measurement, *, cores: int, request_cores: float = 1.0) -> list[Check]:
    """Predict the two loads on two functions from that on one function, and compare.

    Functions, upstream services and clients share this machine. It is modelled as one station with its cores as
    servers, whose service time exceeds its CPU time by the same factor as in the first load.

    Args:
        measurement: Measurements of a run.
        cores: Cores of this machine.
        request_cores: CPU request of a pod, for the utilisation that the autoscaler would see.
    """
    alone, opened, closed = measurement.alone, measurement.opened, measurement.closed
    cpu_s = alone.cpu_per_frame_s("function")
    stretch = max(1.0, alone.latency_s / alone.cpu_per_frame_s("function", "session API", "database"))
    demand_s = alone.cpu_per_frame_s() * stretch
    rate_fps = measurement.open_rate_fps
    closed_fps = closed_throughput(measurement.closed_clients, demand_s, servers=cores)
    open_latency_s = alone.latency_s + mean_wait_s(cores, rate_fps, demand_s, variation=0.5)
    return [
        Check("open load: throughput, frames/s", rate_fps, opened.throughput_fps),
        Check("open load: CPU of the function, ms/frame", 1000 * cpu_s, 1000 * opened.cpu_per_frame_s("function")),
        Check(
            "open load: CPU utilisation of two pods, % of request",
            100 * rate_fps * cpu_s / (2 * request_cores),
            100 * opened.cpu_s["function"] / opened.duration_s / (2 * request_cores),
        ),
        Check("open load: latency, ms", 1000 * open_latency_s, 1000 * opened.latency_s),
        Check("closed load: CPU of the function, ms/frame", 1000 * cpu_s, 1000 * closed.cpu_per_frame_s("function")),
        Check("closed load: throughput, frames/s", closed_fps, closed.throughput_fps),
        Check("closed load: latency, ms", 1000 * measurement.closed_clients / closed_fps, 1000 * closed.latency_s),
    ]


def measure_scoring(client: Client, frames: int, function_pid: int) -> Scoring:
    """Complete a session after a number of frames, and return the cost of scoring it."""
    with requests.Session() as http:
        http.trust_env = False
        cpu_s, started_s = read_cpu_s([function_pid]), time.monotonic()
        answer = post(http, client, client.make_body(frames + 1, None))
        duration_s = time.monotonic() - started_s
    answer.raise_for_status()
    return Scoring(frames=frames, cpu_s=read_cpu_s([function_pid]) - cpu_s, duration_s=duration_s)


def read_stage(function_url: str, stage: str) -> tuple[float, float]:
    """Return the seconds that a function has spent in a stage so far, and the number of frames."""
    text = requests.get(f"{function_url}/metrics", timeout=10, proxies={"no_proxy": "*"}).text
    found = [
        float(line.rpartition(" ")[2])
        for name in ("sum", "count")
        for line in text.splitlines()
        if line.startswith(f'gaze_stage_seconds_{name}{{stage="{stage}"}}')
    ]
    return found[0], found[1]
