"""The command `gaze bench session-update`: what storing frames costs the function, the session API and its database."""

import tempfile
from pathlib import Path

import click

from func.adapters.session_api import HttpSessionStore
from gaze_tools.bench.batch import Stored, print_updates, store_frames
from gaze_tools.bench.session_growth import RECORD
from gaze_tools.stack.launcher import start_upstream_services


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
        store_frames(store, upstream.pids, RECORD, sessions=1, count=20, size=1)
        for _ in range(rounds):
            for many in sessions:
                for each in size:
                    count = max(20, frames // many)
                    stored = store_frames(store, upstream.pids, RECORD, sessions=many, count=count, size=each)
                    measured.setdefault((many, each), []).append(stored)
    print_updates(measured)
