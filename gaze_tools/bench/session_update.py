"""The command `gaze bench session-update`: what storing frames costs the function, the session API and its database."""

import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from func.adapters.session_api import HttpSessionStore
from gaze_tools.bench.batch import DATABASE, FUNCTION, SESSION_API
from gaze_tools.bench.request import name_session
from gaze_tools.bench.sampling import alternate, median_of
from gaze_tools.bench.server import measure_cpu
from gaze_tools.bench.session_growth import RECORD
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services


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


def print_updates(measured: Mapping[tuple[int, int], Sequence[Stored]]) -> None:
    """Print the medians of all rounds with several numbers of sessions."""
    columns = ("sessions at once", "frames an update", FUNCTION, SESSION_API, DATABASE, "wall time")
    table = make_table("Session update alone; ms a frame", *columns)
    for (sessions, size), rounds in measured.items():
        values = [
            median_of(rounds, lambda each: each.caller_ms),
            median_of(rounds, lambda each: each.session_ms),
            median_of(rounds, lambda each: each.database_ms),
            median_of(rounds, lambda each: each.wall_ms),
        ]
        table.add_row(str(sessions), str(size), *(f"{value:.2f}" for value in values))
    print_wide(table)


@click.command()
@click.option(
    "--sessions",
    type=click.IntRange(1, 256),
    multiple=True,
    default=(1, 8, 64),
    show_default=True,
    help="Concurrent sessions; may be repeated.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 32),
    multiple=True,
    default=(1,),
    show_default=True,
    help="Frames in an update; may be repeated.",
)
@click.option(
    "--frames", type=click.IntRange(min=20), default=1_600, show_default=True, help="Frames of each measurement."
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Measurements of each case.")
def session_update(sessions: tuple[int, ...], size: tuple[int, ...], frames: int, rounds: int) -> None:
    """Measure what the session API and its database cost for one frame, in CPU time of each process.

    The caller stores records as the function does, over connections that stay open. The cases take turns, and all have
    the same number of frames.
    """
    measured: dict[tuple[int, int], list[Stored]] = {}
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        store = HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0)
        process_ids = {SESSION_API: [upstream.pids["session_api"]], DATABASE: [upstream.pids["database"]]}
        store_frames(store, process_ids, RECORD, sessions=1, count=20, size=1)
        for many, each in alternate(list(itertools.product(sessions, size)), rounds):
            count = max(20, frames // many)
            stored = store_frames(store, process_ids, RECORD, sessions=many, count=count, size=each)
            measured.setdefault((many, each), []).append(stored)
    print_updates(measured)
