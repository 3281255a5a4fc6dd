"""Any process can serve any frame: with real processes, HTTP and a database."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from gaze_tools.client import GazeClient, GazeRequestError, GazeUnavailableError
from gaze_tools.sample_clip import SAMPLE, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_function_server, start_upstream_services

pytestmark = pytest.mark.slow

FRAMES = 24
POSTERS = 3
OCTETS = itertools.count(1)
UNHURRIED = {"LANDMARKER_WAIT_S": "60", "HTTP_TIMEOUT_S": "60", "REQUEST_TIMEOUT_S": "120"}
"""However busy the machine is, no request fails because it takes long."""
SHORT_WAIT = {**UNHURRIED, "BARRIER_TIMEOUT_S": "0.5"}
"""For the first function, at which a missing frame never comes."""
LONG_WAIT = {**UNHURRIED, "BARRIER_TIMEOUT_S": "200"}
"""For the second one, at which a straggler comes."""


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
        start_function(upstream, log_dir, name="second", settings=LONG_WAIT) as second,
    ):
        yield first, second


@pytest.fixture
def new_viewing(functions):
    """Return viewings of one viewer, by default another one each time, at either function."""

    def make(function=0, viewer=None, **fields):
        viewer = viewer or f"198.51.100.{next(OCTETS)}"
        return GazeClient(functions[function]).start_viewing("sample", ip_address=viewer, **fields)

    return make


def stored_session(upstream, viewing):
    response = requests.get(f"{upstream.session_api_url}/get_session/{viewing.session_id}", timeout=60)
    assert response.status_code == 200
    return response.json()["components"]["gaze_tracking"]


def deliveries(upstream, viewing):
    entries = requests.get(f"{upstream.aggregator_url}/results", timeout=60).json()["deliveries"]
    return [entry for entry in entries if entry["session_id"] == viewing.session_id]


def describe():
    truth = read_truth()
    return {"screen": truth["screen"], "camera": truth["camera"]}


def test_the_order_and_the_process_of_the_frames_change_nothing(upstream, new_viewing, frames):
    in_order = new_viewing(viewer="192.0.2.1", **describe())
    for frame in frames:
        in_order.send(frame)
    straight = in_order.complete().result

    first, second = (new_viewing(function, viewer="192.0.2.2", **describe()) for function in (0, 1))
    numbers = [*range(1, FRAMES + 1), 3, 7, 7, 20]
    random.Random(7).shuffle(numbers)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda pair: pair[1].send(frames[pair[0] - 1], frame_number=pair[0]),
                zip(numbers, itertools.cycle([first, second]), strict=False),
            )
        )
    shuffled = second.complete(frame_number=FRAMES + 1).result

    assert shuffled == straight
    assert straight["frames"]["received"] == FRAMES
    assert stored_session(upstream, first) == stored_session(upstream, in_order)


def test_the_last_frame_waits_for_stragglers(new_viewing, frames):
    late, viewing = (new_viewing(function, viewer="192.0.2.5") for function in (0, 1))
    for number in (1, 2, 4):
        viewing.send(frames[number - 1], frame_number=number)
    straggler = threading.Timer(0.5, lambda: late.send(frames[2], frame_number=3))
    straggler.start()

    result = viewing.complete(frame_number=5).result

    straggler.join()
    assert result["frames"]["received"] == 4
    assert result["lost"]["missing"] == 0


def test_missing_frames_are_reported_as_lost(new_viewing, frames):
    viewing = new_viewing()
    for number in (1, 2, 4):
        viewing.send(frames[number - 1], frame_number=number)

    result = viewing.complete(frame_number=5).result

    assert (result["frames"]["expected"], result["frames"]["received"], result["lost"]["missing"]) == (4, 3, 1)


def test_a_repeated_last_frame_gets_the_same_answer_and_is_delivered_once(upstream, new_viewing, frames):
    viewing, other = (new_viewing(function, viewer="192.0.2.3") for function in (0, 1))
    for frame in frames[:3]:
        viewing.send(frame)

    with ThreadPoolExecutor(4) as pool:
        answers = [
            future.result().body
            for future in [pool.submit(each.complete, frame_number=4) for each in (viewing, other, viewing, other)]
        ]
    answers.append(other.complete(frame_number=4).body)

    assert all(answer == answers[0] for answer in answers)
    delivered = deliveries(upstream, viewing)
    assert [(entry["final_score"], entry["count"]) for entry in delivered] == [(answers[0]["final_score"], 1)]


def test_a_frame_after_the_result_is_refused_but_a_stored_one_is_answered_again(new_viewing, frames):
    viewing = new_viewing()
    first = viewing.send(frames[0]).body
    viewing.complete()

    assert viewing.send(frames[0], frame_number=1).body == first
    with pytest.raises(GazeRequestError, match="frame 2: 409"):
        viewing.send(frames[1])


def test_a_killed_function_loses_no_frame_that_was_answered(upstream, frames, tmp_path):
    viewer = "192.0.2.4"
    with start_function_server(upstream, tmp_path, name="doomed", settings=UNHURRIED) as server:
        posting = PostingUntilDeath(server, frames, viewer, kill_after=FRAMES // 3)
        with ThreadPoolExecutor(POSTERS) as pool:
            list(pool.map(lambda _: posting.run(), range(POSTERS)))
    answered = posting.answered
    # Each of the other posters had one request in flight at most.
    assert FRAMES // 3 <= len(answered) <= FRAMES // 3 + POSTERS - 1

    with start_function(upstream, tmp_path, name="restarted") as url:
        viewing = GazeClient(url).start_viewing("sample", ip_address=viewer)
        stored = stored_session(upstream, viewing)
        assert {number: stored[str(number)]["gaze"] for number in answered} == answered
        for number in range(1, FRAMES + 1):
            if number not in answered:
                viewing.send(frames[number - 1], frame_number=number)
        result = viewing.complete(frame_number=FRAMES + 1).result

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
        viewing = GazeClient(self._server.url, attempts=1).start_viewing("sample", ip_address=self._viewer)
        for number in self._numbers:
            try:
                gaze = viewing.send(self._frames[number - 1], frame_number=number).body["gaze"]
            except GazeUnavailableError:
                return
            with self._lock:
                self.answered[number] = None if gaze is None else [gaze["x"], gaze["y"]]
                if len(self.answered) == self._kill_after:
                    self._server.kill()
