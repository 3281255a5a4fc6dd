"""The PsychoPy example: the whole experiment with the real function, and a window and a camera that are not real."""

import csv
import importlib.util
import statistics
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import pytest

from gaze_tools.client import Frame, GazeClient, GazeUnavailableError
from gaze_tools.sample_clip import SAMPLE, count_frames, read_truth, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from tests.docs.test_links import ROOT

SPEC = importlib.util.spec_from_file_location("gaze_experiment", ROOT / "docs/examples/psychopy/gaze_experiment.py")
example = importlib.util.module_from_spec(SPEC)
sys.modules["gaze_experiment"] = example
SPEC.loader.exec_module(example)

FRAME_MS = 50.0
NOWHERE = "http://127.0.0.1:9"


class StandInDisplay:
    """A display whose time advances by 50 ms with each refresh; the movie is the sample, 10 s long."""

    viewport = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}  # noqa: RUF012 - as in the Protocol

    def __init__(self, *, cancelled_after=None):
        self.target = self.movie_frame = None
        self.targets = []
        self._refreshes = 0
        self._cancelled_after = cancelled_after

    def time_s(self):
        return self._refreshes * FRAME_MS / 1000

    def show_target(self, target):
        self._refreshes += 1
        if target != self.target:
            self.target = target
            self.targets.append(target)

    def start_movie(self):
        self.target, self.movie_frame = None, -1

    def show_movie(self):
        self._refreshes += 1
        self.movie_frame += 1
        return FRAME_MS * self.movie_frame if self.movie_frame < 200 else None

    def is_cancelled(self):
        return self._cancelled_after is not None and self._refreshes > self._cancelled_after


class StandInCamera:
    """Shows the sample person looking at what is on the display."""

    def __init__(self, display):
        self._display = display
        self._taken = 0
        self._looks = {}
        with (SAMPLE / "recording/targets.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                image = (SAMPLE / "recording/frames" / row["frame"]).read_bytes()
                self._looks.setdefault((float(row["x"]), float(row["y"])), []).append(image)
        clip = cv2.VideoCapture(str(SAMPLE / "clip.mp4"))
        self._clip = []
        while (read := clip.read())[0]:
            self._clip.append(cv2.imencode(".jpg", read[1])[1].tobytes())

    def take(self):
        self._taken += 1
        looks = self._looks.get(self._display.target)
        if self._display.target is not None:
            image = looks[self._taken % len(looks)]
        else:
            image = self._clip[self._display.movie_frame]
        return example.CameraImage(image, FRAME_MS * self._taken)


class StandInRows:
    """Keeps rows as PsychoPy's ExperimentHandler does."""

    def __init__(self):
        self.entries = []
        self._row = {}

    def addData(self, name, value):
        self._row[name] = value

    def nextEntry(self):
        self.entries.append(self._row)
        self._row = {}


@pytest.fixture(scope="module")
def function_url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    with start_upstream_services(folder) as upstream:
        seed_sample_maps(upstream, count_frames(str(SAMPLE / "video.mp4")))
        with start_function(upstream, folder) as url:
            yield url


@pytest.mark.slow
def test_a_participant_calibrates_watches_and_is_scored(function_url):
    display, rows, truth = StandInDisplay(), StandInRows(), read_truth()

    with GazeClient(function_url) as client:
        outcome = example.run_experiment(
            client,
            display,
            StandInCamera(display),
            rows,
            video_id="sample",
            participant="participant-1",
            screen=truth["screen"],
            camera_setup=truth["camera"],
        )

    assert display.targets == [*example.FIVE_TARGETS, *example.VALIDATION_TARGETS]
    assert outcome.calibration.used
    assert outcome.calibration.body["dots"] == 5
    assert outcome.calibration.validation_accuracy_deg is not None
    assert (outcome.result.score_valid, outcome.dropped) == (True, 0)
    assert outcome.result.final_score > outcome.result.chance_level + 10
    assert outcome.result.result["frames"]["received"] == 200
    assert outcome.result.result["lost"]["missing"] == 0
    assert [row["frame_number"] for row in rows.entries] == list(range(1, 201))
    assert [row["video_time_ms"] for row in rows.entries] == [FRAME_MS * number for number in range(200)]
    seen = [(row, known) for row, known in zip(rows.entries, truth["frames"], strict=True) if row["validity"] == "ok"]
    assert statistics.median(abs(row["gaze_x"] - known["x"]) for row, known in seen) < 0.1
    assert all(row["gaze_norm_x"] == 2 * row["gaze_x"] - 1 for row, _ in seen)
    assert all(row["gaze_norm_y"] == 1 - 2 * row["gaze_y"] for row, _ in seen)


def calibrate(display, camera):
    calibration = GazeClient(NOWHERE, attempts=1).start_calibration()
    return example.measure_target(display, camera, calibration, (0.5, 0.5))


def test_escape_ends_the_experiment():
    display = StandInDisplay(cancelled_after=3)

    with pytest.raises(example.CancelledError):
        calibrate(display, StandInCamera(display))


def test_a_camera_that_stops_is_an_error_and_not_an_endless_wait():
    class NoCamera:
        def take(self):
            return None

    with pytest.raises(example.CameraError, match="0 images in 10 s"):
        calibrate(StandInDisplay(), NoCamera())


def test_images_before_the_eyes_have_arrived_are_not_used():
    display, sent = StandInDisplay(), []

    class Calibration:
        def measure(self, _target, frames, *, use):
            sent.extend((frame.timestamp_ms, use) for frame in frames)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        example.measure_target(display, StandInCamera(display), Calibration(), (0.1, 0.1), use="validate")

    # The first image is taken after 50 ms.
    assert sent == [(700 + FRAME_MS * number, "validate") for number in range(12)]


class SlowViewing:
    """A viewing whose first request waits until the test lets it go."""

    def __init__(self, error=None):
        self.go = threading.Event()
        self.batches = []
        self._error = error

    def send_batch(self, frames):
        self.go.wait(30)
        if self._error:
            raise self._error
        self.batches.append([frame.image for frame in frames])
        return [f"reply to {frame.image}" for frame in frames]


def test_the_network_does_not_delay_the_movie_and_the_order_stays():
    viewing = SlowViewing()

    with example.Sender(viewing) as sender:
        for number in range(40):
            sender.add(Frame(number))
        viewing.go.set()

    assert [image for batch in viewing.batches for image in batch] == list(range(40))
    assert max(map(len, viewing.batches)) <= 16
    assert [reply for _, reply in sender.answered] == [f"reply to {number}" for number in range(40)]
    assert sender.dropped == 0


def test_frames_beyond_the_queue_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(example, "MAX_WAITING", 20)
    viewing = SlowViewing()

    with example.Sender(viewing) as sender:
        for number in range(100):
            sender.add(Frame(number))
        viewing.go.set()

    # Besides the queue, up to one batch is on its way.
    assert 100 - 20 - 16 <= sender.dropped <= 100 - 20
    assert len(sender.answered) == 100 - sender.dropped


@pytest.mark.parametrize("error", [GazeUnavailableError("no answer"), ValueError("misuse")])
def test_an_error_ends_the_experiment_also_with_a_full_queue(monkeypatch, error):
    monkeypatch.setattr(example, "MAX_WAITING", 20)
    viewing = SlowViewing(error)

    def send_many():
        with example.Sender(viewing) as sender:
            for _ in range(100):
                sender.add(Frame(b"x"))
            viewing.go.set()

    with pytest.raises(type(error)):
        send_many()


def test_what_was_measured_before_escape_is_in_the_table(monkeypatch):
    viewing, rows = SlowViewing(), []
    viewing.go.set()
    client = SimpleNamespace(
        start_calibration=lambda **_: SimpleNamespace(finish=lambda: None), start_viewing=lambda *_, **__: viewing
    )

    def show_one_frame(_display, _camera, sender):
        sender.add(Frame("x"))
        while not sender.answered:
            time.sleep(0.01)
        raise example.CancelledError

    monkeypatch.setattr(example, "measure_target", lambda *_, **__: True)
    monkeypatch.setattr(example, "show_movie", show_one_frame)
    monkeypatch.setattr(example, "add_row", lambda rows, _frame, reply: rows.append(reply))
    with pytest.raises(example.CancelledError):
        example.run_experiment(client, None, None, rows, video_id="v", participant="p", screen={}, camera_setup={})

    assert rows == ["reply to x"]


def test_each_viewing_has_an_id_of_its_own(monkeypatch):
    monkeypatch.setattr(example, "measure_target", lambda *_, **__: True)
    ids = []

    class Client:
        def start_calibration(self, **_):
            return SimpleNamespace(finish=lambda: None)

        def start_viewing(self, _video_id, *, session_id, **_):
            ids.append(session_id)
            raise InterruptedError

    for _ in range(2):
        with pytest.raises(InterruptedError):
            example.run_experiment(
                Client(), None, None, None, video_id="sample", participant="p", screen={}, camera_setup={}
            )

    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("movie", "aspect", "viewport"),
    [
        ((480, 270), 16 / 9, (0, 0, 1, 1)),
        ((480, 270), 4 / 3, (0, 0.125, 1, 0.75)),
        ((300, 300), 2.0, (0.25, 0, 0.5, 1)),
    ],
)
def test_the_movie_fills_the_screen_as_far_as_its_shape_allows(movie, aspect, viewport):
    found = example.fit_movie(movie, aspect)

    assert tuple(found[name] for name in ("x", "y", "width", "height")) == pytest.approx(viewport)


def test_the_experiment_does_not_need_psychopy():
    assert "psychopy" not in sys.modules
