"""Detectors configured for a viewer: a cache that a process can lose at any moment."""

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from func.session.gaze_track import read_records
from func.session.viewer_calibration import calibrate_session
from gaze_core.calibration import Calibration
from gaze_core.detector import GazeDetector
from gaze_core.errors import SessionNotFoundError, SessionStoreError
from gaze_core.ports import FaceLandmarker, GazeModel, Session, SessionStore
from gaze_core.types import Camera, Screen

_log = logging.getLogger(__name__)


class Detectors:
    """Gaze detectors by session, the least recently used one forgotten first.

    All of them share one landmarker and one model. Nothing stored depends on what is in here: a detector is made anew
    from the request and the session API.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        model: GazeModel,
        sessions: SessionStore,
        *,
        refresh_s: float = 10.0,
        capacity: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            landmarker: For all detectors.
            model: Likewise.
            sessions: Where calibrations are.
            refresh_s: Age from which a calibration is read again.
            capacity: How many detectors, and how many calibrations, are kept.
            clock: Monotonic, in seconds.
        """
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._landmarker = landmarker
        self._model = model
        self._calibrations = _Calibrations(sessions, model, refresh_s=refresh_s, capacity=capacity, clock=clock)
        self._capacity = capacity
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
        """Return the session's detector for that screen, camera and calibration; any other one makes it anew.

        Never fails for want of a calibration: when it cannot be read, the last one that could counts, and with none
        the detector has none.

        Args:
            session_id: Of the session.
            screen: The viewer's; None means the default laptop.
            camera: Likewise.
            calibration_session: Session whose targets calibrate this one; may be read, so no lock is held meanwhile.
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
                detector = GazeDetector(
                    self._landmarker, self._model, screen=screen, camera=camera, calibration=calibration
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
    """What is known of a calibration session.

    Attributes:
        calibration: None when the session could not be found or read.
        digest: Of the records that it was made from; None likewise.
        read_at_s: When that was last tried.
    """

    calibration: Calibration | None
    digest: str | None
    read_at_s: float


class _Calibrations:
    """Calibrations by the session that they were made in, read again when they are too old."""

    def __init__(
        self, sessions: SessionStore, model: GazeModel, *, refresh_s: float, capacity: int, clock: Callable[[], float]
    ) -> None:
        self._sessions = sessions
        self._model = model
        self._refresh_s = refresh_s
        self._capacity = capacity
        self._clock = clock
        self._by_session: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, session_id: str) -> Calibration | None:
        """Return a session's calibration; None when there is none that can be read.

        While one request reads it again, others get the last one; only before the first there is nothing to give.
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
        except SessionNotFoundError:
            return _Entry(None, None, now_s)
        except SessionStoreError as error:
            _log.warning("a calibration could not be read, the last one counts: %s", type(error).__name__)
            return _Entry(None, None, now_s) if known is None else _Entry(known.calibration, known.digest, now_s)
        digest = _digest(session)
        if known is not None and digest == known.digest:
            return _Entry(known.calibration, digest, now_s)
        return _Entry(calibrate_session(session, self._model), digest, now_s)


def _digest(session: Session) -> str:
    """Return what tells one state of a session from another, so that only a change costs a fit."""
    settings = json.dumps([session.settings.get("screen"), session.settings.get("camera")], sort_keys=True)
    records = read_records(session)
    # Within one process the text of a record tells it from another.
    described = repr([(number, records[number]) for number in sorted(records)])
    return hashlib.sha256(f"{settings}{described}".encode()).hexdigest()
