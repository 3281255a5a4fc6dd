"""How long scoring takes and how much memory, for sessions of growing length, with the maps in the local store.

Every run is a process of its own: the gazes of a session at 30 frames a second that looks about, a map of 270×480 for
every 5th frame, held between, read frame range by frame range and scored. python -m local.score_bench [--frames N …]
"""

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
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from func.adapters.saliency_store import MongoSaliencyMaps
from gaze_core.attention import SessionScore
from gaze_core.types import SaliencyMap
from local.mongo import start_mongo
from local.saliency_seed import seed_saliency_maps
from models.saliency import make_model

FPS = 30.0
EVERY = 5
VIDEO_ID = "bench"
_DISTINCT_MAPS = 50


@click.command()
@click.option("--frames", multiple=True, type=int, default=(300, 3_600, 36_000, 108_000), show_default=True)
@click.option("--curve", is_flag=True, help="Print the memory of the longest run over time as well.")
@click.option("--mongo-uri", hidden=True, help="Of the store, in the process that measures.")
def main(frames: tuple[int, ...], curve: bool, mongo_uri: str | None) -> None:
    """Measure and print."""
    if mongo_uri is not None:
        sys.stdout.write(json.dumps(score(mongo_uri, frames[0])))
        return
    console = Console()
    with tempfile.TemporaryDirectory() as folder, start_mongo(Path(folder)) as server:
        console.print(f"Storing a map for every {EVERY}th of {max(frames)} frames …")
        store_maps(server.uri, max(frames))
        table = Table(title="Scoring a session, maps in the local store", title_justify="left")
        for column in ("frames", "s", "ms a frame", "MB above rest"):
            table.add_column(column, justify="right")
        for count in sorted(frames):
            command = [sys.executable, "-m", "local.score_bench", "--frames", str(count), "--mongo-uri", server.uri]
            measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            table.add_row(
                f"{count}",
                f"{measured['seconds']:.2f}",
                f"{1000 * measured['seconds'] / count:.3f}",
                f"{measured['peak_mb'] - measured['rest_mb']:.0f}",
            )
        console.print(table)
        if curve:
            for at_s, above_mb in measured["curve"]:
                console.print(f"{at_s:6.1f} s  {above_mb:6.1f} MB  {'#' * round(above_mb / 2)}", highlight=False)


def store_maps(mongo_uri: str, frames: int) -> None:
    """Store the maps of a video in which something bright goes in circles."""
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


def score(mongo_uri: str, frames: int) -> dict[str, Any]:
    """Score a session and return seconds, memory at rest and at its peak, and the memory over time."""
    store = MongoSaliencyMaps(mongo_uri, timeout_s=60)
    # Connected and warm: the process's resting memory.
    next(store.extract_saliencyMap(VIDEO_ID, frame_nums=[1]).maps)
    rest_mb = _resident_mb()
    curve: list[tuple[float, float]] = []
    stop = threading.Event()
    started = time.perf_counter()

    def watch() -> None:
        while not stop.wait(max(0.05, frames / 50_000)):
            curve.append((time.perf_counter() - started, _resident_mb() - rest_mb))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    numbers = np.arange(1, frames + 1)
    generator = np.random.default_rng(1)
    # A new place about three times a second.
    places = generator.random((frames // 10 + 1, 2))
    session = SessionScore((numbers - 1) / FPS, places[(numbers - 1) // 10])
    held: SaliencyMap | None = None
    waiting: list[int] = []
    for number, saliency_map in store.extract_saliencyMap(VIDEO_ID, frame_nums=numbers.tolist()).maps:
        if isinstance(saliency_map, Exception):
            raise saliency_map
        if saliency_map is not held:
            if held is not None:
                session.add_map(waiting, held)
            held, waiting = saliency_map, []
        waiting.append(number - 1)
    if held is not None:
        session.add_map(waiting, held)
    attention = session.summarise()
    seconds = time.perf_counter() - started
    stop.set()
    watcher.join()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert attention is not None and attention.frames == frames  # noqa: S101, PT018
    return {"seconds": seconds, "rest_mb": rest_mb, "peak_mb": peak_mb, "curve": curve}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
