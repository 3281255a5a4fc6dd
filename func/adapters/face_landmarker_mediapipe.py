"""Face landmarks by MediaPipe Tasks, in IMAGE mode, which keeps no state between frames.

MediaPipe's library sends usage reports to a Google host, with the first frame after a minute and when a landmarker is
closed. It has no option to disable that. It does respect HTTPS_PROXY, so `load_mediapipe` sets that to a closed local
port. Nothing else here uses that variable: our HTTP clients get their proxy from the settings.
"""

import atexit
import contextlib
import functools
import io
import logging
import os
import queue
import sys
import types
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.landmarker_bundle import read_bundle
from gaze_core.errors import LandmarkerBusyError, LandmarkerError
from gaze_core.landmarks import EYE_SHAPES, Landmarks
from gaze_core.types import Frame

CLOSED_PORT = "http://127.0.0.1:9"
"""The discard port, on which nothing listens, so that a client that uses it as its proxy cannot connect."""

DEBIAN_PACKAGES = ("libegl1", "libgles2")
"""Packages of the libraries that MediaPipe's library is linked against, even if it only uses the CPU."""

SHAPE_NETWORK = "face_blendshapes.tflite"
"""Member of a bundle that estimates the blendshapes; it runs whether or not they are asked for."""

SHAPE_NAMES = (
    # MediaPipe's names of `EYE_SHAPES` for the left and the right eye; like ours they mean the person's own sides.
    *("eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeLookDownLeft"),
    *("eyeBlinkLeft", "eyeSquintLeft", "eyeWideLeft"),
    *("eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeLookDownRight"),
    *("eyeBlinkRight", "eyeSquintRight", "eyeWideRight"),
)

_log = logging.getLogger(__name__)
_alive: set[Any] = set()


@atexit.register
def _close_all() -> None:
    """Close all open landmarkers, because MediaPipe's destructor fails once the interpreter has unloaded its modules.

    Registered before MediaPipe is imported, so it runs after MediaPipe's own exit handler, which makes closing safe,
    even for a landmarker that was inherited across a fork.
    """
    for landmarker in tuple(_alive):
        with contextlib.suppress(RuntimeError):
            landmarker.close()


class MediapipeFaceLandmarker:
    """Pool of MediaPipe landmarkers; thread-safe.

    Each landmarker processes one frame at once and uses about one CPU. Landmarkers are created at first use, and again
    after a fork, because they hang there. A forked process must end by `os._exit`, as those of multiprocessing do:
    MediaPipe's library hangs in the normal exit.

    Args:
        model_path: Path of the bundle; its description has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the bundle, in addition to that of the description; None trusts the description.
        landmarkers: Maximum number of concurrent detections.
        wait_s: Maximum time that a frame waits for a free landmarker.
        max_faces: Maximum number of detected faces.

    Raises:
        LandmarkerError: The bundle is missing or does not match its description.
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
        """Return the landmarks of every detected face, in any order; empty without a face.

        They include the blendshapes of the eyes unless the bundle lacks the network for them.

        Args:
            frame: RGB uint8, contiguous, shape (height, width, 3), not mirrored.

        Raises:
            ValueError: The type, shape or layout is wrong.
            LandmarkerError: The landmarker could not be created or failed; it is replaced at its next use.
            LandmarkerBusyError: All landmarkers are busy and none became free in time.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise ValueError(f"frame must be RGB uint8 of shape (h, w, 3), not {frame.dtype} {frame.shape}")
        if not frame.flags.c_contiguous:
            raise ValueError("frame must be contiguous")
        with self._borrow() as place:
            faces = place.detect(frame)
        height_px, width_px = frame.shape[:2]
        return [Landmarks(points, width_px, height_px, eye_shapes) for points, eye_shapes in faces]

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

        A pool inherited across a fork is kept but not used, because its destructor would wait for threads that do not
        exist here. The dictionary has no lock, because a lock could be inherited locked; `setdefault` is atomic.
        """
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            # Last in, first out: a landmarker that exists is used before another one is created.
            fresh: queue.LifoQueue[_Place] = queue.LifoQueue()
            for _ in range(self._landmarkers):
                fresh.put(_Place(self._bundle, self._max_faces))
            pool = self._pools.setdefault(pid, fresh)
        return pool


class _Place:
    """Place for one landmarker, created at first use and again after a failure; used by one thread at once."""

    def __init__(self, bundle: bytes, max_faces: int) -> None:
        self._bundle = bundle
        self._max_faces = max_faces
        self._landmarker: Any = None

    def detect(self, frame: Frame) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        """Return landmarks and blendshapes of every face as `Landmarks` defines them.

        Raises:
            LandmarkerError: The landmarker could not be created or failed.
        """
        mediapipe = load_mediapipe()
        if self._landmarker is None:
            self._landmarker = create_landmarker(self._bundle, max_faces=self._max_faces)
        try:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
            result = self._landmarker.detect(image)
            points = [np.array([(point.x, point.y, point.z) for point in face]) for face in result.face_landmarks]
            if not result.face_blendshapes:
                return [(each, None) for each in points]
            return list(zip(points, map(_select_eye_shapes, result.face_blendshapes), strict=True))
        except Exception as error:
            _log.warning("a face landmarker failed and will be replaced: %s", error)
            self.discard()
            raise LandmarkerError("the face landmarker failed on a frame") from error

    def discard(self) -> None:
        """Close the landmarker; the next frame gets a new one."""
        landmarker, self._landmarker = self._landmarker, None
        if landmarker is not None:
            _alive.discard(landmarker)
            try:
                landmarker.close()
            except Exception:  # a broken landmarker may fail at this too
                _log.warning("a face landmarker could not be closed", exc_info=True)


def _select_eye_shapes(categories: Sequence[Any]) -> NDArray[np.float64]:
    """Return the eyes' blendshapes among all of a face, shape (2, 7), as `Landmarks.eye_shapes`."""
    scores = {category.category_name: category.score for category in categories}
    return np.array([scores[name] for name in SHAPE_NAMES], dtype=np.float64).reshape(2, len(EYE_SHAPES))


def create_landmarker(bundle: bytes, *, max_faces: int = 4, with_matrices: bool = False) -> Any:  # noqa: ANN401
    """Return MediaPipe's own landmarker in IMAGE mode.

    Args:
        bundle: Content of the `.task` file.
        max_faces: Maximum number of detected faces.
        with_matrices: Whether results include the head pose by MediaPipe, with which tests compare ours.

    Raises:
        LandmarkerError: The landmarker cannot be created, usually because a system library is missing.
    """
    try:
        load_mediapipe()
        from mediapipe.tasks.python.core.base_options import BaseOptions  # noqa: PLC0415
        from mediapipe.tasks.python.vision import face_landmarker  # noqa: PLC0415

        options = face_landmarker.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=bundle),
            num_faces=max_faces,
            output_face_blendshapes=_has_shape_network(bundle),
            output_facial_transformation_matrixes=with_matrices,
        )
        landmarker = face_landmarker.FaceLandmarker.create_from_options(options)
    except OSError as error:  # the dynamic linker's
        packages = " ".join(DEBIAN_PACKAGES)
        raise LandmarkerError(
            f"MediaPipe's library cannot be loaded; install the Debian packages {packages}"
        ) from error
    except (ImportError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise LandmarkerError("MediaPipe cannot create a face landmarker from the bundle") from error
    _alive.add(landmarker)
    return landmarker


def _has_shape_network(bundle: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return SHAPE_NETWORK in archive.namelist()


@functools.cache
def load_mediapipe() -> types.ModuleType:
    """Return the module `mediapipe`, without access to the network.

    Raises:
        ImportError: It is not installed.
    """
    os.environ["HTTPS_PROXY"] = os.environ["https_proxy"] = CLOSED_PORT
    for exemption in ("NO_PROXY", "no_proxy"):  # may name Google's hosts
        os.environ.pop(exemption, None)
    with _without_matplotlib():
        import mediapipe  # noqa: PLC0415

    module: types.ModuleType = mediapipe
    return module


@contextlib.contextmanager
def _without_matplotlib() -> Iterator[None]:
    """Let MediaPipe import an empty matplotlib, which it only needs for drawings that we never make.

    The real one would take as much time and memory as all the rest. It can still be imported afterwards.
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
