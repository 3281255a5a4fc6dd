"""A webcam in real time: every image gets the time at which it arrived."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.run.clip import ClipFrame

QUEUE_FRAMES = 60
"""Images that wait at most; if the function is slower than the camera, further ones are dropped."""

_POLL_S = 0.2
_FAILURES = 30
"""Consecutive failed reads after which the camera counts as gone."""

ReadImage = Callable[[], NDArray[np.uint8] | None]
"""Waits for the next image, RGB; None if the camera delivers none."""


@dataclass(slots=True)
class Capture:
    """What happened to the images of a camera.

    Attributes:
        dropped: Number of images that were dropped because the function was too slow.
    """

    dropped: int = 0


def make_reader(camera: cv2.VideoCapture) -> ReadImage:
    """Return a function that reads the next image of an open camera."""

    def read() -> NDArray[np.uint8] | None:
        ok, image = camera.read()
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8) if ok else None

    return read


def capture_frames(
    read: ReadImage, duration_s: float, capture: Capture, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[ClipFrame]:
    """Yield the images of a camera from now on for a duration.

    The camera is read in a thread, so that the consumer's speed does not change the times.

    Args:
        read: Reads the next image.
        duration_s: Time after which to stop.
        capture: Updated while it runs.
        clock: Returns a monotonic time in seconds.

    Raises:
        OSError: The camera stopped delivering images.
    """
    waiting: queue.Queue[ClipFrame | None] = queue.Queue(QUEUE_FRAMES)
    stop = threading.Event()
    started_s = clock()
    failed = threading.Event()

    def run() -> None:
        failures = 0
        while not stop.is_set() and failures < _FAILURES:
            image = read()
            time_s = clock() - started_s
            if time_s >= duration_s:
                break
            if image is None:
                failures += 1
                stop.wait(_POLL_S)
                continue
            failures = 0
            try:
                waiting.put_nowait(ClipFrame(time_s, image))
            except queue.Full:
                capture.dropped += 1
        if failures >= _FAILURES:
            failed.set()
        while not stop.is_set():
            try:
                waiting.put(None, timeout=_POLL_S)
            except queue.Full:
                continue
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (frame := waiting.get()) is not None:
            yield frame
    finally:
        stop.set()
        thread.join(timeout=5)
    if failed.is_set():
        raise OSError("the webcam stopped delivering images")
