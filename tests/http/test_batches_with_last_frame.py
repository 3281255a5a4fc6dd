"""POST /gaze with several frames, of which one is the last."""

import numpy as np
import pytest

from gaze_core.errors import SessionNotFoundError, SessionStoreTimeoutError
from tests.http.test_batches import BROKEN, VIEWING, batch, frames


@pytest.fixture
def watched(world):
    """Return the world with maps for frames 1 to 3, salient in the middle."""
    saliency_map = np.zeros((90, 160))
    saliency_map[30:60, 60:100] = 1.0
    world.maps.by_video["contents1"] = {1: saliency_map, 2: saliency_map, 3: saliency_map}
    world.model.direction_deg = (0.0, -13.0)
    return world


def test_the_last_frame_has_the_score_of_all(watched):
    response = watched.post(batch(frames(1, 2) + frames(3, last_frame=True)))

    answer = response.get_json()
    assert (response.status_code, answer["status"]) == (200, "success")
    assert [frame["message"] for frame in answer["frames"]] == ["Frame processed"] * 2 + ["Video processing completed"]
    last = answer["frames"][2]
    assert list(last) == ["status", "message", "session_id", "final_score", "result"]
    assert (last["final_score"], last["result"]["frames"]["scored"]) == (100.0, 3)
    assert len(watched.sink.results) == 1


def test_the_answer_to_the_last_frame_is_that_of_a_single_request(watched):
    answer = watched.post(batch([*frames(1), {"frame_number": 2, "last_frame": True}])).get_json()

    single = watched.post({**VIEWING, "frame_number": 2, "last_frame": True}).get_json()

    assert answer["frames"][1] == single
    assert single["result"]["frames"]["expected"] == 1


def test_a_last_frame_may_be_alone_and_anywhere(watched):
    watched.post(batch(frames(1)))

    alone = watched.post(batch([{"frame_number": 2, "last_frame": True}])).get_json()
    first = watched.post(batch([{"frame_number": 2, "last_frame": True}, *frames(1)])).get_json()

    assert first["frames"][0] == alone["frames"][0]


def test_total_frames_stands_outside(watched):
    answer = watched.post(batch([*frames(1), {"frame_number": 9, "last_frame": True}], total_frames=1)).get_json()

    assert answer["frames"][1]["result"]["frames"]["expected"] == 1


def test_a_broken_image_does_not_prevent_the_score(watched):
    entries = frames(1, 2) + frames(3, last_frame=True)
    entries[1]["frame"] = BROKEN

    answer = watched.post(batch(entries)).get_json()

    assert (answer["status"], answer["frames"][1]["status"]) == ("partial", 422)
    assert answer["frames"][2]["result"]["lost"]["missing"] == 1


def test_a_last_frame_with_a_broken_image_scores_nothing(watched):
    entries = frames(1) + frames(2, last_frame=True)
    entries[1]["frame"] = BROKEN

    answer = watched.post(batch(entries)).get_json()

    assert [frame["status"] for frame in answer["frames"]] == ["success", 422]
    assert watched.sessions.get_session("s").settings == {}


def test_nothing_is_scored_while_a_frame_of_the_request_can_be_repeated(watched):
    watched.post(batch(frames(1)))
    failed = []

    def fail_once(name):
        if name == "update_frames" and not failed:
            failed.append(name)
            raise SessionStoreTimeoutError("session API: no answer")

    watched.sessions.before_call = fail_once
    request = batch([*frames(2), {"frame_number": 3, "last_frame": True}])

    first, again = watched.post(request), watched.post(request)

    assert (first.status_code, [frame["status"] for frame in first.get_json()["frames"]]) == (504, [504, 504])
    assert again.get_json()["frames"][1]["result"]["frames"]["received"] == 2


def test_a_failed_completion_is_the_problem_of_the_last_frame(watched):
    watched.sink.error = SessionStoreTimeoutError("session API: no answer")

    response = watched.post(batch([*frames(1), {"frame_number": 2, "last_frame": True}]))

    answer = response.get_json()
    assert (response.status_code, answer["status"]) == (200, "partial")
    assert (answer["frames"][1]["status"], answer["frames"][1]["frame_number"]) == (504, 2)


def test_a_session_that_is_gone_is_a_410(watched):
    watched.post(batch(frames(1)))
    watched.sessions.expire("s")

    response = watched.post(batch([{"frame_number": 3, "last_frame": True}]))

    assert (response.status_code, response.get_json()["type"]) == (410, "/problems/session-expired")
    with pytest.raises(SessionNotFoundError):
        watched.frames("s")


def test_a_repeated_last_batch_gets_the_same_answer_and_is_not_delivered_again(watched):
    request = batch(frames(1, 2) + frames(3, last_frame=True))
    first = watched.post(request)

    assert watched.post(request).get_data() == first.get_data()
    assert len(watched.sink.results) == 1
