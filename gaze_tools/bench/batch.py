"""`gaze bench batch`: one or several frames in a request over slow networks, and what the session update costs."""

import base64
import contextlib
import http.client
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
from rich.console import Console
from rich.table import Table

from func.adapters.session_api import HttpSessionStore
from gaze_tools.bench.delay_proxy import start_delay_proxy
from gaze_tools.bench.server import read_cpu_s
from gaze_tools.sample_clip import SAMPLE, read_frames
from gaze_tools.stack.launcher import UpstreamServices, start_function_server, start_upstream_services

CAPTURE_MS = 50.0
"""Time between two frames of a viewer at 20 frames/s."""

_PATIENT = {"LOG_LEVEL": "WARNING", "REQUEST_TIMEOUT_S": "60", "LANDMARKER_WAIT_S": "30", "HTTP_TIMEOUT_S": "30"}
"""Settings with which a busy machine is slow and refuses nothing."""

_VIEWING = {"video_id": "sample", "ip_address": "198.51.100.1"}


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


@contextlib.contextmanager
def _measure_cpu(pids: Mapping[str, int]) -> Iterator[dict[str, float]]:
    """Yield a dictionary that has the CPU seconds of processes by name after the block."""
    before = {name: read_cpu_s(pid) for name, pid in pids.items()}
    used: dict[str, float] = {}
    yield used
    used |= {name: read_cpu_s(pid) - before[name] for name, pid in pids.items()}


def send_frames(port: int, pids: Mapping[str, int], images: Sequence[str], count: int, size: int) -> Sent:
    """Send frames of one new session over one connection, so many in each request.

    Raises:
        RuntimeError: The function did not store a frame.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    fields = {"session_id": f"bench-{time.monotonic_ns()}", **_VIEWING}
    latencies_ms = []
    started_s = time.perf_counter()
    with _measure_cpu(pids) as cpu_s:
        for first in range(2, count + 2, size):
            numbers = range(first, min(first + size, count + 2))
            frames = [{"frame_number": number, "frame": images[number % len(images)]} for number in numbers]
            body = json.dumps({**fields, **frames[0]} if size == 1 else {**fields, "frames": frames}).encode()
            sent_s = time.perf_counter()
            connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            latencies_ms.append(1000 * (time.perf_counter() - sent_s))
            if response.status != http.HTTPStatus.OK or answer["status"] != "success":
                failed = [each for each in answer.get("frames", [answer]) if each["status"] != "success"]
                raise RuntimeError(f"{response.status}: {failed[0]}")
    took_s = time.perf_counter() - started_s
    connection.close()
    per_frame = [1000 * cpu_s[name] / count for name in ("function", "session_api", "database")]
    return Sent(count / took_s, latencies_ms, *per_frame)


def store_frames(
    store: HttpSessionStore, pids: Mapping[str, int], record: Mapping[str, Any], *, sessions: int, count: int, size: int
) -> Stored:
    """Store frames of several new sessions at once, so many in each update."""
    start = time.monotonic_ns()

    def fill(session_id: str) -> None:
        for first in range(1, count + 1, size):
            records = dict.fromkeys(range(first, min(first + size, count + 1)), record)
            store.update_frames(session_id, records, **_VIEWING)

    names = [f"bench-{start}-{number}" for number in range(sessions)]
    for name in names:
        store.create_session(name, **_VIEWING)
    with _measure_cpu(pids) as cpu_s:
        wall_s, caller_s = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(sessions) as pool:
            list(pool.map(fill, names))
        wall_s, caller_s = time.perf_counter() - wall_s, time.process_time() - caller_s
    values = (wall_s, caller_s, cpu_s["session_api"], cpu_s["database"])
    return Stored(*(1000 * value / (sessions * count) for value in values))


def read_images(count: int) -> list[str]:
    """Return frames of the sample clip as JPEG in base64."""
    images = []
    for frame in read_frames(str(SAMPLE / "clip.mp4"), count):
        jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        images.append(base64.b64encode(jpeg.tobytes()).decode())
    return images


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
    table = _make_table((*columns, "function", "session API", "database"), "One viewer; CPU in ms a frame")
    for (round_trip_ms, size), rounds in measured.items():
        latencies_ms = sorted(value for each in rounds for value in each.latencies_ms)
        latency_ms = statistics.median(latencies_ms)
        frames_per_s = _median(rounds, lambda each: each.frames_per_s)
        table.add_row(
            f"{round_trip_ms:g}",
            str(size),
            f"{frames_per_s:.1f}",
            f"{frames_per_s / size:.1f}",
            f"{latency_ms:.0f}",
            f"{latencies_ms[math.ceil(0.99 * len(latencies_ms)) - 1]:.0f}",
            f"{latency_ms + CAPTURE_MS * (size - 1):.0f}",
            f"{_median(rounds, lambda each: each.function_ms):.1f}",
            f"{_median(rounds, lambda each: each.session_ms):.2f}",
            f"{_median(rounds, lambda each: each.database_ms):.2f}",
        )
    Console(width=140).print(table)


def print_updates(measured: Mapping[tuple[int, int], Sequence[Stored]]) -> None:
    """Print the medians of all rounds with several numbers of sessions."""
    columns = ("sessions at once", "frames an update", "function", "session API", "database", "wall time")
    table = _make_table(columns, "Session update alone; ms a frame")
    for (sessions, size), rounds in measured.items():
        values = [
            _median(rounds, lambda each: each.caller_ms),
            _median(rounds, lambda each: each.session_ms),
            _median(rounds, lambda each: each.database_ms),
            _median(rounds, lambda each: each.wall_ms),
        ]
        table.add_row(str(sessions), str(size), *(f"{value:.2f}" for value in values))
    Console(width=140).print(table)


def _make_table(columns: Sequence[str], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _median(rounds: Sequence[Any], read: Callable[[Any], float]) -> float:
    return statistics.median(read(each) for each in rounds)


def _read_record(upstream: UpstreamServices, port: int, image: str) -> Mapping[str, Any]:
    """Return the record that the function stores for a frame."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = json.dumps({"session_id": "record", **_VIEWING, "frame_number": 2, "frame": image})
    connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
    connection.getresponse().read()
    connection.close()
    record: Mapping[str, Any] = _make_store(upstream).get_session("record").frames[2]
    return record


def _make_store(upstream: UpstreamServices) -> HttpSessionStore:
    return HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0)


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
    default=(1, 5, 10, 20),
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
    images = read_images(40)
    requests: dict[tuple[float, int], list[Sent]] = {}
    updates: dict[tuple[int, int], list[Stored]] = {}
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        function = stack.enter_context(start_function_server(upstream, log_dir, settings=_PATIENT))
        port = int(function.url.rpartition(":")[2])
        pids = {**upstream.pids, "function": function.process.pid}
        ports = {each: stack.enter_context(start_delay_proxy(port, each)) for each in round_trip_ms}
        send_frames(port, pids, images, 40, 1)
        for _ in range(rounds):
            for delay_ms in round_trip_ms:
                for each in size:
                    sent = send_frames(ports[delay_ms], pids, images, frames, each)
                    requests.setdefault((delay_ms, each), []).append(sent)
        record = _read_record(upstream, port, images[0])
        store = _make_store(upstream)
        for _ in range(rounds):
            for many in sessions:
                for each in size:
                    count = max(20, 8 * frames // many)
                    stored = store_frames(store, pids, record, sessions=many, count=count, size=each)
                    updates.setdefault((many, each), []).append(stored)
    print_requests(requests)
    print_updates(updates)
