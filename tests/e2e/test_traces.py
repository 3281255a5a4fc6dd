"""One trace through function, session API and aggregator, in a stand-in for OpenTelemetry's collector."""

import base64
import itertools
import socket

import cv2
import pytest
import requests

from gaze_tools.sample_clip import SAMPLE, read_frames, seed_sample_maps
from gaze_tools.stack.launcher import (
    UpstreamServices,
    start_function,
    start_function_server,
    start_upstream_services,
)
from tests.otlp_collector import collect_spans, draw_tree

pytest.importorskip("opentelemetry.sdk")
pytestmark = pytest.mark.slow

FRAMES = 4
ADDRESS = "203.0.113.7"
CALLER = "00f067aa0ba902b7"
NUMBERS = itertools.count(1)
REQUEST = "gaze-function: POST /gaze"
NOWHERE = UpstreamServices("mongodb://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9")
"""Upstream services that refuse every connection."""
UPDATE = "session-api: PUT /update_session/<session_id>"


@pytest.fixture(scope="module")
def frames():
    images = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in read_frames(str(SAMPLE / "clip.mp4"), FRAMES)]
    return [base64.b64encode(cv2.imencode(".jpg", image)[1].tobytes()).decode() for image in images]


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A collector, and the function and the services that send it their spans."""
    with pytest.MonkeyPatch.context() as environment, collect_spans() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        environment.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        folder = tmp_path_factory.mktemp("traces")
        with start_upstream_services(folder) as upstream:
            seed_sample_maps(upstream, FRAMES)
            # A proxy that leads nowhere, like the one in HTTPS_PROXY against MediaPipe's usage reports.
            settings = {"BARRIER_TIMEOUT_S": "0.5", "LANDMARKERS": "1", "HTTP_PROXY": "http://127.0.0.1:9"}
            with start_function(upstream, folder, settings=settings) as url:
                yield url, collector, folder


def post(url, number, frame, *, trace_id, flags="01", session_id="5f0c6a3e-0000-5000-8000-000000000001", **more):
    body = {"session_id": session_id, "video_id": "sample", "ip_address": ADDRESS, "frame_number": number, **more}
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-{flags}", "X-Request-Id": f"gw-{number}"}
    return requests.post(f"{url}/gaze", json=body | ({"frame": frame} if frame else {}), headers=headers, timeout=60)


def find_path(spans, span):
    """Return the names from the caller's child to a span."""
    by_id = {each.span_id: each for each in spans}
    path = [span]
    while path[0].parent_id != CALLER:
        path.insert(0, by_id[path[0].parent_id])
    return [f"{each.service}: {each.name}" for each in path]


def collect_trace(collector, trace_id, *awaited):
    """Return the spans of a trace once the request's own and the awaited ones, `service: name`, have arrived."""

    def is_whole(spans):
        names = {f"{span.service}: {span.name}" for span in spans if span.trace_id == trace_id}
        return {REQUEST, *awaited} <= names

    return [span for span in collector.await_spans(is_whole) if span.trace_id == trace_id]


def test_a_frame_is_one_trace_from_the_caller_to_the_session_api(traced, frames):
    url, collector, _ = traced
    trace_id = f"{next(NUMBERS):032x}"

    assert post(url, 1, frames[0], trace_id=trace_id).status_code == 200

    spans = collect_trace(collector, trace_id, UPDATE)
    paths = {" > ".join(find_path(spans, span)) for span in spans}
    assert {
        REQUEST,
        f"{REQUEST} > gaze-function: receive",
        f"{REQUEST} > gaze-function: parse",
        f"{REQUEST} > gaze-function: decode",
        f"{REQUEST} > gaze-function: detect",
        f"{REQUEST} > gaze-function: detect > gaze-function: landmarks",
        f"{REQUEST} > gaze-function: detect > gaze-function: eyes",
        f"{REQUEST} > gaze-function: detect > gaze-function: model",
        f"{REQUEST} > gaze-function: store",
        f"{REQUEST} > gaze-function: store > gaze-function: PUT /update_session > {UPDATE}",
    } <= paths
    (whole,) = [span for span in spans if span.parent_id == CALLER]
    assert whole.attributes["http.response.status_code"] == 200
    assert (whole.attributes["gaze.frame"], whole.attributes["gaze.request_id"]) == (1, "gw-1")
    assert whole.resource["service.version"]
    assert all(whole.start_ns <= span.start_ns <= span.end_ns for span in spans)


def test_a_last_frame_is_one_trace_to_the_aggregator(traced, frames):
    url, collector, _ = traced
    trace_id, session_id = f"{next(NUMBERS):032x}", "5f0c6a3e-0000-5000-8000-000000000002"
    for number, frame in enumerate(frames, 1):
        post(url, number, frame, trace_id="f" * 32, flags="00", session_id=session_id, video_time_ms=40 * number)

    answer = post(url, FRAMES + 2, None, trace_id=trace_id, session_id=session_id, last_frame=True)

    assert answer.status_code == 200
    spans = collect_trace(
        collector, trace_id, UPDATE, "session-api: GET /get_session/<session_id>", "aggregator: POST /aggregate"
    )
    print("\n".join(draw_tree(spans, CALLER)))  # noqa: T201 - shown with -s
    names = {(span.service, span.name) for span in spans}
    assert {
        ("gaze-function", name)
        for name in ("score", "wait", "read_session", "calculate", "read saliency maps", "store_result", "deliver")
    } <= names


def test_no_span_has_a_session_an_address_or_a_gaze(traced, frames):
    url, collector, _ = traced
    trace_id, session_id = f"{next(NUMBERS):032x}", "5f0c6a3e-0000-5000-8000-000000000003"

    gaze = post(url, 1, frames[0], trace_id=trace_id, session_id=session_id).json()["gaze"]

    spans = collect_trace(collector, trace_id, UPDATE)
    sent = b"".join(collector.bodies)
    for private in (session_id, ADDRESS, frames[0][:60], str(gaze["x"]), str(gaze["y"])):
        assert private.encode() not in sent
    (whole,) = [span for span in spans if span.parent_id == CALLER]
    assert len(whole.attributes["gaze.session"]) == 16
    assert collector.paths == {"/v1/traces"}


def test_the_sampler_decides(traced, frames):
    """`parentbased_always_off`: nothing without a caller that samples."""
    url, collector, _ = traced
    unwanted, wanted = f"{next(NUMBERS):032x}", f"{next(NUMBERS):032x}"

    post(url, 1, frames[0], trace_id=unwanted, flags="00")
    post(url, 1, frames[0], trace_id=wanted)

    print("\n".join(draw_tree(collect_trace(collector, wanted, UPDATE), CALLER)))  # noqa: T201 - shown with -s
    assert unwanted not in {span.trace_id for span in collector.spans}


def test_probes_and_scrapes_are_not_recorded(traced, frames):
    url, collector, _ = traced
    probe, frame = f"{next(NUMBERS):032x}", f"{next(NUMBERS):032x}"
    for path in ("/health/liveness", "/health/readiness", "/metrics", "/nothing"):
        requests.get(url + path, headers={"traceparent": f"00-{probe}-{CALLER}-01"}, timeout=60)

    post(url, 1, frames[0], trace_id=frame)

    collect_trace(collector, frame)
    assert probe not in {span.trace_id for span in collector.spans}


def stop(server):
    """Ask a server to stop and return its status."""
    server.process.terminate()
    return server.process.wait(120)


def test_the_last_spans_are_sent_when_the_process_stops(traced, frames, monkeypatch, tmp_path):
    _, collector, _ = traced
    trace_id = f"{next(NUMBERS):032x}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")

    with start_function_server(NOWHERE, tmp_path, settings={"LANDMARKERS": "1", "HTTP_RETRIES": "0"}) as server:
        assert post(server.url, 1, frames[0], trace_id=trace_id).status_code == 502
        assert trace_id not in {span.trace_id for span in collector.spans}
        assert stop(server) == 0

    (whole,) = [span for span in collect_trace(collector, trace_id) if span.parent_id == CALLER]
    assert whole.is_error


def test_a_collector_that_never_answers_keeps_no_request_and_no_stop_waiting(frames, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody reads
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        with start_function_server(NOWHERE, tmp_path, settings={"LANDMARKERS": "1", "HTTP_RETRIES": "0"}) as server:
            statuses = {post(server.url, number, frames[0], trace_id="f" * 32).status_code for number in range(1, 6)}

            assert statuses == {502}
            assert stop(server) == 0


def test_a_failed_request_is_marked_as_an_error(traced, frames):
    url, collector, _ = traced
    trace_id = f"{next(NUMBERS):032x}"

    assert post(url, 0, frames[0], trace_id=trace_id).status_code == 400

    (whole,) = [span for span in collect_trace(collector, trace_id) if span.parent_id == CALLER]
    assert (whole.attributes["http.response.status_code"], whole.is_error) == (400, False)
