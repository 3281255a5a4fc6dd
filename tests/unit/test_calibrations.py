"""Calibration sessions, video frames, and the gaze of both."""

from dataclasses import replace

import pytest

from func.session.frame_record import FrameRecord, TargetUse
from func.session.gaze_track import find_gazes, find_video_frames, is_calibration
from func.session.measured import Measured
from func.session.target_frames import find_target_frames
from func.session.viewer_calibration import validate_session
from gaze_core.calibration import Calibration, Fitted, measure_accuracy
from gaze_core.correction import Correction
from gaze_core.gaze import gaze_vector
from gaze_core.ports import Session
from gaze_core.types import Camera, GazePoint, Screen, Validity
from tests.fakes.viewer import StraightGazeModel

PLAIN = FrameRecord(Validity.OK, GazePoint(0.2, 0.3))
FIT = FrameRecord(Validity.OK, GazePoint(0.2, 0.3), target=GazePoint(0.5, 0.5), target_use=TargetUse.FIT)
VALIDATE = FrameRecord(Validity.OK, GazePoint(0.2, 0.3), target=GazePoint(0.5, 0.5), target_use=TargetUse.VALIDATE)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], False),
        ([PLAIN], False),
        ([None], False),
        ([FIT], True),
        ([VALIDATE], True),
        ([FIT, FIT, PLAIN], True),
        ([FIT, FIT, None], True),
        ([FIT, PLAIN], False),
        ([VALIDATE, VALIDATE, PLAIN], False),
        ([PLAIN] * 9 + [VALIDATE], False),
    ],
)
def test_a_session_calibrates_when_it_is_mostly_targets(records, expected):
    assert is_calibration(records) is expected


def test_the_frames_of_a_video_are_those_without_a_target():
    assert find_video_frames({1: PLAIN, 2: None, 3: PLAIN, 4: VALIDATE}) == {1: PLAIN, 2: None, 3: PLAIN}
    assert find_video_frames({1: FIT, 2: FIT, 3: PLAIN}) == {}


@pytest.mark.parametrize("correction", [None, Correction((5.0, 0.0))])
def test_a_record_without_measurements_is_scored_with_its_stored_gaze(correction):
    session = Session("s", "203.0.113.7", "v", "", frames={}, settings={})
    calibration = Calibration(Fitted.OFFSET, correction, None, None)

    gazes = find_gazes(session, {1: PLAIN, 2: None}, StraightGazeModel(), calibration=calibration, smoothing="none")

    assert gazes == {1: GazePoint(0.2, 0.3)}


def test_a_corrected_gaze_is_on_the_screen_of_its_own_frame():
    measured = Measured.pack((0.1, 0.0, -0.99, 0.0, 0.0, 0.0, 600.0), (0.0, 0.0, 600.0), 0.3)
    plain = replace(PLAIN, measured=measured)
    wide = replace(plain, screen=Screen(2 * Screen().width_mm, Screen().height_mm))
    session = Session("s", "203.0.113.7", "v", "", frames={}, settings={})
    calibration = Calibration(Fitted.OFFSET, Correction((5.0, 0.0)), None, None)

    gazes = find_gazes(
        session, {1: plain, 2: wide, 3: plain}, StraightGazeModel(), calibration=calibration, smoothing="none"
    )

    assert gazes[3] == gazes[1]
    assert gazes[2].x - 0.5 == pytest.approx((gazes[1].x - 0.5) / 2)
    assert abs(gazes[1].x - 0.5) > 0.01


class TestFramesWithoutTheirOwnScreen:
    """The client sends `screen` and `camera` with its first frame only, so the others assumed the default."""

    def find(self, **setup):
        measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (0.0, 0.0, 600.0), 0.3)
        first = replace(PLAIN, measured=measured, gaze=GazePoint(0.75, 0.5), **setup)
        second = replace(PLAIN, measured=measured, gaze=GazePoint(0.75, 0.5))
        session = Session("s", "203.0.113.7", "v", "", frames={1: first, 2: second}, settings={})
        gazes = find_gazes(session, {1: first, 2: second}, StraightGazeModel(), calibration=None, smoothing="none")
        assert gazes[1] == GazePoint(0.75, 0.5)
        return gazes[2].x, gazes[2].y

    def test_a_screen_of_twice_the_size_halves_the_distance_from_its_middle(self):
        screen = Screen(2 * Screen().width_mm, 2 * Screen().height_mm)

        assert self.find(screen=screen) == pytest.approx((0.625, 0.25))

    def test_a_camera_further_right_moves_the_gaze_to_the_right(self):
        # By 34.5 of 345 mm.
        assert self.find(camera=Camera(offset_x_mm=34.5)) == pytest.approx((0.85, 0.5))

    def test_the_same_screen_and_camera_move_nothing(self):
        assert self.find(screen=Screen(), camera=Camera()) == (0.75, 0.5)


@pytest.mark.parametrize(
    ("offset_mm", "targets"), [(0.0, 1), (2.5, 1), (4.9, 1), (5.1, 2), (10.0, 2)], ids=lambda value: f"{value:g}"
)
def test_a_target_that_a_new_camera_moves_by_5_mm_is_another_target(offset_mm, targets):
    measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (0.0, 0.0, 600.0), 0.3)
    moved = Camera(offset_x_mm=offset_mm)
    records = {
        number: replace(FIT, measured=measured, camera=moved if number > 5 else Camera()) for number in range(1, 11)
    }
    frames = find_target_frames(records, TargetUse.FIT, StraightGazeModel())

    assert measure_accuracy(None, frames, screen=Screen(), camera=Camera()).targets == targets


def test_validation_targets_on_another_screen_are_measured_there():
    """The gaze is straight ahead, at the middle of the top edge of one screen and at a quarter of a wider one."""
    measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (0.0, 8.0, 600.0), 0.3)
    first = replace(VALIDATE, measured=measured, target=GazePoint(0.5, 0.0), screen=Screen(), camera=Camera())
    beside = Camera(offset_x_mm=-100.0)
    second = replace(
        VALIDATE, measured=measured, target=GazePoint(0.25, 0.0), screen=Screen(400.0, 300.0), camera=beside
    )
    records = {1: first, 2: first, 3: second, 4: second}
    session = Session("s", "203.0.113.7", "v", "", frames=records, settings={})

    accuracy = validate_session(session, records, None, StraightGazeModel())

    assert (accuracy.targets, accuracy.accuracy_deg) == (2, pytest.approx(0.0, abs=1e-6))


def test_a_calibration_uses_the_2000_frames_with_the_lowest_numbers():
    def record(number):
        measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (float(number), 0.0, 600.0), 0.3)
        return replace(FIT, measured=measured)

    frames = find_target_frames(
        {number: record(number) for number in range(2100, 0, -1)}, TargetUse.FIT, StraightGazeModel()
    )

    assert frames.origin_mm[:, 0].tolist() == [float(number) for number in range(1, 2001)]


def test_target_frames_have_a_gaze_measurements_and_the_requested_use():
    measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (0.0, 0.0, 600.0), 0.3)
    records = {
        1: replace(FIT, measured=measured),
        2: replace(VALIDATE, measured=measured),
        3: replace(FIT, validity=Validity.LOW_QUALITY, measured=measured),
        4: FIT,
        5: replace(PLAIN, measured=measured),
        6: None,
        7: replace(FIT, measured=measured, target=GazePoint(0.1, 0.9)),
    }

    assert find_target_frames(records, TargetUse.FIT, StraightGazeModel()).targets.tolist() == [[0.5, 0.5], [0.1, 0.9]]
    assert find_target_frames(records, TargetUse.VALIDATE, StraightGazeModel()).targets.tolist() == [[0.5, 0.5]]


class TestSmoothing:
    """A gaze 10 degrees right of the camera, and one frame that jumps up for the duration of a single frame."""

    def smooth(self, timestamps_ms, jump):
        session = Session("s", "203.0.113.7", "v", "", frames={}, settings={})
        records = {}
        for number, timestamp_ms in timestamps_ms.items():
            vector = gaze_vector([10.0, 10.0 if number == jump else 0.0])
            measured = Measured.pack((*vector, 0.0, 0.0, 0.0, 600.0), (0.0, 0.0, 600.0), 0.3)
            records[number] = replace(PLAIN, measured=measured, timestamp_ms=timestamp_ms)
        gazes = find_gazes(session, records, StraightGazeModel(), calibration=None, smoothing="zero_lag")
        return {number: round(gaze.y, 3) for number, gaze in gazes.items()}

    @pytest.mark.parametrize(
        "timestamps_ms",
        [
            {number: 1000.0 + 50.0 * number for number in range(1, 8)},
            dict.fromkeys(range(1, 8)),
            dict.fromkeys(range(1, 8), 1000.0),
        ],
        ids=["known", "unknown", "all the same"],
    )
    def test_a_jump_of_one_frame_is_removed(self, timestamps_ms):
        smoothed = self.smooth(timestamps_ms, jump=4)

        assert set(smoothed.values()) == {smoothed[1]}

    def test_frames_are_smoothed_in_order_of_capture_time(self):
        # Frames 1 and 7 were captured last and first, each at the end of the recording.
        order = [7, 2, 3, 4, 5, 6, 1]
        smoothed = self.smooth({number: 50.0 * order.index(number) for number in order}, jump=1)

        assert smoothed[2] == smoothed[7]
        assert smoothed[1] < smoothed[2]

    def test_frames_more_than_a_gap_apart_are_not_smoothed(self):
        smoothed = self.smooth({number: 1000.0 * number for number in range(1, 8)}, jump=4)

        assert smoothed[4] < smoothed[3] == smoothed[5]
