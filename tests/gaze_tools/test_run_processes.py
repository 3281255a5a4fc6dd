"""`gaze run`, `gaze demo` and `gaze serve` as processes of their own, with everything that they start."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import requests

from gaze_tools.film import read_times
from gaze_tools.sample_clip import SAMPLE
from gaze_tools.session.export_file import ExportedSessions
from gaze_tools.stack.processes import find_free_ports
from tests.docs.test_links import ROOT

GAZE = [sys.executable, "-m", "gaze_tools.cli"]
NO_PROXY_THERE = "http://127.0.0.1:9"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    # All commands work in the shell of somebody behind a proxy, and of an operator with settings of a cluster.
    **dict.fromkeys(("HTTP_PROXY", "http_proxy", "OUTBOUND_PROXY"), NO_PROXY_THERE),
    "NO_PROXY": "",
    "no_proxy": "",
    "MONGO_DATABASE": "elsewhere",
}
FILM, CLIP = str(SAMPLE / "video.mp4"), str(SAMPLE / "clip.mp4")
KNOWN = ("--fov-deg", "50")  # the sample's camera

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def gaze(*arguments, cwd):
    """Run a command to its end and return its output."""
    done = subprocess.run(
        [*GAZE, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


@contextlib.contextmanager
def started(*arguments, cwd, until):
    """Start a command and yield it once its output contains a text."""
    output = cwd / f"output-{time.monotonic_ns()}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*GAZE, *map(str, arguments)],
            cwd=cwd,
            env=ENVIRONMENT,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Shells ignore it in background jobs, and processes inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  no threads
        )
    try:
        deadline = time.monotonic() + 120
        while until not in output.read_text():
            assert process.poll() is None, process.communicate()[1] + output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def children_of(process):
    """Return the process ids of a process's children."""
    listed = subprocess.check_output(["ps", "-e", "-o", "pid=,ppid="], text=True)
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [pid for pid, parent in pairs if parent == process.pid]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The directory of one run with the sample."""
    folder = tmp_path_factory.mktemp("run")
    overlay = ("--overlay", folder / "out" / "gaze.mp4")
    gaze("run", FILM, "--viewer", CLIP, *KNOWN, "--out", folder / "out", *overlay, cwd=folder)
    return folder / "out"


class TestRun:
    def test_the_score_is_that_of_the_demo(self, out, tmp_path):
        # The demo's maps are smaller, 240×135 instead of 480×270, so a point of gaze at their edges may differ.
        said = gaze("demo", "--out", tmp_path, cwd=tmp_path)
        demo_score = float(re.search(r"final score │ ([0-9.]+) of 100", said)[1])

        result = json.loads((out / "result.json").read_text())

        assert result["frames"]["scored"] == 185
        assert result["final_score"] == pytest.approx(demo_score, abs=2)

    def test_report_result_session_and_traces_are_there(self, out):
        page = (out / "report.html").read_text()
        exported = ExportedSessions(out / "session.json")
        session = exported.get_session(exported.header.session_id)

        assert "185 of 200 expected frames were scored." in page
        assert session.settings["result"] == json.loads((out / "result.json").read_text())
        assert session.frames[3]["video_time_ms"] == session.frames[3]["timestamp_ms"] == 100.0
        assert {"trace.csv", "fixations.csv", "gaze_over_time.png", "heat_map.svg"} <= {p.name for p in out.iterdir()}

    def test_the_overlay_is_the_film_with_the_gaze(self, out):
        assert read_times(out / "gaze.mp4").starts_s.size == 200
        assert '<a href="gaze.mp4" download>' in (out / "report.html").read_text()

    def test_a_clip_that_began_before_the_film_is_shifted(self, tmp_path):
        said = gaze(
            *("run", FILM, "--viewer", CLIP, *KNOWN, "--offset", "-2", "--every", "5", "--out", tmp_path / "out"),
            cwd=tmp_path,
        )

        result = json.loads((tmp_path / "out/result.json").read_text())
        assert result["frames"]["expected"] == 160
        assert "Left out of the clip: 2.0 s before the film begins" in said

    def test_a_calibration_folder_is_used(self, tmp_path):
        folder = ROOT / "tests/research/recording"

        said = gaze(
            *("run", FILM, "--viewer", CLIP, "--calibrate", folder, "--every", "20", "--out", tmp_path / "out"),
            cwd=tmp_path,
        )

        result = json.loads((tmp_path / "out/result.json").read_text())
        assert result["calibration"]["dots"] == 5
        assert result["calibration"]["used"]
        assert "Calibration: 5 targets," in said
        exported = ExportedSessions(tmp_path / "out/session.json")
        name = exported.get_session(exported.header.session_id).frames[1]["calibration_session"]
        assert all("target" in record for record in exported.get_session(name).frames.values())


class TestDemo:
    def test_without_a_film_there_is_gaze_but_no_score(self, tmp_path):
        said = gaze("demo", "--video", CLIP, "--out", tmp_path / "out", cwd=tmp_path)

        assert "There is no score, because the film that the person watches is not known" in said
        assert "185 of 200 frames have a usable gaze." in said
        assert "final score" not in said
        assert (tmp_path / "out/gaze_on_screen.png").stat().st_size > 1000
        assert (tmp_path / "out/trace.png").stat().st_size > 1000


class TestCtrlC:
    @pytest.mark.parametrize(
        ("arguments", "until"),
        [
            (["run", FILM, "--viewer", CLIP], "Starting"),
            (["run", FILM, "--viewer", CLIP], "frames "),
            (["demo", "--video", CLIP], "Starting"),
            (["serve", "--port", "0"], "Starting"),
        ],
    )
    def test_one_line_status_130_and_no_process_left(self, tmp_path, arguments, until):
        with started(*arguments, cwd=tmp_path, until=until) as process:
            while not (children := children_of(process)):
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            _, errors = process.communicate(timeout=60)

        assert (process.returncode, errors.strip().splitlines()[-1:]) == (130, ["Interrupted."])
        assert "Traceback" not in errors
        assert not [pid for pid in children if is_running(pid)]

    def test_serve_ends_without_an_error_once_it_is_ready(self, tmp_path):
        with started("serve", "--port", "0", cwd=tmp_path, until="export AGGREGATOR_URL") as process:
            children = children_of(process)
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)

        assert (process.returncode, errors) == (0, "")
        assert len(children) == 5  # function, session API, aggregator, database, gateway of the studio
        assert not [pid for pid in children if is_running(pid)]


class TestServe:
    @pytest.fixture
    def port(self):
        return find_free_ports(4)[0]

    def test_a_shell_takes_the_addresses(self, tmp_path, port):
        lines = subprocess.check_output([*GAZE, "serve", "--port", str(port), "--print-exports"], env=ENVIRONMENT)

        shown = subprocess.check_output(
            ["sh", "-c", f'eval "$({" ".join(GAZE)} serve --port {port} --print-exports)"; echo "$MONGO_URI"'],
            env=ENVIRONMENT,
            text=True,
            cwd=tmp_path,
        )

        assert shown == f"mongodb://127.0.0.1:{port + 3}/?w=1&journal=true&directConnection=true\n"
        assert len(lines.splitlines()) == 4

    def test_data_survives_a_restart_even_after_a_kill(self, tmp_path, port):
        arguments = ("serve", "--port", port, "--data", tmp_path / "data", "--session-ttl-s", "3000")
        api = f"http://127.0.0.1:{port + 1}"
        ended = None
        for stop in (signal.SIGKILL, signal.SIGTERM):
            if ended:
                await_end(ended)
            with started(*arguments, cwd=tmp_path, until="export AGGREGATOR_URL") as process:
                if ended is None:
                    frame = (ROOT / "tests/research/recording/frames/0001.jpg").read_bytes()
                    for number in range(1, 4):
                        metadata = {"session_id": "s", "video_id": "sample", "ip_address": "a", "frame_number": number}
                        requests.post(
                            f"http://127.0.0.1:{port}/gaze",
                            files={"frame": frame, "metadata": (None, json.dumps(metadata), "application/json")},
                            timeout=60,
                        ).raise_for_status()
                (entry,) = requests.get(f"{api}/sessions", timeout=10).json()["sessions"]
                assert (entry["session_id"], entry["frames"]) == ("s", 3)
                assert entry["left_s"] > 2000
                ended = children_of(process)
                process.send_signal(stop)
                process.wait(60)

    def test_data_that_is_in_use_is_said(self, tmp_path, port):
        with started("serve", "--port", port, "--data", "data", cwd=tmp_path, until="export AGGREGATOR_URL"):
            second = subprocess.run(
                [*GAZE, "serve", "--port", "0", "--data", "data"],
                cwd=tmp_path,
                env=ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )

        assert second.returncode == 1
        assert "database is in use by another process" in " ".join(second.stderr.split())
        assert "Traceback" not in second.stderr


def await_end(pids):
    deadline = time.monotonic() + 60
    while [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
