"""An old session service loses updates: the function cannot prevent that, but every loss is in the result."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gaze_tools.stack import aggregator
from gaze_tools.stack.launcher import UpstreamServices
from tests.adapters.upstream_services import serve
from tests.faults.maps import seed_maps
from tests.faults.old_session_service import OldSessionService
from tests.faults.reliability_rows import Row, keep_rows
from tests.faults.services import run_function
from tests.faults.viewers import Ledger, Viewer, find_deliveries

CLIENTS = 4
SETTINGS = {
    "THREADS": "16",
    "LANDMARKERS": "4",
    "HTTP_TIMEOUT_S": "60",
    "REQUEST_TIMEOUT_S": "120",
    "BARRIER_TIMEOUT_S": "0.5",
}


@pytest.fixture(scope="module")
def service():
    return OldSessionService()


@pytest.fixture(scope="module")
def aggregator_url(mongo_client):
    with serve(aggregator.create_app(mongo_client["old_results"])) as url:
        yield url


@pytest.fixture(scope="module")
def function_url(service, aggregator_url, mongo_uri, tmp_path_factory):
    seed_maps(mongo_uri, 100)
    with serve(service.app) as session_api_url:
        upstream = UpstreamServices(mongo_uri, session_api_url, aggregator_url)
        with run_function(upstream, tmp_path_factory.mktemp("old"), settings=SETTINGS) as (url, _):
            yield url


def stream_with_losses(service, function_url, ledger, frames):
    """Post frames, `CLIENTS` at a time, of which the service keeps one each time; return the viewer."""
    viewer = Viewer([function_url], ledger)
    viewer.post_frame(1)  # creates the session
    service.meet = threading.Barrier(CLIENTS)
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for first in range(2, frames + 1, CLIENTS):
                list(pool.map(viewer.post_frame, range(first, first + CLIENTS)))
    finally:
        service.meet = None
    return viewer


@pytest.mark.slow
def test_every_lost_update_is_counted_as_missing_and_the_result_stands_and_is_delivered(
    service, function_url, aggregator_url
):
    viewer = stream_with_losses(service, function_url, Ledger(), 9)

    answer = viewer.complete(10)

    result = answer["result"]
    assert (len(viewer.gazes), result["frames"]["received"], result["lost"]["missing"]) == (9, 3, 6)
    stored = service.read(viewer.session_id)["components"]["gaze_tracking"]
    assert len([key for key in stored if key.isdigit()]) == 3
    assert stored["result"]["final_score"] == answer["final_score"]
    assert viewer.complete(10)["result"] == result
    (delivered,) = find_deliveries(aggregator_url, viewer)
    assert (delivered["final_score"], delivered["count"]) == (answer["final_score"], 1)


@pytest.mark.slow
def test_so_it_is_for_20_sessions(service, function_url, aggregator_url):
    ledger, lost, silent, doubled = Ledger(), 0, 0, 0
    for _ in range(20):
        viewer = stream_with_losses(service, function_url, ledger, 41)
        result = viewer.complete(42)["result"]
        stored = service.read(viewer.session_id)["components"]["gaze_tracking"]
        kept = len([key for key in stored if key.isdigit()])
        lost += 41 - kept
        silent += abs(41 - kept - result["lost"]["missing"]) + (result["frames"]["received"] != kept)
        doubled += len(find_deliveries(aggregator_url, viewer)) - 1
    fault = f"an old session service that lost {lost} frames: lost without being reported"
    keep_rows("4-old-session-service", [Row(fault, 20, ledger.acknowledged, silent, doubled, ledger.slowest_answer_s)])

    assert (lost, silent, doubled) == (20 * 30, 0, 0)
