"""The ASGI application: paths, and the way of a request through its stages.

The event loop reads and writes, refuses, and answers health, metrics and the API description. Everything that blocks
runs in the threads of a stage: detection, storing, scoring, and whatever asks upstream services for readiness.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from func.bootstrap import Application
from func.deadline import limit_calls
from func.errors import (
    BusyError,
    DetectionBusyError,
    MethodNotAllowedError,
    ThreadsBusyError,
    UnknownPathError,
    UnsupportedMediaTypeError,
)
from func.session.completion import LastFrame
from func.session_token import TokenVerifier
from func.settings import Settings
from func.web.answer_warnings import warn_of_other_video
from func.web.answers import Answer, answer_error, answer_json
from func.web.bodies import Bodies, ClientGoneError
from func.web.exchange import Exchange, Receive, Scope, Send
from func.web.frames import FrameWork
from func.web.last_frames import LastFrames
from func.web.metrics import Metrics
from func.web.openapi import describe_api
from func.web.request import ParsedFrame, parse_json_request, parse_multipart_request
from func.web.schemas import LivenessAnswer, ReadinessAnswer, answer_completed
from func.web.stages import Stage
from func.web.tokens import check_tokens

_log = logging.getLogger(__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_PARSED_AT_ONCE_BYTES = 256 * 1024
"""Bodies up to this size take about a millisecond to parse, less than handing them to a thread may cost."""


class Handler:
    """Answers requests; an ASGI application for one event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, find_application: Callable[[], Application]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._find_application = find_application
        self._application: Application | None = None
        self._loading: asyncio.Future[Application] | None = None
        self._probing: asyncio.Future[dict[str, bool]] | None = None
        self._probes = ThreadPoolExecutor(max_workers=2, thread_name_prefix="readiness")
        self._bodies = Bodies(
            max_bytes=settings.max_body_bytes,
            timeout_s=settings.body_timeout_s,
            max_total_bytes=settings.max_bodies_bytes,
        )
        self._detection = Stage(
            "detect",
            places=settings.landmarkers,
            wait_s=settings.landmarker_wait_s,
            make_busy_error=DetectionBusyError,
        )
        self._storing = Stage(
            "store", places=settings.threads, wait_s=settings.landmarker_wait_s, make_busy_error=ThreadsBusyError
        )
        self._last_frames = LastFrames(settings)
        self._verifier = TokenVerifier(settings.token_keys) if settings.token_keys else None
        metrics.watch_queue("detect", lambda: self._detection.queue_length)
        metrics.watch_queue("store", lambda: self._storing.queue_length)
        metrics.watch_queue("score", lambda: self._last_frames.scoring_queue_length)
        metrics.watch_waiting(lambda: len(self._last_frames))
        metrics.watch_body_bytes(lambda: self._bodies.total_bytes)
        self._routes: dict[str, tuple[str, Callable[[Exchange], Any]]] = {
            "/gaze": ("POST", self._post_gaze),
            "/health/liveness": ("GET", self._get_liveness),
            "/health/readiness": ("GET", self._get_readiness),
            "/metrics": ("GET", self._get_metrics),
            "/openapi.json": ("GET", self._get_openapi),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])  # servers take that as "not supported"
        exchange = Exchange(scope, receive)
        answer = await self.answer(exchange)
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.list_headers()})
            body = b"" if exchange.method == "HEAD" else answer.body
            await send({"type": "http.response.body", "body": body})

    async def answer(self, exchange: Exchange) -> Answer | None:
        """Return the answer to a request; None when its client has gone."""
        started_s = time.perf_counter()
        answer: Answer | None
        with self._metrics.count_in_flight():
            try:
                answer = await self._dispatch(exchange)
            except ClientGoneError:
                self._metrics.count_client_gone()
                answer = None
            except Exception as error:
                self._metrics.count_failure(error)
                answer = answer_error(error, uuid.uuid4())
        self._metrics.observe_request(
            exchange.path if exchange.path in self._routes else "unknown",
            exchange.method if exchange.method in _METHODS else "other",
            499 if answer is None else answer.status,
            time.perf_counter() - started_s,
        )
        return answer

    def refuse_frame(self) -> Answer | None:
        """Return the answer to a frame that comes now and would wait too long; None for one that may come in."""
        try:
            self._check_load()
        except BusyError as error:
            self._metrics.count_failure(error)
            answer = answer_error(error, uuid.uuid4())
            self._metrics.observe_request("/gaze", "POST", answer.status, 0.0)
            return answer
        return None

    async def load(self) -> Application:
        """Return the application, building it in a thread unless that has been done.

        Raises:
            NotReadyError: It cannot be built.
        """
        if self._application is None:
            if self._loading is None:
                loop = asyncio.get_running_loop()
                self._loading = loop.run_in_executor(self._probes, self._find_application)
                self._loading.add_done_callback(self._end_loading)
            return await asyncio.shield(self._loading)
        return self._application

    def load_now(self) -> None:
        """Build the application in this thread.

        Raises:
            NotReadyError: It cannot be built.
        """
        self._application = self._find_application()

    def close(self) -> None:
        """Take no new work."""
        for stage in (self._detection, self._storing, self._last_frames):
            stage.close()

    def _end_loading(self, loading: "asyncio.Future[Application]") -> None:
        self._loading = None
        if not loading.cancelled() and loading.exception() is None:
            self._application = loading.result()

    async def _dispatch(self, exchange: Exchange) -> Answer:
        if exchange.path not in self._routes:
            raise UnknownPathError
        method, respond = self._routes[exchange.path]
        allowed = ("OPTIONS", "POST") if method == "POST" else ("GET", "HEAD", "OPTIONS")
        if exchange.method not in allowed:
            raise MethodNotAllowedError(allowed)
        if exchange.method == "OPTIONS":
            return Answer(204, b"", headers={"Allow": ", ".join(allowed)})
        answer: Answer = await respond(exchange)
        return answer

    async def _post_gaze(self, exchange: Exchange) -> Answer:
        """Answer a frame; one that would wait too long is refused before its body is read."""
        parse = self._choose_parser(exchange)
        self._bodies.check_size(exchange.content_length or 0)
        self._check_load()
        body = await self._bodies.read(exchange.receive, exchange.content_length)
        with self._bodies.hold(len(body)):
            parsed = await self._parse(parse, body)
            del body
            viewing_start_ms = check_tokens(self._verifier, parsed.metadata)
            application = await self.load()
            with limit_calls(self._settings.request_timeout_s):
                answer = await self._process_frame(exchange, application, parsed, viewing_start_ms)
        if parsed.metadata.last_frame:
            has_image = parsed.image is not None
            parsed = replace(parsed, image=None)  # a last frame may wait long
            with limit_calls(self._settings.last_frame_timeout_s):
                answer = await self._complete(exchange, application, parsed, viewing_start_ms, has_image=has_image)
        return answer_json(200, answer)

    def _check_load(self) -> None:
        for stage in (self._detection, self._storing):
            stage.check()

    async def _parse(self, parse: Callable[[bytes], ParsedFrame], body: bytes) -> ParsedFrame:
        if len(body) <= _PARSED_AT_ONCE_BYTES:
            return parse(body)
        return await self._detection.run(partial(parse, body))

    async def _process_frame(
        self, exchange: Exchange, application: Application, parsed: ParsedFrame, viewing_start_ms: int | None
    ) -> dict[str, Any] | None:
        """Detect and store one frame. A last frame's image counts even if its client has gone."""
        metadata, image = parsed.metadata, parsed.image
        if image is None:
            return None
        work = FrameWork(
            application,
            self._metrics,
            self._settings.max_image_pixels,
            metadata,
            viewing_start_ms,
            parsed.warnings,
        )
        gone = None if metadata.last_frame else exchange.wait_until_gone
        if metadata.calibration_session is None:
            detector = work.find_detector()
        else:
            detector = await self._storing.run(work.find_detector, gone=gone)
        record = await self._detection.run(partial(work.detect, detector, image), gone=gone)
        return await self._storing.run(partial(work.store, detector, record))

    async def _complete(
        self,
        exchange: Exchange,
        application: Application,
        parsed: ParsedFrame,
        viewing_start_ms: int | None,
        *,
        has_image: bool,
    ) -> dict[str, Any]:
        """Score the session; holds neither a landmarker nor a thread for frames while it waits."""
        metadata = parsed.metadata
        last = LastFrame(
            session_id=metadata.session_id,
            video_id=metadata.video_id,
            ip_address=metadata.ip_address,
            frame_number=metadata.frame_number,
            has_image=has_image,
            total_frames=metadata.total_frames,
            viewing_start_ms=viewing_start_ms,
        )
        with self._metrics.time_stage("score"):
            done = await self._last_frames.complete(application.completer, last, peer=exchange.peer)
        self._metrics.count_score(is_valid=done.result.score_valid)
        other_video = warn_of_other_video(metadata.video_id, done.result.video_id or None)
        return answer_completed(metadata.session_id, done.result, [*parsed.warnings, *done.warnings, *other_video])

    def _choose_parser(self, exchange: Exchange) -> Callable[[bytes], ParsedFrame]:
        """Return what parses the body; an unsupported content type is refused before the body is read."""
        if exchange.content_encoding != "identity":
            raise UnsupportedMediaTypeError("the body must not be compressed")
        media_type, parameters = exchange.read_content_type()
        if media_type == "application/json":
            return parse_json_request
        if media_type == "multipart/form-data" and parameters.get("boundary"):
            return partial(parse_multipart_request, boundary=parameters["boundary"])
        raise UnsupportedMediaTypeError("the body must be application/json or multipart/form-data with a boundary")

    async def _get_liveness(self, _exchange: Exchange) -> Answer:
        return answer_json(200, LivenessAnswer().model_dump())

    async def _get_readiness(self, _exchange: Exchange) -> Answer:
        application = await self.load()
        if self._probing is None:
            loop = asyncio.get_running_loop()
            self._probing = loop.run_in_executor(self._probes, application.probes.find_states)
            self._probing.add_done_callback(self._end_probing)
        states = await asyncio.shield(self._probing)
        answer = ReadinessAnswer(
            neighbours={name: "reachable" if state else "unreachable" for name, state in states.items()},
            session_ttl_s=application.sessions.ttl_s,
        )
        return answer_json(200, answer.model_dump(exclude_none=True))

    def _end_probing(self, _: object) -> None:
        self._probing = None

    async def _get_metrics(self, _exchange: Exchange) -> Answer:
        return Answer(200, self._metrics.render(), self._metrics.content_type)

    async def _get_openapi(self, _exchange: Exchange) -> Answer:
        return answer_json(200, describe_api())
