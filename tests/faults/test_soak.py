"""Ten minutes of steady load with occasional faults: nothing is lost, and memory, files and log do not grow.

`make soak` runs it; the environment variable SOAK_S changes its length in seconds.
"""

import os
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

import func
from gaze_tools.sample_clip import SAMPLE, read_frames
from tests.faults.faulty_world import SETTINGS, run_faulty_world
from tests.faults.maps import seed_maps
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.viewers import NOTHING_WRONG, Ledger, Tally, Viewer, check_results, check_session
from tests.http.image_files import as_base64, encode

DURATION_S = float(os.environ.get("SOAK_S", "600"))
WARM_UP_S = DURATION_S / 5
VIEWERS = 3
FRAMES = 40
FRAME_INTERVAL_S = 0.25
FAULT_INTERVAL_S = 8.0
SAMPLE_INTERVAL_S = 2.0
MAX_GROWTH_MB = 30.0
MAX_NEW_FILES = 10


@dataclass(frozen=True)
class Sample:
    """What the function said of itself at some time."""

    time_s: float
    memory_mb: float
    open_files: float


@pytest.fixture(scope="module")
def images():
    return [as_base64(encode(frame)) for frame in read_frames(str(SAMPLE / "clip.mp4"), 24)]


def take_sample(world, started_s):
    metrics = {}
    for line in requests.get(f"{world.function_url}/metrics", timeout=30).text.splitlines():
        name, _, value = line.rpartition(" ")
        metrics[name] = value
    return Sample(
        time.monotonic() - started_s,
        float(metrics["process_resident_memory_bytes"]) / 2**20,
        float(metrics["process_open_fds"]),
    )


def watch_until(ends_at_s, world, images, ledger, tally):
    """Watch one viewing after the other, frames in their time; return the viewers."""
    viewers = []
    while time.monotonic() < ends_at_s:
        viewer = Viewer([world.function_url], ledger, images=images)
        for number in range(1, FRAMES + 1):
            viewer.post_frame(number)
            time.sleep(FRAME_INTERVAL_S)
        viewer.complete(FRAMES + 1)
        check_session(world.session_api_url, viewer, tally)
        viewers.append(viewer)
    return viewers


def spoil_until(is_over, world, faults):
    """Spoil a few exchanges with one of the upstream services every few seconds."""
    rng = random.Random(1)
    while not is_over.wait(FAULT_INTERVAL_S):
        proxy = rng.choice(list(world.proxies.values()))
        fault = rng.choice(list(proxy.faults))
        proxy.spoil(fault, rng.randint(1, 3))
        faults.append(fault)


@pytest.mark.soak
@pytest.mark.timeout(DURATION_S + 300)
def test_nothing_is_lost_and_nothing_grows(mongo_client, mongo_uri, images, tmp_path):
    seed_maps(mongo_uri, FRAMES)
    ledger, tally, samples, faults, is_over = Ledger(), Tally(), [], [], threading.Event()
    settings = {**SETTINGS, "LOG_LEVEL": "INFO"}
    source = Path(func.__file__).with_name("main.py")
    with (
        run_faulty_world(mongo_client, mongo_uri, tmp_path, name="soak", source=source, settings=settings) as world,
        ThreadPoolExecutor(VIEWERS + 1) as pool,
    ):
        started_s = time.monotonic()
        ends_at_s = started_s + DURATION_S
        watching = [pool.submit(watch_until, ends_at_s, world, images, ledger, tally) for _ in range(VIEWERS)]
        spoiling = pool.submit(spoil_until, is_over, world, faults)
        try:
            while not all(each.done() for each in watching):
                samples.append(take_sample(world, started_s))
                time.sleep(SAMPLE_INTERVAL_S)
        finally:
            is_over.set()
        spoiling.result()
        viewers = [viewer for each in watching for viewer in each.result()]
        check_results(world.aggregator_url, viewers, tally)
        log = (tmp_path / "soak.log").read_text()

    early = [sample for sample in samples if WARM_UP_S <= sample.time_s < 2 * WARM_UP_S]
    late = [sample for sample in samples if sample.time_s >= DURATION_S - WARM_UP_S]
    growth_mb = statistics.median(s.memory_mb for s in late) - statistics.median(s.memory_mb for s in early)
    new_files = max(s.open_files for s in late) - max(s.open_files for s in early)
    keep_rows(
        "9-soak",
        [
            Row(
                f"{DURATION_S:g} s of load with {len(faults)} upstream faults: {growth_mb:+.1f} MB, "
                f"{new_files:+g} files",
                len(viewers),
                ledger.acknowledged + len(viewers),
                tally.lost,
                tally.doubled,
                ledger.slowest_answer_s,
            )
        ],
    )
    assert tally.outcome == NOTHING_WRONG
    assert growth_mb < MAX_GROWTH_MB
    assert new_files <= MAX_NEW_FILES
    assert [line for line in log.splitlines() if " ERROR " in line or "Traceback" in line] == []
    # One for each request that failed, and two for each time that a service is not called for a while.
    assert log.count(" WARNING ") <= ledger.repeats + 2 * len(faults) + 1
