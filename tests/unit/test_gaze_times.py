"""Capture times of frames, for drift and smoothing."""

import numpy as np
import pytest
from pytest import approx

from func.session.frame_record import FrameRecord
from func.session.gaze_track import find_gazes, find_times_s
from func.session.measured import Measured
from gaze_core.ports import Session
from gaze_core.types import GazePoint, Validity
from tests.fakes.viewer import StraightGazeModel


@pytest.mark.parametrize(
    ("stamps_ms", "times_s"),
    [
        ([5000.0, 5100.0, 5100.0], [0.0, 0.1, 0.1]),
        ([5000.0, 5000.0, 5000.0], [0.0, 0.05, 0.1]),
        ([5000.0, None, 5200.0], [0.0, 0.05, 0.1]),
        ([5000.0], [0.0]),
    ],
    ids=["two frames share a time", "the clock stands still", "one is unknown", "single frame"],
)
def test_times_are_capture_times_unless_the_clock_is_unusable(stamps_ms, times_s):
    records = {number: FrameRecord(Validity.OK, timestamp_ms=stamp) for number, stamp in enumerate(stamps_ms, 1)}

    assert list(find_times_s(records).values()) == approx(times_s)


def smoothed(stamps_ms):
    """Return the gaze of frames whose eyes alternate between 0 and 1 degree, smoothed."""
    records = {
        number: FrameRecord(
            Validity.OK,
            gaze=GazePoint(0.5, 0.5),
            timestamp_ms=stamp,
            measured=Measured.pack((0.0175 * (number % 2), 0.0, -1.0, 0, 0, 0, 600.0), (0.0, 0.0, 600.0), 0.3),
        )
        for number, stamp in enumerate(stamps_ms, 1)
    }
    session = Session("s", "", "v", "", frames={}, settings={})
    gazes = find_gazes(session, records, StraightGazeModel(), calibration=None, smoothing="zero_lag")
    return np.array([(gaze.x, gaze.y) for gaze in gazes.values()])


def test_smoothing_takes_frames_that_share_a_capture_time_in_order_of_number():
    apart, shared = smoothed([0.0, 1.0, 2.0, 1000.0, 1001.0, 1002.0]), smoothed([0.0, 0.0, 0.0, 1000.0, 1000.0, 1000.0])

    assert shared == approx(apart, abs=1e-4)
    assert np.ptp(shared[:, 0]) > 0
