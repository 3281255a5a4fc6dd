"""The start of a viewing while the session API does not answer, and repeats of a start."""

import socket
import threading
from contextlib import ExitStack

import pytest
from flask import Flask, jsonify, request

from gaze_tools.studio.gateway import GatewaySetup
from gaze_tools.studio.kept import START_TIMEOUT_S, KeptSessions
from gaze_tools.studio.problems import StudioError
from gaze_tools.studio.starts import MAX_REMEMBERED, Starts
from gaze_tools.studio.viewings import OPEN_S, OpenViewings, StartedViewing
from tests.adapters.upstream_services import serve
from tests.fakes.clock import FakeClock
from tests.studio.kept_session import keep_session

KEY = {"Idempotency-Key": "0123456789abcdef"}
BOTH = pytest.mark.parametrize("video_id", ["sample", "calibration"])


@pytest.fixture
def silent_url():
    """A service that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class SessionApi:
    """A session API that notes who asks, and lets the first requests wait until the test ends."""

    def __init__(self, waiting):
        self.left = waiting
        self.created = []
        self.end = threading.Event()

    def make_app(self):
        app = Flask("sessions")

        @app.post("/mk-session")
        def create():
            self.created.append(request.get_json()["session_id"])
            self.left -= 1
            if self.left >= 0:
                self.end.wait(60)
            return jsonify(session_id=self.created[-1]), 201

        return app


@pytest.fixture
def run():
    """Serve a session API; return its address."""
    with ExitStack() as running:

        def start(api):
            url = running.enter_context(serve(api.make_app()))
            running.callback(api.end.set)
            return url

        yield start


def begin(client, video_id="sample", **headers):
    return client.post("/api/viewings", json={"video_id": video_id}, headers=headers)


def begin_patiently(client, **headers):
    """Repeat a start until it succeeds, as the page does."""
    for _ in range(100):
        answer = begin(client, **headers)
        if answer.status_code != 504:
            return answer
    raise AssertionError("the session API never answered")


def test_the_limit_is_the_time_that_the_page_waits_for_frames():
    assert GatewaySetup("", "", "", None).start_timeout_s == START_TIMEOUT_S == 8.0


@BOTH
def test_a_session_api_that_does_not_answer_is_reported(make_client, silent_url, video_id):
    answer = begin(make_client(session_api_url=silent_url, start_timeout_s=0.1), video_id)

    assert (answer.status_code, answer.json["type"]) == (504, "/problems/session-api-timeout")
    assert answer.json["detail"] == "The session API does not answer; send the same request again."


def test_the_check_of_the_position_needs_no_session_api(make_client, silent_url):
    assert begin(make_client(session_api_url=silent_url, start_timeout_s=0.1), "check").status_code == 201


@BOTH
def test_a_session_api_that_refuses_leaves_the_session_to_the_function(make_client, video_id):
    assert begin(make_client(), video_id).status_code == 201


def test_a_calibration_of_an_earlier_visit_does_not_wait_longer(make_client, silent_url, tmp_path):
    keep_session(tmp_path, "calibration", "c", kind="calibrations")
    answer = make_client(session_api_url=silent_url, start_timeout_s=0.1).post("/api/calibrations/c")

    assert (answer.status_code, answer.json["type"]) == (504, "/problems/session-api-timeout")


def test_a_start_that_failed_does_not_keep_the_film(make_client, silent_url, monkeypatch):
    given_up = []
    monkeypatch.setattr(OpenViewings, "give_up", lambda viewings, session_id: given_up.append(session_id))
    begin(make_client(session_api_url=silent_url, start_timeout_s=0.1), **KEY)

    assert len(given_up) == 1


def test_a_start_that_fails_after_its_repeat_has_succeeded_keeps_the_film(make_client, monkeypatch):
    watching, client = [], make_client()
    add, reserve = OpenViewings.add, KeptSessions.reserve

    def reserve_late(kept, viewing, address):
        monkeypatch.setattr(KeptSessions, "reserve", reserve)
        assert begin(client, **KEY).status_code == 201
        raise StudioError(504, "session-api-timeout", "", "")

    monkeypatch.setattr(
        OpenViewings, "add", lambda viewings, started: watching.append(viewings) or add(viewings, started)
    )
    monkeypatch.setattr(KeptSessions, "reserve", reserve_late)

    assert begin(client, **KEY).status_code == 504
    assert watching[0].is_watched("sample")


def test_a_repeat_starts_the_same_session(make_client, run):
    api = SessionApi(waiting=2)
    client = make_client(session_api_url=run(api), start_timeout_s=0.5)
    answer = begin_patiently(client, **KEY)

    assert answer.status_code == 201
    assert set(api.created) == {answer.json["session_id"]}
    assert len(api.created) >= 3


def test_without_a_key_every_request_starts_a_new_session(make_client, run):
    api = SessionApi(waiting=0)
    client = make_client(session_api_url=run(api))
    first, second = begin(client).json, begin(client).json

    assert first["session_id"] != second["session_id"]
    assert api.created == [first["session_id"], second["session_id"]]


def test_a_key_is_short_but_not_empty(make_client):
    """All clients that send an empty one would start the same viewing."""
    client = make_client()

    assert begin(client, **{"Idempotency-Key": ""}).status_code == 400

    assert begin(client, **{"Idempotency-Key": "k" * 200}).status_code == 201
    assert begin(client, **{"Idempotency-Key": "k" * 201}).status_code == 400


class TestStarts:
    def find(self, starts, *, address="127.0.0.1", video_id="sample", key="k"):
        self.count = getattr(self, "count", 0) + 1
        return starts.find(address, video_id, key, lambda: StartedViewing(f"studio-{self.count}", video_id, None))

    def test_the_same_key_finds_the_same_viewing(self):
        starts = Starts()

        assert self.find(starts) is self.find(starts)

    @pytest.mark.parametrize("other", [{"key": "l"}, {"video_id": "film"}, {"address": "::1"}, {"key": None}])
    def test_another_key_film_or_address_has_a_viewing_of_its_own(self, other):
        starts = Starts()

        assert self.find(starts).session_id != self.find(starts, **other).session_id

    @pytest.mark.parametrize(("later_s", "is_known"), [(OPEN_S - 1, True), (OPEN_S, False)])
    def test_a_key_is_forgotten(self, later_s, is_known):
        clock = FakeClock()
        starts = Starts(clock=clock)
        first = self.find(starts)
        clock.now_s += later_s

        assert (self.find(starts) is first) is is_known
        assert len(starts._started) == 1

    def test_the_oldest_of_too_many_keys_is_forgotten(self):
        starts = Starts()
        first, second, *_, last = [self.find(starts, key=str(number)) for number in range(MAX_REMEMBERED + 1)]

        assert len(starts._started) == MAX_REMEMBERED == 1000
        assert self.find(starts, key=str(MAX_REMEMBERED)) is last
        assert self.find(starts, key="1") is second  # a known one makes no room
        assert self.find(starts, key="0") is not first


def test_the_page_can_say_that_it_is_open(make_client, run):
    client = make_client(session_api_url=run(SessionApi(waiting=0)))
    started = begin(client).json

    assert client.post(f"/api/viewings/{started['session_id']}").json == {"session_id": started["session_id"]}


def test_a_malformed_id_is_no_viewing(make_client):
    assert make_client().post("/api/viewings/a b").status_code == 404
