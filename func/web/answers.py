"""HTTP answers and problem documents, independent of the server."""

import http
import json
import logging
import math
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from func.errors import BadRequestError, BusyError, MethodNotAllowedError
from func.log_lines import REQUEST_LOGGER, Event, describe_trace, round_stages
from func.tracing import RequestTrace, find_trace
from func.web.problems import UNEXPECTED, Problem, find_problem
from func.web.schemas import FieldError, ProblemDocument
from gaze_core.errors import (
    ResultSinkBusyError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
)

_log = logging.getLogger(REQUEST_LOGGER)

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

    def identify(self, trace: RequestTrace) -> "Answer":
        """Return this answer with the id of its request in the header `X-Request-Id`."""
        return replace(self, headers={**self.headers, "X-Request-Id": trace.request_id})

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
    problem: Problem, detail: str, instance: uuid.UUID | None = None, error: Exception | None = None
) -> Answer:
    """Return an answer with a problem document.

    Args:
        problem: Status, type and title.
        detail: Detail, if `problem` does not have one.
        instance: Id of this document; None uses that of the request.
        error: Error with invalid fields, allowed methods or a delay to report.
    """
    fields = error.fields if isinstance(error, BadRequestError) else ()
    document = ProblemDocument(
        type=f"/problems/{problem.slug}",
        title=problem.title,
        status=problem.status,
        detail=problem.detail or detail,
        instance=(instance or make_instance()).urn,
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


def make_instance() -> uuid.UUID:
    """Return the id of a problem document: the id of the request if that is a UUID, otherwise a new one."""
    trace = find_trace()
    try:
        return uuid.uuid4() if trace is None else uuid.UUID(trace.request_id)
    except ValueError:
        return uuid.uuid4()


def answer_error(error: Exception, instance: uuid.UUID | None = None, *, frame_number: int | None = None) -> Answer:
    """Log a failed request in one line and return its answer.

    Args:
        error: What failed.
        instance: Id of the problem document; None uses that of the request.
        frame_number: Frame that failed, if the request has several.
    """
    instance = instance or make_instance()
    problem = find_problem(error)
    level = logging.WARNING if problem.status >= 500 else logging.INFO
    fields: dict[str, object] = {"instance": instance, "status": problem.status, "problem": problem.slug}
    if frame_number is not None:
        fields["frame"] = frame_number
    trace = find_trace()
    if trace is not None:
        fields |= trace.outcome
        fields["duration_ms"] = round(trace.duration_ms, 1)
        if trace.stages_ms:
            fields["stages_ms"] = round_stages(trace.stages_ms)
    fields["error"] = type(error).__name__
    if problem is UNEXPECTED:
        level = logging.ERROR
        fields["trace"] = describe_trace(error)
    else:
        fields["detail"] = problem.title if isinstance(error, _CONTAIN_SESSION_ID) else str(error)
    _log.log(level, Event("request failed" if frame_number is None else "frame failed", **fields))
    return answer_problem(problem, str(error), instance, error)


def spread_retry_s(delay_s: float) -> int:
    """Return random whole seconds from `delay_s` to twice that plus one, so that clients do not retry together."""
    return random.randint(math.ceil(delay_s), math.ceil(2 * delay_s) + 1)  # noqa: S311 - not a secret
