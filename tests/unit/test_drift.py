"""Drift of a calibration over validation targets."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from gaze_core.calibration import Calibration, Fitted, OffsetUncertainty
from gaze_core.correction import Correction
from gaze_core.correction_fit import AxisPrior
from gaze_core.drift import find_drift
from gaze_core.types import Camera, Screen
from tests.fakes.viewer import Viewer, measure_frames

SETUP = {"screen": Screen(), "camera": Camera()}
PRIORS = (
    AxisPrior(np.zeros(3), np.diag([16.0, 7.0, 1.0]), 1.0, 0.6),
    AxisPrior(np.zeros(4), np.diag([16.0, 20.0, 1.0, 4.0]), 1.0, 0.6),
)
PERFECT = Calibration(Fitted.FULL, Correction((0.0, 0.0)), None, None, OffsetUncertainty((0.3, 0.3), (0.5, 0.5)))
TARGETS = [(0.5, 0.5), (0.2, 0.3), (0.8, 0.6)]


def drift_of(right_deg, times_s, calibration=PERFECT, targets=TARGETS):
    """Return the drift of a viewer whose gaze is off by `right_deg` at targets shown at some times."""
    shown = [targets[moment % len(targets)] for moment in range(len(times_s)) for _ in range(5)]
    offsets = np.repeat(right_deg, 5)
    faces = [Viewer(offset_deg=(offset, 0.0)).look_at(target) for target, offset in zip(shown, offsets, strict=True)]
    frames = replace(measure_frames(faces, shown), moments=np.repeat(np.arange(len(times_s)), 5))
    return find_drift(calibration, frames, np.array(times_s, dtype=float), **SETUP, priors=PRIORS)


def test_a_constant_shift_is_corrected():
    drift = drift_of([2.0, 2.0, 2.0], [0, 60, 120])

    assert drift.is_used
    assert drift.at(np.array([30.0])) == approx(np.array([[2.0, 0.0]]), abs=0.25)


def test_a_slow_change_is_followed():
    drift = drift_of(np.linspace(0.0, 3.0, 7), np.linspace(0, 1800, 7))

    right_deg = drift.at(np.array([0.0, 900.0, 1800.0]))[:, 0]
    assert right_deg == approx([0.1, 1.5, 2.9], abs=0.3)
    assert drift.moments == 7


def test_between_and_beyond_the_targets_the_offset_is_linear_and_constant():
    drift = drift_of([0.0, 2.0], [60, 120])

    at = drift.at(np.array([60.0, 90.0, 120.0, 10_000.0]))[:, 0]
    assert at[1] == approx((at[0] + at[2]) / 2)
    assert at[3] == at[2]


def test_the_accuracy_before_is_that_of_the_calibration_alone():
    assert drift_of([2.0, 2.0, 2.0], [0, 60, 120]).before.accuracy_deg == approx(2.0, abs=0.1)


def test_no_target_corrects_itself():
    one, three = drift_of([2.0], [0]), drift_of([2.0] * 3, [0, 60, 120])

    assert one.after.accuracy_deg == approx(one.before.accuracy_deg)
    assert three.after.accuracy_deg < 0.5


def test_a_drift_that_does_worse_at_left_out_targets_is_not_used():
    drift = drift_of([2.0, -2.0, 2.0, -2.0], [0, 60, 120, 180])

    assert drift.after.accuracy_deg > drift.before.accuracy_deg
    assert not drift.is_used
    assert drift.at(np.array([0.0, 60.0])).tolist() == [[0, 0], [0, 0]]


def test_in_20_minutes_the_offset_walks_as_far_as_between_sessions():
    # Start: 0.3² + 4²/4 = 4.09. Then 0.05 of that a minute, so a target 20 minutes away shares half of the variance.
    drift = drift_of([0.5, 0.5], [0, 1200], targets=TARGETS[:1])
    start, noise = 4.09, 0.25
    known = np.array([[start, start], [start, 2 * start]])

    expected = known @ np.linalg.solve(known + noise * np.eye(2), [0.5, 0.5])

    assert drift.offsets_deg[:, 0] == approx(expected, abs=0.02)
    assert drift.offsets_deg[1, 0] / drift.offsets_deg[0, 0] == approx(expected[1] / expected[0], abs=0.001)


@pytest.mark.parametrize(
    "calibration", [Calibration(Fitted.NOTHING, None, None, None), replace(PERFECT, uncertainty=None)]
)
def test_without_a_correction_there_is_no_drift(calibration):
    assert drift_of([2.0], [0], calibration) is None
