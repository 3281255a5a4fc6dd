"""MediaPipe sends nothing over the network, according to its system calls.

MediaPipe's library sends usage reports when a landmarker is closed and with the first frame after a minute. The tests
without our block show that these tests would notice that. Requires the Debian package strace.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "models" / "face_landmarker.task"

SCRIPT = """
import os, sys, time
from pathlib import Path
import numpy as np
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker, load_mediapipe

bundle, is_blocked, pause_s = sys.argv[1:]
load_mediapipe()
if is_blocked == "no":
    del os.environ["HTTPS_PROXY"], os.environ["https_proxy"]
landmarker = MediapipeFaceLandmarker(Path(bundle), landmarkers=1, wait_s=1)
for _ in range(25):
    landmarker.detect(np.zeros((48, 64, 3), np.uint8))
if float(pause_s):
    time.sleep(float(pause_s))
    landmarker.detect(np.zeros((48, 64, 3), np.uint8))
else:
    landmarker.close()
sys.stdin.read()
"""

CALL = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(")
ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
CLOSED_PORT = ("127.0.0.1", 9)
PATIENCE_S = 180.0
"""For the first contact, which takes a moment."""
LATER_S = 1.0
"""For other contacts after that."""


def find_destinations(tmp_path, *, is_blocked, pause_s=0.0, environment=()):
    """Return the internet addresses and ports to which a process connected or sent while it found faces."""
    if shutil.which("strace") is None:
        pytest.fail("this test needs strace: Debian package strace")
    log = tmp_path / "calls"
    process = [sys.executable, "-c", SCRIPT, BUNDLE, "yes" if is_blocked else "no", str(pause_s)]
    with subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-s", "256", "-o", log, *process],
        env={**os.environ, **dict(environment)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
    ) as traced:
        deadline_s = time.monotonic() + pause_s + PATIENCE_S
        while not (log.exists() and read_destinations(log)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        time.sleep(LATER_S)
    assert traced.returncode == 0
    return read_destinations(log)


def read_destinations(log):
    calls = [line for line in log.read_text().splitlines() if CALL.search(line)]
    return {(address, int(port)) for line in calls for port, address in ADDRESS.findall(line)}


def test_closing_a_landmarker_contacts_only_the_closed_port(tmp_path):
    assert find_destinations(tmp_path, is_blocked=True) == {CLOSED_PORT}


@pytest.mark.slow
def test_without_the_block_closing_a_landmarker_resolves_a_name(tmp_path):
    assert 53 in {port for _, port in find_destinations(tmp_path, is_blocked=False)}


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_proxy_exceptions_in_the_environment_do_not_disable_the_block(tmp_path, variable):
    assert find_destinations(tmp_path, is_blocked=True, environment={variable: "*"}.items()) == {CLOSED_PORT}


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_in_the_environment_is_not_used(tmp_path, variable):
    proxy = {variable: "http://127.0.0.1:8118"}

    assert find_destinations(tmp_path, is_blocked=True, environment=proxy.items()) == {CLOSED_PORT}


@pytest.mark.slow
def test_a_frame_after_a_minute_contacts_only_the_closed_port(tmp_path):
    assert find_destinations(tmp_path, is_blocked=True, pause_s=61) == {CLOSED_PORT}


@pytest.mark.slow
def test_without_the_block_a_frame_after_a_minute_resolves_a_name(tmp_path):
    assert 53 in {port for _, port in find_destinations(tmp_path, is_blocked=False, pause_s=61)}
