"""Session API in memory."""

import json
import threading
from collections import defaultdict

from gaze_core.errors import SessionNotFoundError, SessionScoredError
from gaze_core.ports import Session, StoredUpdate


class FakeSessionStore:
    """Frame numbers and `result` are write-once keys, other keys are replaced; no new frames after the result.

    With `remembers=False` it behaves like an older service: it reports neither expired sessions nor the lifetime, it
    accepts frames after the result, and every key is replaced.
    """

    def __init__(self, *, remembers=True):
        self.error = None
        """Error to raise on every call except `is_reachable`; None for none."""
        self.is_up = True
        self.before_call = lambda name: None
        """Callback with the name of the method before each call."""
        self.ttl_s = 300.0 if remembers else None
        self._remembers = remembers
        self._lock = threading.RLock()
        self._made = 0
        self._viewers = {}
        self._earlier = {}
        self._expired = {}
        self._frames = defaultdict(dict)
        self._settings = defaultdict(dict)

    def expire(self, session_id):
        """Let a session expire."""
        with self._lock:
            _, _, created_at = self._viewers.pop(session_id)
            self._expired[session_id] = created_at.replace("T00", "T01")
            self._frames.pop(session_id, None)
            self._settings.pop(session_id, None)

    def create_session(self, session_id, *, ip_address, video_id):
        self._start_call("create_session")
        with self._lock:
            if session_id not in self._viewers:
                self._viewers[session_id] = (ip_address, video_id, f"2026-01-01T00:{self._made:04}Z")
                self._earlier[session_id] = self._expired.get(session_id) if self._remembers else None
                self._made += 1

    def get_session(self, session_id, *, first=None, last=None):
        self._start_call("get_session")
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
                earlier_expired_at=self._earlier[session_id],
                ttl_s=self.ttl_s,
            )

    def update_session(self, session_id, frame_number, gaze_data, *, ip_address, video_id):
        self._start_call("update_session")
        return self._update(session_id, {frame_number: gaze_data}, ip_address=ip_address, video_id=video_id)

    def update_frames(self, session_id, records, *, ip_address, video_id):
        self._start_call("update_frames")
        return self._update(session_id, records, ip_address=ip_address, video_id=video_id)

    def _update(self, session_id, records, *, ip_address, video_id):
        records = {number: _as_json(record) for number, record in records.items()}
        with self._lock:
            earlier = None
            if session_id not in self._viewers:
                self.create_session(session_id, ip_address=ip_address, video_id=video_id)
                earlier = self._earlier[session_id]
            frames = self._frames[session_id]
            new = {number: record for number, record in records.items() if number not in frames or not self._remembers}
            if new and "result" in self._settings[session_id] and self._remembers:
                raise SessionScoredError(session_id, 300.0)
            frames.update(new)
            viewer = {}
            if self._remembers:
                viewer = dict(zip(("ip_address", "video_id"), self._viewers[session_id][:2], strict=True))
            stored = {str(number): frames[number] for number in records}
            return StoredUpdate(stored, frozenset(map(str, new)), earlier, **viewer)

    def store_settings(self, session_id, settings, *, created_at=None):
        self._start_call("store_settings")
        with self._lock:
            self._demand(session_id)
            if self._remembers and created_at not in {None, self._viewers[session_id][2]}:
                raise SessionNotFoundError(session_id, self._expired.get(session_id))
            return self._replace(session_id, settings)

    def is_reachable(self):
        return self.is_up

    def _replace(self, session_id, settings):
        known = self._settings[session_id]
        written = {"result"} & (settings.keys() - known.keys() if self._remembers else settings.keys())
        known.update({key: _as_json(value) for key, value in settings.items() if key != "result" or key in written})
        return StoredUpdate({key: known[key] for key in {"result"} & settings.keys()}, frozenset(written))

    def _demand(self, session_id):
        if session_id not in self._viewers:
            raise SessionNotFoundError(session_id, self._expired.get(session_id) if self._remembers else None)

    def _start_call(self, name):
        self.before_call(name)
        if self.error is not None:
            raise self.error


def _as_json(value):
    return json.loads(json.dumps(value, allow_nan=False))
