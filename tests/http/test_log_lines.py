"""The log: rate limit per event, and output of C libraries."""

import json
import logging
import re
import subprocess
import sys

import pytest
import requests

from func.log_lines import FRAME_LOGGER, REQUEST_LOGGER, SESSION_LOGGER, Event, JsonFormatter, RateLimit, set_levels
from tests.fakes.clock import FakeClock
from tests.http.image_files import make_image
from tests.running import run_function, serve_upstream


def make_logger(name):
    clock, lines, suppressed = FakeClock(), [], []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    handler.addFilter(RateLimit(lambda: suppressed.append(1), lines_per_second=2, clock=clock))
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel("INFO")
    return logger, clock, lines, suppressed


def test_lines_per_event_are_limited_and_the_next_line_counts_the_suppressed_ones():
    logger, clock, lines, suppressed = make_logger("test.rate")
    for number in range(5):
        logger.info("request %d failed", number)
    logger.info("another event, 100 %")
    clock.now_s = 1.0
    logger.info("request %d failed", 6)
    logger.info("request %d failed", 7)

    assert lines == [
        "request 0 failed",
        "request 1 failed",
        "another event, 100 %",
        "request 6 failed suppressed_lines=3",
        "request 7 failed",
    ]
    assert len(suppressed) == 3


def test_each_level_and_logger_is_a_separate_event():
    logger, _, lines, _ = make_logger("test.levels")
    for level in (logging.INFO, logging.WARNING):
        for _ in range(3):
            logger.log(level, "same")

    assert lines == ["same"] * 4


def test_a_value_cannot_forge_a_line_of_text():
    text = str(
        Event("request failed", detail="a\r\n2026 CRITICAL forged\x1b[2J\x85\u2028", each=["b\nc"], more={"d": "e\nf"})
    )

    assert text == (r"request failed: detail=a\r\n2026 CRITICAL forged\x1b[2J\x85\u2028 each=b\nc more=d:e\nf")


def test_a_library_whose_arguments_do_not_fit_still_has_its_line_in_json():
    record = logging.makeLogRecord({"msg": "sent %d of %d", "args": ("viewer",), "name": "library"})

    assert json.loads(JsonFormatter().format(record))["event"] == "sent %d of %d"


@pytest.fixture
def levels():
    """Set levels of the loggers of requests; return whether each logs at level INFO. Restores them."""
    loggers = [logging.getLogger(name) for name in ("func", REQUEST_LOGGER, FRAME_LOGGER, SESSION_LOGGER)]
    before = [logger.level for logger in loggers]

    def set_and_ask(log_level, log_frames):
        set_levels(log_level, log_frames)
        return {
            name
            for name, logger in zip(("failed", "frames", "sessions"), loggers[1:], strict=True)
            if logger.isEnabledFor(logging.INFO)
        }

    yield set_and_ask
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("log_level", "log_frames", "logged"),
    [
        ("INFO", "errors", {"failed", "sessions"}),
        ("INFO", "all", {"failed", "sessions", "frames"}),
        ("INFO", "none", set()),
        ("DEBUG", "errors", {"failed", "sessions", "frames"}),
        ("DEBUG", "none", set()),
        ("WARNING", "all", set()),
    ],
)
def test_which_requests_are_logged(levels, log_level, log_frames, logged):
    assert levels(log_level, log_frames) == logged


@pytest.mark.slow
def test_a_damaged_image_writes_no_line_of_a_library_to_the_log(tmp_path):
    image = make_image()
    scan = image.index(b"\xff\xda") + 500
    damaged = image[:scan] + b"\x55" * 3000 + image[scan + 3000 :]
    metadata = '{"session_id": "s", "video_id": "v", "ip_address": "::1", "frame_number": 1}'

    with serve_upstream() as upstream, run_function(upstream, tmp_path, LANDMARKERS="1") as running:
        files = {"metadata": (None, metadata, "application/json"), "frame": ("a.jpg", damaged)}
        requests.post(running.url("/gaze"), files=files, timeout=60)

    lines = running.log_path.read_text().splitlines()
    assert [line for line in lines if not re.match(r"\d{4}-\d\d-\d\d .* (INFO|WARNING) func\.", line)] == []


PROGRAM = """
import logging, os, sys, threading
logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level={level!r})
from func.web.native_output import divert_native_output
divert_native_output()
os.write(2, b"Corrupt JPEG data: premature end of data segment\\n\\nhalf a ")
os.write(2, b"line\\n")
logging.getLogger("func").warning("ours")
sys.stderr.write("said by Python\\n")
os.close(2)
for thread in threading.enumerate():
    if thread.name == "native-output":
        thread.join()
"""


def run(level):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines())


def test_output_of_c_libraries_is_logged_at_level_debug():
    assert run("INFO") == {"WARNING func ours", "said by Python"}
    assert run("DEBUG") == {
        "WARNING func ours",
        "said by Python",
        "DEBUG func.native native output: line=Corrupt JPEG data: premature end of data segment",
        "DEBUG func.native native output: line=half a line",
    }
