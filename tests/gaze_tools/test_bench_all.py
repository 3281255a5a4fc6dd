import os
import subprocess
import sys

import pytest

from func.web.batch_request import parse_json_body
from func.web.request import parse_json_request
from gaze_tools.bench.frames import load_frames, make_batch_body
from gaze_tools.bench.load import function_settings
from gaze_tools.bench.names import name_size
from gaze_tools.bench.results import MeasuredQuantity, read_report
from gaze_tools.bench.session_growth import list_curves
from gaze_tools.bench.shares import find_shares
from gaze_tools.bench.start import read_memory


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_frames_have_the_size_that_was_asked_for(size):
    (frame,) = load_frames(size, 1)

    assert frame.image.shape == (size[1], size[0], 3)


def test_frames_differ():
    first, second = load_frames((640, 480), 2)

    assert (first.image != second.image).any()


def test_the_body_of_a_frame_is_a_request_with_its_jpeg():
    (frame,) = load_frames((640, 480), 1)

    parsed = parse_json_request(frame.make_body("bench", 3))

    assert (parsed.image, parsed.metadata.session_id, parsed.metadata.frame_number) == (frame.jpeg, "bench", 3)


def test_a_request_with_several_frames_has_their_jpegs_and_numbers():
    first, second = load_frames((640, 480), 2)

    parsed = parse_json_body(make_batch_body("bench", {3: first.jpeg, 4: second.jpeg}))

    assert [each.metadata.frame_number for each in parsed.frames] == [3, 4]
    assert [each.image for each in parsed.frames] == [first.jpeg, second.jpeg]


def test_a_size_is_named_by_width_and_height():
    assert name_size((640, 480)) == "640×480"


def test_litert_comes_with_the_model_as_onnx_as_in_the_lite_image():
    assert function_settings("litert")["GAZE_MODEL"].endswith("models/gaze_model.onnx")
    assert "GAZE_MODEL" not in function_settings("mediapipe")


def test_memory_is_that_of_a_process_and_its_children():
    script = "data = b'x' * 50_000_000; print('ready', flush=True); input()"
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    command = [sys.executable, "-c", program, script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        parent.stdout.readline()
        memory = read_memory(parent.pid)
        parent.communicate("\n")

    # Two interpreters share some of their pages.
    assert 52e6 < memory.worker_pss < 65e6
    assert memory.worker_pss + 2e6 < memory.total_pss < memory.worker_pss + 15e6


def run_bench(*arguments):
    subprocess.run([sys.executable, "-m", "gaze_tools.cli", "bench", *map(str, arguments)], check=True, timeout=1800)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_quick_run_measures_everything_and_no_frame_costs_less_than_its_networks(tmp_path):
    run_bench("all", "--quick", "--no-eyetrax", "--output", tmp_path, "--name", "quick")

    report = read_report(tmp_path / "quick.json")
    sections = {number.section for number in report.numbers}
    assert sections == {
        "frame 640×480",
        "start to first answered frame, and memory after 200 more",
        "load",
        "frames in a request, for each frame",
        *(["two processes on two cores"] if len(os.sched_getaffinity(0)) > 1 else []),
        "half load",
        "scoring of 600 frames, for each frame",
        "targets",
    }
    for engine in ("mediapipe", "litert"):
        cost = report.find("frame 640×480", f"image to gaze, {engine}", MeasuredQuantity.CPU_MS)
        assert report.find_ratios(cost)["bare networks"] > 1
        through_the_server = report.find("load", f"{engine}, 1 client", MeasuredQuantity.CPU_MS)
        assert report.find_ratios(through_the_server)["bare networks"] > 1
        assert 0.2 < sum(list(find_shares(report)[engine].values())[:-2]) < 1.1
    page = (tmp_path / "quick.md").read_text()
    assert page.count("\n| ---") == len(sections) + 1
    assert "**where the time goes**" in page


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_growth_has_a_curve_for_everything_that_grows(tmp_path):
    figure = tmp_path / "growth.png"

    run_bench(
        "growth", "--blocks", 1, "--max-frames", 100, "--max-sessions", 100, "--output", tmp_path, "--figure", figure
    )

    curves = list_curves(read_report(tmp_path / "growth.json"))
    assert {curve.size_name for curve in curves} == {
        "frames in the session",
        "parts stored",
        "pixels of the map",
        "sessions alive",
    }
    assert figure.stat().st_size > 10_000
