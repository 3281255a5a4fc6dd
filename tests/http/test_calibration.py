"""Calibration in its own session, which later answers and scores use."""

import numpy as np
import pytest
from pytest import approx

from func.web.problems import PROBLEMS
from gaze_core.errors import SessionStoreError, SessionStoreTimeoutError
from tests.fakes.viewer import FIVE_TARGETS, NINE_TARGETS, StraightGazeModel, Viewer

FRAMES_PER_TARGET = 3
VIEWER = Viewer(offset_deg=(5.0, -4.0), gain=(0.1, -0.1))
PLACE = (0.35, 0.6)
"""Point of gaze in the video."""


def salient_at(point):
    """Return a map that is salient within a tenth of the video around a point."""
    saliency_map = np.zeros((100, 100))
    x, y = int(100 * point[0]), int(100 * point[1])
    saliency_map[y - 10 : y + 10, x - 10 : x + 10] = 1.0
    return saliency_map


class Studio:
    """A world with a model that returns the true gaze direction, and a viewer in front of the camera."""

    def __init__(self, world, make_body):
        world.model.predict = StraightGazeModel().predict
        self.world = world
        self.sessions, self.sink, self.landmarker = world.sessions, world.sink, world.landmarker
        self.frames = world.frames
        self._make_body = make_body

    def post(self, **fields):
        return self.world.post(self._make_body(**fields))

    def calibrate(self, targets=FIVE_TARGETS, *, validate=(), session_id="mine", last_frame=True, **fields):
        """Look at each target for some frames; return the answer to the last frame."""
        number = 0
        for use, points in (("fit", targets), ("validate", validate)):
            for target in points:
                self.landmarker.faces = [VIEWER.look_at(target)]
                for _ in range(FRAMES_PER_TARGET):
                    number += 1
                    shown = {"calibration_target": list(target), "calibration_use": use}
                    response = self.post(session_id=session_id, frame_number=number, **shown, **fields)
                    assert response.status_code == 200
        if not last_frame:
            return None
        return self.complete(number + 1, session_id=session_id).get_json()

    def watch(self, viewer=VIEWER, *, frames=3, session_id="viewing", start=1, **fields):
        """Look at one point of the video for some frames; return the answers."""
        self.landmarker.faces = [viewer.look_at(PLACE)]
        numbers = range(start, start + frames)
        return [self.post(session_id=session_id, frame_number=number, **fields).get_json() for number in numbers]

    def complete(self, number, *, session_id="viewing", **fields):
        return self.post(session_id=session_id, frame_number=number, last_frame=True, frame=None, **fields)

    def make_salient(self):
        """Make the video salient at the viewer's point of gaze."""
        self.world.maps.by_video["contents1"] = dict.fromkeys(range(1, 20), salient_at(PLACE))


@pytest.fixture
def studio(make_world, make_body):
    return Studio(make_world(), make_body)


def test_the_answer_to_the_last_frame_has_the_accuracy(studio):
    answer = studio.calibrate(NINE_TARGETS, validate=[(0.3, 0.3), (0.7, 0.6)])

    calibration = answer["result"]["calibration"]
    assert list(calibration) == [
        "used",
        "reason",
        "fitted",
        "dots",
        "frames",
        "accuracy_deg",
        "frame_accuracy_deg",
        "precision_deg",
        "generic_accuracy_deg",
        "validation",
        "mirrored",
    ]
    assert (
        calibration["used"],
        calibration["reason"],
        calibration["fitted"],
        calibration["dots"],
        calibration["frames"],
    ) == (
        True,
        None,
        "full",
        9,
        27,
    )
    assert calibration["generic_accuracy_deg"] > 5
    assert calibration["accuracy_deg"] < 0.5
    assert (calibration["validation"]["dots"], calibration["validation"]["drifted"]) == (2, False)
    assert calibration["validation"]["accuracy_deg"] < 0.5


def test_a_calibration_session_has_no_score_and_is_not_delivered(studio):
    answer = studio.calibrate()

    assert (answer["status"], answer["final_score"]) == ("success", 0.0)
    result = answer["result"]
    assert (result["score_valid"], result["score_invalid_reason"]) == (False, "calibration_session")
    assert (result["frames"]["expected"], result["frames"]["received"]) == (0, 0)
    assert studio.sink.deliveries == []
    assert "result" not in studio.sessions.get_session("mine").settings


def test_more_targets_may_follow(studio):
    studio.calibrate()
    response = studio.post(session_id="mine", frame_number=100, calibration_target=[0.5, 0.1])

    assert response.status_code == 200


def test_a_frame_without_a_target_does_not_make_it_a_viewing(studio):
    studio.calibrate(last_frame=False)

    answer = studio.post(session_id="mine", frame_number=16, last_frame=True).get_json()

    assert answer["result"]["score_invalid_reason"] == "calibration_session"
    assert studio.sink.deliveries == []


def test_records_have_the_uncalibrated_gaze(studio):
    studio.watch(frames=1, session_id="before")
    studio.calibrate()
    studio.watch(frames=1, session_id="after", calibration_session="mine")

    (before,), (after,) = studio.frames("before").values(), studio.frames("after").values()
    assert after == {**before, "calibration_session": "mine"}


def test_two_targets_are_too_few(studio):
    calibration = studio.calibrate(FIVE_TARGETS[:2])["result"]["calibration"]

    assert (calibration["used"], calibration["reason"], calibration["dots"]) == (False, "too_few_dots", 2)


def test_frames_with_closed_eyes_are_not_used(studio):
    studio.calibrate(last_frame=False)
    studio.landmarker.faces = [VIEWER.look_at((0.1, 0.1), lid_opening_mm=1.0)]
    for number in range(50, 56):
        studio.post(session_id="mine", frame_number=number, calibration_target=[0.1, 0.1])

    answer = studio.post(session_id="mine", frame_number=56, last_frame=True, frame=None, total_frames=21)

    assert answer.get_json()["result"]["calibration"]["frames"] == 15


def test_validation_targets_alone_validate_the_calibration_of_another_session(studio):
    studio.calibrate()

    calibration = studio.calibrate(
        [], validate=[(0.3, 0.3), (0.7, 0.7)], session_id="check", calibration_session="mine"
    )["result"]["calibration"]

    assert (calibration["used"], calibration["dots"], calibration["validation"]["dots"]) == (True, 5, 2)
    assert calibration["validation"]["accuracy_deg"] < 1 < calibration["validation"]["generic_accuracy_deg"]


def test_answers_are_calibrated(studio):
    studio.calibrate(NINE_TARGETS)

    (plain,) = studio.watch(frames=1, session_id="plain")
    (corrected,) = studio.watch(frames=1, calibration_session="mine")

    assert "calibrated" not in plain
    assert corrected["calibrated"] is True
    assert abs(plain["gaze"]["x"] - PLACE[0]) > 0.1
    assert (corrected["gaze"]["x"], corrected["gaze"]["y"]) == approx(PLACE, abs=0.03)


def test_calibration_adds_one_key_to_the_answer(studio):
    studio.calibrate()
    (plain,) = studio.watch(frames=1, session_id="plain")
    (corrected,) = studio.watch(frames=1, calibration_session="mine")

    assert [key for key in corrected if key != "calibrated"] == list(plain)


def test_a_repeated_frame_gets_the_calibrated_answer_again(studio):
    studio.calibrate()

    first = studio.watch(frames=1, calibration_session="mine")
    studio.landmarker.faces = []

    assert studio.watch(frames=1, calibration_session="mine") == first


def test_an_unknown_calibration_session_leaves_the_gaze_uncalibrated(studio):
    (plain,) = studio.watch(frames=1, session_id="plain")
    (answer,) = studio.watch(frames=1, calibration_session="unknown")

    assert (answer["calibrated"], answer["gaze"]) == (False, plain["gaze"])


def test_a_frame_without_gaze_is_not_calibrated(studio):
    studio.calibrate()
    studio.landmarker.faces = []

    answer = studio.post(session_id="viewing", calibration_session="mine").get_json()

    assert (answer["gaze"], answer["calibrated"]) == (None, False)


@pytest.mark.parametrize("name", ["", "a/b", "..", 7, "x" * 129])
def test_an_invalid_calibration_session_is_refused(studio, name):
    response = studio.post(calibration_session=name)

    assert response.status_code == 400
    assert response.get_json()["errors"][0]["field"] == "calibration_session"


def test_all_frames_are_scored_with_the_calibrated_gaze(studio):
    studio.make_salient()
    studio.watch(session_id="viewing")
    generic = studio.complete(4).get_json()
    studio.calibrate(NINE_TARGETS)
    studio.watch(session_id="calibrated", calibration_session="mine")

    corrected = studio.complete(4, session_id="calibrated").get_json()

    assert (generic["final_score"], generic["result"]["calibration"]) == (0.0, None)
    assert corrected["final_score"] == 100.0
    assert corrected["result"]["calibration"]["used"] is True
    assert corrected["result"]["calibration"]["accuracy_deg"] < 0.5


def test_frames_stored_before_the_calibration_are_calibrated_too(studio):
    studio.make_salient()
    studio.watch(frames=2)
    studio.calibrate(NINE_TARGETS)
    studio.watch(frames=1, start=3, calibration_session="mine")

    assert studio.complete(4).get_json()["final_score"] == 100.0


def test_a_missing_calibration_session_is_reported_in_the_result(studio):
    studio.make_salient()
    studio.watch(calibration_session="unknown")

    result = studio.complete(4).get_json()["result"]

    assert (result["frames"]["scored"], result["calibration"]["used"]) == (3, False)
    assert result["calibration"]["reason"] == "session_not_found"


@pytest.mark.parametrize("error", [SessionStoreError("down"), SessionStoreTimeoutError("slow")])
def test_a_session_is_not_scored_while_its_calibration_cannot_be_read(studio, error):
    studio.make_salient()
    studio.calibrate(NINE_TARGETS)
    studio.watch(calibration_session="mine")
    read = studio.sessions.get_session

    def fail_for_the_calibration(session_id):
        if session_id == "mine":
            raise error
        return read(session_id)

    studio.sessions.get_session = fail_for_the_calibration
    refused = studio.complete(4)
    studio.sessions.get_session = read

    assert refused.status_code == PROBLEMS[type(error)].status
    assert studio.sink.deliveries == []
    assert studio.complete(4).get_json()["final_score"] == 100.0


def test_validation_targets_in_a_viewing_measure_drift_and_are_not_scored(studio):
    studio.make_salient()
    studio.calibrate(NINE_TARGETS)
    drifted = Viewer(offset_deg=(9.0, -4.0), gain=(0.1, -0.1))
    studio.watch(drifted, frames=4, calibration_session="mine")
    for number, target in enumerate([(0.3, 0.3), (0.7, 0.7)], start=5):
        studio.landmarker.faces = [drifted.look_at(target)]
        shown = {"calibration_target": list(target), "calibration_use": "validate"}
        studio.post(session_id="viewing", frame_number=number, calibration_session="mine", **shown)

    result = studio.complete(7).get_json()["result"]

    assert (result["frames"]["expected"], result["frames"]["received"], result["lost"]["missing"]) == (4, 4, 0)
    assert result["final_score"] == 100.0
    validation = result["calibration"]["validation"]
    assert (validation["dots"], validation["drifted"]) == (2, True)
    assert abs(validation["shift_deg"][0]) == approx(3.6, abs=0.6)
    assert (validation["drift"]["used"], validation["drift"]["moments"]) == (True, 2)
    assert validation["drift"]["accuracy_deg"] < 0.7 * validation["accuracy_deg"]


def test_one_target_refreshes_the_calibration_of_a_viewer_who_comes_back(studio):
    studio.calibrate(NINE_TARGETS)
    back = Viewer(offset_deg=(8.0, -4.0), gain=(0.1, -0.1))
    target = {"calibration_target": [0.5, 0.5], "calibration_session": "mine"}
    for number in range(1, 4):
        studio.landmarker.faces = [back.look_at((0.5, 0.5))]
        assert studio.post(session_id="again", frame_number=number, **target).get_json()["calibrated"] is True

    calibration = studio.complete(4, session_id="again").get_json()["result"]["calibration"]
    (old,) = studio.watch(back, frames=1, session_id="old", calibration_session="mine")
    (new,) = studio.watch(back, frames=1, session_id="new", calibration_session="again")

    assert (calibration["used"], calibration["dots"], calibration["refreshed"]) == (True, 1, True)
    assert abs(calibration["refreshed_by_deg"][0]) > 2
    assert abs(old["gaze"]["x"] - PLACE[0]) > 0.06
    assert (new["gaze"]["x"], new["gaze"]["y"]) == approx(PLACE, abs=0.04)


def test_the_setting_chooses_the_smoothing(make_world, make_body):
    results = {}
    for smoothing in ("none", "zero_lag"):
        studio = Studio(make_world(SCORING_SMOOTHING=smoothing), make_body)
        studio.make_salient()
        beside = Viewer(offset_deg=(0.0, 0.0))
        for number in range(1, 10):
            # One of nine frames is an outlier.
            studio.landmarker.faces = [beside.look_at((0.95, 0.1) if number == 5 else PLACE)]
            studio.post(session_id="viewing", frame_number=number, timestamp_ms=50 * number)
        results[smoothing] = studio.complete(10).get_json()["result"]

    assert (results["none"]["final_score"], results["none"]["smoothing"]) == (88.89, "none")
    assert (results["zero_lag"]["final_score"], results["zero_lag"]["smoothing"]) == (100.0, "zero_lag")


@pytest.mark.parametrize(
    ("calibrated", "watched", "frames"),
    [({"mirrored": True}, None, 3), (None, {"mirrored": True}, 3), ({"mirrored": True}, {"mirrored": True}, 0)],
)
def test_a_viewing_with_another_mirroring_than_its_calibration_has_a_warning(studio, calibrated, watched, frames):
    def say(camera):
        return {} if camera is None else {"camera": camera}

    studio.calibrate(**say(calibrated))
    studio.watch(calibration_session="mine", **say(watched))
    answers = [studio.complete(4).get_json() for _ in range(2)]

    warnings = [each for each in answers[0]["result"].get("warnings", []) if each["code"] == "mirroring_differs"]
    assert [each["frames"] for each in warnings] == ([frames] if frames else [])
    assert answers[0] == answers[1]
