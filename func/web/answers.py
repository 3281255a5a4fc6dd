"""HTTP answers and problem documents, independent of the server."""

import http
import json
import logging
import math
import random
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from func.errors import BadRequestError, BusyError, MethodNotAllowedError
from func.web.problems import UNEXPECTED, Problem, find_problem
from func.web.schemas import FieldError, ProblemDocument
from gaze_core.errors import (
    ResultSinkBusyError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
)

_log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

_CONTAIN_SESSION_ID = (SessionNotFoundError, SessionExpiredError, SessionScoredError)
"""Errors whose message contains a session id and must not be logged."""


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def list_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers in ASGI's format."""
        headers = [(b"content-type", self.content_type.encode()), (b"cache-control", b"no-store")]
        if self.status != http.HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(self.body)))
        headers += [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        return headers

    def to_bytes(self, *, closes: bool = True) -> bytes:
        """Return the HTTP/1.1 message; `closes` announces the end of the connection."""
        lines = [f"HTTP/1.1 {self.status} {http.HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in self.list_headers()]
        lines += [b"connection: close"] if closes else []
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def answer_json(
    status: int, document: object, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Answer:
    """Return an answer with a JSON document."""
    return Answer(status, json.dumps(document, allow_nan=False).encode(), content_type, headers or {})


def answer_problem(
    problem: Problem, detail: str, request_id: uuid.UUID | None = None, error: Exception | None = None
) -> Answer:
    """Return an answer with a problem document.

    Args:
        problem: Status, type and title.
        detail: Detail, if `problem` does not have one.
        request_id: Request id for `instance`; None creates one.
        error: Error with invalid fields, allowed methods or a delay to report.
    """
    fields = error.fields if isinstance(error, BadRequestError) else ()
    document = ProblemDocument(
        type=f"/problems/{problem.slug}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail or detail,
        instance=(request_id or uuid.uuid4()).urn,
        errors=[FieldError(field=entry.field, detail=entry.detail) for entry in fields] or None,
    )
    headers = {}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    if problem.status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "SessionToken"  # required by RFC 9110
    if isinstance(error, SessionStoreBusyError | ResultSinkBusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))  # as sent by the upstream service
    else:
        retry_after_s = error.retry_after_s if isinstance(error, BusyError) else problem.retry_after_s
        if retry_after_s is not None:
            headers["Retry-After"] = str(spread_retry_s(retry_after_s))
    return answer_json(problem.status, document.model_dump(exclude_none=True), PROBLEM_TYPE, headers)


def answer_error(error: Exception, request_id: uuid.UUID) -> Answer:
    """Log a failed request in one line and return its answer."""
    problem = find_problem(error)
    if problem is UNEXPECTED:
        _log.error("request failed: id=%s status=500 trace=%s", request_id, describe_trace(error))
    else:
        level = logging.WARNING if problem.status >= 500 else logging.INFO
        message = problem.title if isinstance(error, _CONTAIN_SESSION_ID) else error
        _log.log(
            level,
            "request failed: id=%s status=%d error=%s detail=%s",
            request_id,
            problem.status,
            type(error).__name__,
            message,
        )
    return answer_problem(problem, str(error), request_id, error)


def spread_retry_s(delay_s: float) -> int:
    """Return random whole seconds from `delay_s` to twice that plus one, so that clients do not retry together."""
    return random.randint(math.ceil(delay_s), math.ceil(2 * delay_s) + 1)  # noqa: S311 - not a secret


def describe_trace(error: BaseException) -> str:
    """Return classes and stack frames of an error and its causes in one line; messages may contain viewer data."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        frames = [
            f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(cause.__traceback__)
        ]
        parts.append(f"{type(cause).__qualname__} at {' > '.join(frames)}" if frames else type(cause).__qualname__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " caused by ".join(parts)
