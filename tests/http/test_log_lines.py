"""The log: rate limit per event, and output of C libraries."""

import logging
import subprocess
import sys

from func.web.log_lines import RateLimit


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def make_logger(name):
    clock, lines, suppressed = Clock(), [], []
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
        [sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stderr.splitlines())


def test_output_of_c_libraries_is_logged_at_level_debug():
    assert run("INFO") == {"WARNING func ours", "said by Python"}
    assert run("DEBUG") == {
        "WARNING func ours",
        "said by Python",
        "DEBUG func.native Corrupt JPEG data: premature end of data segment",
        "DEBUG func.native half a line",
    }
