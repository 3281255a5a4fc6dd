"""Continue the function's traces in the local session API and aggregator: ids in the log, and spans."""

import logging
import os
import time

from flask import Flask, Response, g, request

from func.adapters.otlp_spans import make_span_sink
from func.log_lines import Event, JsonFormatter, TextFormatter, write_json_lines
from func.tracing import begin_trace

_log = logging.getLogger(__name__)


def configure_log() -> None:
    """Write the log like the function does: `LOG_FORMAT`, and `LOG_LEVEL`, here WARNING unless it is set."""
    logging.basicConfig()
    is_json = os.environ.get("LOG_FORMAT") == "json"
    formatter = JsonFormatter() if is_json else TextFormatter()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
    if isinstance(formatter, JsonFormatter):
        write_json_lines(formatter)
    logging.getLogger("gaze_tools").setLevel(os.environ.get("LOG_LEVEL") or "WARNING")


def continue_traces(app: Flask, service: str) -> None:
    """Take `X-Request-Id` and the W3C trace context from each request of an application.

    Each request is logged at level INFO, or WARNING if it fails, with the ids. If `OTEL_EXPORTER_OTLP_ENDPOINT` is set,
    it becomes a span. Paths contain session ids, so neither has them.

    Args:
        app: The application.
        service: Name of the service in traces.
    """
    spans = make_span_sink(os.environ, service=service, version="local")

    @app.before_request
    def begin() -> None:
        g.trace = begin_trace(request.headers.get, None if spans is None else spans.should_record)
        g.trace.__enter__()
        g.started_s = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        route = f"{request.method} {request.url_rule or 'unknown'}"
        has_failed = response.status_code >= 500
        took_ms = round(1e3 * (time.perf_counter() - g.started_s), 1)
        level = logging.WARNING if has_failed else logging.INFO
        fields = {"route": route, "status": response.status_code, "duration_ms": took_ms, "trace_id": g.trace.trace_id}
        _log.log(level, Event("request failed" if has_failed else "request answered", **fields))
        if spans is not None and g.trace.spans is not None:
            facts = {"http.request.method": request.method, "http.response.status_code": response.status_code}
            spans.export(g.trace, route, facts, has_failed=has_failed)
        return response

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if "trace" in g:
            g.pop("trace").__exit__()
