"""Pool of face landmarkers: each serves one frame at once, and a forked process gets its own."""

import contextlib
import logging
import os
import queue
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from func.log_lines import Event
from gaze_core.errors import LandmarkerBusyError, LandmarkerError
from gaze_core.landmarks import Landmarks
from gaze_core.types import Frame, check_frame

_log = logging.getLogger(__name__)


class LandmarkerEngine(Protocol):
    """One face landmarker; used by one thread at once."""

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every face; any exception means that the engine must be replaced."""
        ...

    def close(self) -> None:
        """Release its resources."""
        ...


class LandmarkerPool:
    """Pool of landmarkers, a `FaceLandmarker`; thread-safe.

    Landmarkers are created at first use, and again after a fork or a failure.

    Args:
        create: Creates a landmarker; raises `LandmarkerError` if that is impossible.
        landmarkers: Maximum number of concurrent detections.
        wait_s: Maximum time that a frame waits for a free landmarker.

    Raises:
        ValueError: `landmarkers` is below one, or `wait_s` is negative.
    """

    def __init__(self, create: Callable[[], LandmarkerEngine], *, landmarkers: int, wait_s: float) -> None:
        if landmarkers < 1:
            raise ValueError("landmarkers must be at least one")
        if not wait_s >= 0:
            raise ValueError("wait_s must not be negative")
        self._create = create
        self._landmarkers = landmarkers
        self._wait_s = wait_s
        self._is_closed = False
        self._pools: dict[int, queue.LifoQueue[_Place]] = {}

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every detected face, in any order; empty without a face.

        They include the blendshapes of the eyes unless the bundle lacks the network for them.

        Args:
            frame: RGB uint8, contiguous, shape (height, width, 3), not mirrored.

        Raises:
            ValueError: The type, shape or layout is wrong.
            LandmarkerError: The landmarker could not be created or failed; it is replaced at its next use.
            LandmarkerBusyError: All landmarkers are busy and none became free in time.
        """
        check_frame(frame)
        if not frame.flags.c_contiguous:
            raise ValueError("frame must be contiguous")
        with self._borrow() as place:
            return place.detect(frame)

    def warm_up(self) -> None:
        """Create all landmarkers and run each once, so that the first requests do not wait for that.

        Raises:
            LandmarkerError: A landmarker could not be created.
            LandmarkerBusyError: The landmarkers are busy with other frames.
        """
        with contextlib.ExitStack() as stack:
            for place in [stack.enter_context(self._borrow()) for _ in range(self._landmarkers)]:
                place.detect(np.zeros((64, 64, 3), np.uint8))

    def close(self) -> None:
        """Close the landmarkers of this process once they are free; the pool is unusable afterwards.

        Raises:
            LandmarkerBusyError: A landmarker did not become free in time; it stays open until the process ends.
        """
        if self._is_closed:
            return
        pool = self._own_pool()
        self._is_closed = True
        for _ in range(self._landmarkers):
            try:
                place = pool.get(timeout=self._wait_s)
            except queue.Empty:
                raise LandmarkerBusyError(self._wait_s) from None
            place.discard()

    @contextlib.contextmanager
    def _borrow(self) -> Iterator["_Place"]:
        if self._is_closed:
            raise LandmarkerError("the face landmarker is closed")
        pool = self._own_pool()
        try:
            place = pool.get(timeout=self._wait_s)
        except queue.Empty:
            raise LandmarkerBusyError(self._wait_s) from None
        try:
            yield place
        finally:
            pool.put(place)

    def _own_pool(self) -> "queue.LifoQueue[_Place]":
        """Return the pool of the current process.

        A pool inherited across a fork is kept but not used, because the destructor of an engine may wait for threads
        that do not exist here. The dictionary has no lock, because a lock could be inherited locked; `setdefault` is
        atomic.
        """
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            # Last in, first out: a landmarker that exists is used before another one is created.
            fresh: queue.LifoQueue[_Place] = queue.LifoQueue()
            for _ in range(self._landmarkers):
                fresh.put(_Place(self._create))
            pool = self._pools.setdefault(pid, fresh)
        return pool


class _Place:
    """Place for one landmarker, created at first use and again after a failure; used by one thread at once."""

    def __init__(self, create: Callable[[], LandmarkerEngine]) -> None:
        self._create = create
        self._engine: LandmarkerEngine | None = None

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every face.

        Raises:
            LandmarkerError: The landmarker could not be created or failed.
        """
        if self._engine is None:
            self._engine = self._create()
        try:
            return self._engine.detect(frame)
        except Exception as error:
            _log.warning(Event("face landmarker failed", detail=error))
            self.discard()
            raise LandmarkerError("the face landmarker failed on a frame") from error

    def discard(self) -> None:
        """Close the landmarker; the next frame gets a new one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            try:
                engine.close()
            except Exception:  # a broken landmarker may fail at this too
                _log.warning(Event("face landmarker not closed"), exc_info=True)
