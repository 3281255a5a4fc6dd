"""Eight viewers end together, and each has lost a frame: with the default settings nobody waits for the others."""

import base64
import threading
import time

import cv2
import pytest
import requests

from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from tests.faults.reliability_rows import Row, keep_rows

VIEWERS = 8
FRAMES = 30
LOST_FRAME = 15
MAX_DURATION_S = 13.0
"""The wait for the lost frame takes 10 s of them."""
ROUNDS = 3
"""A machine that is busy with something else only adds to the duration, so the fastest round counts."""


class Viewer(threading.Thread):
    """Ends a session; repeats as the documents ask."""

    def __init__(self, function_url, number, turn):
        super().__init__(daemon=True)
        self.session_id = f"viewer-{number}-{turn}"
        self.fields = {
            "session_id": self.session_id,
            "video_id": SAMPLE_VIDEO_ID,
            "ip_address": f"203.0.113.{number}",
            "frame_number": FRAMES + 1,
            "last_frame": True,
        }
        self.statuses = []
        self.duration_s = None
        self._url = f"{function_url}/gaze"

    def run(self):
        started_s = time.monotonic()
        while True:
            response = requests.post(self._url, json=self.fields, timeout=60)
            self.statuses.append(response.status_code)
            if response.status_code != 503:
                break
            time.sleep(float(response.headers["Retry-After"]))
        self.duration_s = time.monotonic() - started_s
        self.result = response.json().get("result")


def read_first_image():
    video = cv2.VideoCapture(str(SAMPLE / "clip.mp4"))
    _, pixels = video.read()
    video.release()
    return base64.b64encode(cv2.imencode(".jpg", pixels)[1].tobytes()).decode()


def store_frames(session_api_url, viewer, record):
    """Store all frames of a viewing but one, which takes less time than to detect them."""
    fields = {name: viewer.fields[name] for name in ("session_id", "ip_address", "video_id")}
    requests.post(f"{session_api_url}/mk-session", json=fields, timeout=60).raise_for_status()
    records = {
        str(number): {**record, "video_time_ms": 40.0 * number}
        for number in range(1, FRAMES + 1)
        if number != LOST_FRAME
    }
    update = {"component": "gaze_tracking", "data": {"components": {"gaze_tracking": records}}}
    url = f"{session_api_url}/update_session/{viewer.session_id}"
    requests.put(url, json=update, timeout=60).raise_for_status()


def end_together(function_url, session_api_url, turn):
    """Let eight new viewers end their sessions at the same time; return them."""
    viewers = [Viewer(function_url, number, turn) for number in range(VIEWERS)]
    first = {**viewers[0].fields, "session_id": f"first-{turn}", "frame_number": 1, "last_frame": False}
    image = read_first_image()
    requests.post(f"{function_url}/gaze", json={**first, "frame": image}, timeout=60).raise_for_status()
    session = requests.get(f"{session_api_url}/get_session/first-{turn}", timeout=60).json()
    for viewer in viewers:
        store_frames(session_api_url, viewer, session["components"]["gaze_tracking"]["1"])
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join(120)
    return viewers


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_eight_viewers_who_end_together_with_a_lost_frame_each_are_done_within_thirteen_seconds(tmp_path):
    with start_upstream_services(tmp_path) as upstream:
        seed_sample_maps(upstream, count_frames(str(SAMPLE / "video.mp4")))
        with start_function(upstream, tmp_path) as url:
            viewers, rounds_s = [], []
            while len(rounds_s) < ROUNDS and min(rounds_s, default=MAX_DURATION_S) >= MAX_DURATION_S:
                together = end_together(url, upstream.session_api_url, len(rounds_s))
                viewers += together
                rounds_s.append(max(viewer.duration_s for viewer in together))

    slowest_s = min(rounds_s)
    good = sum(viewer.statuses[-1] == 200 for viewer in viewers)
    keep_rows(
        "7-end-together",
        [Row("eight viewers end together, a frame lost each", 1, good, len(viewers) - good, 0, slowest_s)],
    )
    assert {tuple(viewer.statuses) for viewer in viewers} == {(200,)}
    assert {viewer.result["frames"]["received"] for viewer in viewers} == {FRAMES - 1}
    assert slowest_s < MAX_DURATION_S, rounds_s
