"""A restart of the services, or the removal of the film, while a film or a calibration is going on.

The session API keeps its sessions across a restart only if it has a directory.
"""

import time
from contextlib import ExitStack
from functools import partial

import pytest

from gaze_tools.stack.session_api import create_app as create_session_api
from gaze_tools.studio.forwarding import is_last
from tests.adapters.upstream_services import serve
from tests.studio.gateway_client import ENDS_SESSION, post
from tests.studio.waiting import wait_until

until = partial(wait_until, limit_s=60)


@pytest.fixture
def restart(make_client, mongo_client, database):
    """Return a function that starts session API and gateway; data are kept in a database of that name."""
    with ExitStack() as running:

        def start(name):
            sessions = mongo_client[f"{database.name}_{name}"]
            return make_client(session_api_url=running.enter_context(serve(create_session_api(sessions))))

        yield start


def begin(client, video_id="sample"):
    started = client.post("/api/viewings", json={"video_id": video_id}).json
    return {"session_id": started["session_id"], "video_id": video_id}


@pytest.mark.parametrize("video_id", ["sample", "calibration"])
@pytest.mark.parametrize("last_frame", [False, True])
def test_after_a_restart_without_data_frames_of_an_earlier_viewing_are_refused(restart, video_id, last_frame):
    first = restart("first")
    viewing = begin(first, video_id)
    assert post(first, {**viewing, "frame_number": 1}, b"jpeg").status_code == 200

    answer = post(restart("second"), {**viewing, "frame_number": 2, "last_frame": last_frame}, b"jpeg")

    assert (answer.status_code, answer.json["type"]) == (410, "/problems/session-lost")
    assert "Start a new one" in answer.json["detail"]


def test_after_a_restart_with_data_a_viewing_goes_on(restart):
    viewing = begin(restart("same"))
    later = restart("same")

    for number, last_frame in ((2, False), (3, True)):
        answer = post(later, {**viewing, "frame_number": number, "last_frame": last_frame}, b"jpeg")
        assert answer.json["sizes"] == [4]


def test_the_check_of_the_position_goes_on(restart):
    """Nobody needs its earlier frames."""
    viewing = begin(restart("first"), "check")

    assert post(restart("second"), {**viewing, "frame_number": 2}, b"jpeg").status_code == 200


def test_a_last_frame_among_others_is_found():
    assert is_last({"frames": [{"frame_number": 1}, {"frame_number": 2, "last_frame": True}]})
    assert is_last({"last_frame": True})
    assert not is_last({"frames": [{"frame_number": 1}, 7], "last_frame": False})
    assert not is_last({"frames": 7})


def test_a_film_is_removed_when_nobody_watches_it_any_more(restart, video, database):
    client = restart("same")
    film_id = client.post("/api/films?name=a.mkv", data=video.read_bytes()).json["film_id"]
    until(lambda: client.get(f"/api/films/{film_id}").json["state"] == "ready")
    viewing = client.post("/api/viewings", json={"video_id": film_id}).json
    assert client.delete(f"/api/films/{film_id}").status_code == 200
    time.sleep(0.1)

    assert database[film_id].count_documents({}) == 6
    assert client.get(f"/api/films/{film_id}/video").status_code == 200
    assert client.post("/api/viewings", json={"video_id": film_id}).status_code == 404
    end = {"session_id": viewing["session_id"], "video_id": film_id, "frame_number": ENDS_SESSION}
    assert post(client, end, b"jpeg").status_code == 200
    until(lambda: film_id not in database.list_collection_names())
    assert client.get(f"/api/films/{film_id}/video").status_code == 404
