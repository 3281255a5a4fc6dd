"""GET /metrics."""

from prometheus_client.parser import text_string_to_metric_families

from gaze_core.errors import EyeNetworkError, ResultSinkError, SessionStoreError
from tests.fakes.synthetic_face import make_face


def read_samples(world):
    text = world.client.get("/metrics").get_data(as_text=True)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(world, make_body):
    world.post(make_body())
    world.client.get("/secret-path")
    world.client.open("/gaze", method="BREW")

    samples = read_samples(world)
    assert samples["gaze_requests_total", ("method", "POST"), ("route", "/gaze"), ("status", "200")] == 1
    assert samples["gaze_requests_total", ("method", "GET"), ("route", "unknown"), ("status", "404")] == 1
    assert samples["gaze_requests_total", ("method", "other"), ("route", "/gaze"), ("status", "405")] == 1


def test_frames_are_counted_by_validity_and_steps_are_timed(world, make_body):
    world.post(make_body(frame_number=1))
    world.landmarker.faces = []
    world.post(make_body(frame_number=2))

    samples = read_samples(world)
    assert samples["gaze_frames_total", ("validity", "ok")] == 1
    assert samples["gaze_frames_total", ("validity", "no_face")] == 1
    for stage in ("decode", "detect", "store"):
        assert samples["gaze_stage_seconds_count", ("stage", stage)] == 2


def test_failures_of_the_eye_network_are_counted_and_cost_no_frame(world, make_body):
    world.model.estimates = ("landmarks", "network")
    world.post(make_body(frame_number=1))
    world.eye_network.error = EyeNetworkError("broken")
    answer = world.post(make_body(frame_number=2)).get_json()

    assert answer["validity"] == "ok"
    assert read_samples(world)["gaze_eye_network_failures_total",] == 1


def test_failures_are_counted_by_class(world, make_body):
    world.sessions.error = SessionStoreError("down")
    world.post(make_body())

    assert read_samples(world)["gaze_failures_total", ("error", "SessionStoreError")] == 1


def test_scores_are_counted(world, make_body):
    world.post(make_body(frame_number=1, last_frame=True))

    assert read_samples(world)["gaze_scores_total", ("valid", "no")] == 1


def test_the_metrics_request_itself_is_in_flight(world):
    assert read_samples(world)["gaze_requests_in_flight",] == 1


def test_no_label_contains_viewer_data(world, make_body):
    world.post(make_body(session_id="viewer-7"))
    world.landmarker.error = RuntimeError("viewer-7")
    world.post(make_body(session_id="viewer-7"))

    text = world.client.get("/metrics").get_data(as_text=True)
    assert "viewer-7" not in text
    assert "203.0.113.7" not in text


def test_an_undelivered_result_is_counted_as_stored_only(world, make_body):
    body = make_body(frame_number=1, last_frame=True)
    world.sink.error = ResultSinkError("down")
    world.post(body)

    samples = read_samples(world)
    assert (samples["gaze_results_stored_total",], samples["gaze_results_delivered_total",]) == (1, 0)

    world.sink.error = None
    world.post(body)

    samples = read_samples(world)
    assert (samples["gaze_results_stored_total",], samples["gaze_results_delivered_total",]) == (1, 1)


def test_frames_of_low_quality_are_counted_by_reason(world, make_body):
    world.landmarker.faces = [make_face(yaw_deg=60)]
    world.post(make_body(frame_number=1))
    world.landmarker.faces = [make_face(roll_deg=90)]
    world.post(make_body(frame_number=2))

    samples = read_samples(world)
    assert samples["gaze_frame_issues_total", ("issue", "head_turned_away")] == 1
    assert samples["gaze_frame_issues_total", ("issue", "face_rotated")] == 1
    assert samples["gaze_frames_total", ("validity", "low_quality")] == 2
