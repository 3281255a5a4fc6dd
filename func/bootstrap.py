"""Build the application from settings. The only module that names concrete adapters."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from func.adapters.upstream_observer import UpstreamObserver
from func.detectors import Detectors
from func.errors import NotReadyError, PartNotLoadedError, UnusableModelError
from func.garbage import keep_all_objects
from func.log_lines import Event
from func.session.completion import Completer, CompletionObserver
from func.session.frame_record import read_record
from func.session.session_score import SessionScorer
from func.settings import Settings
from func.tracing import SpanSink
from gaze_core.errors import EyeNetworkError, LandmarkerError, ModelError
from gaze_core.ports import SessionStore

if TYPE_CHECKING:
    from func.adapters.eye_network_opencv import OpencvEyeNetwork
    from func.adapters.face_landmarker_litert import LitertFaceLandmarker
    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
    from func.adapters.landmarker_pool import LandmarkerPool
    from func.adapters.model_file import SklearnGazeModel
    from func.adapters.model_onnx import OnnxGazeModel

PROBE_TIMEOUT_S = 0.5
"""Time limit for probing all upstream services. Kubernetes gives a readiness probe one second."""

PROBE_MAX_AGE_S = 5.0
"""Cache lifetime of the states of the upstream services."""

BUILD_PAUSE_S = 1.0
"""Minimum time between a failed build and the next attempt; calls in between fail at once."""

_log = logging.getLogger(__name__)


class UpstreamProbes:
    """Probes the upstream services in parallel and caches their states for a few seconds."""

    def __init__(
        self,
        services: Mapping[str, Callable[[], bool]],
        *,
        timeout_s: float = PROBE_TIMEOUT_S,
        max_age_s: float = PROBE_MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = dict(services)
        self._timeout_s = timeout_s
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(max_workers=len(self._services), thread_name_prefix="probe")
        self._running: dict[str, Future[bool]] = {}
        self._states: dict[str, bool] = {}
        self._asked_at_s = float("-inf")

    def find_states(self) -> dict[str, bool]:
        """Return for each service whether it is reachable; a service that hangs is not."""
        with self._lock:
            if self._clock() - self._asked_at_s > self._max_age_s:
                for name, is_reachable in self._services.items():
                    if name not in self._running:  # no second probe while one hangs
                        self._running[name] = self._executor.submit(is_reachable)
                done, _ = wait(self._running.values(), timeout=self._timeout_s)
                self._states = {name: future in done and _is_true(future) for name, future in self._running.items()}
                self._running = {name: future for name, future in self._running.items() if not future.done()}
                self._asked_at_s = self._clock()
            return dict(self._states)


def _is_true(future: Future[bool]) -> bool:
    return future.exception() is None and future.result()


class EyeNetworkState(StrEnum):
    """Whether frames go through the eye network."""

    USED = "used"
    UNUSED = "unused"
    """The gaze model was trained without it."""
    MISSING = "missing"
    """The gaze model was trained with it, but its file is missing: the other estimates give the gaze."""


@dataclass(frozen=True, slots=True)
class Application:
    """Long-lived objects that requests use, one set per process."""

    detectors: Detectors
    eye_network_state: EyeNetworkState
    sessions: SessionStore
    completer: Completer
    probes: UpstreamProbes
    spans: SpanSink | None = None


class ApplicationObserver(CompletionObserver, UpstreamObserver, Protocol):
    """Counts and times what happens in the application; thread-safe."""

    def observe_calibration_age(self, age_s: float) -> None:
        """Report the age of a calibration that was read."""


@dataclass(frozen=True, slots=True)
class ModelDigests:
    """SHA-256 of each model file, hexadecimal; that of the eye network is None if it is not used or missing."""

    model: str
    landmarker: str
    eye_network: str | None


def build_application(settings: Settings, observer: ApplicationObserver) -> Application:
    """Return the application with the model loaded and the landmarkers warmed up.

    Call it in the process that serves: a landmarker created before a fork hangs after it.

    Args:
        settings: The settings of the process.
        observer: Counts and times what happens.

    Raises:
        UnusableModelError: The gaze model, the landmarker or the eye network is unusable and stays so.
        PartNotLoadedError: One of them could not be loaded now.
    """
    # Imported here, so that liveness is answered before scikit-learn and MediaPipe are loaded.
    from func.adapters.aggregator import HttpResultSink  # noqa: PLC0415
    from func.adapters.otlp_spans import make_span_sink  # noqa: PLC0415
    from func.adapters.saliency_store import MongoSaliencyMaps  # noqa: PLC0415
    from func.adapters.session_api import HttpSessionStore  # noqa: PLC0415
    from func.adapters.timed_ports import TimedEyeNetwork, TimedFaceLandmarker, TimedGazeModel  # noqa: PLC0415

    with _loading("gaze model", "GAZE_MODEL", by_libraries=True):
        model = load_model(settings.gaze_model, sha256=settings.gaze_model_sha256)
    with _loading("face landmarker", "FACE_LANDMARKER_MODEL", by_libraries=True):
        landmarker = create_face_landmarker(settings)
        landmarker.warm_up()
    with _loading("eye network", "EYE_NETWORK", by_libraries=True):
        eye_network_state, eye_network = load_eye_network(settings, model)
    timed_model = TimedGazeModel(model, observer.time_stage)
    sessions = HttpSessionStore(
        settings.session_api_url,
        timeout_s=settings.http_timeout_s,
        retries=settings.http_retries,
        proxy=settings.outbound_proxy,
        ca_bundle=settings.ca_bundle,
        observer=observer,
        read_frame=read_record,
    )
    maps = MongoSaliencyMaps(
        settings.mongo_uri,
        database=settings.mongo_database,
        timeout_s=settings.mongo_timeout_s,
        ca_bundle=settings.ca_bundle,
        observer=observer,
    )
    sink = HttpResultSink(
        settings.aggregator_url,
        timeout_s=settings.http_timeout_s,
        retries=settings.http_retries,
        proxy=settings.outbound_proxy,
        ca_bundle=settings.ca_bundle,
        observer=observer,
    )
    return Application(
        detectors=Detectors(
            TimedFaceLandmarker(landmarker, observer.time_stage),
            timed_model,
            sessions,
            eye_network=None if eye_network is None else TimedEyeNetwork(eye_network, observer.time_stage),
            refresh_s=settings.calibration_refresh_s,
            observe_age=observer.observe_calibration_age,
        ),
        eye_network_state=eye_network_state,
        sessions=sessions,
        completer=Completer(
            sessions,
            SessionScorer(
                sessions,
                maps,
                model=timed_model,
                eye_network_digest=None if eye_network is None else eye_network.digest,
                smoothing=settings.scoring_smoothing,
                accuracy_deg=settings.gaze_accuracy_deg,
            ),
            sink,
            observer=observer,
            barrier_timeout_s=settings.barrier_timeout_s,
            poll_s=settings.barrier_poll_s,
        ),
        probes=UpstreamProbes(
            {
                "session_api": sessions.is_reachable,
                "saliency_store": maps.is_reachable,
                "aggregator": sink.is_reachable,
            }
        ),
        spans=make_span_sink(os.environ, service="gaze-function", version=find_version()),
    )


def load_model(path: Path, *, sha256: str | None = None) -> "SklearnGazeModel | OnnxGazeModel":
    """Return the gaze model in a file: ONNX if its name ends with `.onnx`, otherwise scikit-learn's by joblib.

    Args:
        path: Path of the file; its card has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        ModelError: The model cannot be loaded.
    """
    from func.adapters.model_card import is_onnx  # noqa: PLC0415

    if is_onnx(path):
        from func.adapters.model_onnx import load_onnx_model  # noqa: PLC0415

        return load_onnx_model(path, sha256=sha256)
    from func.adapters.model_file import load_gaze_model  # noqa: PLC0415

    return load_gaze_model(path, sha256=sha256)


def create_face_landmarker(settings: Settings) -> "LandmarkerPool":
    """Return the face landmarker of the configured engine, not yet warmed up.

    Args:
        settings: The settings of the process.

    Raises:
        LandmarkerError: The bundle is missing or does not match its description.
    """
    engine: type[MediapipeFaceLandmarker | LitertFaceLandmarker]
    if settings.face_landmarker == "litert":
        from func.adapters.face_landmarker_litert import LitertFaceLandmarker as engine  # noqa: N813, PLC0415
    else:
        from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker as engine  # noqa: N813, PLC0415
    return engine(
        settings.face_landmarker_model,
        sha256=settings.face_landmarker_model_sha256,
        landmarkers=settings.landmarkers,
        wait_s=settings.landmarker_wait_s,
    )


def load_eye_network(
    settings: Settings, model: "SklearnGazeModel | OnnxGazeModel"
) -> "tuple[EyeNetworkState, OpencvEyeNetwork | None]":
    """Return the eye network, warmed up, if the gaze model was trained with it and its file exists.

    Args:
        settings: The settings of the process.
        model: The gaze model.

    Raises:
        EyeNetworkError: The file does not match its card, is not an eye network, or is missing while its digest is
            configured.
    """
    import cv2  # noqa: PLC0415

    from func.adapters.eye_network_opencv import OpencvEyeNetwork  # noqa: PLC0415

    if "network" not in model.estimates:
        _log.info(Event("eye network not used", reason="the gaze model was trained without it"))
        return EyeNetworkState.UNUSED, None
    if _lacks_eye_network(settings):
        _log.warning(Event("eye network missing", file=settings.eye_network.name, effect="the gaze is less accurate"))
        return EyeNetworkState.MISSING, None
    # Frames are processed in parallel already. More threads in OpenCV would only cost time.
    cv2.setNumThreads(1)
    network = OpencvEyeNetwork(settings.eye_network, sha256=settings.eye_network_sha256)
    network.warm_up(settings.landmarkers)
    if network.digest != model.eye_network_sha256:
        _log.warning(Event("other eye network", digest=network.digest, trained_with=model.eye_network_sha256))
    _log.info(Event("eye network loaded", digest=network.digest))
    return EyeNetworkState.USED, network


def find_version() -> str:
    """Return the version of the function; `unknown` if it is not installed."""
    try:
        return version("function")
    except PackageNotFoundError:
        return "unknown"


def check_model_files(settings: Settings) -> ModelDigests:
    """Check all about the model files that can be checked without the libraries that run them: 10 ms of CPU time.

    Return their digests.

    Raises:
        UnusableModelError: A file is missing or wrong.
    """
    from func.adapters.landmarker_bundle import read_bundle  # noqa: PLC0415
    from func.adapters.model_bytes import read_described_model, read_digest  # noqa: PLC0415
    from func.adapters.model_card import is_onnx, read_checked_model  # noqa: PLC0415

    with _loading("gaze model", "GAZE_MODEL"):
        _, identity = read_checked_model(settings.gaze_model, sha256=settings.gaze_model_sha256)
    with _loading("face landmarker", "FACE_LANDMARKER_MODEL"):
        read_bundle(settings.face_landmarker_model, sha256=settings.face_landmarker_model_sha256)
    eye_network = None
    if "network" in identity.estimates and not _lacks_eye_network(settings):
        with _loading("eye network", "EYE_NETWORK"):
            try:
                read_described_model(settings.eye_network, sha256=settings.eye_network_sha256)
                eye_network = read_digest(settings.eye_network)
            except ValueError as error:
                raise EyeNetworkError(str(error)) from error
    return ModelDigests(
        identity.onnx.sha256 if identity.onnx and is_onnx(settings.gaze_model) else identity.sha256,
        read_digest(settings.face_landmarker_model),
        eye_network,
    )


@contextlib.contextmanager
def _loading(part: str, variable: str, *, by_libraries: bool = False) -> Iterator[None]:
    """Name the part, and the variable with its file, in errors; of libraries, also tell the operator their message."""
    try:
        yield
    except (ModelError, LandmarkerError, EyeNetworkError) as error:
        cause = str(error.__cause__ or "") if by_libraries else ""
        raise UnusableModelError(part, variable, str(error), cause) from error
    except ImportError as error:
        raise UnusableModelError(part, variable, "a Python package is missing", str(error)) from error
    except Exception as error:
        raise PartNotLoadedError(part) from error


def _lacks_eye_network(settings: Settings) -> bool:
    """Return whether the file is missing and may be: a network that was configured with its digest must be there."""
    # os.path.isfile never raises.
    return settings.eye_network_sha256 is None and not os.path.isfile(settings.eye_network)  # noqa: PTH113


class OncePerProcess:
    """Builds the application at the first call in each process: a forked process must not use its parent's."""

    def __init__(self, build: Callable[[], Application], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._build = build
        self._clock = clock
        self._lock = threading.Lock()
        self._built: tuple[int, Application] | None = None
        self._tries_again_at_s = float("-inf")
        self._failure = NotReadyError("models not loaded")
        self._logged: set[str] = set()

    def __call__(self) -> Application:
        """Return this process's application. A failed build is retried after `BUILD_PAUSE_S` at the earliest.

        Raises:
            NotReadyError: The application cannot be built; the error of the last try.
        """
        with self._lock:
            if self._built is None or self._built[0] != os.getpid():
                started_s = self._clock()
                if started_s < self._tries_again_at_s:
                    raise self._failure
                try:
                    with keep_all_objects():
                        self._built = (os.getpid(), self._build())
                except Exception as error:
                    self._tries_again_at_s = self._clock() + BUILD_PAUSE_S
                    self._log_once(error)
                    self._failure = error if isinstance(error, NotReadyError) else NotReadyError("models not loaded")
                    raise self._failure from (None if error is self._failure else error)
                _log.info(Event("models loaded", duration_s=round(self._clock() - started_s, 1)))
            return self._built[1]

    def _log_once(self, error: Exception) -> None:
        """Log the traceback of a new kind of failure; readiness probes repeat the build every few seconds.

        A failure that ends the process is reported when the process ends.
        """
        if isinstance(error, UnusableModelError):
            return
        failure = f"{type(error).__name__}: {error}"
        if failure not in self._logged:
            self._logged.add(failure)
            _log.error(Event("models not loaded", detail=f"{error.__cause__ or error}"), exc_info=error)
