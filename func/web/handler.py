"""The ASGI application: routes, errors, health, metrics and the API description.

The event loop does what never blocks. Frames are answered by `Frames`, whose blocking work runs in threads, as do
loading the models and probing the upstream services.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from func.bootstrap import Application
from func.deadline import without_deadline
from func.errors import BusyError, MethodNotAllowedError, UnknownPathError
from func.settings import Settings
from func.web.answers import Answer, answer_error, answer_json
from func.web.bodies import ClientGoneError
from func.web.cors import CorsPolicy
from func.web.exchange import Exchange, Receive, Scope, Send
from func.web.frames import Frames
from func.web.metrics import Metrics
from func.web.openapi import describe_api
from func.web.schemas import LivenessAnswer, ReadinessAnswer

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Handler:
    """Answers requests. An ASGI application that belongs to one event loop."""

    def __init__(self, settings: Settings, metrics: Metrics, find_application: Callable[[], Application]) -> None:
        self._metrics = metrics
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
        with self._metrics.count_in_flight(), without_deadline():
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
        more = self._cors.list_headers(exchange)
        return answer if answer is None or not more else replace(answer, headers={**answer.headers, **more})

    def refuse_frame(self) -> Answer | None:
        """Return the answer to a frame that would wait too long now; None if it can be accepted."""
        try:
            self._frames.check_load()
        except BusyError as error:
            self._metrics.count_failure(error)
            answer = answer_error(error, uuid.uuid4())
            self._metrics.observe_request("/gaze", "POST", answer.status, 0.0)
            return answer
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
        return await respond(exchange)

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
