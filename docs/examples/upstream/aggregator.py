"""A result aggregator that passes `gaze conformance`, in memory: start here to write your own.

    gunicorn --bind 127.0.0.1:9002 --threads 16 --keep-alive 75 "aggregator:create_app()"

It writes a row once the scores of all three services have arrived for a viewer and a video. `GET /results` lists what
has taken effect; it is not part of the contract.
"""

import json
import threading
import uuid
from typing import Any

from flask import Flask, Response, jsonify, request

MODEL_TYPES = ("gaze", "emotion", "blink_detection")


class MemoryScores:
    """Scores of one process."""

    def __init__(self) -> None:
        """Start empty."""
        self.lock = threading.Lock()
        self.by_key: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []

    def add(self, key: str, score: dict[str, Any]) -> None:
        """Apply a delivery unless its key is known."""
        with self.lock:
            if key in self.by_key:
                return
            self.by_key[key] = score
            viewer = (score["ip_address"], score["video_id"])
            own = [each for each in self.by_key.values() if (each["ip_address"], each["video_id"]) == viewer]
            by_type = {each["model_type"]: each["final_score"] for each in own}
            if set(by_type) == set(MODEL_TYPES):
                self.rows.append({"ip_address": viewer[0], "video_id": viewer[1], **by_type})

    def describe(self) -> dict[str, Any]:
        """Return all deliveries that took effect, and all rows."""
        with self.lock:
            return {"deliveries": list(self.by_key.values()), "rows": list(self.rows)}


def create_app(scores: MemoryScores | None = None) -> Flask:
    """Return the service."""
    scores = scores or MemoryScores()
    app = Flask(__name__)

    @app.post("/aggregate")
    def aggregate() -> tuple[Response, int]:
        try:
            body = json.loads(request.get_data())
        except ValueError:
            body = None
        problem = find_problem(body)
        if problem is not None:
            return jsonify(status="error", message=problem), 400
        # Clients that send no key repeat nothing.
        scores.add(request.headers.get("Idempotency-Key") or uuid.uuid4().hex, body)
        return jsonify(status="success", message="Score received"), 200

    @app.get("/results")
    def results() -> Response:
        return jsonify(scores.describe())

    return app


def find_problem(body: object) -> str | None:
    """Return what is wrong with a delivery; None if nothing is."""
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    for name in ("video_id", "ip_address", "model_type"):
        if not isinstance(body.get(name), str) or not body[name]:
            return f"{name} must be a text"
    if body["model_type"] not in MODEL_TYPES:
        return f"model_type must be one of {', '.join(MODEL_TYPES)}"
    score = body.get("final_score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100:
        return "final_score must be a number from 0 to 100"
    return None
