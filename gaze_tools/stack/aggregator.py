"""A result aggregator for one machine: scores arrive, and three model types of one viewer and video make a row.

python -m gaze_tools.stack.aggregator --port 8082 --mongo-uri mongodb://127.0.0.1:27017
"""

import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from werkzeug.exceptions import HTTPException

from gaze_tools.stack.server import make_server_command

MODEL_TYPES = ("gaze", "emotion", "blink_detection")

_log = logging.getLogger(__name__)


def create_app(database: Database[dict[str, Any]]) -> Flask:
    """Return the aggregator with its data in a database.

    The collection `viewers` has a document for each viewer and video: the keys of the deliveries that took effect and
    the scores that wait. Both change in one step, so that a delivery takes effect once. `deliveries` tells how often
    each came; `rows` is the outcome.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    deliveries, rows = database["deliveries"], database["rows"]

    @app.post("/aggregate")
    def aggregate() -> tuple[Response, int]:
        content = request.get_json(force=True, silent=True)
        body = content if isinstance(content, dict) else {}
        problem = _find_problem(body)
        if problem:
            return jsonify(status="error", message=problem), 400
        delivery_id = uuid.uuid4().hex
        # Without a key every delivery counts, as with older clients.
        key = request.headers.get("Idempotency-Key") or delivery_id
        _count_delivery(deliveries, key, delivery_id, body)
        _apply(database["viewers"], rows, key, body)
        return jsonify(status="success", message="Score received"), 200

    @app.get("/results")
    def results() -> Response:
        arrived = [
            {**delivery["body"], "idempotency_key": delivery["_id"], "count": len(delivery["delivery_ids"])}
            for delivery in deliveries.find()
        ]
        return jsonify(deliveries=arrived, rows=[row["row"] for row in rows.find()])

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[Response, int]:
        return jsonify(status="error", message=error.name), error.code or 500

    @app.errorhandler(Exception)
    def fail(error: Exception) -> tuple[Response, int]:
        _log.error("a request failed: %s", type(error).__name__)
        return jsonify(status="error", message="The aggregator failed"), 500

    return app


def _find_problem(body: Mapping[str, Any]) -> str | None:
    for name in ("video_id", "ip_address", "model_type"):
        if not isinstance(body.get(name), str) or not body[name] or not body[name].isprintable():
            return f"{name} must be a text"
    if body["model_type"] not in MODEL_TYPES:
        return f"model_type must be one of {', '.join(MODEL_TYPES)}"
    score = body.get("final_score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 100:
        return "final_score must be a number from 0 to 100"
    return None


def _count_delivery(
    deliveries: Collection[dict[str, Any]], key: str, delivery_id: str, body: Mapping[str, Any]
) -> None:
    """Note that a delivery came; its first body stands."""
    known = ("video_id", "final_score", "ip_address", "model_type", "session_id", "score_valid", "coverage")
    kept = {name: body[name] for name in known if isinstance(body.get(name), str | int | float)}
    change = {"$addToSet": {"delivery_ids": delivery_id}, "$setOnInsert": {"body": kept}}
    try:
        deliveries.update_one({"_id": key}, change, upsert=True)
    except DuplicateKeyError:
        # Created by another delivery at the same moment.
        deliveries.update_one({"_id": key}, change)


def _apply(
    viewers: Collection[dict[str, Any]], rows: Collection[dict[str, Any]], key: str, body: Mapping[str, Any]
) -> None:
    """Let a delivery take effect unless it has, and write a row when all three scores are there."""
    viewer_id = json.dumps([body["ip_address"], body["video_id"]])
    _write_row(viewers, rows, viewer_id)
    score = {"key": key, "final_score": body["final_score"]}
    try:
        viewers.update_one(
            {"_id": viewer_id, "applied": {"$ne": key}},
            {"$addToSet": {"applied": key}, "$set": {f"waiting.{body['model_type']}": score}},
            upsert=True,
        )
    except DuplicateKeyError:
        # The viewer's document is there: either this key has been applied, or another delivery has just made it.
        viewers.update_one(
            {"_id": viewer_id, "applied": {"$ne": key}},
            {"$addToSet": {"applied": key}, "$set": {f"waiting.{body['model_type']}": score}},
        )
    _write_row(viewers, rows, viewer_id)


def _write_row(viewers: Collection[dict[str, Any]], rows: Collection[dict[str, Any]], viewer_id: str) -> None:
    """Turn three waiting scores into a row; safe to repeat, and finishes what a killed process began."""
    viewer = viewers.find_one({"_id": viewer_id}) or {}
    waiting = viewer.get("waiting", {})
    if not all(model_type in waiting for model_type in MODEL_TYPES):
        return
    keys = [waiting[model_type]["key"] for model_type in MODEL_TYPES]
    ip_address, video_id = json.loads(viewer_id)
    row = {
        "ip_address": ip_address,
        "video_id": video_id,
        "written_at": datetime.now(UTC).isoformat(),
        **{model_type: waiting[model_type]["final_score"] for model_type in MODEL_TYPES},
    }
    row_id = hashlib.sha256(json.dumps([viewer_id, *keys]).encode()).hexdigest()
    with contextlib.suppress(DuplicateKeyError):
        rows.insert_one({"_id": row_id, "row": row})
    viewers.update_one(
        {"_id": viewer_id, **{f"waiting.{model_type}": waiting[model_type] for model_type in MODEL_TYPES}},
        {"$unset": {"waiting": ""}},
    )


main = make_server_command(create_app, database="aggregator", help_text=__doc__)


if __name__ == "__main__":
    main()
