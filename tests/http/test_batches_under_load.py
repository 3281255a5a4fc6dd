"""Several frames in one request share landmarkers with other requests, and end in time."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from func.deadline import limit_calls
from func.session_token import Viewing, sign_viewing
from tests.fakes.clock import FakeClock
from tests.http.asgi_client import find_loop
from tests.http.image_files import as_base64, make_image
from tests.http.test_batches import IMAGE, VIEWING, batch, frames

KEY = "0123456789abcdef0123456789abcdef"
UNHURRIED = {"LANDMARKER_WAIT_S": "60", "REQUEST_TIMEOUT_S": "120"}
"""Settings of tests in which nothing is refused, however busy the machine is."""


@pytest.mark.parametrize(("landmarkers", "at_once"), [(1, 1), (2, 2), (3, 3)])
def test_the_frames_of_a_request_use_every_landmarker(make_world, landmarkers, at_once):
    world = make_world(LANDMARKERS=str(landmarkers), **UNHURRIED)
    most, now, lock, all_work = 0, 0, threading.Lock(), threading.Event()
    detect = world.landmarker.detect

    def count(frame):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        if most == at_once:
            all_work.set()
        all_work.wait(60)
        time.sleep(0.01)  # one more than there may be would come now
        with lock:
            now -= 1
        return detect(frame)

    world.landmarker.detect = count

    world.post(batch(frames(*range(1, 10))))

    assert most == at_once


def test_a_single_frame_waits_for_one_frame_of_a_batch_and_not_for_all(make_world, make_body):
    world = make_world(LANDMARKERS="1", **UNHURRIED)
    world.landmarker.hold = threading.Event()
    other = as_base64(make_image(width_px=320, height_px=240))
    with ThreadPoolExecutor(2) as clients:
        many = clients.submit(world.post, batch(frames(*range(1, 9))))
        world.landmarker.is_held.wait(60)
        one = clients.submit(world.post, make_body(session_id="single", frame=other))
        while b'gaze_queue_length{stage="detect"} 1.0' not in world.metrics.render():
            time.sleep(0.005)
        world.landmarker.hold.set()

        assert (many.result().get_json()["status"], one.result().status_code) == ("success", 200)
    assert world.landmarker.seen_shapes.index((240, 320, 3)) == 1


def test_frames_that_would_take_too_long_are_503_and_the_others_are_stored(make_world, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("func.web.frames.limit_calls", partial(limit_calls, clock=clock))
    world = make_world(LANDMARKERS="1", REQUEST_TIMEOUT_S="2")
    detect = world.landmarker.detect
    world.landmarker.detect = lambda frame: clock.advance(0.4) or detect(frame)

    response = world.post(batch(frames(*range(1, 9))))

    answer = response.get_json()
    assert (response.status_code, answer["status"]) == (200, "partial")
    # A detection begins in the first half of the time: at 0, 0.4 and 0.8 s.
    assert sorted(world.frames("s")) == [1, 2, 3]
    assert [frame["status"] for frame in answer["frames"]] == ["success"] * 3 + [503] * 5
    assert all(frame["retry_after_s"] >= 1 for frame in answer["frames"][3:])
    assert "Retry-After" not in response.headers
    repeated = world.post(batch(frames(4))).get_json()
    assert repeated["status"] == "success"


def test_a_batch_of_which_nothing_fits_is_a_503_with_retry_after(make_world, make_body):
    # Large requests wait for a landmarker before their frames are known.
    small = as_base64(make_image(width_px=32, height_px=24))
    world = make_world(LANDMARKERS="1", LANDMARKER_WAIT_S="0.1")
    world.landmarker.hold = threading.Event()
    with ThreadPoolExecutor(2) as clients:
        one = clients.submit(world.post, make_body(session_id="single"))
        world.landmarker.is_held.wait(60)

        refused = world.post(batch(frames(1, 2, frame=small)))
        world.landmarker.hold.set()

        assert one.result().status_code == 200
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert [frame["status"] for frame in refused.get_json()["frames"]] == [503, 503]
    assert b'gaze_shed_total{reason="DetectionBusyError"} 2.0' in world.metrics.render()


def test_a_body_over_the_limit_is_refused_as_a_whole(make_world):
    world = make_world(MAX_BODY_BYTES="100000")

    response = world.post(batch(frames(*range(1, 6))))

    assert response.status_code == 413
    assert "frames" not in response.get_json()


def test_the_pixel_limit_is_that_of_each_image(make_world):
    world = make_world(MAX_IMAGE_PIXELS=str(640 * 480))
    entries = frames(1, 2)
    entries[1]["frame"] = as_base64(make_image(width_px=648, height_px=480))

    assert [frame["status"] for frame in world.post(batch(entries)).get_json()["frames"]] == ["success", 413]


def test_one_session_token_is_enough_for_all_frames(make_world):
    world = make_world(SESSION_TOKEN_KEYS=KEY)
    token = sign_viewing(KEY.encode(), Viewing("s", VIEWING["ip_address"], VIEWING["video_id"], 1_767_225_600_000))

    accepted = world.post(batch(frames(1, 2), session_token=token))
    refused = world.post(batch(frames(3, 4)))

    assert accepted.get_json()["status"] == "success"
    assert all(record["viewing_start_ms"] == 1_767_225_600_000 for record in world.frames("s").values())
    assert (refused.status_code, sorted(world.frames("s"))) == (401, [1, 2])


def test_a_frame_of_another_viewing_under_the_same_id_is_a_409_of_its_own(make_world):
    world = make_world(SESSION_TOKEN_KEYS=KEY)
    tokens = [
        sign_viewing(KEY.encode(), Viewing("s", VIEWING["ip_address"], VIEWING["video_id"], start_ms))
        for start_ms in (1_767_225_600_000, 1_767_225_700_000)
    ]
    world.post(batch(frames(1), session_token=tokens[0]))

    answer = world.post(batch(frames(1, 2), session_token=tokens[1])).get_json()

    assert [frame["status"] for frame in answer["frames"]] == [409, "success"]
    assert answer["frames"][0]["type"] == "/problems/other-viewing"


def test_frames_of_a_client_that_is_gone_are_stored_if_they_were_begun(make_world):
    world = make_world(LANDMARKERS="1")
    world.landmarker.hold = threading.Event()
    body = json.dumps(batch([{"frame_number": number, "frame": IMAGE} for number in (1, 2, 3)])).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if messages:
            return messages.pop(0)
        while not world.landmarker.is_held.is_set():
            await asyncio.sleep(0.005)
        asyncio.get_running_loop().call_later(0.05, world.landmarker.hold.set)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/gaze", "headers": headers, "client": ("127.0.0.1", 1)}
    running = asyncio.run_coroutine_threadsafe(world.handler(scope, receive, send), find_loop())
    running.result(60)

    assert sent == []
    assert sorted(world.frames("s")) == [1]
    assert b"gaze_clients_gone_total 1.0" in world.metrics.render()
