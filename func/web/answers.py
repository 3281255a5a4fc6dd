"""Answers and problem documents, independent of the server that sends them."""

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
from func.web.problems import PROBLEMS, UNEXPECTED, Problem
from func.web.schemas import FieldError, ProblemDocument
from gaze_core.errors import (
    GazeError,
    ResultSinkBusyError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
)

_log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"

_NAME_THE_SESSION = (SessionNotFoundError, SessionExpiredError, SessionScoredError)
"""Errors whose message must stay out of the log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of one answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def list_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them."""
        headers = [(b"content-type", self.content_type.encode()), (b"cache-control", b"no-store")]
        if self.status != http.HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(self.body)))
        headers += [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        return headers

    def to_bytes(self, *, closes: bool = True) -> bytes:
        """Return the whole answer for HTTP/1.1; `closes` says that the connection ends after it."""
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
    """Return a problem document.

    Args:
        problem: Status, type and title.
        detail: Used unless `problem` has a fixed one.
        request_id: Becomes the `instance`; None makes a new one.
        error: Adds the fields, methods or delay that it names.
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
        headers["WWW-Authenticate"] = "SessionToken"  # which RFC 9110 requires
    if isinstance(error, SessionStoreBusyError | ResultSinkBusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))  # as the upstream service wishes
    else:
        retry_after_s = error.retry_after_s if isinstance(error, BusyError) else problem.retry_after_s
        if retry_after_s is not None:
            headers["Retry-After"] = str(spread_retry_s(retry_after_s))
    return answer_json(problem.status, document.model_dump(exclude_none=True), PROBLEM_TYPE, headers)


def answer_error(error: Exception, request_id: uuid.UUID) -> Answer:
    """Log a failed request in one line and return its problem document."""
    problem = PROBLEMS.get(type(error), UNEXPECTED) if isinstance(error, GazeError) else UNEXPECTED
    if problem is UNEXPECTED:
        _log.error("request %s failed unexpectedly: %s", request_id, describe_trace(error))
    else:
        level = logging.WARNING if problem.status >= 500 else logging.INFO
        message = problem.title if isinstance(error, _NAME_THE_SESSION) else error
        _log.log(level, "request %s: %d %s: %s", request_id, problem.status, type(error).__name__, message)
    return answer_problem(problem, str(error), request_id, error)


def spread_retry_s(delay_s: float) -> int:
    """Return whole seconds from `delay_s` to twice that plus one, at random, so that clients do not return together."""
    return random.randint(math.ceil(delay_s), math.ceil(2 * delay_s) + 1)  # noqa: S311 - not a secret


def describe_trace(error: BaseException) -> str:
    """Return classes and frames of an error and its causes in one line; messages may name a viewer and stay out."""
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
