"""Refresh of an earlier calibration with a few targets in another session."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.calibration import Calibration, Fitted, WhyNot, calibrate
from gaze_core.correction_fit import AxisPrior
from gaze_core.refresh import refresh_calibration, session_prior
from gaze_core.targets import measure_targets
from gaze_core.types import Camera, Screen
from tests.fakes.viewer import FIVE_TARGETS, NINE_TARGETS, Viewer, measure_frames

SETUP = {"screen": Screen(), "camera": Camera()}
ELSEWHERE = [(0.3, 0.2), (0.7, 0.35), (0.25, 0.75), (0.6, 0.6)]
BEFORE = Viewer(offset_deg=(4.0, -3.0), gain=(0.15, -0.1))
NOW = Viewer(offset_deg=(5.5, -1.0), gain=(0.15, -0.1))
PRIORS = (
    AxisPrior(np.zeros(3), np.diag([16.0, 7.0, 1.0]), 1.0, 0.6),
    AxisPrior(np.zeros(4), np.diag([36.0, 20.0, 1.0, 4.0]), 1.0, 0.6),
)
"""Offsets vary by 4 and 6 degrees between people, so by 2 and 3 degrees between sessions."""


def look(viewer, targets):
    return measure_frames([viewer.look_at(target) for target in targets], targets)


def mean_error(calibration, viewer):
    frames = look(viewer, ELSEWHERE)
    gaze_deg = frames.correct(calibration.correction)
    return np.linalg.norm(gaze_deg - measure_targets(frames, **SETUP).true_deg, axis=1).mean()


@pytest.fixture
def earlier():
    return calibrate(look(BEFORE, NINE_TARGETS), **SETUP, priors=PRIORS)


@pytest.mark.parametrize("targets", [[(0.5, 0.5)], [(0.9, 0.1)], FIVE_TARGETS], ids=["middle", "corner", "five"])
def test_a_refresh_follows_the_offset(earlier, targets):
    refreshed = refresh_calibration(earlier, look(NOW, targets), **SETUP, priors=PRIORS)

    assert mean_error(earlier, NOW) > 2.0
    assert mean_error(refreshed, NOW) < 0.6


def test_the_gains_stay(earlier):
    refreshed = refresh_calibration(earlier, look(NOW, [(0.5, 0.5)]), **SETUP, priors=PRIORS)

    assert refreshed.correction.gain == earlier.correction.gain
    assert refreshed.correction.eyes_deg == earlier.correction.eyes_deg
    assert refreshed.fitted is earlier.fitted


def test_the_refresh_says_how_far_it_moved(earlier):
    refreshed = refresh_calibration(earlier, look(NOW, [(0.5, 0.5)]), **SETUP, priors=PRIORS)

    moved = np.subtract(refreshed.correction.offset_deg, earlier.correction.offset_deg)
    assert refreshed.refreshed_by_deg == approx(tuple(moved))
    assert moved == approx([1.5, 2.0], abs=0.35)
    assert earlier.refreshed_by_deg is None


def test_one_target_does_not_describe_its_own_accuracy(earlier):
    refreshed = refresh_calibration(earlier, look(NOW, [(0.5, 0.5)]), **SETUP, priors=PRIORS)

    # Left out, it is corrected by the earlier calibration alone.
    assert refreshed.accuracy.accuracy_deg == approx(2.5, abs=0.3)
    assert refreshed.accuracy.targets == 1


def test_a_quarter_of_the_variance_between_people_lies_between_sessions(earlier):
    prior = session_prior(earlier.uncertainty, PRIORS)

    expected = np.sqrt(np.array([0.25 * 16, 0.25 * 36]) + np.square(earlier.uncertainty.sd_deg))
    assert prior.start_sd_deg == approx(tuple(expected))


def test_without_a_frame_the_earlier_calibration_stays(earlier):
    nothing = look(NOW, FIVE_TARGETS).select(np.zeros(5, dtype=bool))

    assert refresh_calibration(earlier, nothing, **SETUP, priors=PRIORS) is earlier


def test_an_unusable_earlier_calibration_is_replaced():
    unusable = Calibration(Fitted.NOTHING, None, WhyNot.NO_IMPROVEMENT, None)

    found = refresh_calibration(unusable, look(NOW, FIVE_TARGETS), **SETUP, priors=PRIORS)

    assert (found.fitted, found.refreshed_by_deg) == (Fitted.FULL, None)
