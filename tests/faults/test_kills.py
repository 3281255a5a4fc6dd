"""Any process may be killed at any moment: what was acknowledged is in the result, and the result arrives once."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.maps import seed_maps
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.services import Stack
from tests.faults.viewers import NOTHING_WRONG, Ledger, Tally, Viewer, check_results, check_session

CLIENTS = 6
SETTINGS = {
    "THREADS": "24",
    "LANDMARKERS": "2",
    "LANDMARKER_WAIT_S": "10",
    "HTTP_TIMEOUT_S": "2",
    "BARRIER_TIMEOUT_S": "2",
    "LOG_LEVEL": "WARNING",
}


def stream_among_kills(folder, *, seed, sessions, frames, kills, batch=1):
    """Return ledger, tally and the names of the killed services.

    The kills come when so many frames have been acknowledged, and a moment later: so there are as many of them on a
    slow machine as on a fast one.
    """
    rng = random.Random(seed)
    ledger, tally = Ledger(), Tally()
    with Stack(folder, settings=SETTINGS) as stack:
        seed_maps(stack.mongo_uri, frames)
        names = []
        while len(names) < kills:
            names += rng.sample(list(stack.services), len(stack.services))
        moments = sorted(rng.sample(range(1, sessions * frames), kills))

        def watch(_):
            viewer = Viewer(stack.function_urls, ledger)
            if batch == 1:
                viewer.watch(frames)
            else:
                viewer.watch_in_batches(frames, batch)
            check_session(stack.urls["session API 1"], viewer, tally)
            return viewer

        with ThreadPoolExecutor(CLIENTS) as clients:
            watching = [clients.submit(watch, number) for number in range(sessions)]
            try:
                for moment, name in zip(moments, names, strict=False):
                    while ledger.acknowledged < moment:
                        assert not any(each.done() and each.exception() for each in watching), "a viewer gave up"
                        time.sleep(0.002)
                    time.sleep(rng.uniform(0.0, 0.02))
                    stack.kill(name)
                viewers = [each.result() for each in watching]
            finally:
                clients.shutdown(cancel_futures=True)
        check_results(stack.urls["aggregator"], viewers, tally)
    return ledger, tally, names[:kills]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_acknowledged_frame_and_no_result_is_lost_or_doubled(tmp_path):
    ledger, tally, killed = stream_among_kills(tmp_path, seed=1, sessions=12, frames=20, kills=6)

    assert set(killed) == {"function 1", "function 2", "session API 1", "session API 2", "aggregator", "database"}
    assert (ledger.acknowledged, tally.outcome) == (240, NOTHING_WRONG)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("batch", [7, 20])
def test_nor_with_several_frames_in_each_request(tmp_path, batch):
    ledger, tally, _ = stream_among_kills(tmp_path, seed=batch, sessions=24, frames=40, kills=12, batch=batch)

    assert (ledger.acknowledged, tally.outcome) == (960, NOTHING_WRONG)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nor_among_140_kills_and_12_000_frames(tmp_path):
    ledger, tally, killed = stream_among_kills(tmp_path, seed=2, sessions=200, frames=60, kills=140)

    counts = ", ".join(f"{killed.count(name)} × {name}" for name in sorted(set(killed)))
    fault = f"SIGKILL at a random moment ({counts})"
    keep_rows(
        "1-kills",
        [Row(fault, len(killed), ledger.acknowledged + 200, tally.lost, tally.doubled, ledger.slowest_answer_s)],
    )
    assert (ledger.acknowledged, tally.outcome) == (12_000, NOTHING_WRONG)
