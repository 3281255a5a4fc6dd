"""Several frames in one request: what a frame then costs the function, the session API and the database."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frames import BenchFrame, describe_frame, load_frames, make_batch_body, make_json_body
from gaze_tools.bench.load import LOAD_SIZE, measure_networks, median_costs, number_networks, run_engines
from gaze_tools.bench.names import BARE_NETWORKS, ENGINES
from gaze_tools.bench.request import connect, name_session
from gaze_tools.bench.results import BenchNumber, MeasuredQuantity, list_numbers
from gaze_tools.bench.sampling import StepCost, alternate
from gaze_tools.bench.server import measure_cpu
from gaze_tools.stack.launcher import UpstreamServices

SECTION = "frames in a request, for each frame"
BATCH_SIZES = (1, 5, 10, 20)

FUNCTION, SESSION_API, DATABASE = "function", "session API", "database"


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending frames of one viewer took.

    Attributes:
        frames_per_s: Frames answered in a second, each request sent after the answer to the one before.
        latencies_ms: Time from sending a request to its answer.
        function_ms: CPU time of the function for a frame.
        session_ms: CPU time of the session API for a frame.
        database_ms: CPU time of the database for a frame.
    """

    frames_per_s: float
    latencies_ms: Sequence[float]
    function_ms: float
    session_ms: float
    database_ms: float


def list_processes(upstream: UpstreamServices, function: int) -> dict[str, list[int]]:
    """Return the process ids of what stores a frame, by name."""
    return {
        FUNCTION: [function],
        SESSION_API: [upstream.pids["session_api"]],
        DATABASE: [upstream.pids["database"]],
    }


def send_frames(
    port: int, process_ids: Mapping[str, Sequence[int]], load: Sequence[BenchFrame], *, count: int, size: int
) -> Sent:
    """Send frames of one new session over one connection, so many in each request.

    Args:
        port: Port of the function, or of a proxy before it.
        process_ids: Result of `list_processes`.
        load: Frames to repeat.
        count: Number of frames.
        size: Frames in a request.

    Raises:
        RuntimeError: The function did not store a frame.
    """
    session, latencies_ms = name_session(), []
    started_s = time.perf_counter()
    with connect(port) as connection, measure_cpu(process_ids) as cpu_s:
        for first in range(1, count + 1, size):
            numbered = {at: load[at % len(load)].jpeg for at in range(first, min(first + size, count + 1))}
            body = (
                make_json_body(describe_frame(session, first), numbered[first])
                if size == 1
                else make_batch_body(session, numbered)
            )
            sent_s = time.perf_counter()
            answer = json.loads(connection.post(body))
            latencies_ms.append(1000 * (time.perf_counter() - sent_s))
            if answer["status"] != "success":
                failed = [each for each in answer["frames"] if each["status"] != "success"]
                raise RuntimeError(f"the function did not store a frame: {failed[0]}")
    took_s = time.perf_counter() - started_s
    per_frame = (1000 * cpu_s[name] / count for name in (FUNCTION, SESSION_API, DATABASE))
    return Sent(count / took_s, latencies_ms, *per_frame)


def measure_batches(
    upstream: UpstreamServices, log_dir: Path, *, sizes: Sequence[int] = BATCH_SIZES, rounds: int, frames: int
) -> list[BenchNumber]:
    """Return the CPU time of a frame for each engine and number of frames in a request.

    Session API and database do the same for both engines, so they have one number.

    Args:
        upstream: Running services.
        log_dir: Directory for logs.
        sizes: Numbers of frames in a request.
        rounds: Measurements of each, in turns.
        frames: Frames of each measurement.
    """
    load = load_frames(LOAD_SIZE, 8)
    networks = BareNetworks(load[0].image)
    found: dict[int, list[dict[str, Sent]]] = {size: [] for size in sizes}
    between: list[StepCost] = []
    with run_engines(upstream, log_dir, suffix="-batch") as running:
        for size in alternate(sizes, rounds):
            between.append(measure_networks(networks))
            found[size].append(
                {
                    engine: send_frames(
                        server.port, list_processes(upstream, server.process_id), load, count=frames, size=size
                    )
                    for engine, server in running.items()
                }
            )
    samples: dict[str, list[float]] = {}
    for size, each in found.items():
        name = f"{size} frame{'s' * (size > 1)}"
        for engine in ENGINES:
            samples[f"{name}, {engine}"] = [sent[engine].function_ms for sent in each]
        samples[f"{name}, {SESSION_API}"] = [
            statistics.mean(by_engine.session_ms for by_engine in sent.values()) for sent in each
        ]
        samples[f"{name}, {DATABASE}"] = [
            statistics.mean(by_engine.database_ms for by_engine in sent.values()) for sent in each
        ]
    return [
        *number_networks(SECTION, MeasuredQuantity.CPU_MS, median_costs(between, rounds)),
        *list_numbers(SECTION, MeasuredQuantity.CPU_MS, samples, baselines=[BARE_NETWORKS]),
    ]
