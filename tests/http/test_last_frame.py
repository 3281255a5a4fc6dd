"""POST /gaze with last_frame."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gaze_core.errors import SessionNotFoundError
from tests.fakes.synthetic_face import make_face


@pytest.fixture
def watched(world):
    """Return the world with maps for frames 1 and 2, salient in the middle."""
    saliency_map = np.zeros((90, 160))
    saliency_map[30:60, 60:100] = 1.0
    world.maps.by_video["contents1"] = {1: saliency_map, 2: saliency_map}
    world.model.direction_deg = (0.0, -13.0)
    return world


def test_the_last_frame_is_answered_with_the_score(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1))

    response = watched.post(make_body(session_id="s", frame_number=2, last_frame=True))

    answer = response.get_json()
    assert list(answer) == ["status", "message", "session_id", "final_score", "result"]
    assert response.get_data().startswith(b'{"status": "success", "message": "Video processing completed", ')
    assert (answer["final_score"], answer["result"]["frames"]["scored"]) == (100.0, 2)
    (delivered,) = watched.sink.results.values()
    assert (delivered["final_score"], delivered["video_id"], delivered["ip_address"]) == (
        100.0,
        "contents1",
        "203.0.113.7",
    )


def test_a_last_frame_needs_no_image(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1))

    answer = watched.post(make_body(session_id="s", frame_number=2, last_frame=True, frame=None)).get_json()

    assert answer["result"]["frames"]["expected"] == 1
    assert list(watched.frames("s")) == [1]


def test_an_empty_image_is_none(watched, make_body):
    body = make_body(session_id="s", frame_number=1, last_frame=True) | {"frame": ""}

    answer = watched.post(body).get_json()

    assert answer["result"]["score_invalid_reason"] == "no_frames"
    with pytest.raises(SessionNotFoundError):
        watched.frames("s")


def test_a_repeated_last_frame_gets_the_same_answer_and_is_not_delivered_again(watched, make_body):
    body = make_body(session_id="s", frame_number=1, last_frame=True)
    first = watched.post(body).get_json()

    assert watched.post(body).get_json() == first
    assert len(watched.sink.deliveries) == 1


@pytest.mark.parametrize("final_score", [None, "high", 101, True])
def test_a_stored_result_that_is_not_ours_is_the_session_api_s_fault(watched, make_body, final_score):
    watched.post(make_body(session_id="s", frame_number=1))
    watched.sessions.store_settings("s", {"result": {"final_score": final_score, "score_valid": True, "coverage": 1}})

    assert watched.post(make_body(session_id="s", frame_number=1, last_frame=True)).status_code == 502


def test_a_last_frame_whose_session_has_expired_is_410_and_delivers_nothing(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1))
    watched.sessions.expire("s")

    response = watched.post(make_body(session_id="s", frame_number=2, last_frame=True, frame=None))

    assert (response.status_code, response.get_json()["type"]) == (410, "/problems/session-expired")
    assert watched.sink.deliveries == []


def test_frames_that_expired_with_an_earlier_session_are_lost_and_the_answer_warns(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1))
    watched.sessions.expire("s")
    watched.post(make_body(session_id="s", frame_number=2))

    answer = watched.post(make_body(session_id="s", frame_number=3, last_frame=True)).get_json()

    assert answer["result"]["lost"]["missing"] == 1
    assert "an earlier session under this id expired at" in answer["warnings"][0]


def test_a_frame_that_creates_an_expired_session_again_warns(watched, make_body):
    first = watched.post(make_body(session_id="s", frame_number=1)).get_json()
    watched.sessions.expire("s")

    answers = [watched.post(make_body(session_id="s", frame_number=number)).get_json() for number in (2, 3)]

    assert "warnings" not in first
    assert answers[0]["warnings"] == [
        "an earlier session under this id expired at 2026-01-01T01:0000Z; the new one does not have its frames"
    ]
    assert "warnings" not in answers[1]


def test_a_new_frame_after_the_result_is_409_and_says_how_to_start_a_new_viewing(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1, last_frame=True))

    response = watched.post(make_body(session_id="s", frame_number=2))

    assert response.status_code == 409
    assert "use a new session_id, or wait 300 s until this one is free" in response.get_json()["detail"]


def test_a_video_without_maps_scores_zero_and_says_so(world, make_body):
    answer = world.post(make_body(frame_number=1, last_frame=True)).get_json()

    assert (answer["final_score"], answer["result"]["score_valid"]) == (0.0, False)


def test_total_frames_decides_how_many_are_expected(watched, make_body):
    answer = watched.post(make_body(frame_number=9, last_frame=True, total_frames=4)).get_json()

    assert answer["result"]["frames"]["expected"] == 4


def test_waiting_last_frames_leave_the_landmarkers_to_the_frames_they_wait_for(make_world, make_body):
    world = make_world(LANDMARKERS="1", BARRIER_TIMEOUT_S="250", BARRIER_POLL_S="0.01")
    with ThreadPoolExecutor(1) as clients:
        last = clients.submit(world.post, make_body(session_id="s", frame_number=2, last_frame=True))
        while b"gaze_last_frames_waiting 1.0" not in world.metrics.render():
            time.sleep(0.01)
        late = world.post(make_body(session_id="s", frame_number=1))

    assert late.status_code == 200
    assert last.result().get_json()["result"]["frames"]["received"] == 2


def test_a_face_that_is_gone_at_the_end_does_not_spoil_the_score(watched, make_body):
    watched.post(make_body(session_id="s", frame_number=1))
    watched.landmarker.faces = []

    answer = watched.post(make_body(session_id="s", frame_number=2, last_frame=True)).get_json()

    assert (answer["final_score"], answer["result"]["lost"]["no_face"]) == (100.0, 1)
    watched.landmarker.faces = [make_face()]
