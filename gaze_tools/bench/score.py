"""The command `gaze bench score`."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import requests
from pymongo import MongoClient
from rich.table import Table

from func.adapters.aggregator import HttpResultSink
from func.adapters.model_file import load_gaze_model
from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from func.session.completion import Completer, LastFrame, complete
from func.session.frame_record import read_record
from func.session.session_score import SessionScorer
from func.settings import read_settings
from func.web.metrics import Metrics
from gaze_tools.command_line import console
from gaze_tools.saliency.models import make_model
from gaze_tools.saliency.seed import seed_saliency_maps
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

FPS = 30.0
EVERY = 5
VIDEO_ID = "bench"
_DISTINCT_MAPS = 50
_FRAMES_PER_PUT = 2000


@click.command()
@click.option(
    "--frames",
    multiple=True,
    type=click.IntRange(min=1),
    default=(300, 3_600, 36_000, 108_000),
    show_default=True,
    help="Length of a session; repeat the option for several.",
)
@click.option("--accuracy-deg", type=float, help="Also score on maps blurred to this accuracy.")
@click.option("--curve", is_flag=True, help="Also print the memory of the longest run over time.")
@click.option("--measure", hidden=True, help="Addresses of the services, in the process that measures.")
def score(frames: tuple[int, ...], accuracy_deg: float | None, curve: bool, measure: str | None) -> None:
    """Time the scoring of sessions of up to an hour, and its memory.

    Each session has 30 frames/s and a 270×480 map for every 5th frame, held in between. It is read from the session
    API, scored, stored and delivered in a process of its own, as the function does it for the last frame.
    """
    if measure is not None:
        mongo_uri, session_api_url, aggregator_url = measure.split()
        upstream = UpstreamServices(mongo_uri, session_api_url, aggregator_url)
        sys.stdout.write(json.dumps(score_session(upstream, frames[0], accuracy_deg)))
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        start_upstream_services(Path(folder), data_dir=Path(folder)) as upstream,
    ):
        console.print(f"Storing a map for every {EVERY}th of {max(frames)} frames …")
        store_maps(upstream.mongo_uri, max(frames))
        table = Table(title="Scoring of the last frame on the local stack", title_justify="left")
        for column in ("frames", "s", "CPU s", "ms per frame", "MB above idle"):
            table.add_column(column, justify="right")
        addresses = f"{upstream.mongo_uri} {upstream.session_api_url} {upstream.aggregator_url}"
        for count in sorted(frames):
            store_session(upstream.session_api_url, count)
            command = [sys.executable, "-m", "gaze_tools.cli", "bench", "score", "--frames", str(count)]
            command += ["--measure", addresses]
            command += [] if accuracy_deg is None else ["--accuracy-deg", str(accuracy_deg)]
            # One thread for linear algebra, as in the image.
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            measured = json.loads(run.stdout)
            table.add_row(
                f"{count}",
                f"{measured['seconds']:.2f}",
                f"{measured['cpu_seconds']:.2f}",
                f"{1000 * measured['seconds'] / count:.3f}",
                f"{measured['peak_mb'] - measured['idle_mb']:.0f}",
            )
        console.print(table)
        if curve:
            for at_s, above_mb in measured["curve"]:
                console.print(f"{at_s:6.1f} s  {above_mb:6.1f} MB  {'#' * round(above_mb / 2)}", highlight=False)


def store_session(session_api_url: str, frames: int) -> None:
    """Store a session of a viewer who fixates a new place about three times a second."""
    places = np.random.default_rng(1).random((frames // 10 + 1, 2)).round(6).tolist()
    http = requests.Session()
    http.trust_env = False
    body = {"session_id": f"bench-{frames}", "ip_address": "192.0.2.1", "video_id": VIDEO_ID}
    http.post(f"{session_api_url}/mk-session", json=body, timeout=60).raise_for_status()
    for first in range(1, frames + 1, _FRAMES_PER_PUT):
        records = {
            str(number): {
                "gaze": places[(number - 1) // 10],
                "validity": "ok",
                "features": [0.123456, 0.234567, -0.964321, 3.123456, -8.123456, 0.512345, 571.123456],
                "origin_mm": [12.345, 23.456, 570.123],
                "distance_mm": 571.123,
                "eye_openness": [0.31234, 0.32345],
                "timestamp_ms": None,
                "video_time_ms": round(1000 * (number - 1) / FPS, 3),
                "target": None,
                "head_pose_deg": {"pitch": 3.123, "yaw": -8.123, "roll": 0.512},
            }
            for number in range(first, min(first + _FRAMES_PER_PUT, frames + 1))
        }
        update = {"component": "gaze_tracking", "data": {"components": {"gaze_tracking": records}}}
        http.put(f"{session_api_url}/update_session/bench-{frames}", json=update, timeout=120).raise_for_status()


def store_maps(mongo_uri: str, frames: int) -> None:
    """Store the maps of a video in which a bright square moves in a circle."""
    model = make_model("spectral_residual")
    model.start(height=270, width=480)
    generator = np.random.default_rng(0)
    maps = []
    for turn in np.linspace(0, 2 * np.pi, _DISTINCT_MAPS, endpoint=False):
        frame = generator.integers(60, 100, (270, 480, 3), dtype=np.uint8)
        x, y = round(240 + 150 * np.cos(turn)), round(135 + 80 * np.sin(turn))
        frame[y - 15 : y + 15, x - 15 : x + 15] = 250
        maps.append(model.map_frame(frame))
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo_uri) as client:
        seed_saliency_maps(
            client["saliency_db"],
            VIDEO_ID,
            ((number, maps[number // EVERY % _DISTINCT_MAPS]) for number in range(1, frames + 1, EVERY)),
            fps=FPS,
            width=480,
            height=270,
            how="a benchmark",
            held=True,
            frame_count=frames,
        )


def score_session(upstream: UpstreamServices, frames: int, accuracy_deg: float | None) -> dict[str, Any]:
    """Score a session; return the time, the idle and peak memory, and the memory over time."""
    maps = MongoSaliencyMaps(upstream.mongo_uri, timeout_s=60)
    sessions = HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0, read_frame=read_record)
    sink = HttpResultSink(upstream.aggregator_url, timeout_s=60, retries=0)
    model = load_gaze_model(read_settings({"MONGO_URI": upstream.mongo_uri}).gaze_model)
    scorer = SessionScorer(sessions, maps, model=model, accuracy_deg=accuracy_deg)
    completer = Completer(sessions, scorer, sink, observer=Metrics())
    # Connect and warm up, so that the idle memory includes it.
    next(maps.extract_saliencyMap(VIDEO_ID, frame_nums=[1]).maps)
    sessions.get_session(f"bench-{frames}", first=1, last=1)
    idle_mb = _resident_mb()
    curve: list[tuple[float, float]] = []
    stop = threading.Event()
    started, cpu_started = time.perf_counter(), time.process_time()

    def watch() -> None:
        while not stop.wait(max(0.05, frames / 50_000)):
            curve.append((time.perf_counter() - started, _resident_mb() - idle_mb))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    last = LastFrame(f"bench-{frames}", VIDEO_ID, "192.0.2.1", frame_number=frames + 1, has_image=False)
    result = complete(completer, last).result
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    stop.set()
    watcher.join()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert result.frames.scored == frames  # noqa: S101
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "idle_mb": idle_mb,
        "peak_mb": peak_mb,
        "curve": curve,
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
