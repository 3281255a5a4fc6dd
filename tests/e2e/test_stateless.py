"""Any process can serve any frame: with real processes, HTTP and a database."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from gaze_tools.sample_clip import SAMPLE, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.client import GazeClient, GazeClientError
from gaze_tools.stack.launcher import start_function, start_function_server, start_upstream_services

FRAMES = 24
POSTERS = 3
OCTETS = itertools.count(1)
SHORT_WAIT = {"BARRIER_TIMEOUT_S": "4"}
"""The straggler needs 1 s; the missing frame never comes."""


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(str(SAMPLE / "clip.mp4"), FRAMES))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    with start_upstream_services(tmp_path_factory.mktemp("upstream")) as running:
        seed_sample_maps(running, FRAMES)
        yield running


@pytest.fixture(scope="module")
def functions(upstream, tmp_path_factory):
    """Two independent function processes."""
    log_dir = tmp_path_factory.mktemp("functions")
    with (
        start_function(upstream, log_dir, name="first", settings=SHORT_WAIT) as first,
        start_function(upstream, log_dir, name="second", settings=SHORT_WAIT) as second,
    ):
        yield first, second


@pytest.fixture
def new_client(functions):
    """Return clients of one viewer, each viewer another one, to either function."""

    def make(function=0, viewer=None):
        return GazeClient(functions[function], video_id="sample", ip_address=viewer or f"198.51.100.{next(OCTETS)}")

    return make


def stored_session(upstream, client):
    response = requests.get(f"{upstream.session_api_url}/get_session/{client.session_id}", timeout=10)
    assert response.status_code == 200
    return response.json()["components"]["gaze_tracking"]


def deliveries(upstream, client):
    entries = requests.get(f"{upstream.aggregator_url}/results", timeout=10).json()["deliveries"]
    return [entry for entry in entries if entry["session_id"] == client.session_id]


def describe():
    truth = read_truth()
    return {"screen": truth["screen"], "camera": truth["camera"]}


def test_the_order_and_the_process_of_the_frames_change_nothing(upstream, new_client, frames):
    in_order = new_client(viewer="192.0.2.1")
    for number, frame in enumerate(frames, start=1):
        in_order.post_frame(number, frame, **describe())
    straight = in_order.complete(FRAMES + 1).body["result"]

    first, second = new_client(0, viewer="192.0.2.2"), new_client(1, viewer="192.0.2.2")
    numbers = [*range(1, FRAMES + 1), 3, 7, 7, 20]
    random.Random(7).shuffle(numbers)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda pair: pair[1].post_frame(pair[0], frames[pair[0] - 1], **describe()),
                zip(numbers, itertools.cycle([first, second]), strict=False),
            )
        )
    shuffled = second.complete(FRAMES + 1).body["result"]

    assert shuffled == straight
    assert straight["frames"]["received"] == FRAMES
    assert stored_session(upstream, first) == stored_session(upstream, in_order)


def test_the_last_frame_waits_for_stragglers(new_client, frames):
    client, late = new_client(0), new_client(1)
    late.session_id, late.ip_address = client.session_id, client.ip_address
    for number in (1, 2, 4):
        client.post_frame(number, frames[number - 1])
    straggler = threading.Timer(1.0, lambda: late.post_frame(3, frames[2]))
    straggler.start()

    result = client.complete(5).body["result"]

    straggler.join()
    assert result["frames"]["received"] == 4
    assert result["lost"]["missing"] == 0


def test_missing_frames_are_reported_as_lost(new_client, frames):
    client = new_client()
    for number in (1, 2, 4):
        client.post_frame(number, frames[number - 1])

    result = client.complete(5).body["result"]

    assert (result["frames"]["expected"], result["frames"]["received"], result["lost"]["missing"]) == (4, 3, 1)


def test_a_repeated_last_frame_gets_the_same_answer_and_is_delivered_once(upstream, new_client, frames):
    client, other = new_client(0, viewer="192.0.2.3"), new_client(1, viewer="192.0.2.3")
    for number in (1, 2, 3):
        client.post_frame(number, frames[number - 1])

    with ThreadPoolExecutor(4) as pool:
        answers = [
            future.result().body
            for future in [pool.submit(each.complete, 4) for each in (client, other, client, other)]
        ]
    answers.append(other.complete(4).body)

    assert all(answer == answers[0] for answer in answers)
    delivered = deliveries(upstream, client)
    assert [(entry["final_score"], entry["count"]) for entry in delivered] == [(answers[0]["final_score"], 1)]


def test_a_frame_after_the_result_is_refused_but_a_stored_one_is_answered_again(new_client, frames):
    client = new_client()
    first = client.post_frame(1, frames[0]).body
    client.complete(2)

    assert client.post_frame(1, frames[0]).body == first
    with pytest.raises(Exception, match="409"):
        client.post_frame(2, frames[1])


@pytest.mark.slow
def test_a_killed_function_loses_no_frame_that_was_answered(upstream, frames, tmp_path):
    viewer = "192.0.2.4"
    with start_function_server(upstream, tmp_path, name="doomed") as server:
        posting = PostingUntilDeath(server, frames, viewer, kill_after=FRAMES // 3)
        with ThreadPoolExecutor(POSTERS) as pool:
            list(pool.map(lambda _: posting.run(), range(POSTERS)))
    answered = posting.answered
    # Each of the other posters had one request in flight at most.
    assert FRAMES // 3 <= len(answered) <= FRAMES // 3 + POSTERS - 1

    with start_function(upstream, tmp_path, name="restarted") as url:
        client = GazeClient(url, video_id="sample", ip_address=viewer)
        stored = stored_session(upstream, client)
        assert {number: stored[str(number)]["gaze"] for number in answered} == answered
        for number in range(1, FRAMES + 1):
            if number not in answered:
                client.post_frame(number, frames[number - 1])
        result = client.complete(FRAMES + 1).body["result"]

    assert result["frames"]["received"] == FRAMES
    assert result["lost"]["missing"] == 0


class PostingUntilDeath:
    """Posts frames from several threads, and kills the server when a number of them has been answered.

    Attributes:
        answered: Gaze of each answered frame, by number.
    """

    def __init__(self, server, frames, viewer, *, kill_after):
        self.answered = {}
        self._server, self._frames, self._viewer, self._kill_after = server, frames, viewer, kill_after
        self._numbers = iter(range(1, FRAMES + 1))
        self._lock = threading.Lock()

    def run(self):
        client = GazeClient(self._server.url, video_id="sample", ip_address=self._viewer, attempts=1)
        for number in self._numbers:
            try:
                gaze = client.post_frame(number, self._frames[number - 1]).body["gaze"]
            except GazeClientError:
                return
            with self._lock:
                self.answered[number] = None if gaze is None else [gaze["x"], gaze["y"]]
                if len(self.answered) == self._kill_after:
                    self._server.kill()
