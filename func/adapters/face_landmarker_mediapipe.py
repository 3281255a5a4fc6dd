"""Face landmarks by MediaPipe Tasks, in IMAGE mode, which keeps no state between frames.

MediaPipe's library sends usage reports to a Google host, with the first frame after a minute and when a landmarker is
closed. It has no option to disable that. It does respect HTTPS_PROXY, so `load_mediapipe` sets that to a closed local
port. Nothing else here uses that variable: our HTTP clients get their proxy from the settings.
"""

import atexit
import contextlib
import ctypes
import functools
import io
import os
import sys
import types
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.landmarker_bundle import SHAPE_NETWORK, read_bundle, select_eye_shapes
from func.adapters.landmarker_pool import LandmarkerPool
from gaze_core.errors import LandmarkerError
from gaze_core.landmarks import Landmarks
from gaze_core.types import Frame

CLOSED_PORT = "http://127.0.0.1:9"
"""The discard port, on which nothing listens, so that a client that uses it as its proxy cannot connect."""

DEBIAN_PACKAGES = ("libegl1", "libgles2")
"""Packages of the libraries that MediaPipe's library is linked against, even if it only uses the CPU."""

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


class MediapipeFaceLandmarker(LandmarkerPool):
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
        if max_faces < 1:
            raise ValueError("max_faces must be at least one")
        bundle = read_bundle(Path(model_path), sha256=sha256)
        super().__init__(lambda: MediapipeEngine(bundle, max_faces=max_faces), landmarkers=landmarkers, wait_s=wait_s)


class MediapipeEngine:
    """One landmarker; used by one thread at once.

    Args:
        bundle: Content of the `.task` file.
        max_faces: Maximum number of detected faces.

    Raises:
        LandmarkerError: The landmarker cannot be created.
    """

    def __init__(self, bundle: bytes, *, max_faces: int) -> None:
        self._landmarker = create_landmarker(bundle, max_faces=max_faces)

    def detect(self, frame: Frame) -> list[Landmarks]:
        """Return the landmarks of every face; see `FaceLandmarker`.

        Does what `FaceLandmarker.detect` of MediaPipe does, but reads its C structures as arrays: a thousand Python
        objects for each face would take a tenth of the time of a frame.
        """
        from mediapipe.tasks.python.vision.face_landmarker import MpFaceLandmarkerResultC  # noqa: PLC0415

        mediapipe = load_mediapipe()
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
        library, handle = self._landmarker._lib, self._landmarker._handle
        result = MpFaceLandmarkerResultC()
        library.MpFaceLandmarkerDetectImage(handle, image._image_ptr, None, ctypes.byref(result))
        try:
            return _read_faces(result, *frame.shape[1::-1])
        finally:
            library.MpFaceLandmarkerCloseResult(ctypes.byref(result))

    def close(self) -> None:
        """Close MediaPipe's landmarker."""
        _alive.discard(self._landmarker)
        self._landmarker.close()


def _read_faces(result: Any, width_px: int, height_px: int) -> list[Landmarks]:  # noqa: ANN401 - MediaPipe's structure
    """Return the faces in a result of MediaPipe's C interface."""
    faces = []
    for face in range(result.face_landmarks_count):
        found = result.face_landmarks[face]
        points = _read_structures(found.landmarks, found.landmarks_count, ("x", "y", "z"))
        eye_shapes = None
        if face < result.face_blendshapes_count:
            shapes = result.face_blendshapes[face]
            (scores,) = _read_structures(shapes.categories, shapes.categories_count, ("score",)).T
            eye_shapes = select_eye_shapes(scores)
        faces.append(Landmarks(points, width_px, height_px, eye_shapes))
    return faces


def _read_structures(pointer: Any, count: int, names: Sequence[str]) -> NDArray[np.float64]:  # noqa: ANN401
    """Return 32-bit float fields of an array of C structures, shape (count, names)."""
    structure = pointer._type_
    fields = np.dtype(
        {
            "names": list(names),
            "formats": ["f4"] * len(names),
            "offsets": [getattr(structure, name).offset for name in names],
            "itemsize": ctypes.sizeof(structure),
        }
    )
    values = np.frombuffer(ctypes.string_at(pointer, count * fields.itemsize), fields)
    return np.column_stack([values[name] for name in names]).astype(np.float64)


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
