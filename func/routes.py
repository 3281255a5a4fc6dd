"""Paths, the way of a request through the application, and which status each error gets."""

import json
import logging
import math
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from func.bootstrap import Application
from func.errors import (
    BadRequestError,
    MethodNotAllowedError,
    NotReadyError,
    PayloadTooLargeError,
    RequestError,
    ScoringBusyError,
    UndecodableImageError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from func.metrics import Metrics
from func.records import make_record, read_record
from func.settings import Settings
from func.wire import (
    CompletedAnswer,
    FieldError,
    FrameAnswer,
    FrameMetadata,
    FrameRequest,
    LivenessAnswer,
    ParsedFrame,
    ProblemDocument,
    ReadinessAnswer,
    answer_frame,
    decode_image,
    parse_json_request,
    parse_multipart_request,
)
from gaze_core.errors import (
    GazeError,
    LandmarkerBusyError,
    LandmarkerError,
    ModelError,
    ResultSinkError,
    ResultSinkTimeoutError,
    SaliencyMapError,
    SaliencyMapNotFoundError,
    SaliencyStoreError,
    SaliencyStoreTimeoutError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreError,
    SessionStoreTimeoutError,
)
from gaze_core.types import Frame

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """How an error looks from outside.

    Attributes:
        status: Of the answer.
        slug: Ends the `type` of the problem document.
        title: The same for every occurrence.
        detail: Likewise; None says what the error says, for errors whose message is written for the client.
        retry_after_s: When to come back, for a `Retry-After` header.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None
    retry_after_s: float | None = None


_RETRY_DETAIL = "Repeat the request as it is; what was stored already counts once."

PROBLEMS: Mapping[type[GazeError], Problem] = {
    GazeError: Problem(500, "internal-error", "Internal error", "The request could not be answered."),
    RequestError: Problem(400, "bad-request", "Bad request"),
    BadRequestError: Problem(400, "bad-request", "Bad request"),
    UnknownPathError: Problem(404, "unknown-path", "Unknown path"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "Method not allowed"),
    SessionScoredError: Problem(
        409, "session-scored", "Session already scored", "The session has its result and takes no new frame."
    ),
    PayloadTooLargeError: Problem(413, "too-large", "Too large"),
    UnsupportedMediaTypeError: Problem(415, "unsupported-media-type", "Unsupported media type"),
    UndecodableImageError: Problem(422, "undecodable-image", "Undecodable image"),
    LandmarkerError: Problem(500, "landmarker-failed", "Landmarker failed", "The landmarks could not be sought."),
    ModelError: Problem(500, "model-failed", "Model failed", "The gaze could not be predicted."),
    # A session that is missing even after it was created, and maps that vanish while they are read: the neighbour's
    # fault, not the client's. A video without any map is scored as such and does not come here.
    SessionNotFoundError: Problem(502, "session-api-failed", "Session API failed", _RETRY_DETAIL),
    SessionStoreError: Problem(502, "session-api-failed", "Session API failed", _RETRY_DETAIL),
    SaliencyMapNotFoundError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    SaliencyMapError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    SaliencyStoreError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    ResultSinkError: Problem(502, "aggregator-failed", "Result aggregator failed", _RETRY_DETAIL),
    LandmarkerBusyError: Problem(503, "busy", "Over capacity", "Every landmarker is taken.", retry_after_s=1),
    ScoringBusyError: Problem(503, "busy", "Over capacity", "Every place for scoring is taken.", retry_after_s=2),
    NotReadyError: Problem(503, "not-ready", "Not ready", "Model or landmarker is not loaded.", retry_after_s=5),
    SessionStoreTimeoutError: Problem(504, "session-api-timeout", "Session API timed out", _RETRY_DETAIL),
    SaliencyStoreTimeoutError: Problem(504, "saliency-store-timeout", "Saliency store timed out", _RETRY_DETAIL),
    ResultSinkTimeoutError: Problem(504, "aggregator-timeout", "Result aggregator timed out", _RETRY_DETAIL),
}
"""Every error class has its own entry; a test demands it."""

_UNEXPECTED = PROBLEMS[GazeError]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class _Exchange:
    """One request on its way, for what is written about it."""

    request_id: uuid.UUID
    private: tuple[str, ...] = ()

    def redact(self, text: str) -> str:
        """Return a text for the log without the viewer's session id and address."""
        for value in self.private:
            text = text.replace(value, "[viewer]")
        return text


class Handler:
    """Answers requests; safe to call from several threads."""

    def __init__(self, settings: Settings, metrics: Metrics, find_application: Callable[[], Application]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._find_application = find_application
        self._routes: dict[str, tuple[str, Callable[[flask.Request, _Exchange], flask.Response]]] = {
            "/gaze": ("POST", self._post_gaze),
            "/health/liveness": ("GET", self._get_liveness),
            "/health/readiness": ("GET", self._get_readiness),
            "/metrics": ("GET", self._get_metrics),
            "/openapi.json": ("GET", self._get_openapi),
        }

    def handle(self, request: flask.Request) -> flask.Response:
        """Return the answer to a request; never raises."""
        started_s = time.perf_counter()
        exchange = _Exchange(uuid.uuid4())
        with self._metrics.count_in_flight():
            try:
                response = self._dispatch(request, exchange)
            except Exception as error:
                response = self._answer_error(error, exchange)
        self._metrics.observe_request(
            request.path if request.path in self._routes else "unknown",
            request.method if request.method in _METHODS else "other",
            response.status_code,
            time.perf_counter() - started_s,
        )
        return response

    def _dispatch(self, request: flask.Request, exchange: _Exchange) -> flask.Response:
        if request.path not in self._routes:
            raise UnknownPathError
        method, answer = self._routes[request.path]
        allowed = ("OPTIONS", "POST") if method == "POST" else ("GET", "HEAD", "OPTIONS")
        if request.method not in allowed:
            raise MethodNotAllowedError(allowed)
        if request.method == "OPTIONS":
            return _respond(204, b"", "application/json", {"Allow": ", ".join(allowed)})
        return answer(request, exchange)

    def _post_gaze(self, request: flask.Request, exchange: _Exchange) -> flask.Response:
        parsed = self._parse(request)
        metadata = parsed.metadata
        exchange.private = (metadata.session_id, metadata.ip_address)
        frame = None
        if parsed.image is not None:
            with self._metrics.time_stage("decode"):
                frame = decode_image(parsed.image, max_pixels=self._settings.max_image_pixels)
        application = self._find_application()
        answer = None if frame is None else self._process_frame(application, metadata, frame)
        if metadata.last_frame:
            answer = self._complete(application, metadata, has_image=frame is not None)
        return _respond_json(200, answer)

    def _process_frame(self, application: Application, metadata: FrameMetadata, frame: Frame) -> dict[str, Any]:
        """Store what a frame says; return the answer that the stored record gives.

        When the frame number was there before, that is the first frame's record, so that a repeated or retried request
        is answered as the first one was.
        """
        detector = application.detectors.get_or_create_gaze_detector(
            metadata.session_id,
            screen=None if metadata.screen is None else metadata.screen.to_screen(),
            camera=None if metadata.camera is None else metadata.camera.to_camera(),
        )
        with self._metrics.time_stage("detect"):
            sample = detector.process_single_frame(frame)
        self._metrics.count_frame(sample.validity)
        record = make_record(
            sample,
            timestamp_ms=metadata.timestamp_ms,
            video_time_ms=metadata.video_time_ms,
            target=metadata.calibration_target,
            calibration_use=metadata.calibration_use,
        )
        with self._metrics.time_stage("store"):
            update = application.sessions.update_session(
                metadata.session_id,
                metadata.frame_number,
                record,
                ip_address=metadata.ip_address,
                video_id=metadata.video_id,
                settings=metadata.session_settings(),
            )
        stored = update.stored.get(str(metadata.frame_number), record)
        known = read_record(stored)
        if known is None or known.validity is None:  # somebody else's record, in another format
            stored = record
        return answer_frame(metadata.session_id, metadata.frame_number, stored)

    def _complete(self, application: Application, metadata: FrameMetadata, *, has_image: bool) -> dict[str, Any]:
        """Score the session. Holds no landmarker, however long it waits for frames that are still on their way."""
        with self._metrics.time_stage("score"):
            result = application.scorer.complete_session(
                metadata.session_id,
                video_id=metadata.video_id,
                ip_address=metadata.ip_address,
                frame_number=metadata.frame_number,
                has_image=has_image,
                total_frames=metadata.total_frames,
            )
        self._metrics.count_score(is_valid=bool(result.get("score_valid")))
        answer = CompletedAnswer(session_id=metadata.session_id, final_score=result["final_score"], result=result)
        return answer.model_dump(mode="json")

    def _parse(self, request: flask.Request) -> ParsedFrame:
        """Return the valid request; an unfit content type is refused before the body is read."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaTypeError("the body must not be compressed")
        if request.mimetype == "application/json":
            return parse_json_request(self._read_body(request))
        boundary = request.mimetype_params.get("boundary")
        if request.mimetype == "multipart/form-data" and boundary:
            return parse_multipart_request(self._read_body(request), boundary)
        raise UnsupportedMediaTypeError("the body must be application/json or multipart/form-data with a boundary")

    def _read_body(self, request: flask.Request) -> bytes:
        """Return the body; one that says or turns out to be too large is not read to its end."""
        limit = self._settings.max_body_bytes
        too_large = PayloadTooLargeError(f"the body has more than {limit} bytes")
        if (request.content_length or 0) > limit:
            raise too_large
        # One byte more: of a body without a length, Werkzeug silently returns what fits.
        request.max_content_length = limit + 1
        try:
            body = request.get_data(cache=False)
        except Exception as error:  # each server has its own for a connection that breaks or chunks that are none
            raise BadRequestError("the body ended early or is malformed") from error
        if len(body) > limit:
            raise too_large
        return body

    def _get_liveness(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        return _respond_json(200, LivenessAnswer().model_dump())

    def _get_readiness(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        states = self._find_application().probes.find_states()
        answer = ReadinessAnswer(
            neighbours={name: "reachable" if state else "unreachable" for name, state in states.items()}
        )
        return _respond_json(200, answer.model_dump())

    def _get_metrics(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        return _respond(200, self._metrics.render(), self._metrics.content_type)

    def _get_openapi(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        return _respond_json(200, describe_api())

    def _answer_error(self, error: Exception, exchange: _Exchange) -> flask.Response:
        problem = PROBLEMS.get(type(error), _UNEXPECTED) if isinstance(error, GazeError) else _UNEXPECTED
        self._metrics.count_failure(error)
        if problem is _UNEXPECTED:
            trace = exchange.redact("".join(traceback.format_exception(error)))
            _log.error("request %s failed unexpectedly\n%s", exchange.request_id, trace)
        else:
            level = logging.WARNING if problem.status >= 500 else logging.INFO
            message = exchange.redact(str(error))
            _log.log(level, "request %s: %d %s: %s", exchange.request_id, problem.status, type(error).__name__, message)
        fields = error.fields if isinstance(error, BadRequestError) else ()
        document = ProblemDocument(
            type=f"/problems/{problem.slug}",
            title=problem.title,
            status=problem.status,
            detail=problem.detail or str(error),
            instance=exchange.request_id.urn,
            errors=[FieldError(field=entry.field, detail=entry.detail) for entry in fields] or None,
        )
        headers = {}
        if isinstance(error, MethodNotAllowedError):
            headers["Allow"] = ", ".join(error.allowed)
        retry_after_s = error.retry_after_s if isinstance(error, ScoringBusyError) else problem.retry_after_s
        if retry_after_s is not None:
            headers["Retry-After"] = str(math.ceil(retry_after_s))
        return _respond_json(
            problem.status, document.model_dump(exclude_none=True), "application/problem+json", headers
        )


def _respond_json(
    status: int, answer: object, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> flask.Response:
    return _respond(status, json.dumps(answer, allow_nan=False).encode(), content_type, headers)


def _respond(status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> flask.Response:
    """Return an answer that is streamed, since functions-framework reads the whole request before any other."""
    response = flask.Response(iter((body,)), status=status, content_type=content_type)
    if status != 204:
        response.content_length = len(body)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


@cache
def describe_api() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, made from the very models that check the requests."""
    requests: tuple[type[BaseModel], ...] = (FrameRequest, FrameMetadata)
    answers: tuple[type[BaseModel], ...] = (
        FrameAnswer,
        CompletedAnswer,
        LivenessAnswer,
        ReadinessAnswer,
        ProblemDocument,
    )
    _, schemas = models_json_schema(
        [*((model, "validation") for model in requests), *((model, "serialization") for model in answers)],
        ref_template="#/components/schemas/{model}",
    )
    multipart = {
        "schema": {
            "type": "object",
            "required": ["metadata"],
            "properties": {
                "metadata": _reference(FrameMetadata),
                "frame": {
                    "description": "JPEG, PNG or WebP; required unless `last_frame`.",
                    "contentMediaType": "application/octet-stream",
                },
            },
        },
        "encoding": {
            "metadata": {"contentType": "application/json"},
            "frame": {"contentType": "image/jpeg, image/png, image/webp"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gaze-function",
            "version": version("function"),
            "description": "Where a viewer looks while a video plays.",
        },
        "paths": {
            "/gaze": {
                "post": {
                    "operationId": "processFrame",
                    "summary": "Process a frame; with `last_frame` score the session.",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": _reference(FrameRequest)},
                            "multipart/form-data": multipart,
                        },
                    },
                    "responses": {
                        "200": _describe_answer(
                            "The frame is stored, or the session scored.", FrameAnswer, CompletedAnswer
                        ),
                        **_describe_problems(PROBLEMS.values()),
                    },
                }
            },
            "/health/liveness": {
                "get": {
                    "operationId": "getLiveness",
                    "summary": "Whether the process answers.",
                    "responses": {"200": _describe_answer("It does.", LivenessAnswer)},
                }
            },
            "/health/readiness": {
                "get": {
                    "operationId": "getReadiness",
                    "summary": "Whether model and landmarker are loaded; how the neighbours are.",
                    "responses": {
                        "200": _describe_answer("They are.", ReadinessAnswer),
                        **_describe_problems([PROBLEMS[NotReadyError]]),
                    },
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "getMetrics",
                    "summary": "Metrics of this process.",
                    "responses": {
                        "200": {
                            "description": "Prometheus' text format.",
                            "content": {"text/plain": {"schema": {"type": "string"}}},
                        }
                    },
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "getOpenapi",
                    "summary": "This document.",
                    "responses": {
                        "200": {
                            "description": "OpenAPI 3.1.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _describe_answer(description: str, *models: type[BaseModel]) -> dict[str, Any]:
    references = [_reference(model) for model in models]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _describe_problems(problems: Iterable[Problem]) -> dict[str, Any]:
    """Return the answers for these problems by status."""
    titles: dict[int, list[str]] = {}
    retried = set()
    for problem in problems:
        known = titles.setdefault(problem.status, [])
        if problem.title not in known:
            known.append(problem.title)
        if problem.retry_after_s is not None:
            retried.add(problem.status)
    answers: dict[str, Any] = {}
    for status, names in sorted(titles.items()):
        answers[str(status)] = {
            "description": "; ".join(names) + ".",
            "content": {"application/problem+json": {"schema": _reference(ProblemDocument)}},
        }
        if status in retried:
            answers[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
            }
    return answers
