"""The command `gaze bench score`."""

import itertools
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
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
from gaze_core.gaze import direction_to, gaze_vector
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.command_line import console
from gaze_tools.saliency.models import make_model
from gaze_tools.saliency.seed import seed_saliency_maps
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

FPS = 30.0
"""Default rate of webcam frames and of the film."""

EVERY = (5, 1)
"""Distance between maps, in frames."""

CALIBRATION_ID = "bench-calibration"
ERROR_DEG = 1.6
"""Scatter of the gaze around calibration targets: about 2 degrees of mean error for a frame."""

_DISTANCE_MM = 571.0
_SHORT_FRAMES, _SHORT_TURNS = 5_000, 3
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
@click.option(
    "--every",
    multiple=True,
    type=click.IntRange(min=1),
    default=EVERY,
    show_default=True,
    help="Distance between maps in frames; repeat the option for several.",
)
@click.option(
    "--frame-rate",
    type=click.FloatRange(min=1),
    default=FPS,
    show_default=True,
    help="Webcam frames per second.",
)
@click.option(
    "--film-rate", type=click.FloatRange(min=1), default=FPS, show_default=True, help="Frames of the film per second."
)
@click.option("--curve", is_flag=True, help="Also print the memory of the longest calibrated run over time.")
@click.option("--measure", hidden=True, nargs=2, help="Addresses and session, in the process that measures.")
def score(
    *,
    frames: tuple[int, ...],
    every: tuple[int, ...],
    frame_rate: float,
    film_rate: float,
    curve: bool,
    measure: tuple[str, str] | None,
) -> None:
    """Time the scoring of sessions of up to an hour, calibrated and not, and its memory.

    The film has a 270×480 map for every 5th frame, held in between, or one for every frame. A session is
    read from the session API, scored, stored and delivered in a process of its own, as the function does it for the
    last frame, with as many threads for linear algebra as the libraries choose. A calibrated session is also scored on
    maps blurred to the accuracy of the calibration. The ratio is the calibrated CPU time over the other one. Memory is
    that of the calibrated session: the highest resident set (RSS) above the idle process, and as a whole, and the
    highest proportional set (PSS).
    """
    if measure is not None:
        mongo_uri, session_api_url, aggregator_url = measure[0].split()
        upstream = UpstreamServices(mongo_uri, session_api_url, aggregator_url)
        sys.stdout.write(json.dumps(score_session(upstream, frames[0], every[0], measure[1])))
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        start_upstream_services(Path(folder), data_dir=Path(folder)) as upstream,
    ):
        table = Table(title="Scoring of the last frame on the local stack", title_justify="left")
        for column in (
            "frames",
            "map every",
            "s",
            "CPU s",
            "calibrated, s",
            "CPU s",
            "CPU ratio",
            "CPU ms per frame",
            "MB above idle",
            "RSS, MB",
            "PSS, MB",
        ):
            table.add_column(column, justify="right")
        for step in every:
            console.print(f"Storing a map for every {step}. of {max(frames)} frames …")
            store_maps(upstream.mongo_uri, math.ceil(max(frames) * film_rate / frame_rate), step, fps=film_rate)
            for count in sorted(frames):
                plain, calibrated = (
                    _measure(upstream, count, step, frame_rate, calibrate=calibrate) for calibrate in (False, True)
                )
                table.add_row(
                    f"{count}",
                    f"{step}",
                    f"{plain['seconds']:.2f}",
                    f"{plain['cpu_seconds']:.2f}",
                    f"{calibrated['seconds']:.2f}",
                    f"{calibrated['cpu_seconds']:.2f}",
                    f"{calibrated['cpu_seconds'] / plain['cpu_seconds']:.2f}",
                    f"{1000 * calibrated['cpu_seconds'] / count:.3f}",
                    f"{calibrated['peak_mb'] - calibrated['idle_mb']:.0f}",
                    f"{calibrated['peak_mb']:.0f}",
                    f"{calibrated['pss_mb']:.0f}",
                )
        console.print(table)
        if curve:
            for at_s, above_mb in calibrated["curve"]:
                console.print(f"{at_s:6.1f} s  {above_mb:6.1f} MB  {'#' * round(above_mb / 2)}", highlight=False)


def _measure(
    upstream: UpstreamServices, frames: int, every: int, frame_rate: float, *, calibrate: bool
) -> dict[str, Any]:
    """Return the measurements of a session in a process of its own; of the fastest of some short ones."""
    addresses = f"{upstream.mongo_uri} {upstream.session_api_url} {upstream.aggregator_url}"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    measured = []
    for turn in range(_SHORT_TURNS if frames <= _SHORT_FRAMES else 1):
        session_id = f"bench-{frames}-{every}-{'calibrated' if calibrate else 'plain'}-{turn}"
        # Each time, because it expires while many maps are stored.
        store_calibration(upstream.session_api_url)
        store_session(upstream.session_api_url, session_id, frames, every, calibrate=calibrate, frame_rate=frame_rate)
        command = [sys.executable, "-m", "gaze_tools.cli", "bench", "score", "--frames", str(frames)]
        command += ["--every", str(every), "--measure", addresses, session_id]
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        measured.append(json.loads(run.stdout))
    fastest: dict[str, Any] = min(measured, key=lambda each: each["seconds"])
    return fastest


def store_session(
    session_api_url: str, session_id: str, frames: int, every: int, *, calibrate: bool, frame_rate: float = FPS
) -> None:
    """Store a session of a viewer who fixates a new place every ten frames."""
    records = describe_session(frames, calibration=CALIBRATION_ID if calibrate else None, frame_rate=frame_rate)
    _store_records(session_api_url, session_id, f"bench-{every}", records)


def describe_session(frames: int, *, calibration: str | None, frame_rate: float = FPS) -> Iterator[dict[str, Any]]:
    """Yield the records of a viewer who fixates a new place every ten frames."""
    places = np.random.default_rng(1).random((frames // 10 + 1, 2)).round(6).tolist()
    selected = {} if calibration is None else {"calibration_session": calibration}
    for number in range(frames):
        yield {
            **_describe_gaze(places[number // 10], (0.0, 0.0)),
            "video_time_ms": round(1000 * number / frame_rate, 3),
            **selected,
        }


def store_calibration(session_api_url: str) -> None:
    """Store a calibration with nine targets, 30 frames each."""
    _store_records(session_api_url, CALIBRATION_ID, "bench", describe_calibration(ERROR_DEG))


def describe_calibration(error_deg: float) -> Iterator[dict[str, Any]]:
    """Yield the records of nine targets, 30 frames each, with a normal error in both directions."""
    generator = np.random.default_rng(2)
    for target in [(x, y) for y in (0.1, 0.5, 0.9) for x in (0.1, 0.5, 0.9)]:
        for _ in range(30):
            off_deg = generator.normal(0.0, error_deg, 2).tolist()
            yield {**_describe_gaze(target, (off_deg[0], off_deg[1])), "target": list(target)}


def _store_records(session_api_url: str, session_id: str, video_id: str, records: Iterable[dict[str, Any]]) -> None:
    http = requests.Session()
    http.trust_env = False
    body = {"session_id": session_id, "ip_address": "192.0.2.1", "video_id": video_id}
    http.post(f"{session_api_url}/mk-session", json=body, timeout=60).raise_for_status()
    numbered = ((str(number), record) for number, record in enumerate(records, start=1))
    while part := dict(itertools.islice(numbered, _FRAMES_PER_PUT)):
        update = {"component": "gaze_tracking", "data": {"components": {"gaze_tracking": part}}}
        http.put(f"{session_api_url}/update_session/{session_id}", json=update, timeout=120).raise_for_status()


def _describe_gaze(place: Sequence[float], off_deg: tuple[float, float]) -> dict[str, Any]:
    """Return the record of a viewer who faces the camera and looks at a place, with an error to the right and up."""
    origin_mm = np.array([0.0, 100.0, _DISTANCE_MM])
    direction = direction_to(GazePoint(place[0], place[1]), origin_mm, Screen(), Camera()) + np.array(off_deg)
    return {
        "gaze": list(place),
        "validity": "ok",
        "features": [*gaze_vector(direction).round(6).tolist(), 0.0, 0.0, 0.0, _DISTANCE_MM],
        "origin_mm": origin_mm.tolist(),
        "distance_mm": _DISTANCE_MM,
        "eye_openness": [0.31234, 0.32345],
        "timestamp_ms": None,
        "video_time_ms": None,
        "target": None,
        "head_pose_deg": {"pitch": 0.0, "yaw": 0.0, "roll": 0.0},
    }


def store_maps(mongo_uri: str, frames: int, every: int, *, fps: float = FPS) -> None:
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
            f"bench-{every}",
            ((number, maps[number // every % _DISTINCT_MAPS]) for number in range(1, frames + 1, every)),
            fps=fps,
            width=480,
            height=270,
            how="a benchmark",
            held=True,
            frame_count=frames,
        )


def score_session(upstream: UpstreamServices, frames: int, every: int, session_id: str) -> dict[str, Any]:
    """Score a session; return the time, the idle and peak memory, and the memory over time."""
    maps = MongoSaliencyMaps(upstream.mongo_uri, timeout_s=60)
    sessions = HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0, read_frame=read_record)
    sink = HttpResultSink(upstream.aggregator_url, timeout_s=60, retries=0)
    model = load_gaze_model(read_settings({"MONGO_URI": upstream.mongo_uri}).gaze_model)
    scorer = SessionScorer(sessions, maps, model=model)
    completer = Completer(sessions, scorer, sink, observer=Metrics())
    # Connect and warm up, so that the idle memory includes it.
    next(maps.extract_saliencyMap(f"bench-{every}", frame_nums=[1]).maps)
    sessions.get_session(session_id, first=1, last=1)
    model.predict(np.array([[0.0, 0.0, -1.0, 0.0, 0.0, 0.0, _DISTANCE_MM]]))  # as the function does for every frame
    idle_mb = _resident_mb()
    curve: list[tuple[float, float]] = []
    pss_mb = 0.0
    stop = threading.Event()
    started, cpu_started = time.perf_counter(), time.process_time()

    def watch() -> None:
        nonlocal pss_mb
        while not stop.wait(max(0.05, frames / 50_000)):
            curve.append((time.perf_counter() - started, _resident_mb() - idle_mb))
            pss_mb = max(pss_mb, _proportional_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    last = LastFrame(session_id, f"bench-{every}", "192.0.2.1", frame_number=frames + 1, has_image=False)
    result = complete(completer, last).result
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    stop.set()
    watcher.join()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert result.frames.scored == frames  # noqa: S101
    # A calibration that has expired would be missed silently.
    described = sessions.get_session(session_id, first=1, last=1).frames[1]
    is_calibrated = described is not None and described.calibration_session is not None
    assert is_calibrated == (result.at_accuracy is not None)  # noqa: S101
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "idle_mb": idle_mb,
        "peak_mb": peak_mb,
        "pss_mb": pss_mb,
        "curve": curve,
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _proportional_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
