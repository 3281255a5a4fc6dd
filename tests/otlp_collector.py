"""A collector of spans: OTLP over HTTP in protobuf, as OpenTelemetry's own collector receives it."""

import contextlib
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span as it arrived."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: dict
    resource: dict


class Collector:
    """Spans received so far."""

    def __init__(self):
        self.spans = []
        self.bodies = []
        self.paths = set()

    def await_spans(self, is_enough, timeout_s=120.0):
        """Return the spans once they are enough."""
        deadline_s = time.monotonic() + timeout_s
        while not is_enough(self.spans):
            assert time.monotonic() < deadline_s, f"only {[(span.service, span.name) for span in self.spans]}"
            time.sleep(0.05)
        return list(self.spans)


@contextlib.contextmanager
def collect_spans():
    """Receive spans until the block ends; yield the collector with its `url`."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.paths.add(self.path)
            collector.bodies.append(body)
            collector.spans += read_spans(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def read_spans(body):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for part in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = read_attributes(part.resource.attributes)
        for scope in part.scope_spans:
            found += [
                CollectedSpan(
                    resource["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.status.code == 2,
                    read_attributes(span.attributes),
                    resource,
                )
                for span in scope.spans
            ]
    return found


def read_attributes(attributes):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def draw_tree(spans, parent_id, indent=0):
    """Return the tree of spans below one, as lines with times in ms."""
    lines = []
    for span in sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: span.start_ns):
        took_ms = (span.end_ns - span.start_ns) / 1e6
        lines.append(f"{'  ' * indent}{span.service}: {span.name} {took_ms:.1f} ms")
        lines += draw_tree(spans, span.span_id, indent + 1)
    return lines
