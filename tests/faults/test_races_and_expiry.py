"""Frames and last frames that cross, and sessions that expire at any moment: on the real path, in real time.

`tests/unit/test_completion_races.py` has many more of them in virtual time.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import request

from gaze_tools.stack import aggregator, session_api
from gaze_tools.stack.launcher import UpstreamServices
from tests.adapters.upstream_services import serve
from tests.faults.maps import seed_maps
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.services import run_function
from tests.faults.viewers import (
    NOTHING_WRONG,
    Ledger,
    Tally,
    Viewer,
    check_results,
    check_session,
    find_deliveries,
)

FRAMES = 4
SETTINGS = {
    "THREADS": "32",
    "LANDMARKERS": "2",
    # No frame is lost here, so each is waited for, however busy the machine is.
    "LANDMARKER_WAIT_S": "60",
    "HTTP_TIMEOUT_S": "20",
    "REQUEST_TIMEOUT_S": "60",
    "BARRIER_TIMEOUT_S": "50",
    "LAST_FRAME_TIMEOUT_S": "120",
}
QUICK_SETTINGS = {**SETTINGS, "BARRIER_TIMEOUT_S": "0.5"}


class World:
    """Functions before a session API whose clock can be put forward."""

    def __init__(self, mongo_client):
        self._skipped = timedelta()
        clock = lambda: datetime.now(UTC) + self._skipped  # noqa: E731 - it goes on
        self.sessions_app = session_api.create_app(mongo_client["race_sessions"], clock=clock)
        self.sessions_app.before_request(self._count_call)
        self.aggregator_app = aggregator.create_app(mongo_client["race_results"])
        self.calls = 0
        self.expires_before_call = None
        """Number of the call before which all sessions expire; None for none."""

    def expire(self):
        """Let all sessions expire."""
        self._skipped += timedelta(seconds=301)

    def _count_call(self):
        # Probes and the tests' own reading do not count.
        if request.method == "PUT" or "component" in request.args:
            self.calls += 1
            if self.calls == self.expires_before_call:
                self.expire()


@pytest.fixture(scope="module")
def world(mongo_client, mongo_uri, tmp_path_factory):
    seed_maps(mongo_uri, 10)
    world, folder = World(mongo_client), tmp_path_factory.mktemp("races")
    with serve(world.sessions_app) as world.session_api_url, serve(world.aggregator_app) as world.aggregator_url:
        world.upstream = UpstreamServices(mongo_uri, world.session_api_url, world.aggregator_url)
        with run_function(world.upstream, folder, settings=QUICK_SETTINGS) as (world.quick_url, _):
            yield world


@pytest.fixture(scope="module")
def patient_url(world, tmp_path_factory):
    """URL of a function that waits for every frame."""
    with run_function(world.upstream, tmp_path_factory.mktemp("races"), settings=SETTINGS) as (url, _):
        yield url


def race(function_url, rng, pool, ledger):
    """Send four frames and the last one within 200 ms in any order; return the viewer."""
    viewer = Viewer([function_url], ledger)

    def send(number, delay_s):
        time.sleep(delay_s)
        return viewer.complete(number) if number > FRAMES else viewer.post_frame(number)

    delays_s = [rng.uniform(0.0, 0.2) for _ in range(FRAMES + 1)]
    list(pool.map(send, range(1, FRAMES + 2), delays_s))
    return viewer


@pytest.mark.slow
def test_a_last_frame_that_overtakes_the_first_one_is_scored_with_all_frames(world, patient_url):
    rng, ledger, tally = random.Random(2), Ledger(), Tally()
    with ThreadPoolExecutor(FRAMES + 1) as pool:
        viewers = [race(patient_url, rng, pool, ledger) for _ in range(120)]
    for viewer in viewers:
        check_session(world.session_api_url, viewer, tally)
    check_results(world.aggregator_url, viewers, tally)

    acknowledged = ledger.acknowledged + 120
    fault = "the last frame within 200 ms of the first one"
    keep_rows("3-races", [Row(fault, 120, acknowledged, tally.lost, tally.doubled, ledger.slowest_answer_s)])
    assert (ledger.acknowledged, tally.outcome) == (120 * FRAMES, NOTHING_WRONG)


def test_a_session_that_expires_before_its_last_frame_is_410_and_can_be_watched_again(world):
    viewer = Viewer([world.quick_url], Ledger())
    for number in range(1, FRAMES + 1):
        viewer.post_frame(number)
    world.expire()

    refused = viewer.try_once({"frame_number": FRAMES + 1, "last_frame": True})

    assert (refused.status_code, refused.json()["type"]) == (410, "/problems/session-expired")
    assert find_deliveries(world.aggregator_url, viewer) == []
    assert viewer.watch(FRAMES)["result"]["frames"]["received"] == FRAMES
    assert len(find_deliveries(world.aggregator_url, viewer)) == 1


def test_frames_lost_by_expiry_in_the_middle_are_counted_and_the_answer_warns(world):
    viewer = Viewer([world.quick_url], Ledger())
    viewer.post_frame(1)
    viewer.post_frame(2)
    world.expire()
    viewer.post_frame(3)
    viewer.post_frame(4)

    answer = viewer.complete(5)

    assert (answer["result"]["frames"]["received"], answer["result"]["lost"]["missing"]) == (2, 2)
    assert answer["warnings"][0].startswith("an earlier session under this id expired at ")


def test_a_late_repeat_after_expiry_leaves_the_delivered_result_alone(world):
    viewer = Viewer([world.quick_url], Ledger())
    score = viewer.watch(FRAMES)["final_score"]
    world.expire()

    refused = viewer.try_once({"frame_number": FRAMES + 1, "last_frame": True})

    assert refused.status_code == 410
    assert [entry["final_score"] for entry in find_deliveries(world.aggregator_url, viewer)] == [score]


def expire_at_every_call(world, ledger):
    """Return for each call of a last frame: the status when the session expires before it, and what was delivered."""
    outcomes = []
    call = 0
    while True:
        call += 1
        viewer = Viewer([world.quick_url], ledger)
        for number in range(1, FRAMES + 1):
            viewer.post_frame(number)
        world.calls, world.expires_before_call = 0, call
        response = viewer.try_once({"frame_number": FRAMES + 1, "last_frame": True})
        world.expires_before_call = None
        if world.calls < call:
            return outcomes
        outcomes.append((response.status_code, len(find_deliveries(world.aggregator_url, viewer))))


def test_at_every_call_of_the_last_frame_expiry_delivers_the_result_once_or_is_410(world):
    ledger = Ledger()
    outcomes = expire_at_every_call(world, ledger)

    doubled = sum(max(0, delivered - 1) for _, delivered in outcomes)
    lost = outcomes.count((200, 0))
    acknowledged = ledger.acknowledged + sum(status == 200 for status, _ in outcomes)
    fault = "expiry before each call of a last frame"
    keep_rows("3-expiry", [Row(fault, len(outcomes), acknowledged, lost, doubled, ledger.slowest_answer_s)])
    assert set(outcomes) == {(410, 0), (200, 1)}
