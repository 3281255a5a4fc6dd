"""`gaze bench batch`: one or several frames in a request over slow networks, and what the session update costs."""

import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from func.adapters.session_api import HttpSessionStore
from gaze_tools.bench.batch import (
    BATCH_SIZES,
    DATABASE,
    FUNCTION,
    SESSION_API,
    Sent,
    list_processes,
    send_frames,
)
from gaze_tools.bench.delay_proxy import start_delay_proxy
from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.load import LOAD_SIZE
from gaze_tools.bench.request import name_session, send_bodies
from gaze_tools.bench.sampling import alternate
from gaze_tools.bench.server import Variant, measure_cpu, start_variant
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services

CAPTURE_MS = 50.0
"""Time between two frames of a viewer at 20 frames/s."""

_PATIENT = {"LOG_LEVEL": "WARNING", "REQUEST_TIMEOUT_S": "60", "LANDMARKER_WAIT_S": "30", "HTTP_TIMEOUT_S": "30"}
"""Settings with which a busy machine is slow and refuses nothing."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing frames of several sessions at once took, for a frame.

    Attributes:
        wall_ms: Duration, of all sessions together.
        caller_ms: CPU time of the caller, which is the function.
        session_ms: CPU time of the session API.
        database_ms: CPU time of the database.
    """

    wall_ms: float
    caller_ms: float
    session_ms: float
    database_ms: float


def store_frames(
    store: HttpSessionStore,
    process_ids: Mapping[str, Sequence[int]],
    record: Mapping[str, Any],
    *,
    sessions: int,
    count: int,
    size: int,
) -> Stored:
    """Store frames of several new sessions at once, so many in each update."""
    start, viewing = name_session(), {"video_id": "sample", "ip_address": "198.51.100.1"}

    def fill(session_id: str) -> None:
        for first in range(1, count + 1, size):
            records = dict.fromkeys(range(first, min(first + size, count + 1)), record)
            store.update_frames(session_id, records, **viewing)

    names = [f"{start}-{number}" for number in range(sessions)]
    for name in names:
        store.create_session(name, **viewing)
    with measure_cpu(process_ids) as cpu_s:
        wall_s, caller_s = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(sessions) as pool:
            list(pool.map(fill, names))
        wall_s, caller_s = time.perf_counter() - wall_s, time.process_time() - caller_s
    values = (wall_s, caller_s, cpu_s[SESSION_API], cpu_s[DATABASE])
    return Stored(*(1000 * value / (sessions * count) for value in values))


def print_requests(measured: Mapping[tuple[float, int], Sequence[Sent]]) -> None:
    """Print the medians of all rounds over networks of several delays."""
    columns = (
        "round trip, ms",
        "frames a request",
        "frames/s",
        "requests/s",
        "latency, ms",
        "99 %",
        "age of the first",
    )
    table = make_table("One viewer; CPU in ms a frame", *columns, FUNCTION, SESSION_API, DATABASE)
    for (round_trip_ms, size), rounds in measured.items():
        latency_ms, p99_ms = np.quantile([value for each in rounds for value in each.latencies_ms], (0.5, 0.99))
        frames_per_s = _median(rounds, lambda each: each.frames_per_s)
        table.add_row(
            f"{round_trip_ms:g}",
            str(size),
            f"{frames_per_s:.1f}",
            f"{frames_per_s / size:.1f}",
            f"{latency_ms:.0f}",
            f"{p99_ms:.0f}",
            f"{latency_ms + CAPTURE_MS * (size - 1):.0f}",
            f"{_median(rounds, lambda each: each.function_ms):.1f}",
            f"{_median(rounds, lambda each: each.session_ms):.2f}",
            f"{_median(rounds, lambda each: each.database_ms):.2f}",
        )
    print_wide(table)


def print_updates(measured: Mapping[tuple[int, int], Sequence[Stored]]) -> None:
    """Print the medians of all rounds with several numbers of sessions."""
    columns = ("sessions at once", "frames an update", FUNCTION, SESSION_API, DATABASE, "wall time")
    table = make_table("Session update alone; ms a frame", *columns)
    for (sessions, size), rounds in measured.items():
        values = [
            _median(rounds, lambda each: each.caller_ms),
            _median(rounds, lambda each: each.session_ms),
            _median(rounds, lambda each: each.database_ms),
            _median(rounds, lambda each: each.wall_ms),
        ]
        table.add_row(str(sessions), str(size), *(f"{value:.2f}" for value in values))
    print_wide(table)


def _median(rounds: Sequence[Any], read: Callable[[Any], float]) -> float:
    return statistics.median(read(each) for each in rounds)


def _read_record(store: HttpSessionStore, port: int, frame: BenchFrame) -> Mapping[str, Any]:
    """Return the record that the function stores for a frame."""
    session = name_session()
    send_bodies(port, [frame.make_body(session, 1)])
    record: Mapping[str, Any] = store.get_session(session).frames[1]
    return record


@click.command()
@click.option(
    "--round-trip-ms",
    type=click.FloatRange(min=0),
    multiple=True,
    default=(1.0, 20.0, 100.0),
    show_default=True,
    help="Round trip between viewer and function; may be repeated.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 32),
    multiple=True,
    default=BATCH_SIZES,
    show_default=True,
    help="Frames in a request; may be repeated.",
)
@click.option(
    "--sessions",
    type=click.IntRange(1, 256),
    multiple=True,
    default=(1, 8, 64),
    show_default=True,
    help="Concurrent sessions of the session update; may be repeated.",
)
@click.option(
    "--frames", type=click.IntRange(min=20), default=120, show_default=True, help="Frames of each measurement."
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Measurements of each case.")
def batch(
    round_trip_ms: tuple[float, ...], size: tuple[int, ...], sessions: tuple[int, ...], frames: int, rounds: int
) -> None:
    """Compare one and several frames in a request, over networks with a delay; then the session update alone.

    A proxy delays what viewer and function send each other. The viewer sends each request after the answer to the one
    before. The age of the first frame is that of the oldest frame of a request when its answer arrives, at 20 frames/s.
    The cases take turns, so that a machine that becomes slower does so for all.
    """
    load = load_frames(LOAD_SIZE, 8)
    requests: dict[tuple[float, int], list[Sent]] = {}
    updates: dict[tuple[int, int], list[Stored]] = {}
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        function = stack.enter_context(start_variant(Variant("function", settings=_PATIENT), upstream, log_dir))
        process_ids = list_processes(upstream, function.process_id)
        ports = {each: stack.enter_context(start_delay_proxy(function.port, each)) for each in round_trip_ms}
        send_frames(function.port, process_ids, load, count=40, size=1)
        for delay_ms, each in alternate(list(itertools.product(round_trip_ms, size)), rounds):
            sent = send_frames(ports[delay_ms], process_ids, load, count=frames, size=each)
            requests.setdefault((delay_ms, each), []).append(sent)
        store = HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0)
        record = _read_record(store, function.port, load[0])
        for many, each in alternate(list(itertools.product(sessions, size)), rounds):
            count = max(20, 8 * frames // many)
            stored = store_frames(store, process_ids, record, sessions=many, count=count, size=each)
            updates.setdefault((many, each), []).append(stored)
    print_requests(requests)
    print_updates(updates)
