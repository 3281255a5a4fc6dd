"""Metrics of the build, of calls to upstream services, and of calibrations."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from func.adapters.aggregator import HttpResultSink
from func.adapters.circuit_breaker import CircuitBreaker
from func.adapters.http_client import HttpClient, UpstreamErrors
from func.adapters.mongo_reader import MongoReader
from func.adapters.session_api import HttpSessionStore
from func.adapters.timed_ports import TimedEyeNetwork, TimedFaceLandmarker, TimedGazeModel
from func.bootstrap import ModelDigests, check_model_files
from func.detectors import Detectors, find_age_s
from func.settings import read_settings
from func.web.metrics import Metrics
from func.web.start import describe_build
from gaze_core.errors import (
    GazeError,
    ResultSinkBusyError,
    ResultSinkError,
    ResultSinkRefusedError,
    ResultSinkTimeoutError,
    SaliencyStoreError,
)
from tests.adapters.upstream_services import Answer, Hang, misbehave, refused_url
from tests.fakes.clock import FakeClock
from tests.fakes.eye_network import FakeEyeNetwork
from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.session_api import FakeSessionStore
from tests.running import ROOT

FAILED = Answer(502, b"")


def read_samples(metrics):
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def make_client(url, metrics, *, retries=0, failures=100, timeout_s=60.0):
    clock = FakeClock()
    return HttpClient(
        url,
        service="aggregator",
        errors=UpstreamErrors(ResultSinkError, ResultSinkTimeoutError, ResultSinkBusyError, ResultSinkRefusedError),
        timeout_s=timeout_s,
        retries=retries,
        breaker=CircuitBreaker("aggregator", failures=failures, clock=clock),
        observer=metrics,
        sleep=clock.sleep,
    )


def call(client):
    return client.call("GET", ("x",), expected=(200,))


def test_every_error_can_grow_from_zero():
    """Prometheus does not see the first error of a counter that appears with it."""
    samples = read_samples(Metrics())

    for service in ("session_api", "aggregator", "saliency_store"):
        assert samples["gaze_upstream_seconds_count", service] == 0
        assert samples["gaze_upstream_retries_total", service] == 0
        for kind in ("failed", "timeout", "busy", "denied", "circuit_open"):
            assert samples["gaze_upstream_errors_total", kind, service] == 0


def test_each_attempt_and_each_retry_is_counted():
    metrics = Metrics()
    with misbehave(FAILED, FAILED, Answer(200, {})) as service:
        call(make_client(service.url, metrics, retries=2))

    samples = read_samples(metrics)
    assert samples["gaze_upstream_retries_total", "aggregator"] == 2
    assert samples["gaze_upstream_errors_total", "failed", "aggregator"] == 2
    assert samples["gaze_upstream_seconds_count", "aggregator"] == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(500, b""), "failed"),
        (Answer(403, b""), "denied"),
        (Answer(504, b""), "timeout"),
        (Answer(503, b"", (("Retry-After", "9"),)), "busy"),
        (Hang(60), "timeout"),
    ],
)
def test_errors_are_counted_by_kind(answer, kind):
    metrics = Metrics()
    with misbehave(answer) as service, pytest.raises(GazeError):
        call(make_client(service.url, metrics, timeout_s=0.2))

    assert read_samples(metrics)["gaze_upstream_errors_total", kind, "aggregator"] == 1


def test_an_open_circuit_is_shown_and_calls_that_it_stops_are_counted():
    metrics = Metrics()
    client = make_client(refused_url(), metrics, failures=2)
    assert read_samples(metrics)["gaze_circuit_open", "aggregator"] == 0
    for _ in range(3):
        with pytest.raises(GazeError):
            call(client)

    samples = read_samples(metrics)
    assert samples["gaze_circuit_open", "aggregator"] == 1
    assert samples["gaze_upstream_errors_total", "failed", "aggregator"] == 2
    assert samples["gaze_upstream_errors_total", "circuit_open", "aggregator"] == 1


def test_failed_reads_of_maps_are_counted():
    metrics = Metrics()
    reader = MongoReader(
        refused_url().replace("http", "mongodb"), database="saliency_db", timeout_s=0.1, observer=metrics
    )
    with pytest.raises(SaliencyStoreError):
        reader.read(lambda database: database["v"].find_one({}))

    samples = read_samples(metrics)
    assert samples["gaze_upstream_errors_total", "timeout", "saliency_store"] == 1
    assert samples["gaze_upstream_seconds_count", "saliency_store"] == 1


def test_session_api_and_aggregator_report_under_their_names():
    metrics = Metrics()
    for adapter in (HttpSessionStore, HttpResultSink):
        adapter("http://127.0.0.1:9", timeout_s=1, retries=0, observer=metrics)

    samples = read_samples(metrics)
    assert samples["gaze_circuit_open", "session_api"] == samples["gaze_circuit_open", "aggregator"] == 0


def test_landmarks_eyes_and_model_are_timed():
    metrics = Metrics()
    model = FakeGazeModel()
    network = FakeEyeNetwork()
    timed = TimedGazeModel(model, metrics.time_stage)
    timed.predict([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 600.0]])
    TimedFaceLandmarker(FakeFaceLandmarker(), metrics.time_stage).detect(np.zeros((4, 4, 3), np.uint8))

    samples = read_samples(metrics)
    assert samples["gaze_stage_seconds_count", "model"] == samples["gaze_stage_seconds_count", "landmarks"] == 1
    assert (timed.digest, timed.estimates) == (model.digest, model.estimates)
    assert TimedEyeNetwork(network, metrics.time_stage).digest == network.digest


def test_the_build_and_its_models_are_labels():
    metrics = Metrics()
    settings = read_settings({"MONGO_URI": "mongodb://localhost", "FACE_LANDMARKER": "litert"})
    metrics.describe_build(describe_build(settings, ModelDigests("a" * 64, "b" * 64, None)))

    (line,) = [line for line in metrics.render().decode().splitlines() if line.startswith("gaze_build_info{")]
    for label in ('engine="litert"', f'model="{"a" * 12}"', f'landmarker="{"b" * 12}"', 'eye_network=""'):
        assert label in line
    assert line.endswith(" 1.0")


def test_the_digests_are_those_of_the_files():
    digests = check_model_files(read_settings({"MONGO_URI": "mongodb://localhost"}))

    for name, digest in (("gaze_model.joblib", digests.model), ("face_landmarker.task", digests.landmarker)):
        assert hashlib.sha256((ROOT / "models" / name).read_bytes()).hexdigest() == digest


def test_there_are_no_series_with_times_of_creation():
    metrics = Metrics()
    metrics.count_frame("ok")

    assert "_created" not in metrics.render().decode()


@pytest.mark.parametrize(
    ("created_at", "age_s"),
    [
        ("2026-01-01T00:00:00+00:00", 90.0),
        ("2026-01-01T00:01:00Z", 30.0),
        ("2026-01-01T00:02:00+00:00", 0.0),
        ("2026-01-01T00:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_age_of_a_calibration_is_that_of_its_session(created_at, age_s):
    assert find_age_s(created_at, datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)) == age_s


def test_the_age_is_reported_when_a_calibration_is_read():
    ages_s, sessions = [], FakeSessionStore()
    sessions.create_session("c", ip_address="::1", video_id="v")
    sessions._viewers["c"] = ("::1", "v", "2026-01-01T00:00:00Z")
    detectors = Detectors(FakeFaceLandmarker(), FakeGazeModel(), sessions, refresh_s=10, observe_age=ages_s.append)
    for _ in range(2):  # the second one within the lifetime of the cache
        detectors.get_or_create_gaze_detector("s", calibration_session="c")

    assert len(ages_s) == 1
