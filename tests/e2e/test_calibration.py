"""Calibrating and viewing through real processes: which one serves a request changes nothing."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

from gaze_core.gaze import direction_to, visual_angle_deg
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.sample_clip import SAMPLE, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.client import GazeClient
from gaze_tools.stack.launcher import start_function, start_neighbours

FRAMES = 200
VIEWED = range(61, 91)
"""Frames of the sample clip that are watched, none of which calibrates."""


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(str(SAMPLE / "clip.mp4"), FRAMES))


@pytest.fixture(scope="module")
def truth():
    return read_truth()


@pytest.fixture(scope="module")
def dots(truth):
    """Where the person in the clip looks for a while, as the dots of a calibration: pairs of dot and frame numbers."""
    found, run = [], []
    for frame in truth["frames"]:
        if run and np.hypot(frame["x"] - run[-1]["x"], frame["y"] - run[-1]["y"]) > 0.01:
            found.append(run)
            run = []
        run.append(frame)
    found.append(run)
    return [
        (
            [round(float(np.mean([frame[axis] for frame in run])), 3) for axis in ("x", "y")],
            [frame["frame_number"] for frame in run if frame["frame_number"] not in VIEWED][:12],
        )
        for run in found
        if len(run) >= 6 and all(0 <= frame[axis] <= 1 for frame in run for axis in ("x", "y"))
    ]


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    with start_neighbours(tmp_path_factory.mktemp("neighbours")) as running:
        seed_sample_maps(running, FRAMES)
        yield running


@pytest.fixture(scope="module")
def functions(neighbours, tmp_path_factory):
    """Two function processes that know nothing of each other."""
    log_dir = tmp_path_factory.mktemp("functions")
    with (
        start_function(neighbours, log_dir, name="first") as first,
        start_function(neighbours, log_dir, name="second") as second,
    ):
        yield first, second


@pytest.fixture(scope="module")
def new_gateway(functions):
    """Return gateways of one session, by default another one each time, to either function."""
    names = (f"calibration-{number}" for number in itertools.count(1))

    def make(function=0, session_id=None):
        gateway = GazeClient(functions[function], video_id="sample", ip_address="198.51.100.200")
        gateway.session_id = session_id or next(names)
        return gateway

    return make


def describe(truth):
    return {"screen": truth["screen"], "camera": truth["camera"]}


def find_looks(dots):
    return [(number, dot) for dot, numbers in dots for number in numbers]


@pytest.fixture(scope="module")
def calibrated(new_gateway, frames, truth, dots):
    """A session in which the person of the clip has calibrated, and the answer to its last frame."""
    gateway = new_gateway()
    for number, dot in find_looks(dots):
        gateway.post_frame(number, frames[number - 1], calibration_target=dot, **describe(truth))
    looks = len(find_looks(dots))
    return gateway.session_id, gateway.complete(FRAMES + 1, total_frames=looks).body["result"]["calibration"]


def watch(gateway, frames, truth, **fields):
    return [
        gateway.post_frame(number, frames[number - 1], **describe(truth), **fields).body["gaze"] for number in VIEWED
    ]


def test_the_order_and_the_process_of_the_dots_change_nothing(new_gateway, frames, truth, dots, calibrated):
    first = new_gateway(0)
    second = new_gateway(1, first.session_id)
    looks = find_looks(dots)
    random.Random(3).shuffle(looks)

    def post(job):
        gateway, (number, dot) = job
        gateway.post_frame(number, frames[number - 1], calibration_target=dot, **describe(truth))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, zip(itertools.cycle([first, second]), looks, strict=False)))
    told = [
        each.complete(FRAMES + 1, total_frames=len(looks)).body["result"]["calibration"] for each in (first, second)
    ]

    assert told == [calibrated[1]] * 2


def test_the_calibration_makes_nothing_worse(calibrated):
    told = calibrated[1]

    assert told["dots"] >= 5
    assert told["accuracy_deg"] <= told["generic_accuracy_deg"]


def test_the_aggregator_never_hears_of_a_calibration(neighbours, calibrated):
    deliveries = requests.get(f"{neighbours.aggregator_url}/results", timeout=10).json()["deliveries"]

    assert calibrated[0] not in {entry["session_id"] for entry in deliveries}


def test_either_process_gives_the_same_corrected_answers_and_the_score_says_so(
    neighbours, new_gateway, frames, truth, calibrated
):
    session_id, told = calibrated
    plain = watch(new_gateway(), frames, truth)
    first, second = new_gateway(0), new_gateway(1)

    answers = [watch(each, frames, truth, calibration_session=session_id) for each in (first, second)]
    results = [each.complete(VIEWED[-1] + 1, total_frames=len(VIEWED)).body["result"] for each in (first, second)]

    assert answers[0] == answers[1]
    assert (answers[0] != plain) == told["used"]
    assert results[0] == results[1]
    assert results[0]["calibration"]["accuracy_deg"] == told["accuracy_deg"]
    assert results[0]["frames"]["received"] == len(VIEWED)
    screen, camera = Screen(**truth["screen"]), Camera(**truth["camera"])
    assert find_error_deg(answers[0], truth, screen, camera) <= 1.05 * find_error_deg(plain, truth, screen, camera)


def find_error_deg(gazes, truth, screen, camera):
    """Return the mean angle between answers and where the person of the clip really looks."""
    errors = []
    for number, gaze in zip(VIEWED, gazes, strict=True):
        known = truth["frames"][number - 1]
        if gaze is not None:
            points = (GazePoint(gaze["x"], gaze["y"]), GazePoint(known["x"], known["y"]))
            errors.append(
                visual_angle_deg(*(direction_to(each, known["origin_mm"], screen, camera) for each in points))
            )
    return np.mean(errors)
