"""Face landmarks by MediaPipe Tasks, in the mode that remembers nothing between pictures.

MediaPipe's library reports its use to a Google host: at the first picture after a minute, and when a landmarker is
closed. It has no switch for that. It does obey HTTPS_PROXY, so `load_mediapipe` points it at a closed port of this
machine. Nothing else here reads that variable: our own HTTP sessions take a proxy from the settings only.
"""

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import os
import queue
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.model_bytes import read_model_bytes
from gaze_core.errors import LandmarkerBusyError, LandmarkerError
from gaze_core.landmarks import Landmarks
from gaze_core.types import Frame

CLOSED_PORT = "http://127.0.0.1:9"
"""Nobody listens on the discard port, so whoever takes it for a proxy reaches nobody."""

DEBIAN_PACKAGES = ("libegl1", "libgles2")
"""What MediaPipe's library is linked against, even where it computes on the CPU alone."""

_log = logging.getLogger(__name__)
_alive: set[Any] = set()


@atexit.register
def _close_all() -> None:
    """Close what nobody closed: MediaPipe's own destructor fails once the interpreter has let its modules go.

    Registered before MediaPipe is imported, so it runs after MediaPipe's own exit handler, which by then has made
    closing safe even for a landmarker that was inherited over a fork.
    """
    for landmarker in tuple(_alive):
        with contextlib.suppress(RuntimeError):
            landmarker.close()


class MediapipeFaceLandmarker:
    """A pool of MediaPipe landmarkers; safe to call from several threads.

    Each landmarker serves one picture at a time, on about one CPU. They are made at first use, in the process that uses
    them: a landmarker hangs after a fork, and a process forked from one that holds a landmarker makes its own. Such a
    process must end by `os._exit`, as multiprocessing's do: MediaPipe's library hangs in its ordinary exit.

    Args:
        model_path: The bundle. What it must be stands in the JSON file of the same name beside it.
        sha256: The digest that the bundle must have, whatever that JSON file says; None trusts it.
        landmarkers: How many pictures are served at a time.
        wait_s: How long a picture waits for a free landmarker.
        max_faces: How many faces are found at most.

    Raises:
        LandmarkerError: The bundle is missing or is not the one that the JSON file describes.
        ValueError: `landmarkers` or `max_faces` is below one, or `wait_s` is negative.
    """

    def __init__(
        self, model_path: Path, *, landmarkers: int, wait_s: float, max_faces: int = 4, sha256: str | None = None
    ) -> None:
        if landmarkers < 1 or max_faces < 1:
            raise ValueError("landmarkers and max_faces must be at least one")
        if not wait_s >= 0:
            raise ValueError("wait_s must not be negative")
        self._bundle = read_bundle(Path(model_path), sha256=sha256)
        self._landmarkers = landmarkers
        self._wait_s = wait_s
        self._max_faces = max_faces
        self._is_closed = False
        self._pools: dict[int, queue.LifoQueue[_Place]] = {}

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every face found, in any order; empty without a face.

        Args:
            frame: RGB uint8, contiguous, shape (height, width, 3), not mirrored.

        Raises:
            ValueError: Another type, shape or layout.
            LandmarkerError: The landmarker could not be made or failed; it is replaced at its next use.
            LandmarkerBusyError: Every landmarker is taken and none became free in time.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise ValueError(f"frame must be RGB uint8 of shape (h, w, 3), not {frame.dtype} {frame.shape}")
        if not frame.flags.c_contiguous:
            raise ValueError("frame must be contiguous")
        with self._borrow() as place:
            faces = place.detect(frame)
        height_px, width_px = frame.shape[:2]
        return [Landmarks(points, width_px, height_px) for points in faces]

    def warm_up(self) -> None:
        """Make every landmarker and let it see one picture, so that no viewer waits for that.

        Raises:
            LandmarkerError: A landmarker could not be made.
            LandmarkerBusyError: They are busy with other pictures.
        """
        with contextlib.ExitStack() as stack:
            for place in [stack.enter_context(self._borrow()) for _ in range(self._landmarkers)]:
                place.detect(np.zeros((64, 64, 3), np.uint8))

    def close(self) -> None:
        """Close this process's landmarkers once they are free; the pool cannot be used afterwards.

        Raises:
            LandmarkerBusyError: One did not become free in time; it is left to the end of the process.
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
        """Return the pool of this very process.

        A pool inherited over a fork is kept, unused: its destructor would wait for threads that did not come along.
        No lock guards the dictionary, as a lock might have been inherited locked; `setdefault` is atomic.
        """
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            # Last in, first out: the landmarker that just worked is used again before another is made.
            fresh: queue.LifoQueue[_Place] = queue.LifoQueue()
            for _ in range(self._landmarkers):
                fresh.put(_Place(self._bundle, self._max_faces))
            pool = self._pools.setdefault(pid, fresh)
        return pool


class _Place:
    """Room for one landmarker, made at first use and anew after a failure; one thread at a time."""

    def __init__(self, bundle: bytes, max_faces: int) -> None:
        self._bundle = bundle
        self._max_faces = max_faces
        self._landmarker: Any = None

    def detect(self, frame: Frame) -> list[NDArray[np.float64]]:
        """Return the points of every face, each of shape (478, 3).

        Raises:
            LandmarkerError: The landmarker could not be made or failed.
        """
        mediapipe = load_mediapipe()
        if self._landmarker is None:
            self._landmarker = create_landmarker(self._bundle, max_faces=self._max_faces)
        try:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
            faces = self._landmarker.detect(image).face_landmarks
            return [np.array([(point.x, point.y, point.z) for point in face]) for face in faces]
        except Exception as error:
            _log.warning("a face landmarker failed and will be replaced: %s", error)
            self.discard()
            raise LandmarkerError("the face landmarker failed on a frame") from error

    def discard(self) -> None:
        """Close the landmarker; the next picture gets a new one."""
        landmarker, self._landmarker = self._landmarker, None
        if landmarker is not None:
            _alive.discard(landmarker)
            try:
                landmarker.close()
            except Exception:  # a broken landmarker may fail at this too
                _log.warning("a face landmarker could not be closed", exc_info=True)


def create_landmarker(bundle: bytes, *, max_faces: int = 4, with_matrices: bool = False) -> Any:  # noqa: ANN401
    """Return MediaPipe's own landmarker, in IMAGE mode: every picture by itself.

    Args:
        bundle: The content of the `.task` file.
        max_faces: How many faces are found at most.
        with_matrices: Whether results carry MediaPipe's own head pose, the oracle of ours.

    Raises:
        LandmarkerError: It cannot be made, usually for want of a system library.
    """
    try:
        load_mediapipe()
        from mediapipe.tasks.python.core.base_options import BaseOptions  # noqa: PLC0415
        from mediapipe.tasks.python.vision import face_landmarker  # noqa: PLC0415

        options = face_landmarker.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=bundle),
            num_faces=max_faces,
            output_facial_transformation_matrixes=with_matrices,
        )
        landmarker = face_landmarker.FaceLandmarker.create_from_options(options)
    except OSError as error:  # the dynamic linker's
        packages = " ".join(DEBIAN_PACKAGES)
        raise LandmarkerError(f"MediaPipe's library cannot be loaded; Debian packages {packages}: {error}") from error
    except (ImportError, RuntimeError, ValueError) as error:
        raise LandmarkerError(f"the face landmarker cannot be made: {error}") from error
    _alive.add(landmarker)
    return landmarker


@functools.cache
def load_mediapipe() -> types.ModuleType:
    """Return the module `mediapipe`, kept from reaching the network.

    Raises:
        ImportError: It is not installed.
    """
    os.environ["HTTPS_PROXY"] = os.environ["https_proxy"] = CLOSED_PORT
    for exemption in ("NO_PROXY", "no_proxy"):  # may name Google's hosts
        os.environ.pop(exemption, None)
    with _matplotlib_left_out():
        import mediapipe  # noqa: PLC0415

    module: types.ModuleType = mediapipe
    return module


@contextlib.contextmanager
def _matplotlib_left_out() -> Iterator[None]:
    """Let MediaPipe import an empty matplotlib, of which it needs only the name, for drawings that we never make.

    The real one costs as much time and memory as the rest; it can be imported afterwards all the same.
    """
    if "matplotlib" in sys.modules or "mediapipe" in sys.modules:
        yield
        return
    stubs = {name: types.ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot")}
    stubs["matplotlib"].pyplot = stubs["matplotlib.pyplot"]  # type: ignore[attr-defined]
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name, stub in stubs.items():
            if sys.modules.get(name) is stub:
                del sys.modules[name]


def read_bundle(model_path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of the landmarker's bundle after comparing it with the JSON file beside it.

    Args:
        model_path: The `.task` file.
        sha256: The digest that it must have, whatever the JSON file says; None trusts that file.

    Raises:
        LandmarkerError: A file is missing or is not a regular file, or the bundle is another one.
    """
    description_path = model_path.with_suffix(".json")
    try:
        bundle = read_model_bytes(model_path, sha256=sha256)
        description = read_model_bytes(description_path)
    except OSError as error:
        name = Path(error.filename or model_path).name
        raise LandmarkerError(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LandmarkerError(str(error)) from error
    try:
        expected = json.loads(description)["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise LandmarkerError(f"{description_path.name} does not say the bundle's sha256") from error
    if hashlib.sha256(bundle).hexdigest() != expected:
        raise LandmarkerError(f"{model_path.name} is not the file that {description_path.name} describes")
    return bundle
