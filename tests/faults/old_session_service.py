"""An old session service: it reads a session, changes it and writes it back, and loses what others wrote meanwhile.

It knows no `stored` and `written`, no conditions and no ranges, and forgets a session 300 s after its last use.
"""

import copy
import threading
import time
from datetime import UTC, datetime

from flask import Flask, jsonify, request

TTL_S = 300.0


class OldSessionService:
    """The service; its `app` is to be served with several threads.

    Attributes:
        meet: A barrier at which updates wait between reading and writing, so that each party but one is lost; None
            means that they meet by chance only.
    """

    def __init__(self):
        self.meet = None
        self.app = Flask(__name__)
        self._sessions = {}
        self._lock = threading.Lock()
        self.app.post("/mk-session")(self._make)
        self.app.get("/get_session/<session_id>")(self._get)
        self.app.put("/update_session/<session_id>")(self._update)

    def read(self, session_id):
        """Return a session, None if there is none; the caller may change it."""
        with self._lock:
            session, expires_at_s = self._sessions.get(session_id, (None, 0.0))
            return copy.deepcopy(session) if time.monotonic() < expires_at_s else None

    def _write(self, session_id, session):
        with self._lock:
            self._sessions[session_id] = (session, time.monotonic() + TTL_S)

    def _make(self):
        body = request.get_json()
        if self.read(body["session_id"]) is not None:
            return jsonify(message="Session Already Exist"), 200
        self._write(
            body["session_id"],
            {
                "session_id": body["session_id"],
                "ip_address": body["ip_address"],
                "video_id": body["video_id"],
                "created_at": datetime.now(UTC).isoformat(),
                "components": {"gaze_tracking": {}, "blink_detection": {}, "emotion_analysis": {}},
            },
        )
        return jsonify(session_id=body["session_id"]), 201

    def _get(self, session_id):
        session = self.read(session_id)
        return (jsonify(error="Session Not Found"), 404) if session is None else (jsonify(session), 200)

    def _update(self, session_id):
        session = self.read(session_id)
        if session is None:
            return jsonify(error="Session Not Found"), 404
        if self.meet is not None:
            self.meet.wait(60)
        for component, values in request.get_json()["data"]["components"].items():
            session["components"].setdefault(component, {}).update(values)
        self._write(session_id, session)
        return jsonify(message="Session Updated Successfully"), 200
