"""Gaze detectors configured for viewers: a cache that a process may lose at any time."""

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from func.log_lines import Event
from func.session.gaze_track import read_records
from func.session.viewer_calibration import calibrate_session, read_earlier
from gaze_core.calibration import Calibration
from gaze_core.detector import GazeDetector
from gaze_core.errors import SessionNotFoundError, SessionStoreError
from gaze_core.ports import EyeNetwork, FaceLandmarker, GazeModel, Session, SessionStore
from gaze_core.types import Camera, Screen

_log = logging.getLogger(__name__)


class Detectors:
    """Cache of gaze detectors by session, which drops the least recently used one first; thread-safe.

    All detectors share one landmarker, one model and one eye network. No stored data depends on this cache: a detector
    can always be created again from the request and the session API.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        model: GazeModel,
        sessions: SessionStore,
        *,
        eye_network: EyeNetwork | None = None,
        refresh_s: float = 10.0,
        capacity: int = 256,
        clock: Callable[[], float] = time.monotonic,
        make_detector: Callable[..., GazeDetector] = GazeDetector,
        observe_age: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Create an empty cache.

        Args:
            landmarker: Face landmarker of all detectors.
            model: Gaze model of all detectors.
            sessions: Session API, for calibration sessions.
            eye_network: Eye network of all detectors; None without one.
            refresh_s: Calibration cache lifetime.
            capacity: Maximum number of cached detectors, and of cached calibrations.
            clock: Monotonic clock in seconds.
            make_detector: Creates a detector; takes the arguments of `GazeDetector`.
            observe_age: Called with the age in seconds of each calibration that is read, if its session has a time.

        Raises:
            ValueError: `capacity` is below 1.
        """
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._landmarker = landmarker
        self._model = model
        self._eye_network = eye_network
        self._calibrations = _Calibrations(
            sessions, model, refresh_s=refresh_s, capacity=capacity, clock=clock, observe_age=observe_age
        )
        self._capacity = capacity
        self._make_detector = make_detector
        self._by_session: OrderedDict[str, GazeDetector] = OrderedDict()
        self._lock = threading.Lock()

    def get_or_create_gaze_detector(
        self,
        session_id: str,
        *,
        screen: Screen | None = None,
        camera: Camera | None = None,
        calibration_session: str | None = None,
    ) -> GazeDetector:
        """Return the detector of a session, created again when the screen, camera or calibration changes.

        An unreadable calibration is not an error: the last readable one is used, or else the detector is uncalibrated.

        Args:
            session_id: Session id.
            screen: Screen of the viewer; None for a default laptop.
            camera: Camera of the viewer; None for that of a default laptop.
            calibration_session: Id of the session with the viewer's calibration; None for an uncalibrated detector. No
                lock is held while that session is read.
        """
        screen, camera = screen or Screen(), camera or Camera()
        calibration = None if calibration_session is None else self._calibrations.find(calibration_session)
        with self._lock:
            detector = self._by_session.get(session_id)
            if (
                detector is None
                or (detector.screen, detector.camera) != (screen, camera)
                or detector.calibration is not calibration
            ):
                detector = self._make_detector(
                    self._landmarker,
                    self._model,
                    screen=screen,
                    camera=camera,
                    calibration=calibration,
                    eye_network=self._eye_network,
                )
                self._by_session[session_id] = detector
            self._by_session.move_to_end(session_id)
            while len(self._by_session) > self._capacity:
                self._by_session.popitem(last=False)
            return detector

    def __len__(self) -> int:
        with self._lock:
            return len(self._by_session)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Cached calibration of a calibration session.

    Attributes:
        calibration: Calibration; None if the session was missing or unreadable.
        digest: Digest of the records it was fitted to; None if the session was missing or unreadable.
        read_at_s: Time of the last attempt to read the session.
    """

    calibration: Calibration | None
    digest: str | None
    read_at_s: float


class _Calibrations:
    """Cache of calibrations by calibration session, which reads them again once they are too old; thread-safe."""

    def __init__(
        self,
        sessions: SessionStore,
        model: GazeModel,
        *,
        refresh_s: float,
        capacity: int,
        clock: Callable[[], float],
        observe_age: Callable[[float], None],
    ) -> None:
        self._observe_age = observe_age
        self._sessions = sessions
        self._model = model
        self._refresh_s = refresh_s
        self._capacity = capacity
        self._clock = clock
        self._by_session: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, session_id: str) -> Calibration | None:
        """Return the calibration of a calibration session; None if the session is missing or was never readable.

        While one thread reads an expired entry again, the others get the old calibration.
        """
        now_s = self._clock()
        with self._lock:
            known = self._by_session.get(session_id)
            if known is not None:
                self._by_session.move_to_end(session_id)
                if now_s - known.read_at_s < self._refresh_s:
                    return known.calibration
                self._by_session[session_id] = _Entry(known.calibration, known.digest, now_s)
        read = self._read(session_id, known, now_s)
        with self._lock:
            self._by_session[session_id] = read
            self._by_session.move_to_end(session_id)
            while len(self._by_session) > self._capacity:
                self._by_session.popitem(last=False)
        return read.calibration

    def _read(self, session_id: str, known: _Entry | None, now_s: float) -> _Entry:
        try:
            session = self._sessions.get_session(session_id)
            earlier = read_earlier(session, self._sessions)
        except SessionNotFoundError:
            return _Entry(None, None, now_s)
        except SessionStoreError as error:
            _log.warning(Event("calibration session unreadable", error=type(error).__name__))
            return _Entry(None, None, now_s) if known is None else _Entry(known.calibration, known.digest, now_s)
        age_s = find_age_s(session.created_at, datetime.now(UTC))
        if age_s is not None:
            self._observe_age(age_s)
        digest = _digest(session) if earlier is None else f"{_digest(session)} {_digest(earlier)}"
        if known is not None and digest == known.digest:
            return _Entry(known.calibration, digest, now_s)
        return _Entry(calibrate_session(session, self._model, earlier), digest, now_s)


def find_age_s(created_at: str, now: datetime) -> float | None:
    """Return the age of a session in seconds; None if its time of creation is not in ISO 8601 with a zone.

    Args:
        created_at: Time of creation in the format of the session API.
        now: Time with a zone.
    """
    try:
        created = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    return None if created.tzinfo is None else max(0.0, (now - created).total_seconds())


def _digest(session: Session) -> str:
    """Return a digest of everything that the calibration depends on, so that it is only fitted again after a change."""
    settings = json.dumps([session.settings.get("screen"), session.settings.get("camera")], sort_keys=True)
    records = read_records(session)
    # The repr of a record identifies its content within one process, which is all that a cache needs.
    described = repr([(number, records[number]) for number in sorted(records)])
    return hashlib.sha256(f"{settings}{described}".encode()).hexdigest()
