"""Calibration and viewing with real processes: any process can serve any request."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

from gaze_core.gaze import direction_to, visual_angle_deg
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.client import Frame, GazeClient
from gaze_tools.sample_clip import SAMPLE, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services

pytestmark = pytest.mark.slow

FRAMES = 200
VIEWED = range(61, 91)
"""Frames of the sample clip used for the viewing, not for the calibration."""


@pytest.fixture(scope="module")
def frames():
    return list(read_frames(str(SAMPLE / "clip.mp4"), FRAMES))


@pytest.fixture(scope="module")
def truth():
    return read_truth()


@pytest.fixture(scope="module")
def targets(truth):
    """Points that the person in the clip fixates, as calibration targets: pairs of a target and its frame numbers."""
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
def upstream(tmp_path_factory):
    with start_upstream_services(tmp_path_factory.mktemp("upstream")) as running:
        seed_sample_maps(running, FRAMES)
        yield running


@pytest.fixture(scope="module")
def functions(upstream, tmp_path_factory):
    """Two independent function processes."""
    log_dir = tmp_path_factory.mktemp("functions")
    with (
        start_function(upstream, log_dir, name="first") as first,
        start_function(upstream, log_dir, name="second") as second,
    ):
        yield first, second


@pytest.fixture(scope="module")
def new_session(functions, truth):
    """Return sessions, by default another one each time, at either function."""
    names = (f"calibration-{number}" for number in itertools.count(1))

    def make(function=0, session_id=None, calibration=None):
        return GazeClient(functions[function]).start_viewing(
            "sample",
            ip_address="198.51.100.200",
            session_id=session_id or next(names),
            calibration=calibration,
            screen=truth["screen"],
            camera=truth["camera"],
        )

    return make


def find_target_frames(targets):
    return [(number, target) for target, numbers in targets for number in numbers]


@pytest.fixture(scope="module")
def calibrated(new_session, frames, targets):
    """A session in which the person of the clip has calibrated, and the answer to its last frame."""
    session = new_session()
    session.send_batch(
        Frame(frames[number - 1], frame_number=number, fields={"calibration_target": target})
        for number, target in find_target_frames(targets)
    )
    return session.session_id, session.complete().result["calibration"]


def watch(session, frames):
    return [session.send(frames[number - 1], frame_number=number).body["gaze"] for number in VIEWED]


def test_the_order_and_the_process_of_the_targets_change_nothing(new_session, frames, targets, calibrated):
    first = new_session(0)
    second = new_session(1, first.session_id)
    target_frames = find_target_frames(targets)
    random.Random(3).shuffle(target_frames)

    def post(job):
        session, (number, target) = job
        session.send(frames[number - 1], frame_number=number, calibration_target=target)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, zip(itertools.cycle([first, second]), target_frames, strict=False)))
    reported = [
        each.complete(frame_number=FRAMES + 1, total_frames=len(target_frames)).result["calibration"]
        for each in (first, second)
    ]

    assert reported == [calibrated[1]] * 2


def test_the_calibration_does_not_increase_the_error(calibrated):
    reported = calibrated[1]

    assert reported["dots"] >= 5
    assert reported["accuracy_deg"] <= reported["generic_accuracy_deg"]


def test_a_calibration_session_is_not_delivered(upstream, calibrated):
    deliveries = requests.get(f"{upstream.aggregator_url}/results", timeout=60).json()["deliveries"]

    assert calibrated[0] not in {entry["session_id"] for entry in deliveries}


def test_either_process_gives_the_same_corrected_answers_and_the_score_says_so(new_session, frames, truth, calibrated):
    session_id, reported = calibrated
    plain = watch(new_session(), frames)
    first, second = new_session(0, calibration=session_id), new_session(1, calibration=session_id)

    answers = [watch(each, frames) for each in (first, second)]
    results = [each.complete().result for each in (first, second)]

    assert answers[0] == answers[1]
    assert (answers[0] != plain) == reported["used"]
    assert results[0] == results[1]
    assert results[0]["calibration"]["accuracy_deg"] == reported["accuracy_deg"]
    assert results[0]["frames"]["received"] == len(VIEWED)
    screen, camera = Screen(**truth["screen"]), Camera(**truth["camera"])
    assert find_error_deg(answers[0], truth, screen, camera) <= 1.05 * find_error_deg(plain, truth, screen, camera)


def find_error_deg(gazes, truth, screen, camera):
    """Return the mean angle between the answers and the true points of gaze."""
    errors = []
    for number, gaze in zip(VIEWED, gazes, strict=True):
        known = truth["frames"][number - 1]
        if gaze is not None:
            points = (GazePoint(gaze["x"], gaze["y"]), GazePoint(known["x"], known["y"]))
            errors.append(
                visual_angle_deg(*(direction_to(each, known["origin_mm"], screen, camera) for each in points))
            )
    return np.mean(errors)
