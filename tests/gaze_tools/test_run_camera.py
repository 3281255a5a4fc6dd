"""The webcam in real time: times of arrival, a slow consumer, a camera that stops."""

import itertools
import threading

import numpy as np
import pytest

from gaze_tools.run import camera
from gaze_tools.run.camera import Capture, capture_frames

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
    read_all.wait(5)
    rest = list(frames)

    assert round(first.time_s, 1) == 0.1
    assert capture.dropped >= 99 - 1 - camera.QUEUE_FRAMES - 1
    assert all(earlier.time_s < later.time_s for earlier, later in itertools.pairwise(rest))


def test_a_camera_that_stops_is_an_error(monkeypatch):
    monkeypatch.setattr(camera, "_POLL_S", 0.001)
    fake = FakeCamera(fails_after=3)
    frames = capture_frames(fake.read, 1000.0, Capture(), clock=fake.clock)

    with pytest.raises(OSError, match="the webcam stopped delivering images"):
        list(frames)


def test_a_consumer_that_stops_ends_the_thread():
    fake = FakeCamera()
    frames = capture_frames(fake.read, 1e9, Capture(), clock=fake.clock)
    next(frames)
    frames.close()

    assert not [thread for thread in threading.enumerate() if "run" in thread.name and thread.daemon]
