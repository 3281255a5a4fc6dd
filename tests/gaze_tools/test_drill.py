"""gaze drill: what it reports about metrics and logs, and that a real one loses nothing."""

import json

import pytest
from click.testing import CliRunner

from gaze_tools.cli import main
from gaze_tools.drill.observation import (
    find_growth,
    join,
    list_conditions,
    list_trouble,
    read_events,
    read_samples,
)

BEFORE = """\
# TYPE gaze_requests_total counter
gaze_requests_total{method="POST",route="/gaze",status="200"} 100
# TYPE gaze_shed_total counter
gaze_shed_total{reason="DetectionBusyError"} 3
# TYPE gaze_circuit_open gauge
gaze_circuit_open{service="session_api"} 1
"""


def grow(**changes):
    """Return the growth of series, given as `metric_label=value`."""
    names = {
        "ok": 'gaze_requests_total{method="POST",route="/gaze",status="200"}',
        "failed": 'gaze_requests_total{method="POST",route="/gaze",status="503"}',
        "not_ready": 'gaze_requests_total{method="GET",route="/health/readiness",status="503"}',
        "shed": 'gaze_shed_total{reason="DetectionBusyError"}',
        "stored": "gaze_results_stored_total",
        "delivered": "gaze_results_delivered_total",
        "circuit": 'gaze_circuit_open{service="session_api"}',
        "calls": 'gaze_upstream_seconds_count{service="saliency_store"}',
        "attempts_failed": 'gaze_upstream_errors_total{kind="timeout",service="saliency_store"}',
    }
    return {names[name]: value for name, value in changes.items()}


def test_counters_are_compared_and_circuits_are_taken_as_they_are():
    before = read_samples(BEFORE)
    after = {**before, 'gaze_shed_total{reason="DetectionBusyError"}': 5.0}

    growth = find_growth(before, after)

    assert growth == {
        'gaze_requests_total{method="POST",route="/gaze",status="200"}': 0.0,
        'gaze_shed_total{reason="DetectionBusyError"}': 2.0,
        'gaze_circuit_open{service="session_api"}': 1.0,
    }
    assert list_trouble(growth) == (
        'gaze_circuit_open{service="session_api"}',
        'gaze_shed_total{reason="DetectionBusyError"}',
    )


@pytest.mark.parametrize(
    ("growth", "names"),
    [
        (grow(ok=100), []),
        (grow(ok=100, failed=1), []),
        (grow(ok=97, failed=2), ["GazeErrors"]),
        (grow(ok=100, not_ready=5), []),
        (grow(shed=1), ["GazeFramesRefused"]),
        (grow(stored=2, delivered=1), ["GazeResultsNotDelivered"]),
        (grow(stored=1, delivered=1), []),
        (grow(circuit=1), ["GazeUpstreamDown"]),
        (grow(calls=100, attempts_failed=6), ["GazeUpstreamErrors"]),
        (grow(calls=100, attempts_failed=5), []),
    ],
)
def test_conditions_of_alerts(growth, names):
    assert [text.split(":")[0] for text in list_conditions(growth)] == names


def test_each_event_is_reported_once_from_the_offset_on(tmp_path):
    lines = [
        {"event": "models loaded"},
        {"event": "request failed", "error": "SessionStoreError"},
        {"event": "request failed", "error": "SessionStoreError"},
        {"event": "circuit opened", "service": "session_api"},
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(map(json.dumps, lines)))

    offset = len(json.dumps(lines[0])) + 1
    assert read_events(log, offset) == ("request failed (SessionStoreError)", "circuit opened (session_api)")


def test_cells_are_never_empty():
    assert (join(()), join((200, 503)), join(("a",), code=True)) == ("–", "200<br>503", "`a`")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_drill_loses_nothing_and_writes_its_table(tmp_path):
    page = tmp_path / "drill.md"
    page.write_text("<!-- drill: begin -->\n<!-- drill: end -->\n")

    done = CliRunner().invoke(main, ["drill", "--write", str(page)], catch_exceptions=False)

    assert done.exit_code == 0, done.output
    text = page.read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for name, signs in {
        "Session API down": ["circuit opened (session_api)", "GazeErrors", 'kind="failed",service="session_api"'],
        "Session API hangs": ["SessionStoreTimeoutError", 'kind="timeout",service="session_api"'],
        "MongoDB down": ["SaliencyStore", 'service="saliency_store"'],
        "Aggregator refuses": ["ResultSinkRefusedError", "GazeResultsNotDelivered", 'kind="denied"'],
        "Overload": ["DetectionBusyError", "GazeFramesRefused"],
        "Model file missing": ["cannot start", "status 1"],
    }.items():
        assert all(sign in rows[name] for sign in signs), rows[name]
