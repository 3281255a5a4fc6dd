"""`gaze bench batch`: one or several frames in a request over slow networks."""

import contextlib
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

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
from gaze_tools.bench.frames import load_frames
from gaze_tools.bench.load import LOAD_SIZE
from gaze_tools.bench.sampling import alternate, median_of
from gaze_tools.bench.server import Variant, start_variant
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services

CAPTURE_MS = 50.0
"""Time between two frames of a viewer at 20 frames/s."""

_PATIENT = {"LOG_LEVEL": "WARNING", "REQUEST_TIMEOUT_S": "60", "LANDMARKER_WAIT_S": "30", "HTTP_TIMEOUT_S": "30"}
"""Settings with which a busy machine is slow and refuses nothing."""


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
        frames_per_s = median_of(rounds, lambda each: each.frames_per_s)
        table.add_row(
            f"{round_trip_ms:g}",
            str(size),
            f"{frames_per_s:.1f}",
            f"{frames_per_s / size:.1f}",
            f"{latency_ms:.0f}",
            f"{p99_ms:.0f}",
            f"{latency_ms + CAPTURE_MS * (size - 1):.0f}",
            f"{median_of(rounds, lambda each: each.function_ms):.1f}",
            f"{median_of(rounds, lambda each: each.session_ms):.2f}",
            f"{median_of(rounds, lambda each: each.database_ms):.2f}",
        )
    print_wide(table)


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
    "--frames", type=click.IntRange(min=20), default=120, show_default=True, help="Frames of each measurement."
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Measurements of each case.")
def batch(round_trip_ms: tuple[float, ...], size: tuple[int, ...], frames: int, rounds: int) -> None:
    """Compare one and several frames in a request, over networks with a delay.

    A proxy delays what viewer and function send each other. The viewer sends each request after the answer to the one
    before. The age of the first frame is that of the oldest frame of a request when its answer arrives, at 20 frames/s.
    The cases take turns, so that a machine that becomes slower does so for all.
    """
    load = load_frames(LOAD_SIZE, 8)
    requests: dict[tuple[float, int], list[Sent]] = {}
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
    print_requests(requests)
