"""Failing upstream services: the client gets a clear status, and its retry neither loses nor duplicates anything."""

import contextlib
import itertools
import time

import pytest
import requests
from flask import abort, request

from gaze_tools.client import GazeClient, GazeUnavailableError
from gaze_tools.sample_clip import SAMPLE, read_frames, seed_sample_maps
from gaze_tools.stack import aggregator, session_api
from gaze_tools.stack.launcher import UpstreamServices, start_function
from tests.adapters.upstream_services import refused_url, serve

# With the real landmarker; test_upstream_faults.py has more kinds of faults, faster.
pytestmark = pytest.mark.slow

NUMBERS = itertools.count(1)
SLOW_S = 2.5
"""Longer than HTTP_TIMEOUT_S; a service that works answers much faster, on a busy machine too."""


class Switch:
    """Makes an application fail: with a status, or by being slow."""

    def __init__(self, app):
        self.status = None
        self.delay_s = 0.0
        self.fails_after_work = False
        app.before_request(self._before)
        app.after_request(self._after)

    def _before(self):
        time.sleep(self.delay_s)
        if self.status and not self.fails_after_work:
            abort(self.status)

    def _after(self, response):
        if self.status and self.fails_after_work and request.method != "GET":
            response.status_code = self.status
        return response

    @contextlib.contextmanager
    def failing(self, *, status=None, delay_s=0.0, fails_after_work=False):
        self.status, self.delay_s, self.fails_after_work = status, delay_s, fails_after_work
        try:
            yield
        finally:
            self.status, self.delay_s = None, 0.0


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(str(SAMPLE / "clip.mp4"), 4))


@pytest.fixture(scope="module")
def world(mongo_client, mongo_uri, tmp_path_factory):
    """A function process whose upstream services fail on demand."""
    sessions_app = session_api.create_app(mongo_client["fault_sessions"])
    aggregator_app = aggregator.create_app(mongo_client["fault_results"])
    sessions, results = Switch(sessions_app), Switch(aggregator_app)
    with serve(sessions_app) as sessions_url, serve(aggregator_app) as aggregator_url:
        services = UpstreamServices(mongo_uri, sessions_url, aggregator_url)
        seed_sample_maps(services, 4)
        settings = {"HTTP_TIMEOUT_S": "1.5", "HTTP_RETRIES": "1", "BARRIER_TIMEOUT_S": "1"}
        with start_function(services, tmp_path_factory.mktemp("faults"), settings=settings) as url:
            yield url, services, sessions, results


@pytest.fixture
def gateway(world):
    return GazeClient(world[0], attempts=1).start_viewing("sample", ip_address=f"198.51.100.{next(NUMBERS)}")


def deliveries(services, gateway):
    entries = requests.get(f"{services.aggregator_url}/results", timeout=10).json()["deliveries"]
    return [entry for entry in entries if entry["session_id"] == gateway.session_id]


def refusal(post, *arguments, **more):
    """Return the status and the problem type of the answer that made the gateway give up."""
    with pytest.raises(GazeUnavailableError) as caught:
        post(*arguments, **more)
    return caught.value.status, caught.value.type


@pytest.mark.parametrize(
    ("failure", "status"),
    [({"status": 500}, 502), ({"status": 503}, 502), ({"delay_s": SLOW_S}, 504), ({"status": 418}, 502)],
)
def test_a_failing_session_api_is_said_and_the_frame_can_be_repeated(world, gateway, frames, failure, status):
    _, _, sessions, _ = world
    with sessions.failing(**failure):
        answered, kind = refusal(gateway.send, frames[0])
        assert answered == status
        assert "session-api" in kind

    assert gateway.send(frames[0], frame_number=1).body["status"] == "success"
    assert gateway.complete().result["frames"]["received"] == 1


def test_a_frame_that_was_stored_although_the_answer_was_lost_counts_once(world, gateway, frames):
    _, _, sessions, _ = world
    gateway.send(frames[0])
    with sessions.failing(status=502, fails_after_work=True):
        assert refusal(gateway.send, frames[1])[0] == 502

    gateway.send(frames[1], frame_number=2)

    assert gateway.complete().result["frames"]["received"] == 2


@pytest.mark.parametrize(("failure", "status"), [({"status": 500}, 502), ({"delay_s": SLOW_S}, 504)])
def test_a_failing_aggregator_is_said_and_the_repeat_delivers(world, gateway, frames, failure, status):
    _, services, _, results = world
    gateway.send(frames[0])
    with results.failing(**failure):
        answered, kind = refusal(gateway.complete)
        assert answered == status
        assert "aggregator" in kind

    score = gateway.complete().final_score

    assert [entry["final_score"] for entry in deliveries(services, gateway)] == [score]


def test_a_delivery_whose_answer_was_lost_takes_effect_once(world, gateway, frames):
    _, services, _, results = world
    gateway.send(frames[0])
    with results.failing(status=503, fails_after_work=True):
        assert refusal(gateway.complete)[0] == 502

    gateway.complete()

    # It came several times under one key, and one result stands.
    (entry,) = deliveries(services, gateway)
    assert entry["count"] > 1


def test_without_the_saliency_store_nothing_is_scored_and_the_repeat_scores(world, frames, tmp_path):
    _, services, _, _ = world
    viewer = f"198.51.100.{next(NUMBERS)}"
    nowhere = UpstreamServices(
        refused_url().replace("http", "mongodb"), services.session_api_url, services.aggregator_url
    )
    with start_function(nowhere, tmp_path, settings={"MONGO_TIMEOUT_S": "0.5"}) as url:
        blind = GazeClient(url, attempts=1).start_viewing("sample", ip_address=viewer)
        blind.send(frames[0])
        assert refusal(blind.complete)[0] in (502, 504)
        assert deliveries(services, blind) == []

    result = GazeClient(world[0]).start_viewing("sample", ip_address=viewer).complete(frame_number=2).result

    assert result["frames"]["received"] == 1
    assert result["score_invalid_reason"] in ("too_few_frames", "no_valid_gaze")
