"""Waiting last frames: limits, and that they take no other resources."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from func.errors import WaitingListFullError
from func.web.waiting_list import WaitingList


def test_places_per_viewer_are_limited():
    waiting = WaitingList(places=10, places_per_viewer=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(waiting.enter(viewer="a", peer="p"))
        with pytest.raises(WaitingListFullError), waiting.enter(viewer="a", peer="p"):
            pass
        stack.enter_context(waiting.enter(viewer="b", peer="p"))
        assert len(waiting) == 3

    assert len(waiting) == 0


def test_one_of_several_peers_gets_half_of_the_places():
    waiting = WaitingList(places=4, places_per_viewer=4)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(waiting.enter(viewer="a", peer="gateway"))
        stack.enter_context(waiting.enter(viewer="b", peer="other"))
        with pytest.raises(WaitingListFullError), waiting.enter(viewer="c", peer="third"):
            pass

    with ExitStack() as stack:
        stack.enter_context(waiting.enter(viewer="b", peer="other"))
        for viewer in "cd":
            stack.enter_context(waiting.enter(viewer=viewer, peer="gateway"))
        with pytest.raises(WaitingListFullError), waiting.enter(viewer="e", peer="gateway"):
            pass


def test_waiting_last_frames_take_no_place_for_scoring(make_world, make_body):
    world = make_world(BARRIER_TIMEOUT_S="250", BARRIER_POLL_S="0.01", SCORING_PLACES="1", MAX_WAITING_PER_VIEWER="20")
    with ThreadPoolExecutor(12) as clients:
        waiting = []
        for number in range(12):
            world.post(make_body(session_id=f"w{number}", frame_number=1))
            body = make_body(session_id=f"w{number}", frame_number=3, last_frame=True)
            waiting.append(clients.submit(world.post, body))
        while b"gaze_last_frames_waiting 12.0" not in world.metrics.render():
            time.sleep(0.01)

        honest = world.post(make_body(session_id="h", frame_number=1, last_frame=True))
        for number in range(12):
            world.post(make_body(session_id=f"w{number}", frame_number=2))

        assert honest.status_code == 200
        assert [each.result().status_code for each in waiting] == [200] * 12
    assert b"gaze_last_frames_waiting 0.0" in world.metrics.render()


def test_last_frames_beyond_the_list_are_503_and_their_image_is_stored(make_world, make_body):
    world = make_world(BARRIER_TIMEOUT_S="250", BARRIER_POLL_S="0.01", MAX_WAITING="1")
    with ThreadPoolExecutor(1) as clients:
        world.post(make_body(session_id="w", frame_number=1))
        waiting = clients.submit(world.post, make_body(session_id="w", frame_number=3, last_frame=True))
        while b"gaze_last_frames_waiting 1.0" not in world.metrics.render():
            time.sleep(0.01)

        refused = world.post(make_body(session_id="s", frame_number=1, last_frame=True))
        world.post(make_body(session_id="w", frame_number=2))

        assert (refused.status_code, list(world.frames("s"))) == (503, [1])
        assert refused.headers["Retry-After"]
        assert waiting.result().status_code == 200


def test_frames_are_answered_while_a_session_is_being_scored(make_world, make_body):
    world = make_world(SCORING_PLACES="1", LANDMARKERS="1")
    statuses = []
    extract = world.maps.extract_saliencyMap

    def answer_frames_first(*args, **kwargs):
        if not statuses:  # the thread that scores waits for these frames
            statuses.extend(
                world.post(make_body(session_id="other", frame_number=number)).status_code for number in range(1, 21)
            )
        return extract(*args, **kwargs)

    world.maps.extract_saliencyMap = answer_frames_first
    scored = world.post(make_body(session_id="s", frame_number=1, last_frame=True))

    assert (statuses, scored.status_code) == ([200] * 20, 200)
