"""The ASGI application: routes, errors, health, metrics and the API description.

The event loop does what never blocks. Frames are answered by `Frames`, whose blocking work runs in threads, as do
loading the models and probing the upstream services.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from func.bootstrap import Application
from func.deadline import without_deadline
from func.errors import BusyError, MethodNotAllowedError, UnknownPathError
from func.log_lines import FRAME_LOGGER, SESSION_LOGGER, Event, SessionHash, round_stages
from func.settings import Settings
from func.tracing import RequestTrace, begin_trace
from func.web.answers import Answer, answer_error, answer_json
from func.web.bodies import ClientGoneError
from func.web.cors import CorsPolicy
from func.web.exchange import Exchange, Receive, Scope, Send
from func.web.frames import Frames
from func.web.metrics import Metrics
from func.web.openapi import describe_api
from func.web.schemas import LivenessAnswer, ReadinessAnswer

_frame_log = logging.getLogger(FRAME_LOGGER)
_session_log = logging.getLogger(SESSION_LOGGER)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MANAGEMENT_PATHS = frozenset({"/metrics", "/openapi.json"})
"""Paths that only the management port serves, if there is one."""


class Handler:
    """Answers requests. An ASGI application that belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        find_application: Callable[[], Application],
        hash_session: Callable[[str], str] | None = None,
    ) -> None:
        self._metrics = metrics
        self._management_port = settings.management_port
        self._hash_session = hash_session or SessionHash(settings.token_keys)
        self._find_application = find_application
        self._application: Application | None = None
        self._loading: asyncio.Future[Application] | None = None
        self._probing: asyncio.Future[dict[str, bool]] | None = None
        self._probes = ThreadPoolExecutor(max_workers=2, thread_name_prefix="readiness")
        self._frames = Frames(settings, metrics, self.load)
        self._cors = CorsPolicy(settings.cors_origins)
        self._routes: dict[str, tuple[str, Callable[[Exchange], Awaitable[Answer]]]] = {
            "/gaze": ("POST", self._frames.answer),
            "/health/liveness": ("GET", self._get_liveness),
            "/health/readiness": ("GET", self._get_readiness),
            "/metrics": ("GET", self._get_metrics),
            "/openapi.json": ("GET", self._get_openapi),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])  # lets the server know that the protocol is not supported
        exchange = Exchange(scope, receive)
        answer = await self.answer(exchange)
        if answer is not None:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.list_headers()})
            body = b"" if exchange.method == "HEAD" else answer.body
            await send({"type": "http.response.body", "body": body})

    async def answer(self, exchange: Exchange) -> Answer | None:
        """Return the answer to a request; None if the client closed the connection."""
        started_s = time.perf_counter()
        answer: Answer | None
        spans = None if self._application is None else self._application.spans
        # Probes and scrapes would be most of the traces of a quiet pod.
        is_frame = exchange.path == "/gaze" and self._is_served(exchange)
        should_record = spans.should_record if spans is not None and is_frame else None
        trace = begin_trace(exchange.join_headers, should_record)
        with trace, without_deadline(), self._metrics.count_in_flight():
            try:
                answer = (await self._dispatch(exchange)).identify(trace)
                _log_answer(trace, answer)
            except ClientGoneError:
                self._metrics.count_client_gone()
                answer = None
            except Exception as error:
                self._metrics.count_failure(error)
                answer = answer_error(error).identify(trace)
        route = exchange.path if exchange.path in self._routes and self._is_served(exchange) else "unknown"
        method = exchange.method if exchange.method in _METHODS else "other"
        status = 499 if answer is None else answer.status
        self._metrics.observe_request(route, method, status, time.perf_counter() - started_s)
        if spans is not None and trace.spans is not None:
            attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            attributes |= self._describe(trace)
            spans.export(trace, f"{method} {route}", attributes, has_failed=status >= 500)
        return (
            None if answer is None else self._allow_origin(answer, exchange.method, exchange.path, exchange.find_header)
        )

    def _allow_origin(self, answer: Answer, method: str, path: str, find_header: Callable[[str], str | None]) -> Answer:
        """Return an answer with the headers that a page of another origin needs."""
        more = self._cors.list_headers(method, path, find_header)
        return replace(answer, headers={**answer.headers, **more}) if more else answer

    def refuse_frame(self, find_header: Callable[[str], str | None]) -> Answer | None:
        """Return the answer to a frame that would wait too long now; None if it can be accepted.

        Args:
            find_header: Returns the value of a header in lower case, None without it.
        """
        try:
            self._frames.check_load()
        except BusyError as error:
            self._metrics.count_failure(error)
            with begin_trace(find_header) as trace:
                answer = answer_error(error).identify(trace)
            self._metrics.observe_request("/gaze", "POST", answer.status, 0.0)
            return self._allow_origin(answer, "POST", "/gaze", find_header)
        return None

    async def load(self) -> Application:
        """Return the application; the first call builds it in a thread.

        Raises:
            NotReadyError: The application cannot be built.
        """
        if self._application is None:
            if self._loading is None:
                loop = asyncio.get_running_loop()
                self._loading = loop.run_in_executor(self._probes, self._find_application)
                self._loading.add_done_callback(self._end_loading)
            return await asyncio.shield(self._loading)
        return self._application

    def load_now(self) -> None:
        """Build the application in the calling thread.

        Raises:
            NotReadyError: The application cannot be built.
        """
        self._application = self._find_application()

    def close(self) -> None:
        """Accept no more work."""
        self._frames.close()
        self.close_spans()

    def close_spans(self) -> None:
        """Send the last spans. Blocks for a second at most."""
        if self._application is not None and self._application.spans is not None:
            self._application.spans.close()

    def _describe(self, trace: RequestTrace) -> dict[str, Any]:
        """Return the attributes of a request's span, without anything that identifies the viewer."""
        found: dict[str, Any] = {"gaze.request_id": trace.request_id}
        if trace.session_id is not None:
            found["gaze.session"] = self._hash_session(trace.session_id)
        if trace.frame_number is not None:
            found["gaze.frame"] = trace.frame_number
        return found | {f"gaze.{name}": value for name, value in trace.outcome.items() if value is not None}

    def _end_loading(self, loading: "asyncio.Future[Application]") -> None:
        self._loading = None
        if not loading.cancelled() and loading.exception() is None:
            self._application = loading.result()

    async def _dispatch(self, exchange: Exchange) -> Answer:
        if exchange.path not in self._routes or not self._is_served(exchange):
            raise UnknownPathError
        method, respond = self._routes[exchange.path]
        allowed = ("OPTIONS", "POST") if method == "POST" else ("GET", "HEAD", "OPTIONS")
        if exchange.method not in allowed:
            raise MethodNotAllowedError(allowed)
        if exchange.method == "OPTIONS":
            return Answer(204, b"", headers={"Allow": ", ".join(allowed)})
        return await respond(exchange)

    def _is_served(self, exchange: Exchange) -> bool:
        """Return whether the port of the request serves its path."""
        if self._management_port is None:
            return True
        if self._is_management(exchange):
            return exchange.path != "/gaze"
        return exchange.path not in _MANAGEMENT_PATHS

    def _is_management(self, exchange: Exchange) -> bool:
        return self._management_port is None or exchange.port == self._management_port

    async def _get_liveness(self, _exchange: Exchange) -> Answer:
        return answer_json(200, LivenessAnswer().model_dump())

    async def _get_readiness(self, exchange: Exchange) -> Answer:
        application = await self.load()
        if not self._is_management(exchange):
            return answer_json(200, ReadinessAnswer().model_dump(exclude_none=True))
        if self._probing is None:
            loop = asyncio.get_running_loop()
            self._probing = loop.run_in_executor(self._probes, application.probes.find_states)
            self._probing.add_done_callback(self._end_probing)
        states = await asyncio.shield(self._probing)
        answer = ReadinessAnswer(
            eye_network=application.eye_network_state.value,
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


def _log_answer(trace: RequestTrace, answer: Answer) -> None:
    """Log a request that was answered, if it had a frame: whether as a frame or as the end of its session."""
    if trace.session_id is None:
        return
    is_last = "outcome" in trace.outcome
    log = _session_log if is_last else _frame_log
    if log.isEnabledFor(logging.INFO):
        fields = {"status": answer.status, "duration_ms": round(trace.duration_ms, 1)}
        stages_ms = round_stages(trace.stages_ms)
        log.info(
            Event("session completed" if is_last else "frame answered", **fields, **trace.outcome, stages_ms=stages_ms)
        )
