"""Send spans to an OpenTelemetry collector, with the standard variables `OTEL_*`.

OpenTelemetry's SDK is imported only if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. The steps of a request are collected by
`func.tracing` and become spans of the SDK once the request has ended: SDK spans that are opened and closed around each
step would cost several times as much on the path of a frame.
"""

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from func.log_lines import Event
from func.tracing import CallerTrace, RequestTrace, Span

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

_log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

CLOSE_S = 1.0
"""Maximum time to send the last spans when the process stops."""


def make_span_sink(environ: Mapping[str, str], *, service: str, version: str) -> "OtlpSpans | None":
    """Return where spans go; None if no endpoint is set, the SDK is disabled or not installed.

    Call it in the process that serves: the SDK's thread does not survive a fork.

    Args:
        environ: Environment variables. The SDK itself reads `os.environ`.
        service: `service.name` unless `OTEL_SERVICE_NAME` is set.
        version: `service.version`.
    """
    if not any(environ.get(name, "").strip() for name in ENDPOINTS):
        return None
    is_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() == "none":
        return None
    try:
        return OtlpSpans(service, version)
    except ImportError as error:
        _log.warning(Event("traces off", reason="a Python package is missing", detail=error))
    except Exception as error:  # a wrong OTEL_ variable must not cost a viewer's frames
        _log.warning(Event("traces off", reason="a variable OTEL_… is wrong", detail=error))
    return None


class OtlpSpans:
    """Sends spans in the background, as OTLP over HTTP."""

    def __init__(self, service: str, version: str) -> None:
        """Start the background thread.

        Raises:
            ImportError: The SDK is not installed.
        """
        import requests  # noqa: PLC0415
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        self._api = trace
        self._make_span = ReadableSpan
        resource = Resource.create({"service.version": version})
        if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": service}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._resource = provider.resource
        self._sampler = provider.sampler
        self._scope = InstrumentationScope("gaze-function", version)
        session = requests.Session()
        # The process has a proxy that leads nowhere, against MediaPipe's usage reports.
        session.trust_env = False
        self._processor = BatchSpanProcessor(OTLPSpanExporter(session=session))

    def should_record(self, trace_id: str, caller: CallerTrace | None) -> bool:
        """Return the decision of the sampler in `OTEL_TRACES_SAMPLER`; by default that of the caller, else yes."""
        parent = None
        if caller is not None:
            remote = self._make_context(trace_id, caller.span_id, is_sampled=caller.is_sampled, is_remote=True)
            parent = self._api.set_span_in_context(self._api.NonRecordingSpan(remote))
        result = self._sampler.should_sample(parent, int(trace_id, 16), "request", self._api.SpanKind.SERVER)
        return bool(result.decision.is_sampled())

    def export(self, trace: RequestTrace, name: str, attributes: Mapping[str, Any], *, has_failed: bool) -> None:
        """Send the spans of a request that has ended.

        Args:
            trace: The request, with recorded spans.
            name: Name of the request's own span.
            attributes: Facts about the request, never about the viewer.
            has_failed: Whether it was answered with an error of the server.
        """
        caller = None if trace.caller is None else trace.caller.span_id
        whole = Span(
            name,
            trace.span_id,
            caller,
            trace.started_ns,
            trace.started_ns + int(trace.duration_ms * 1e6),
            "server",
            has_failed,
            attributes,
        )
        for span in (*(trace.spans or ()), whole):
            self._processor.on_end(self._convert(trace.trace_id, span, is_remote=span is whole))

    def close(self) -> None:
        """Send what is left, for at most `CLOSE_S`."""
        closing = threading.Thread(target=self._processor.shutdown, name="close-spans", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _convert(self, trace_id: str, span: Span, *, is_remote: bool) -> Any:  # noqa: ANN401 - a span of the SDK
        api = self._api
        parent = None
        if span.parent_id is not None:
            parent = self._make_context(trace_id, span.parent_id, is_sampled=True, is_remote=is_remote)
        return self._make_span(
            span.name,
            context=self._make_context(trace_id, span.span_id, is_sampled=True, is_remote=False),
            parent=parent,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=api.SpanKind[span.kind.upper()],
            status=api.Status(api.StatusCode.ERROR if span.has_failed else api.StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )

    def _make_context(self, trace_id: str, span_id: str, *, is_sampled: bool, is_remote: bool) -> "SpanContext":
        flags = self._api.TraceFlags(self._api.TraceFlags.SAMPLED if is_sampled else self._api.TraceFlags.DEFAULT)
        return self._api.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, flags)
