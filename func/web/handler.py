"""Paths, and the way of a request through the application."""

import contextlib
import json
import logging
import math
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import flask

from func.bootstrap import Application
from func.deadline import limit_calls
from func.errors import (
    BadRequestError,
    MethodNotAllowedError,
    PayloadTooLargeError,
    RequestTimeoutError,
    ScoringBusyError,
    ThreadsBusyError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from func.session.completion import LastFrame, complete
from func.session.frame_record import FrameRecord, digest_image, make_record, read_record, stack_measured
from func.session.viewing import require_viewing
from func.session_token import TokenVerifier
from func.settings import Settings, count_frame_threads
from func.web.answer_warnings import warn_of_other_video, warn_of_repeat
from func.web.body_deadline import BodyTimer
from func.web.images import decode_image
from func.web.metrics import Metrics
from func.web.openapi import describe_api
from func.web.problems import PROBLEMS, UNEXPECTED
from func.web.request import ParsedFrame, parse_json_request, parse_multipart_request
from func.web.schemas import (
    FieldError,
    FrameMetadata,
    LivenessAnswer,
    ProblemDocument,
    ReadinessAnswer,
    answer_completed,
    answer_frame,
    can_answer,
)
from func.web.tokens import check_tokens
from gaze_core.detector import GazeDetector
from gaze_core.errors import (
    GazeError,
    LandmarkerBusyError,
    ResultSinkBusyError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
)
from gaze_core.types import GazePoint, GazeSample

_log = logging.getLogger(__name__)

_NAME_THE_SESSION = (SessionNotFoundError, SessionExpiredError, SessionScoredError)
"""Errors whose message is not for the log."""

_SAY_WHEN = (ScoringBusyError, SessionStoreBusyError, ResultSinkBusyError)
"""Errors that know when to come back."""

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
    viewing_start_ms: int | None = None
    warnings: list[str] = field(default_factory=list)


class Handler:
    """Answers requests; safe to call from several threads."""

    def __init__(self, settings: Settings, metrics: Metrics, find_application: Callable[[], Application]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._find_application = find_application
        self._places = threading.BoundedSemaphore(count_frame_threads(settings.threads))
        self._pictures = threading.BoundedSemaphore(settings.landmarkers + _WAITING_PICTURES)
        self._scoring_places = threading.BoundedSemaphore(settings.scoring_places)
        self._bodies = BodyTimer()
        self._verifier = TokenVerifier(settings.token_keys) if settings.token_keys else None
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
        exchange.warnings += parsed.warnings
        exchange.viewing_start_ms = check_tokens(self._verifier, metadata)
        has_image = image is not None
        application = self._find_application()
        answer = None
        if image is not None:
            with limit_calls(self._settings.request_timeout_s):
                answer = self._process_frame(application, metadata, image, exchange)
        del parsed, image  # a last frame may wait long
        if metadata.last_frame:
            with limit_calls(self._settings.last_frame_timeout_s):
                answer = self._complete(application, metadata, exchange, has_image=has_image)
        return _respond_json(200, answer)

    def _process_frame(
        self, application: Application, metadata: FrameMetadata, image: bytes, exchange: _Exchange
    ) -> dict[str, Any]:
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
        setup = metadata.describe_setup()
        record = make_record(
            sample,
            timestamp_ms=metadata.timestamp_ms,
            video_time_ms=metadata.video_time_ms,
            target=metadata.calibration_target,
            calibration_use=metadata.calibration_use,
            setup=setup,
            image_digest=digest_image(image),
            viewing_start_ms=exchange.viewing_start_ms,
        )
        with self._metrics.time_stage("store"):
            update = application.sessions.update_session(
                metadata.session_id,
                metadata.frame_number,
                record,
                ip_address=metadata.ip_address,
                video_id=metadata.video_id,
            )
        stored = update.stored.get(str(metadata.frame_number), record)
        require_viewing(stored, exchange.viewing_start_ms)
        if not can_answer(stored):  # somebody else's record, in another format
            stored = record
        exchange.warnings += warn_of_repeat(metadata.frame_number, record, stored)
        if setup and metadata.frame_number == 1 and "1" in update.written:
            # For readers of the session as a whole. Scoring does not need them: each record has its own.
            with contextlib.suppress(GazeError):
                application.sessions.store_settings(metadata.session_id, setup)
        corrected, calibrated = None, None
        if metadata.calibration_session is not None:
            corrected = _correct(detector, read_record(stored))
            calibrated = corrected is not None
        return answer_frame(
            metadata.session_id,
            metadata.frame_number,
            stored,
            corrected=corrected,
            calibrated=calibrated,
            warnings=exchange.warnings,
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

    def _complete(
        self, application: Application, metadata: FrameMetadata, exchange: _Exchange, *, has_image: bool
    ) -> dict[str, Any]:
        """Score the session. Holds no landmarker and no scoring place while it waits for frames on their way."""
        last = LastFrame(
            session_id=metadata.session_id,
            video_id=metadata.video_id,
            ip_address=metadata.ip_address,
            frame_number=metadata.frame_number,
            has_image=has_image,
            total_frames=metadata.total_frames,
            viewing_start_ms=exchange.viewing_start_ms,
        )
        with self._metrics.time_stage("score"):
            done = complete(application.completer, last, self._scoring_places)
        self._metrics.count_score(is_valid=done.result.score_valid)
        exchange.warnings += [*done.warnings, *warn_of_other_video(metadata.video_id, done.result.video_id or None)]
        return answer_completed(metadata.session_id, done.result, exchange.warnings)

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
        application = self._find_application()
        states = application.probes.find_states()
        answer = ReadinessAnswer(
            neighbours={name: "reachable" if state else "unreachable" for name, state in states.items()},
            session_ttl_s=application.sessions.ttl_s,
        )
        return _respond_json(200, answer.model_dump(exclude_none=True))

    def _get_metrics(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        return _respond(200, self._metrics.render(), self._metrics.content_type)

    def _get_openapi(self, _request: flask.Request, _exchange: _Exchange) -> flask.Response:
        return _respond_json(200, describe_api())

    def _answer_error(self, error: Exception, exchange: _Exchange) -> flask.Response:
        problem = PROBLEMS.get(type(error), UNEXPECTED) if isinstance(error, GazeError) else UNEXPECTED
        self._metrics.count_failure(error)
        if problem is UNEXPECTED:
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
        if problem.status == 401:
            headers["WWW-Authenticate"] = "SessionToken"  # which RFC 9110 requires
        retry_after_s = error.retry_after_s if isinstance(error, _SAY_WHEN) else problem.retry_after_s
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
