"""Calibrations that the gateway keeps for viewers who come back."""

import csv
import json

import pytest
import requests

from gaze_tools.sample_clip import SAMPLE

pytestmark = pytest.mark.slow

RECORDING = SAMPLE / "recording"
SETUP = json.loads((RECORDING / "recording.json").read_text())


def post(services, metadata, images=()):
    parts = [("metadata", (None, json.dumps({**metadata, **SETUP}), "application/json"))]
    parts += [("frame", ("frame", image, "image/jpeg")) for image in images]
    answer = requests.post(f"{services.page_url}/gaze", files=parts, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


def calibrate(services):
    """Calibrate with the images of the sample person; return the session and its calibration."""
    started = requests.post(f"{services.page_url}/api/viewings", json={"video_id": "calibration"}, timeout=60).json()
    session = {name: started[name] for name in ("session_id", "video_id")}
    with (RECORDING / "targets.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "calibration"]
    for first in range(0, len(rows), 12):
        part = rows[first : first + 12]
        frames = [
            {"frame_number": first + place, "calibration_target": [float(row["x"]), float(row["y"])]}
            for place, row in enumerate(part, start=1)
        ]
        post(
            services,
            {**session, "frames": frames},
            [(RECORDING / "frames" / row["frame"]).read_bytes() for row in part],
        )
    ended = post(services, {**session, "frame_number": len(rows) + 1, "last_frame": True})
    return session, ended["result"]["calibration"]


def test_an_expired_calibration_corrects_again(services):
    session, calibration = calibrate(services)
    assert calibration["used"]
    stored = f"{services.upstream.session_api_url}/sessions/{session['session_id']}"
    assert requests.delete(stored, timeout=60).status_code == 200

    revived = requests.post(f"{services.page_url}/api/calibrations/{session['session_id']}", timeout=60)

    assert revived.status_code == 200
    viewing = {"session_id": "viewing-of-a-returned-viewer", "video_id": "sample", "frame_number": 1}
    image = (RECORDING / "frames" / "0001.jpg").read_bytes()
    answer = post(services, {**viewing, "calibration_session": session["session_id"]}, [image])
    assert answer["calibrated"]


def test_a_calibration_that_was_never_kept_is_unknown(services):
    answer = requests.post(f"{services.page_url}/api/calibrations/nothing", timeout=60)

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_calibrations_are_not_listed_as_sessions(services):
    session, _ = calibrate(services)
    listed = requests.get(f"{services.page_url}/api/sessions", timeout=60).json()["sessions"]

    assert session["session_id"] not in [each["session_id"] for each in listed]


@pytest.mark.parametrize(("video_id", "is_reserved"), [("sample", True), ("calibration", True), ("check", False)])
def test_a_viewing_outlives_a_long_pause(services, video_id, is_reserved):
    started = requests.post(f"{services.page_url}/api/viewings", json={"video_id": video_id}, timeout=60).json()
    listed = requests.get(f"{services.upstream.session_api_url}/sessions", timeout=60).json()["sessions"]
    left_s = [each["left_s"] for each in listed if each["session_id"] == started["session_id"]]

    assert [each > 5 * 3600 for each in left_s] == ([True] if is_reserved else [])
