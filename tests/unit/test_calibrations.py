"""Calibration sessions, video frames, and the gaze of both."""

from dataclasses import replace

import pytest

from func.session.frame_record import FrameRecord, Measured, TargetUse
from func.session.gaze_track import find_gazes, find_video_frames, is_calibration
from func.session.viewer_calibration import find_target_frames
from gaze_core.calibration import Calibration, Fitted
from gaze_core.correction import Correction
from gaze_core.ports import Session
from gaze_core.types import GazePoint, Screen, Validity
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


def test_a_calibration_uses_the_2000_frames_with_the_lowest_numbers():
    def record(number):
        measured = Measured.pack((0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0), (float(number), 0.0, 600.0), 0.3)
        return replace(FIT, measured=measured)

    frames = find_target_frames(
        {number: record(number) for number in range(2100, 0, -1)}, TargetUse.FIT, StraightGazeModel()
    )

    assert frames.origin_mm[:, 0].tolist() == [float(number) for number in range(1, 2001)]
