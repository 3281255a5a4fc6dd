"""The webcam in real time: times of arrival, a slow consumer, a camera that stops."""

import contextlib
import itertools
import json
import threading
import time

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gaze_tools.cli import main
from gaze_tools.run import camera
from gaze_tools.run.camera import Capture, capture_frames
from gaze_tools.sample_clip import SAMPLE, read_frames

IMAGE = np.zeros((4, 4, 3), dtype=np.uint8)


class FakeCamera:
    """A camera with an image every 100 ms of its own clock."""

    def __init__(self, *, fails_after=None):
        self.now_s = 50.0
        self._images = itertools.count()
        self._fails_after = fails_after

    def clock(self):
        return self.now_s

    def read(self):
        self.now_s += 0.1
        has_failed = self._fails_after is not None and next(self._images) >= self._fails_after
        return None if has_failed else IMAGE


def test_an_image_has_the_time_since_the_start():
    fake = FakeCamera()

    frames = list(capture_frames(fake.read, 0.55, Capture(), clock=fake.clock))

    assert [round(frame.time_s, 1) for frame in frames] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_slow_consumer_loses_images_but_no_time():
    fake, capture, read_all = FakeCamera(), Capture(), threading.Event()

    def read():
        image = fake.read()
        if fake.now_s >= 60:
            read_all.set()
        return image

    frames = capture_frames(read, 10.0, capture, clock=fake.clock)
    first = next(frames)
    assert read_all.wait(60)
    rest = list(frames)

    assert round(first.time_s, 1) == 0.1
    # Of 99 images one was taken, 60 waited, and at most one more was read meanwhile.
    assert 37 <= capture.dropped <= 39
    assert all(earlier.time_s < later.time_s for earlier, later in itertools.pairwise(rest))


def test_a_camera_that_stops_is_an_error(monkeypatch):
    monkeypatch.setattr(camera, "_POLL_S", 0.001)
    fake = FakeCamera(fails_after=3)
    frames = capture_frames(fake.read, 1000.0, Capture(), clock=fake.clock)

    with pytest.raises(OSError, match="the webcam stopped delivering images"):
        list(frames)


def test_a_consumer_that_stops_ends_the_thread():
    fake, reading = FakeCamera(), set()

    def read():
        reading.add(threading.current_thread())
        return fake.read()

    frames = capture_frames(read, 1e9, Capture(), clock=fake.clock)
    next(frames)
    frames.close()

    (thread,) = reading
    assert not thread.is_alive()


@contextlib.contextmanager
def open_looped_clip(_number):
    """A webcam with 10 images a second that shows the sample's person again and again."""
    images = itertools.cycle(list(read_frames(str(SAMPLE / "clip.mp4"), 40)))

    class Webcam:
        def read(self):
            time.sleep(0.1)
            return True, cv2.cvtColor(next(images), cv2.COLOR_RGB2BGR)

    yield Webcam()


@pytest.mark.slow
def test_a_film_is_scored_while_the_webcam_records(monkeypatch, tmp_path):
    from gaze_tools.run import command

    monkeypatch.setattr(command, "open_capture", open_looped_clip)

    result = CliRunner().invoke(
        main,
        ["run", str(SAMPLE / "video.mp4"), "--camera", "0", "--every", "5", "--countdown", "1", "--out", str(tmp_path)],
    )

    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert said.index("Start it when this says “now”; then look at the film for 10 s.") < said.index("1 … now")
    frames = json.loads((tmp_path / "result.json").read_text())["frames"]
    assert 50 <= frames["expected"] <= 100
    assert frames["scored"] > 0.8 * frames["expected"]


@pytest.mark.slow
def test_without_a_film_the_webcam_shows_the_gaze_alone(monkeypatch, tmp_path):
    from gaze_tools.run import gaze_only

    monkeypatch.setattr(gaze_only, "open_capture", open_looped_clip)
    monkeypatch.setattr(gaze_only, "CAMERA_S", 2.0)

    result = CliRunner().invoke(main, ["demo", "--camera", "0", "--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert "There is no score" in result.output
    assert (tmp_path / "gaze_on_screen.png").exists()
