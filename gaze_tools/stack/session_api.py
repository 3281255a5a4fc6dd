"""A central session API for one machine or many: old contract, new promises, data in MongoDB.

python -m gaze_tools.stack.session_api --port 8081 --mongo-uri mongodb://127.0.0.1:27017

What it promises beside the old contract, with any number of its processes on one database:

- Integer keys (frame numbers) and `result` are written once: the first value stands, and every PUT says which values
  stand (`stored`) and which of them it wrote itself (`written`). Other keys replace.
- Nobody who has seen the result can find an integer key that was not there before: the component is sealed first, then
  the result is stored. A new integer key is refused with 409 from the sealing on. A PUT that comes between the reading
  from which the result was made and the sealing is answered 200: its frame is in the session but not in the result.
- A session lives `ttl_s` after it was last read or updated, once a component has its result `ttl_s` after that. What a
  PUT and a GET of one component answer says so (`ttl_s`); a 409 says when the id is free again (`free_in_s`).
- Expired sessions are remembered for hours: a 404 says when the session ended (`expired_at`), and a GET of one
  component when an earlier session under the id did (`earlier_expired_at`). A PUT with `created_at` writes into the
  session created then or is answered 404; it never reaches a later session under the same id.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from pymongo.database import Database
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from gaze_tools.stack.server import make_server_command
from gaze_tools.stack.sessions import (
    INTEGER_KEY,
    MAX_RECORD_BYTES,
    GoneError,
    RefusedError,
    SealedError,
    Sessions,
    Update,
)

_MAX_BODY_BYTES = 14 * 1024 * 1024

_log = logging.getLogger(__name__)


def create_app(
    database: Database[dict[str, Any]],
    *,
    ttl_s: float = 300.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Flask:
    """Return the API with its data in a database.

    Args:
        database: To keep sessions in.
        ttl_s: How long a session lives after its last use.
        clock: Tells the time, in UTC.
    """
    sessions = Sessions(database, ttl_s=ttl_s, clock=clock)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES

    @app.post("/mk-session")
    def make_session() -> tuple[Response, int]:
        body = _read_body()
        session_id = _read_text(body, "session_id")
        if not session_id:
            raise RefusedError("session_id must be a text")
        updates = _read_components(body.get("components", {}))
        if not sessions.create(session_id, _read_text(body, "ip_address"), _read_text(body, "video_id")):
            return jsonify(message="Session Already Exist"), 200
        if updates:
            sessions.update(session_id, updates)
        return jsonify(session_id=session_id), 201

    @app.get("/get_session/<session_id>")
    def get_session(session_id: str) -> Response:
        first, last = _read_integer("from"), _read_integer("to")
        text = sessions.read(session_id, component=request.args.get("component"), first=first, last=last)
        return Response(text, mimetype="application/json")

    @app.put("/update_session/<session_id>")
    def update_session(session_id: str) -> Response:
        body = _read_body()
        stored, written = sessions.update(session_id, _read_updates(body), created_at=_read_text(body, "created_at"))
        values = ",".join(f"{json.dumps(key)}:{text}" for key, text in stored.items())
        message = '"message":"Session Updated Successfully"'
        return Response(
            f'{{{message},"stored":{{{values}}},"written":{json.dumps(written)},"ttl_s":{json.dumps(ttl_s)}}}',
            mimetype="application/json",
        )

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok", ttl_s=ttl_s)

    @app.errorhandler(GoneError)
    def answer_gone(error: GoneError) -> tuple[Response, int]:
        more = {} if error.expired_at is None else {"expired_at": error.expired_at.isoformat()}
        return jsonify(error="Session Not Found", **more), 404

    @app.errorhandler(SealedError)
    def answer_sealed(error: SealedError) -> tuple[Response, int]:
        return jsonify(error="Session Already Scored", free_in_s=round(error.free_in_s, 1)), 409

    @app.errorhandler(RefusedError)
    def answer_refused(error: RefusedError) -> tuple[Response, int]:
        return jsonify(error=str(error)), error.status

    @app.errorhandler(HTTPException)
    def answer_http(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.name), error.code or 500

    @app.errorhandler(PyMongoError)
    def answer_trouble(error: PyMongoError) -> tuple[Response, int]:
        _log.error("the database failed: %s", type(error).__name__)
        return jsonify(error="The Database Failed"), 503

    return app


def _read_body() -> dict[str, Any]:
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError) as error:
        raise RefusedError("The body must be JSON") from error
    if not isinstance(body, dict):
        raise RefusedError("The body must be a JSON object")
    return body


def _read_text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise RefusedError(f"{name} must be a text")
    return value


def _read_integer(name: str) -> int | None:
    text = request.args.get(name)
    if text is not None and not INTEGER_KEY.fullmatch(text):
        raise RefusedError(f"{name} must be an integer")
    return None if text is None else int(text)


def _read_updates(body: Mapping[str, Any]) -> list[Update]:
    """Return what a PUT asks for: `data` holds the components, or flat the values of `component`."""
    data = body.get("data")
    if not isinstance(data, dict):
        raise RefusedError("data must be an object")
    if "components" in data:
        return _read_components(data["components"])
    return [_read_update(_read_text(body, "component"), data)]


def _read_components(components: object) -> list[Update]:
    if not isinstance(components, dict):
        raise RefusedError("components must be an object")
    return [_read_update(component, values) for component, values in components.items()]


def _read_update(component: str, values: object) -> Update:
    if not component or not component.isprintable():
        raise RefusedError("component must be a text")
    if not isinstance(values, dict):
        raise RefusedError("The values of a component must be an object")
    frames, settings, result = {}, {}, None
    for key, value in values.items():
        if not key or not key.isprintable():
            raise RefusedError("A key must be a text that can be printed")
        try:
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        except (ValueError, RecursionError) as error:
            raise RefusedError("A number must be finite") from error
        if key == "result":
            result = text
        elif len(text) > MAX_RECORD_BYTES:
            raise RefusedError("A value is too large", status=413)
        elif INTEGER_KEY.fullmatch(key):
            frames[key] = text
        else:
            settings[key] = text
    return Update(component, frames, settings, result)


main = make_server_command(create_app, database="session_api", help_text=__doc__)


if __name__ == "__main__":
    main()
