"""Doubt that the images of a calibration are flipped left to right as the camera's description says."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from gaze_core.calibration import Fitted, WhyNot, calibrate
from gaze_core.gaze import direction_to
from gaze_core.mirroring import compare_with_mirror
from gaze_core.refresh import refresh_calibration
from gaze_core.targets import TargetFrames, measure_targets
from gaze_core.types import Camera, GazePoint, Screen
from tests.fakes.viewer import FIVE_TARGETS

SETUP = {"screen": Screen(), "camera": Camera()}
# The corners of a field of 20 by 10 degrees, and its centre.
CORNERS_DEG = [(0.0, 0.0), (-10.0, 5.0), (10.0, 5.0), (-10.0, -5.0), (10.0, -5.0)]


def see(true_deg, gaze_deg, *, frames=3):
    """Return measured targets in these directions, seen with these gaze directions, `frames` images of each."""
    distance_mm = 600.0
    true_deg, gaze_deg = np.array(true_deg, dtype=float), np.array(gaze_deg, dtype=float)
    counts = np.broadcast_to(frames, len(true_deg))
    target = np.repeat(np.arange(len(true_deg)), counts)
    right, up = np.radians(true_deg).T
    # Camera frame: x right in the image, which is the viewer's left, y down, z away from the camera.
    place_mm = distance_mm * np.stack([-np.tan(right), -np.tan(up) / np.cos(right), -np.ones(len(right))], axis=1)
    zeros = np.zeros((len(target), 3))
    seen = TargetFrames(
        targets=np.stack([target / 100, target / 100], axis=1),
        uncalibrated_deg=gaze_deg[target],
        head_deg=zeros,
        origin_mm=zeros,
        openness=np.full(len(target), 0.3),
        targets_mm=place_mm[target],
    )
    measured = measure_targets(seen, **SETUP)
    assert measured.true_deg == approx(true_deg[target], abs=1e-9)
    return measured


def turned(directions_deg, *, x=1.0, y=1.0):
    return [(x * right, y * up) for right, up in directions_deg]


class TestSuspicion:
    @pytest.mark.parametrize(("factor", "suspected"), [(1.0, False), (0.6, False), (-0.6, True), (-1.0, True)])
    def test_gaze_against_the_targets_is_suspected(self, factor, suspected):
        found = compare_with_mirror(see(CORNERS_DEG, turned(CORNERS_DEG, x=factor)))

        assert found.is_suspected is suspected
        assert found.targets == 5

    # The misfits with and without a swap are as 1 + k to 1 − k for a gain of k.
    @pytest.mark.parametrize(("factor", "share"), [(-1.0, 0.0), (-0.5, 0.25), (0.0, 0.5), (0.5, 0.75)])
    def test_the_share_is_that_of_the_misfits(self, factor, share):
        found = compare_with_mirror(see(CORNERS_DEG, turned(CORNERS_DEG, x=factor)))

        assert found.swapped_share == approx(share)

    @pytest.mark.parametrize(("factor", "suspected"), [(-0.35, True), (-0.31, False)])
    def test_the_swap_must_halve_the_misfit(self, factor, suspected):
        assert compare_with_mirror(see(CORNERS_DEG, turned(CORNERS_DEG, x=factor))).is_suspected is suspected

    def test_a_constant_error_has_no_influence(self):
        gaze_deg = [(15 - right, up - 12) for right, up in CORNERS_DEG]

        found = compare_with_mirror(see(CORNERS_DEG, gaze_deg))

        assert (found.swapped_share, found.upright_share) == (approx(0, abs=1e-9), approx(0, abs=1e-9))

    @pytest.mark.parametrize("wrong", range(5))
    @pytest.mark.parametrize(("factor", "suspected"), [(1.0, False), (-1.0, True)])
    def test_one_target_that_was_not_looked_at_does_not_decide(self, wrong, factor, suspected):
        gaze_deg = turned(CORNERS_DEG, x=factor)
        gaze_deg[wrong] = gaze_deg[2] if wrong in {1, 3} else gaze_deg[1]

        assert compare_with_mirror(see(CORNERS_DEG, gaze_deg)).is_suspected is suspected

    @pytest.mark.parametrize(("factor", "suspected"), [(0.1, True), (-0.1, False)])
    def test_gaze_against_the_targets_in_height_is_no_mirroring(self, factor, suspected):
        gaze_deg = turned(CORNERS_DEG, x=-1.0, y=factor)

        assert compare_with_mirror(see(CORNERS_DEG, gaze_deg)).is_suspected is suspected


class TestUnknown:
    @pytest.mark.parametrize(("count", "known"), [(1, False), (3, False), (4, True)])
    def test_it_takes_four_targets(self, count, known):
        chosen = CORNERS_DEG[-count:]

        assert (compare_with_mirror(see(chosen, turned(chosen, x=-1.0))) is not None) is known

    @pytest.mark.parametrize(("frames", "targets"), [([3] * 5, 5), ([2, 3, 3, 3, 3], 4), ([2, 2, 3, 3, 3], None)])
    def test_a_target_takes_three_frames(self, frames, targets):
        found = compare_with_mirror(see(CORNERS_DEG, turned(CORNERS_DEG, x=-1.0), frames=frames))

        assert (None if found is None else found.targets) == targets

    @pytest.mark.parametrize(("half_width_deg", "known"), [(3.9, False), (4.1, True)])
    def test_targets_close_together_do_not_tell(self, half_width_deg, known):
        chosen = turned(CORNERS_DEG, x=half_width_deg / 10)

        assert (compare_with_mirror(see(chosen, turned(chosen, x=-1.0))) is not None) is known

    @pytest.mark.parametrize(("half_height_deg", "known"), [(0.0, False), (1.9, False), (2.1, True)])
    def test_targets_at_one_height_tell_nothing_about_up_and_down(self, half_height_deg, known):
        chosen = turned(CORNERS_DEG, y=half_height_deg / 5)

        found = compare_with_mirror(see(chosen, turned(chosen, x=-1.0)))

        assert (found.upright_share is not None) is known
        assert found.is_suspected


def frames_of(factor, targets=FIVE_TARGETS):
    """Return frames of a viewer straight ahead whose horizontal gaze is the true one times a factor."""
    targets = np.repeat(np.array(targets), 4, axis=0)
    count = len(targets)
    frames = TargetFrames(
        targets=targets,
        uncalibrated_deg=np.zeros((count, 2)),
        head_deg=np.zeros((count, 3)),
        origin_mm=np.tile([0.0, 100.0, 600.0], (count, 1)),
        openness=np.full(count, 0.3),
    )
    true_deg = [direction_to(GazePoint(*target), frames.origin_mm[0], **SETUP) for target in targets.tolist()]
    return replace(frames, uncalibrated_deg=np.array(true_deg) * [factor, 1.0] + [2.0, 1.0])


class TestCalibration:
    @pytest.mark.parametrize(
        ("factor", "used", "why_not"),
        [(1.0, True, None), (-0.8, False, WhyNot.MIRRORED), (-0.5, False, WhyNot.MIRRORED)],
    )
    def test_a_mirrored_calibration_is_not_used(self, factor, used, why_not):
        calibration = calibrate(frames_of(factor), **SETUP)

        assert (calibration.correction is not None, calibration.why_not) == (used, why_not)
        assert calibration.mirroring.is_suspected is not used

    def test_three_targets_do_not_tell(self):
        assert calibrate(frames_of(1.0, FIVE_TARGETS[:3]), **SETUP).mirroring is None

    def test_one_target_refreshes_without_telling(self):
        earlier = calibrate(frames_of(1.0), **SETUP)

        refreshed = refresh_calibration(earlier, frames_of(-1.0, FIVE_TARGETS[:1]), **SETUP)

        assert refreshed.refreshed_by_deg is not None
        assert refreshed.mirroring is None

    def test_mirrored_targets_refresh_nothing(self):
        earlier = calibrate(frames_of(1.0), **SETUP)

        refreshed = refresh_calibration(earlier, frames_of(-1.0), **SETUP)

        assert (refreshed.fitted, refreshed.correction, refreshed.why_not) == (Fitted.NOTHING, None, WhyNot.MIRRORED)
