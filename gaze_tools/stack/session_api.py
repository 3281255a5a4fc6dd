"""A central session API with its data in MongoDB, for one process or many.

Guarantees beyond the basic contract, with any number of processes on one database:

- Integer keys (frame numbers) and `result` are write-once: the first value is kept. Every PUT returns the stored values
  (`stored`), the keys that it wrote itself (`written`), and the session's `ip_address` and `video_id`, so that a
  frame of another viewing is noticed without reading the session. Other keys are replaced.
- Once the result is visible, no integer key is added: the component is sealed before the result is stored, and new
  integer keys are refused with 409 from then on. A PUT between the read that the result is based on and the sealing is
  answered with 200; its frame is in the session but not in the result.
- A session expires `ttl_s` after its last read or update, or `ttl_s` after a component got its result. A PUT and a GET
  of one component return `ttl_s`; a 409 returns the time until the id is free again (`free_in_s`).
- Expired sessions are remembered for hours: a 404 returns the end of the session (`expired_at`), and a GET of one
  component that of an earlier session with the same id (`earlier_expired_at`). A PUT with `created_at` writes only to
  the session created at that time, otherwise it is answered with 404.
- A session created with `keep_s` expires no earlier than that many seconds after its creation.
- With `--operator-calls`, `GET /sessions` lists the live sessions and `DELETE /sessions/ID` removes one. They show
  every session id to anybody who reaches the API, so they are off by default.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from flask import Flask, Response, jsonify, request
from pymongo.database import Database
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from gaze_tools.stack.server import make_server_command
from gaze_tools.stack.session_listing import SessionListing
from gaze_tools.stack.session_parts import INTEGER_KEY
from gaze_tools.stack.session_update import MAX_RECORD_BYTES, GoneError, RefusedError, SealedError, Update
from gaze_tools.stack.sessions import Sessions

DEFAULT_TTL_S = 300.0
"""Lifetime of a session after its last use."""

MAX_KEEP_S = 30 * 24 * 3600.0
"""Largest `keep_s` of a new session."""

_MAX_BODY_BYTES = 14 * 1024 * 1024

_log = logging.getLogger(__name__)


def create_app(
    database: Database[dict[str, Any]],
    *,
    ttl_s: float = DEFAULT_TTL_S,
    operator_calls: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Flask:
    """Return the API with its data in a database.

    Args:
        database: Database for the sessions.
        ttl_s: Lifetime of a session after its last use.
        operator_calls: Whether sessions can be listed and removed.
        clock: Returns the time, in UTC.
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
        ip_address, video_id, keep_s = _read_text(body, "ip_address"), _read_text(body, "video_id"), _read_keep_s(body)
        if not sessions.create(session_id, ip_address, video_id, keep_s=keep_s):
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
        done = sessions.update(session_id, _read_updates(body), created_at=_read_text(body, "created_at"))
        values = ",".join(f"{json.dumps(key)}:{text}" for key, text in done.stored.items())
        head = {
            "message": "Session Updated Successfully",
            "ip_address": done.ip_address,
            "video_id": done.video_id,
            "written": done.written,
            "ttl_s": ttl_s,
        }
        return Response(f'{json.dumps(head)[:-1]}, "stored": {{{values}}}}}', mimetype="application/json")

    if operator_calls:
        _add_operator_calls(app, SessionListing(database, clock=clock), ttl_s)

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


def _add_operator_calls(app: Flask, listing: SessionListing, ttl_s: float) -> None:
    @app.get("/sessions")
    def list_sessions() -> Response:
        return jsonify(sessions=listing.read(), ttl_s=ttl_s)

    @app.delete("/sessions/<session_id>")
    def remove_session(session_id: str) -> Response:
        if not listing.remove(session_id):
            raise GoneError
        return jsonify(message="Session Removed Successfully")


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


def _read_keep_s(body: Mapping[str, Any]) -> float:
    value = body.get("keep_s", 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_KEEP_S:
        raise RefusedError(f"keep_s must be a number from 0 to {MAX_KEEP_S:g}")
    return float(value)


def _read_integer(name: str) -> int | None:
    text = request.args.get(name)
    if text is not None and not INTEGER_KEY.fullmatch(text):
        raise RefusedError(f"{name} must be an integer")
    return None if text is None else int(text)


def _read_updates(body: Mapping[str, Any]) -> list[Update]:
    """Return the updates of a PUT: `data` contains either `components`, or the values of `component` directly."""
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


main = make_server_command(
    create_app,
    database="session_api",
    help_text=__doc__,
    app_options=[
        click.Option(
            ["--ttl-s"],
            type=click.FloatRange(min=0, min_open=True),
            default=DEFAULT_TTL_S,
            show_default=True,
            help="Lifetime of a session after its last use, in seconds.",
        ),
        click.Option(
            ["--operator-calls"], is_flag=True, help="Let clients list and remove sessions: for one machine only."
        ),
    ],
)


if __name__ == "__main__":
    main()
