"""Paths, the way of a request through the application, and which status each error gets."""

import contextlib
import json
import logging
import math
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flask
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from func.bodies import BodyTimer
from func.bootstrap import Application
from func.errors import (
    BadRequestError,
    MethodNotAllowedError,
    NotReadyError,
    PayloadTooLargeError,
    RequestError,
    RequestTimeoutError,
    ScoringBusyError,
    ThreadsBusyError,
    UndecodableImageError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from func.metrics import Metrics
from func.records import FrameRecord, make_record, read_record, stack_measured
from func.settings import Settings, count_frame_threads
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
    can_answer,
    decode_image,
    parse_json_request,
    parse_multipart_request,
)
from gaze_core.detector import GazeDetector
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
from gaze_core.types import GazePoint, GazeSample

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
    RequestTimeoutError: Problem(408, "body-timeout", "Body timed out"),
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
    ThreadsBusyError: Problem(503, "busy", "Over capacity", "Every thread for frames is taken.", retry_after_s=1),
    ScoringBusyError: Problem(503, "busy", "Over capacity", "Every place for scoring is taken.", retry_after_s=2),
    NotReadyError: Problem(503, "not-ready", "Not ready", "Model or landmarker is not loaded.", retry_after_s=5),
    SessionStoreTimeoutError: Problem(504, "session-api-timeout", "Session API timed out", _RETRY_DETAIL),
    SaliencyStoreTimeoutError: Problem(504, "saliency-store-timeout", "Saliency store timed out", _RETRY_DETAIL),
    ResultSinkTimeoutError: Problem(504, "aggregator-timeout", "Result aggregator timed out", _RETRY_DETAIL),
}
"""Every error class has its own entry; a test demands it."""

_UNEXPECTED = PROBLEMS[GazeError]
_NAME_THE_SESSION = (SessionNotFoundError, SessionScoredError)
"""Errors whose message is not for the log."""

_WAITING_PICTURES = 2
"""How many may be decoded and wait beside those whose landmarks are sought; each may take 25 MB and more."""

_DROP_S = 0.2
"""How long the rest of an unwanted body is awaited, so that the connection can be used again."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(slots=True)
class _Exchange:
    """One request on its way."""

    request_id: uuid.UUID
    is_body_read: bool = False


class Handler:
    """Answers requests; safe to call from several threads."""

    def __init__(self, settings: Settings, metrics: Metrics, find_application: Callable[[], Application]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._find_application = find_application
        self._places = threading.BoundedSemaphore(count_frame_threads(settings.threads))
        self._pictures = threading.BoundedSemaphore(settings.landmarkers + _WAITING_PICTURES)
        self._bodies = BodyTimer()
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
        if not exchange.is_body_read and (request.content_length or "Transfer-Encoding" in request.headers):
            response.call_on_close(partial(self._drop_body, request))
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
        """Answer a frame, unless so many are being answered that no thread would be left for health and metrics."""
        if not self._places.acquire(blocking=False):
            raise ThreadsBusyError
        try:
            return self._answer_gaze(request, exchange)
        finally:
            self._places.release()

    def _answer_gaze(self, request: flask.Request, exchange: _Exchange) -> flask.Response:
        parsed = self._parse(request, exchange)
        metadata, image = parsed.metadata, parsed.image
        has_image = image is not None
        application = self._find_application()
        answer = None if image is None else self._process_frame(application, metadata, image)
        del parsed, image  # a last frame may wait long
        if metadata.last_frame:
            answer = self._complete(application, metadata, has_image=has_image)
        return _respond_json(200, answer)

    def _process_frame(self, application: Application, metadata: FrameMetadata, image: bytes) -> dict[str, Any]:
        """Store what a frame says; return the answer that the stored record gives.

        When the frame number was there before, that is the first frame's record, so that a repeated or retried request
        is answered as the first one was.
        """
        detector = application.detectors.get_or_create_gaze_detector(
            metadata.session_id,
            screen=None if metadata.screen is None else metadata.screen.to_screen(),
            camera=None if metadata.camera is None else metadata.camera.to_camera(),
            calibration_session=metadata.calibration_session,
        )
        sample = self._look(detector, image)
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
        if not can_answer(stored):  # somebody else's record, in another format
            stored = record
        corrected, calibrated = None, None
        if metadata.calibration_session is not None:
            corrected = _correct(detector, read_record(stored))
            calibrated = corrected is not None
        return answer_frame(
            metadata.session_id, metadata.frame_number, stored, corrected=corrected, calibrated=calibrated
        )

    def _look(self, detector: GazeDetector, image: bytes) -> GazeSample:
        """Return what a picture says; only so many are decoded at a time as the memory is meant for."""
        wait_s = self._settings.landmarker_wait_s
        if not self._pictures.acquire(timeout=wait_s):
            raise LandmarkerBusyError(wait_s)
        try:
            with self._metrics.time_stage("decode"):
                frame = decode_image(image, max_pixels=self._settings.max_image_pixels)
            with self._metrics.time_stage("detect"):
                return detector.process_single_frame(frame)
        finally:
            self._pictures.release()

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
        try:
            answer = CompletedAnswer.model_validate(
                {"session_id": metadata.session_id, "final_score": result.get("final_score"), "result": result}
            )
        except ValidationError as error:
            raise SessionStoreError("session API: the stored result is not one of ours") from error
        return answer.model_dump(mode="json")

    def _parse(self, request: flask.Request, exchange: _Exchange) -> ParsedFrame:
        """Return the valid request; an unfit content type is refused before the body is read."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaTypeError("the body must not be compressed")
        if request.mimetype == "application/json":
            return parse_json_request(self._read_body(request, exchange))
        boundary = request.mimetype_params.get("boundary")
        if request.mimetype == "multipart/form-data" and boundary:
            return parse_multipart_request(self._read_body(request, exchange), boundary)
        raise UnsupportedMediaTypeError("the body must be application/json or multipart/form-data with a boundary")

    def _read_body(self, request: flask.Request, exchange: _Exchange) -> bytes:
        """Return the body; one that says or turns out to be too large is not read to its end."""
        limit = self._settings.max_body_bytes
        too_large = PayloadTooLargeError(f"the body has more than {limit} bytes")
        if (request.content_length or 0) > limit:
            raise too_large
        # One byte more: of a body without a length, Werkzeug silently returns what fits.
        request.max_content_length = limit + 1
        timeout_s = self._settings.body_timeout_s
        with self._bodies.limit(_find_connection(request), timeout_s) as watch:
            try:
                body = request.get_data(cache=False)
            except Exception as error:  # each server has its own for a connection that breaks or chunks that are none
                if watch.is_over:
                    raise RequestTimeoutError(timeout_s) from error
                raise BadRequestError("the body ended early or is malformed") from error
        if watch.is_over:
            raise RequestTimeoutError(timeout_s)
        if len(body) > limit:
            raise too_large
        exchange.is_body_read = True
        return body

    def _drop_body(self, request: flask.Request) -> None:
        """Read on after the answer, briefly: where much is still to come, the server would wait for it and then linger.

        A connection whose body has ended can be used again; any other is closed.
        """
        connection = _find_connection(request)
        if connection is None:
            return
        left_bytes = self._settings.max_body_bytes
        with self._bodies.limit(connection, _DROP_S) as watch, contextlib.suppress(Exception):
            while piece := request.environ["wsgi.input"].read(65536):
                left_bytes -= len(piece)
                if left_bytes < 0:
                    watch.end()
                    break

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
            _log.error("request %s failed unexpectedly\n%s", exchange.request_id, _trace(error))
        else:
            level = logging.WARNING if problem.status >= 500 else logging.INFO
            message = problem.title if isinstance(error, _NAME_THE_SESSION) else error
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


def _correct(detector: GazeDetector, record: FrameRecord | None) -> GazePoint | None:
    """Return what the detector's calibration makes of a stored frame; None without a correction or a gaze."""
    if detector.calibration is None or detector.calibration.correction is None or record is None:
        return None
    if record.gaze is None or record.measured is None:
        return None
    (gaze,) = detector.locate(*stack_measured([record.measured]))
    return gaze


def _find_connection(request: flask.Request) -> socket.socket | None:
    """Return the client's connection; only gunicorn gives it away."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return connection


def _trace(error: BaseException) -> str:
    """Return the classes and frames of an error and of what led to it; the messages may name a viewer."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines.append(type(cause).__qualname__)
        for frame, line in traceback.walk_tb(cause.__traceback__):
            lines.append(f"  {'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(lines)


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
