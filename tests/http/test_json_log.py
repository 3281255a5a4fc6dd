"""The log of the real server with LOG_FORMAT=json: every line of its output is a JSON object."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from func.log_lines import SessionHash
from tests.http.image_files import as_base64, make_image
from tests.running import FUNCTIONS_FRAMEWORK, ROOT, run_function, serve_upstream

SESSION, ADDRESS = "5f0c6a3e-0000-5000-8000-000000000001", "203.0.113.7"
KEY = "0123456789abcdef0123456789abcdef"


def read_lines(text):
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    return lines


def make_frame(number, *, image=None, **more):
    return {
        "session_id": SESSION,
        "video_id": "contents1",
        "ip_address": ADDRESS,
        "frame_number": number,
        "frame": as_base64(make_image() if image is None else image),
        **more,
    }


@pytest.mark.slow
def test_from_start_to_stop_every_line_is_json_and_none_has_data_of_the_viewer(tmp_path):
    image = make_image()
    scan = image.index(b"\xff\xda") + 500
    damaged = image[:scan] + b"\x55" * 3000 + image[scan + 3000 :]
    settings = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG", "GUNICORN_LOG_LEVEL": "debug", "LANDMARKERS": "1"}

    with serve_upstream() as upstream, run_function(upstream, tmp_path, **settings) as running:
        bodies = [
            make_frame(1),
            make_frame(2, image=damaged),
            make_frame(0),
            {**make_frame(3), "frames": [{"frame_number": 3, "frame": "!"}], "frame": None, "frame_number": None},
        ]
        for number, body in enumerate(bodies):
            headers = {"X-Request-Id": f"gw-{number}"}
            assert requests.post(running.url("/gaze"), json=body, headers=headers, timeout=60).headers[
                "X-Request-Id"
            ] == (f"gw-{number}")
        last = requests.post(
            running.url("/gaze"), json={**make_frame(4), "last_frame": True, "frame": None}, timeout=60
        )
        requests.get(running.url("/nothing"), timeout=60)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(120)

    text = running.log_path.read_text()
    lines = read_lines(text)
    events = [line["event"] for line in lines]
    assert last.status_code in {200, 502, 504}
    assert {"models loaded", "frame answered", "request failed", "native output"} <= set(events)
    assert not re.search(rf"{SESSION}|{re.escape(ADDRESS)}|{re.escape(as_base64(image)[:40])}", text)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    (frame,) = [line for line in lines if line["event"] == "frame answered" and line["request_id"] == "gw-0"]
    assert (frame["frame"], frame["status"], frame["validity"]) == (1, 200, ["no_face"])
    assert {"parse", "decode", "detect", "store"} <= frame["stages_ms"].keys()
    assert "gaze" not in frame


@pytest.mark.parametrize("setting", [{"MONGO_URI": ""}, {"LOG_LEVEL": "x"}, {"GAZE_MODEL": "/nowhere.joblib"}])
def test_a_process_that_cannot_start_says_so_in_one_json_line(setting):
    environ = {**os.environ, "MONGO_URI": "mongodb://localhost", "LOG_FORMAT": "json", **setting}

    done = subprocess.run(FUNCTIONS_FRAMEWORK, env=environ, capture_output=True, text=True, check=False)

    (line,) = read_lines(done.stdout + done.stderr)
    assert done.returncode == 1
    assert (line["event"], line["level"]) == ("cannot start", "critical")
    assert line["detail"].startswith(f"gaze-function cannot start: {next(iter(setting))} ")


@pytest.mark.slow
def test_a_crash_in_c_code_is_one_json_line(tmp_path):
    with (
        serve_upstream() as upstream,
        run_function(upstream, tmp_path, LOG_FORMAT="json", LANDMARKERS="1") as running,
    ):
        pid = running.process.pid
        (worker,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        os.kill(worker, signal.SIGSEGV)
        deadline_s = time.monotonic() + 120
        while "process crashed" not in running.log_path.read_text() and time.monotonic() < deadline_s:
            time.sleep(0.1)

    (crash,) = [line for line in read_lines(running.log_path.read_text()) if line["event"] == "process crashed"]
    assert crash["trace"].startswith("Fatal Python error: Segmentation fault")
    assert "server.py" in crash["trace"]


PROGRAM = """
import asyncio, logging, sys, threading, warnings
from func.log_lines import JsonFormatter, write_json_lines
logging.basicConfig()
write_json_lines(JsonFormatter())
library = logging.getLogger("library")
library.propagate = False
library.addHandler(logging.StreamHandler(sys.stdout))
library.handlers[0].setFormatter(logging.Formatter("%(message)s\\nmore"))
library.error("said by %s", "a library")
warnings.warn("beware")
thread = threading.Thread(target=lambda: {}["viewer:7"])
thread.start()
thread.join()
class Broken:
    def __del__(self):
        raise ValueError("viewer:7")
Broken()
try:
    [][1]
except IndexError:
    logging.exception("text with\\na line feed")
raise OSError("in\\nuse")
"""


def test_lines_of_libraries_warnings_and_uncaught_errors_are_json():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)

    (library,) = read_lines(done.stdout)
    lines = read_lines(done.stderr)
    assert (library["event"], library["logger"], library["level"]) == ("said by a library", "library", "error")
    assert [line["event"].split(":")[0] for line in lines] == [
        "<string>", "thread ended", "error ignored", "text with\na line feed", "process ends",
    ]  # fmt: skip
    assert lines[-1]["detail"] == "in\nuse"
    assert re.match(r"IndexError at .*<string>:\d+ <module>$", lines[3]["trace"])
    assert "viewer:7" not in done.stderr


def test_the_hash_of_a_session_depends_on_the_key_and_is_the_same_in_every_process_with_it():
    first, again, other = SessionHash([KEY.encode()]), SessionHash([KEY.encode()]), SessionHash([b"x" * 32])

    assert first(SESSION) == again(SESSION) == "ba5866f3662238a4"
    assert other(SESSION) != first(SESSION)
    assert first("another") != first(SESSION)


def test_without_a_key_the_hash_differs_from_process_to_process():
    assert SessionHash()(SESSION) != SessionHash()(SESSION)
