"""Sessions in memory, with the promises of the session API."""

import json
import threading
from collections import defaultdict

from gaze_core.errors import SessionNotFoundError, SessionScoredError
from gaze_core.ports import Session, StoredUpdate


class FakeSessionStore:
    """Integer keys and `result` are written once, other keys replaced; no new frame after the result."""

    def __init__(self):
        self.error = None
        """Raised by every call but `is_reachable` while it is set."""
        self.is_up = True
        self._lock = threading.Lock()
        self._viewers = {}
        self._frames = defaultdict(dict)
        self._settings = defaultdict(dict)

    def create_session(self, session_id, *, ip_address, video_id):
        self._fail()
        with self._lock:
            self._viewers.setdefault(session_id, (ip_address, video_id, f"2026-01-01T00:00:{len(self._viewers):02}Z"))

    def get_session(self, session_id, *, first=None, last=None):
        self._fail()
        with self._lock:
            self._demand(session_id)
            return Session(
                session_id,
                *self._viewers[session_id],
                frames={
                    number: record
                    for number, record in self._frames[session_id].items()
                    if (first is None or first <= number) and (last is None or number <= last)
                },
                settings=dict(self._settings[session_id]),
            )

    def update_session(self, session_id, frame_number, gaze_data, *, ip_address, video_id, settings=None):
        self.create_session(session_id, ip_address=ip_address, video_id=video_id)
        record = _as_json(gaze_data)
        with self._lock:
            frames = self._frames[session_id]
            is_new = frame_number not in frames
            if is_new and "result" in self._settings[session_id]:
                raise SessionScoredError(session_id)
            stands = frames.setdefault(frame_number, record)
            update = self._replace(session_id, settings or {})
        key = str(frame_number)
        return StoredUpdate({key: stands, **update.stored}, update.written | ({key} if is_new else set()))

    def store_settings(self, session_id, settings):
        self._fail()
        with self._lock:
            self._demand(session_id)
            return self._replace(session_id, settings)

    def is_reachable(self):
        return self.is_up

    def _replace(self, session_id, settings):
        known = self._settings[session_id]
        written = {"result"} & settings.keys() - known.keys()
        known.update({key: _as_json(value) for key, value in settings.items() if key != "result" or key in written})
        return StoredUpdate({key: known[key] for key in {"result"} & settings.keys()}, frozenset(written))

    def _demand(self, session_id):
        if session_id not in self._viewers:
            raise SessionNotFoundError(session_id)

    def _fail(self):
        if self.error is not None:
            raise self.error


def _as_json(value):
    return json.loads(json.dumps(value, allow_nan=False))
