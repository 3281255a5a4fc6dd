"""Another viewer in the middle of a session, from its stored frames."""

import numpy as np
import pytest

from func.session.changed_viewer import MIN_SEGMENT, ChangedViewer, find_changed_viewer
from func.session.expected_frames import ExpectedFrames
from func.session.frame_record import read_record
from func.session.session_score import SessionScorer
from tests.fakes.completion import LEFT_HALF, VIEWER
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore
from tests.fakes.viewer import StraightGazeModel

FIRST = {"openness": 0.30, "eyes": 1.0, "landmarks": (0.5, -1.0), "blendshapes": (0.3, -2.0)}
OTHER = {"openness": 0.40, "eyes": 9.0, "landmarks": (-2.0, 5.0), "blendshapes": (-3.0, 12.0)}
AWAY = {"gaze": None, "validity": "no_face"}


class NetworkModel(StraightGazeModel):
    """A model that knows all estimates."""

    estimates = ("landmarks", "network", "blendshapes")


def make_record(person, number, *, x_mm=0.0, spread_deg=2.0):
    noise = np.random.default_rng(number).normal(0, 0.3, 3)
    right = person["eyes"] / 2 + noise[0]
    return {
        "gaze": [0.1, 0.5],
        "validity": "ok",
        "features": [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0],
        "origin_mm": [x_mm, 30.0, 600.0],
        "eye_openness": [person["openness"] + noise[1] / 100] * 2,
        "eyes": {
            "landmarks": list(person["landmarks"]),
            "left": [right, noise[2], spread_deg, spread_deg],
            "right": [-right, noise[2], spread_deg, spread_deg],
            "both": [0.0, 0.0, spread_deg, spread_deg],
            "blendshapes": list(person["blendshapes"]),
        },
        "timestamp_ms": 50.0 * number,
    }


def make_session(*parts, **options):
    """Return the records of some people, or of nobody, each for some frames."""
    found = {}
    for person, frames in parts:
        for _ in range(frames):
            number = len(found) + 1
            found[number] = (
                AWAY | {"timestamp_ms": 50.0 * number} if person is None else make_record(person, number, **options)
            )
    return found


def find(stored, model=NetworkModel):
    records = {number: read_record(each) for number, each in stored.items()}
    times_s = {number: each["timestamp_ms"] / 1000 for number, each in stored.items()}
    return find_changed_viewer(records, times_s, model())


def test_somebody_else_after_an_empty_chair_is_found():
    found = find(make_session((FIRST, 60), (None, 30), (OTHER, 70)))

    assert found == ChangedViewer(first_frame=91, frames=70, time_s=pytest.approx(4.55))


def test_frames_before_and_after_somebody_else_are_not_counted():
    found = find(make_session((FIRST, 60), (None, 30), (OTHER, 70), (None, 30), (FIRST, 50)))

    assert (found.first_frame, found.frames) == (91, 70)


@pytest.mark.parametrize(
    "stored",
    [
        make_session((FIRST, 200)),
        make_session((FIRST, 60), (None, 30), (FIRST, 60)),
        make_session((FIRST, 60), (None, 15), (OTHER, 60)),
        make_session((FIRST, 60), (None, 30), (OTHER, MIN_SEGMENT - 1)),
        make_session((FIRST, MIN_SEGMENT - 1), (None, 30), (OTHER, 60)),
        make_session((FIRST, 60), (None, 30), (OTHER, 60), spread_deg=9.0),
        make_session(),
    ],
    ids=["one viewer", "comes back", "a blink is no break", "short after", "short before", "dark", "empty"],
)
def test_in_doubt_nothing_is_said(stored):
    assert find(stored) is None


def test_a_face_that_jumps_aside_is_a_break():
    before = {number: make_record(FIRST, number) for number in range(1, 61)}
    after = {number: make_record(OTHER, number, x_mm=150.0) for number in range(61, 121)}

    assert find(before | after).first_frame == 61


@pytest.mark.parametrize(
    "eyes", [{"landmarks": [0.5, -1.0]}, {}, None], ids=["it failed", "nothing known", "old record"]
)
def test_a_frame_in_which_the_network_failed_is_left_out(eyes):
    stored = make_session((FIRST, 60), (None, 30), (OTHER, 70))
    stored[5] |= {"eyes": eyes}

    assert find(stored).first_frame == 91


def test_without_the_network_nothing_is_said():
    assert find(make_session((FIRST, 60), (None, 30), (OTHER, 70)), StraightGazeModel) is None


def test_the_shortest_part_is_two_seconds():
    assert MIN_SEGMENT == 40


@pytest.mark.parametrize("smoothing", ["none", "zero_lag"])
def test_a_session_in_which_the_network_failed_once_has_a_score(smoothing):
    stored = make_session((FIRST, 60), (None, 30), (FIRST, 70))
    stored[5] |= {"eyes": {"landmarks": [0.5, -1.0]}}
    sessions = FakeSessionStore()
    for number, each in stored.items():
        sessions.update_session("s", number, each, **VIEWER)
    maps = FakeSaliencyMaps({"contents1": dict.fromkeys(range(1, 301), LEFT_HALF)})
    result = SessionScorer(sessions, maps, model=NetworkModel(), smoothing=smoothing).score(
        sessions.get_session("s"), ExpectedFrames(160, has_image=False, total_frames=None), "contents1"
    )

    assert result.frames.scored == 130


@pytest.mark.parametrize(("second", "is_warned"), [(OTHER, True), (FIRST, False)])
def test_the_result_warns_and_keeps_its_numbers(second, is_warned):
    stored = make_session((FIRST, 60), (None, 30), (second, 70))
    sessions = FakeSessionStore()
    for number, each in stored.items():
        sessions.update_session("s", number, each, **VIEWER)
    maps = FakeSaliencyMaps({"contents1": dict.fromkeys(range(1, 301), LEFT_HALF)})
    scorer = SessionScorer(sessions, maps, model=NetworkModel())
    result = scorer.score(
        sessions.get_session("s"), ExpectedFrames(161, has_image=False, total_frames=None), "contents1"
    )
    warnings = [each for each in result.as_json().get("warnings", []) if each["code"] == "viewer_changed"]

    assert (result.final_score, result.frames.scored) == (100.0, 130)
    assert [(each["first_frame"], each["frames"]) for each in warnings] == ([(91, 70)] if is_warned else [])
    if is_warned:
        assert warnings[0]["detail"].startswith(
            "from frame 91 on (4 s into the session) the viewer seems to be somebody"
        )
