"""Prometheus metrics of the process. No label contains a viewer, a session or an address."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from func.errors import BusyError
from func.tracing import measure
from gaze_core.errors import LandmarkerBusyError

# A second time series for each one, which nothing uses.
disable_created_metrics()  # type: ignore[no-untyped-call]

SERVICES = ("session_api", "aggregator", "saliency_store")
_ERROR_KINDS = ("failed", "timeout", "busy", "denied", "circuit_open")

_REQUEST_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STAGE_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 15.0)
_CALL_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_AGE_BUCKETS_S = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0)


class Metrics:
    """Metrics of one process, in their own registry."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._observe_stage: dict[str, Callable[[float], None]] = {}
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "gaze_requests", "Requests answered.", ["route", "method", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "gaze_request_seconds",
            "Time from the request's headers to its answer, seconds.",
            ["route"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self._registry,
        )
        self._in_flight = Gauge("gaze_requests_in_flight", "Requests being answered.", registry=self._registry)
        self._frames = Counter("gaze_frames", "Frames processed.", ["validity"], registry=self._registry)
        self._frame_issues = Counter(
            "gaze_frame_issues", "Frames of low quality, by reason.", ["issue"], registry=self._registry
        )
        self._stage_seconds = Histogram(
            "gaze_stage_seconds",
            "Time in each step of a request, seconds.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=self._registry,
        )
        self._eye_network_failures = Counter(
            "gaze_eye_network_failures",
            "Frames on which the eye network failed; the other estimates gave their gaze.",
            registry=self._registry,
        )
        self._failures = Counter(
            "gaze_failures",
            "Failed requests, and failed frames of requests with several, by class of the error.",
            ["error"],
            registry=self._registry,
        )
        self._scores = Counter("gaze_scores", "Last frames answered with a score.", ["valid"], registry=self._registry)
        self._results_stored = Counter(
            "gaze_results_stored", "Results stored in the session API.", registry=self._registry
        )
        self._results_delivered = Counter(
            "gaze_results_delivered", "Results accepted by the aggregator.", registry=self._registry
        )
        self._waiting = Gauge(
            "gaze_last_frames_waiting", "Last frames that are waiting or being scored.", registry=self._registry
        )
        self._queues = Gauge("gaze_queue_length", "Calls waiting for a thread.", ["stage"], registry=self._registry)
        self._body_bytes = Gauge("gaze_body_bytes", "Memory used by request bodies, bytes.", registry=self._registry)
        self._shed = Counter(
            "gaze_shed", "Requests and frames refused under overload, by class.", ["reason"], registry=self._registry
        )
        self._clients_gone = Counter(
            "gaze_clients_gone",
            "Requests whose client closed the connection before the answer.",
            registry=self._registry,
        )
        self._connections = Gauge("gaze_connections", "Open connections.", registry=self._registry)
        self._connections_refused = Counter(
            "gaze_connections_refused",
            "Connections closed by the server, by reason.",
            ["reason"],
            registry=self._registry,
        )
        self._log_lines_suppressed = Counter(
            "gaze_log_lines_suppressed", "Log lines suppressed by the rate limit.", registry=self._registry
        )

        self._upstream_seconds = Histogram(
            "gaze_upstream_seconds",
            "Time of a call to an upstream service with its retries, seconds.",
            ["service"],
            buckets=_CALL_BUCKETS_S,
            registry=self._registry,
        )
        self._upstream_retries = Counter(
            "gaze_upstream_retries",
            "Repeated attempts to call an upstream service.",
            ["service"],
            registry=self._registry,
        )
        self._upstream_errors = Counter(
            "gaze_upstream_errors",
            "Failed attempts to call an upstream service, by kind.",
            ["service", "kind"],
            registry=self._registry,
        )
        self._circuits = Gauge(
            "gaze_circuit_open",
            "1 while calls to an upstream service are stopped because it keeps failing, otherwise 0.",
            ["service"],
            registry=self._registry,
        )
        self._calibration_age_s = Histogram(
            "gaze_calibration_age_seconds",
            "Age of a viewer's calibration when it is read, seconds.",
            buckets=_AGE_BUCKETS_S,
            registry=self._registry,
        )
        self._build = Info(
            "gaze_build", "Version, engine, and first digits of the models' SHA-256.", registry=self._registry
        )

        # A counter that appears with its first error has not grown from 0, so that Prometheus would miss that error.
        for service in SERVICES:
            self._upstream_seconds.labels(service)
            self._upstream_retries.labels(service)
            for kind in _ERROR_KINDS:
                self._upstream_errors.labels(service, kind)

        # Finding the child of a metric takes longer than counting in it. The labels here have few values.
        self._requests_of = cache(self._requests.labels)
        self._request_seconds_of = cache(self._request_seconds.labels)
        self._frames_of = cache(self._frames.labels)

    def describe_build(self, facts: Mapping[str, str]) -> None:
        """Expose facts about the build and its models as labels."""
        self._build.info(dict(facts))

    def observe_call(self, service: str, duration_s: float) -> None:
        """Time a call to an upstream service."""
        self._upstream_seconds.labels(service).observe(duration_s)

    def count_retry(self, service: str) -> None:
        """Count a repeated attempt to call an upstream service."""
        self._upstream_retries.labels(service).inc()

    def count_upstream_error(self, service: str, kind: str) -> None:
        """Count a failed attempt to call an upstream service."""
        self._upstream_errors.labels(service, kind).inc()

    def watch_circuit(self, service: str, is_open: Callable[[], bool]) -> None:
        """Use `is_open` for the state of a circuit breaker."""
        self._circuits.labels(service).set_function(is_open)

    def observe_calibration_age(self, age_s: float) -> None:
        """Report the age of a calibration that was read."""
        self._calibration_age_s.observe(age_s)

    def watch_waiting(self, count: Callable[[], float]) -> None:
        """Use `count` for the number of waiting last frames."""
        self._waiting.set_function(count)

    def watch_queue(self, stage: str, count: Callable[[], float]) -> None:
        """Use `count` for the length of a stage's queue."""
        self._queues.labels(stage).set_function(count)

    def watch_body_bytes(self, count: Callable[[], float]) -> None:
        """Use `count` for the bytes of all bodies in memory."""
        self._body_bytes.set_function(count)

    def watch_connections(self, count: Callable[[], float]) -> None:
        """Use `count` for the number of open connections."""
        self._connections.set_function(count)

    def count_refused_connection(self, reason: str) -> None:
        """Count a connection closed by the server."""
        self._connections_refused.labels(reason).inc()

    def count_client_gone(self) -> None:
        """Count a request whose client closed the connection before the answer."""
        self._clients_gone.inc()

    def count_suppressed_log_line(self) -> None:
        """Count a suppressed log line."""
        self._log_lines_suppressed.inc()

    @contextmanager
    def count_in_flight(self) -> Iterator[None]:
        """Count a request as in flight while the block runs."""
        with self._in_flight.track_inprogress():
            yield

    def observe_request(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count an answered request.

        Args:
            route: Path of a route, or `unknown`.
            method: Known method, or `other`.
            status: HTTP status; 499 if the client closed the connection.
            duration_s: Time to answer.
        """
        self._requests_of(route, method, status).inc()
        self._request_seconds_of(route).observe(duration_s)

    def time_stage(self, stage: str) -> measure:
        """Return a context manager that times a step of a request, even if it fails."""
        observe = self._observe_stage.get(stage)
        if observe is None:
            observe = self._observe_stage[stage] = self._stage_seconds.labels(stage).observe
        return measure(stage, observe=observe)

    def count_frame(self, validity: str, issues: Collection[str] = ()) -> None:
        """Count a processed frame.

        Args:
            validity: Validity of the frame.
            issues: Reasons for low quality.
        """
        self._frames_of(validity).inc()
        for issue in issues:
            self._frame_issues.labels(issue).inc()

    def count_eye_network_failure(self) -> None:
        """Count a frame on which the eye network failed."""
        self._eye_network_failures.inc()

    def count_failure(self, error: BaseException) -> None:
        """Count a failed request, by the class name of its error."""
        self._failures.labels(type(error).__name__).inc()
        if isinstance(error, BusyError | LandmarkerBusyError):
            self._shed.labels(type(error).__name__).inc()

    def count_score(self, *, is_valid: bool) -> None:
        """Count a last frame answered with a score."""
        self._scores.labels("yes" if is_valid else "no").inc()

    def count_result_stored(self) -> None:
        """Count a stored result."""
        self._results_stored.inc()

    def count_result_delivered(self) -> None:
        """Count a delivered result."""
        self._results_delivered.inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
