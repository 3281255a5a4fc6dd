"""A session API that passes `gaze conformance`, in memory: start here to write your own.

    gunicorn --bind 127.0.0.1:9001 --threads 16 --keep-alive 75 "session_api:create_app()"

All decisions are made under one lock, which stands for what your store does atomically. It forgets everything at its
end, and works with one process only.
"""

import json
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

FRAME_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,14}")
COMPONENTS = ("gaze_tracking", "blink_detection", "emotion_analysis")


def now() -> str:
    """Return the time as text."""
    return datetime.now(UTC).isoformat()


class MemorySessions:
    """Sessions of one process."""

    def __init__(self, ttl_s: float = 300.0) -> None:
        """Start empty.

        Args:
            ttl_s: Lifetime of a session after its last use.
        """
        self.ttl_s = ttl_s
        self.lock = threading.Lock()
        self.sessions: dict[str, dict[str, Any]] = {}
        self.expired: dict[str, str] = {}

    def find(self, session_id: str) -> dict[str, Any] | None:
        """Return a session; None without one."""
        session = self.sessions.get(session_id)
        if session is not None and time.monotonic() >= session["expires_at_s"]:
            del self.sessions[session_id]
            self.expired[session_id] = now()
            return None
        return session

    def prolong(self, session: dict[str, Any]) -> None:
        """Let the lifetime of a session begin again."""
        session.update(expires_at_s=time.monotonic() + self.ttl_s, last_accessed=now())

    def create(self, session_id: str, ip_address: str, video_id: str) -> bool:
        """Create a session unless it exists; return whether it is new."""
        with self.lock:
            if (session := self.find(session_id)) is not None:
                self.prolong(session)
                return False
            self.sessions[session_id] = {
                "session_id": session_id,
                "ip_address": ip_address,
                "video_id": video_id,
                "created_at": now(),
                "last_accessed": now(),
                "expires_at_s": time.monotonic() + self.ttl_s,
                "earlier_expired_at": self.expired.get(session_id),
                "components": {name: {} for name in COMPONENTS},
            }
            return True

    def read(
        self, session_id: str, component: str | None, first: int | None, last: int | None
    ) -> dict[str, Any] | None:
        """Return a session, or one component of it with the frames from `first` to `last`; None without one."""
        with self.lock:
            session = self.find(session_id)
            if session is None:
                return None
            self.prolong(session)
            answer = {key: value for key, value in session.items() if key != "expires_at_s"}
            if component is None:
                return {**answer, "components": {name: dict(each) for name, each in session["components"].items()}}
            values = session["components"].get(component, {})
            numbers = {int(key) for key in values if FRAME_NUMBER.fullmatch(key)}
            wanted = {n for n in numbers if (first is None or first <= n) and (last is None or n <= last)}
            kept = {
                key: value for key, value in values.items() if not FRAME_NUMBER.fullmatch(key) or int(key) in wanted
            }
            if last is not None:
                answer["next_from"] = min((n for n in numbers if n > last), default=None)
            return {**answer, "ttl_s": self.ttl_s, "components": {component: kept}}

    def update(self, session_id: str, components: dict[str, Any], created_at: str | None) -> tuple[dict[str, Any], int]:
        """Merge values into a session; return the answer and its status."""
        with self.lock:
            session = self.find(session_id)
            if session is None or created_at not in {None, "", session["created_at"]}:
                return {"error": "Session Not Found", "expired_at": self.expired.get(session_id)}, 404
            stored, written = {}, []
            for name, sent in components.items():
                values = session["components"].setdefault(name, {})
                if "result" in values and any(FRAME_NUMBER.fullmatch(key) and key not in values for key in sent):
                    free_in_s = session["expires_at_s"] - time.monotonic()
                    return {"error": "Session Already Scored", "free_in_s": free_in_s}, 409
                for key, value in sent.items():
                    is_once = key == "result" or FRAME_NUMBER.fullmatch(key) is not None
                    if not is_once or key not in values:
                        values[key] = value
                        written += [key] if is_once else []
                    if is_once:
                        stored[key] = values[key]
            self.prolong(session)
            return {
                "message": "Session Updated Successfully",
                "ip_address": session["ip_address"],
                "video_id": session["video_id"],
                "ttl_s": self.ttl_s,
                "stored": stored,
                "written": written,
            }, 200

    def remove(self, session_id: str) -> bool:
        """Remove a session; return whether it existed."""
        with self.lock:
            return self.sessions.pop(session_id, None) is not None

    def find_expired_at(self, session_id: str) -> str | None:
        """Return when the last session with this id expired; None if none did."""
        return self.expired.get(session_id)


def create_app(sessions: MemorySessions | None = None) -> Flask:
    """Return the service."""
    sessions = sessions or MemorySessions()
    app = Flask(__name__)

    @app.post("/mk-session")
    def make() -> tuple[Response, int]:
        body = read_object()
        session_id = body.get("session_id")
        if not isinstance(session_id, str) or not session_id:
            return jsonify(error="session_id must be a text"), 400
        if not sessions.create(session_id, str(body.get("ip_address", "")), str(body.get("video_id", ""))):
            return jsonify(message="Session Already Exist"), 200
        return jsonify(session_id=session_id), 201

    @app.get("/get_session/<session_id>")
    def get(session_id: str) -> tuple[Response, int]:
        arguments = request.args
        first, last = arguments.get("from", type=int), arguments.get("to", type=int)
        found = sessions.read(session_id, arguments.get("component"), first, last)
        if found is None:
            return jsonify(error="Session Not Found", expired_at=sessions.find_expired_at(session_id)), 404
        return jsonify(found), 200

    @app.put("/update_session/<session_id>")
    def update(session_id: str) -> tuple[Response, int]:
        body = read_object()
        data = body.get("data")
        components = data.get("components", {body.get("component"): data}) if isinstance(data, dict) else None
        if not isinstance(components, dict) or not all(isinstance(each, dict) for each in components.values()):
            return jsonify(error="data.components must be an object of objects"), 400
        answer, status = sessions.update(session_id, components, body.get("created_at"))
        return jsonify(answer), status

    @app.delete("/sessions/<session_id>")
    def remove(session_id: str) -> tuple[Response, int]:
        if not sessions.remove(session_id):
            return jsonify(error="Session Not Found"), 404
        return jsonify(message="Session Removed Successfully"), 200

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.name), error.code or 500

    @app.errorhandler(ValueError)
    def refuse_body(error: ValueError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    return app


def read_object() -> dict[str, Any]:
    """Return the body of the request.

    Raises:
        ValueError: It is not a JSON object.
    """
    body = json.loads(request.get_data())
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004  answered 400
    return body
