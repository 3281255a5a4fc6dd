"""Calibration: what targets reveal about a viewer, and that noise alone does no harm."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from gaze_core.calibration import Fitted, WhyNot, calibrate, measure_accuracy
from gaze_core.correction import Correction
from gaze_core.correction_fit import AxisPrior
from gaze_core.cues import GazeCues
from gaze_core.features import FEATURE_NAMES
from gaze_core.gaze import direction_to
from gaze_core.targets import HEAD_ANGLES, TargetFrames
from gaze_core.types import Camera, GazePoint, Screen
from tests.fakes.viewer import FIVE_TARGETS, NINE_TARGETS, Viewer, measure_frames

SETUP = {"screen": Screen(), "camera": Camera()}
PRIORS = (
    AxisPrior(np.zeros(3), np.diag([17.0, 7.5, 1.0]), 2.0, 0.8),
    AxisPrior(np.zeros(4), np.diag([42.0, 20.0, 1.0, 9.0]), 2.0, 0.8),
)
CUE_PRIORS = (
    AxisPrior(np.zeros(6), np.diag([4.0, 4.0, 1.0, 25.0, 25.0, 25.0]), 1.0, 0.6),
    AxisPrior(np.zeros(7), np.diag([4.0, 4.0, 1.0, 4.0, 25.0, 25.0, 25.0]), 1.0, 0.6),
)
ELSEWHERE = [(0.3, 0.2), (0.7, 0.35), (0.25, 0.75), (0.6, 0.6)]
"""Validation targets."""


def look(viewer, targets, **how):
    return measure_frames([viewer.look_at(target, **how) for target in targets], targets)


def make_frames(targets, off_deg, *, frames=15, noise_deg=0.0, openness=0.3, seed=0):
    """Return frames of a viewer straight ahead whose uncalibrated gaze misses each target by `off_deg` plus noise."""
    rng = np.random.default_rng(seed)
    off_deg = np.broadcast_to(off_deg, (len(targets), 2))
    rows = []
    for target, off in zip(targets, off_deg, strict=True):
        for _ in range(frames):
            origin = np.array([0.0, 0.0, 600.0]) + rng.normal(0, 10, 3)
            truth = direction_to(GazePoint(*target), origin, **SETUP)
            gaze = truth + off + rng.normal(0, noise_deg, 2)
            rows.append((*target, *gaze, 0.0, 0.0, 0.0, *origin, openness))
    table = np.array(rows)
    return TargetFrames(table[:, :2], table[:, 2:4], table[:, 4:7], table[:, 7:10], table[:, 10])


def join(*parts):
    names = ("targets", "uncalibrated_deg", "head_deg", "origin_mm", "openness")
    return TargetFrames(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class TestRecovery:
    @pytest.mark.parametrize("targets", [FIVE_TARGETS, NINE_TARGETS], ids=["five", "nine"])
    @pytest.mark.parametrize(
        ("offset_deg", "gain"),
        [((4.0, 0.0), (0.0, 0.0)), ((0.0, -5.0), (0.0, 0.0)), ((3.0, 2.0), (0.15, -0.1)), ((-2.0, 4.0), (-0.2, 0.25))],
    )
    def test_a_distortion_of_the_eyes_is_corrected(self, targets, offset_deg, gain):
        viewer = Viewer(offset_deg=offset_deg, gain=gain)

        calibration = calibrate(look(viewer, targets), **SETUP)

        unseen = measure_accuracy(calibration.correction, look(viewer, ELSEWHERE), **SETUP)
        assert unseen.generic_accuracy_deg > 2.5
        assert unseen.accuracy_deg < 0.35

    @pytest.mark.parametrize(
        "how",
        [
            {"pose_deg": (0.0, 0.0, 25.0)},
            {"pose_deg": (0.0, 20.0, 0.0)},
            {"pose_deg": (-12.0, 0.0, 0.0)},
            {"place_mm": (0.0, 30.0, 420.0)},
            {"place_mm": (90.0, -20.0, 700.0)},
            {"pose_deg": (8.0, -15.0, -12.0), "place_mm": (-60.0, 0.0, 500.0)},
        ],
        ids=["tilted", "turned", "nodding", "nearer", "aside", "all"],
    )
    def test_the_correction_turns_and_moves_with_the_head(self, how):
        viewer = Viewer(offset_deg=(5.0, -4.0))
        calibration = calibrate(look(viewer, FIVE_TARGETS), **SETUP, priors=PRIORS)

        moved = measure_accuracy(calibration.correction, look(viewer, ELSEWHERE, **how), **SETUP)

        assert moved.generic_accuracy_deg > 5
        assert moved.accuracy_deg < 1.2

    def test_a_calibration_transfers_to_another_screen_and_camera(self):
        here, there = Screen(), Screen(width_mm=598, height_mm=336)
        camera = Camera(offset_y_mm=-210.0, tilt_deg=10.0)
        viewer = Viewer(offset_deg=(4.0, 3.0), screen=here)
        calibration = calibrate(look(viewer, NINE_TARGETS), **SETUP)
        elsewhere = Viewer(offset_deg=(4.0, 3.0), screen=there, camera=camera)

        unseen = measure_accuracy(calibration.correction, look(elsewhere, ELSEWHERE), screen=there, camera=camera)

        assert unseen.accuracy_deg < 0.6

    def test_lids_that_follow_the_vertical_gaze_are_used(self):
        # The uncalibrated model misses the vertical angle; lids open by 0.01 per degree that it misses.
        missed_deg = np.array([-4, -3, -2, -1, 0, 1, 2, 3, 4.0])
        targets = NINE_TARGETS
        parts = [
            make_frames([target], (0.0, -missed), openness=0.3 + 0.01 * missed, noise_deg=0.1, seed=7)
            for target, missed in zip(targets, np.random.default_rng(2).permutation(missed_deg), strict=True)
        ]

        calibration = calibrate(join(*parts), **SETUP, priors=PRIORS)

        assert calibration.fitted is Fitted.FULL
        assert calibration.correction.lid_deg == approx(100, rel=0.1)
        assert calibration.accuracy.accuracy_deg < 0.5 * calibration.accuracy.generic_accuracy_deg


class TestEvidence:
    @pytest.mark.parametrize("frames", [3, 15])
    def test_noise_alone_does_no_harm(self, frames):
        generic, calibrated = [], []
        for seed in range(25):
            calibration = calibrate(make_frames(FIVE_TARGETS, 0.0, frames=frames, noise_deg=3.0, seed=seed), **SETUP)
            held_out = make_frames(ELSEWHERE, 0.0, frames=10, noise_deg=3.0, seed=1000 + seed)
            accuracy = measure_accuracy(calibration.correction, held_out, **SETUP)
            unchanged = measure_accuracy(None, held_out, **SETUP)
            calibrated.append(accuracy.frame_accuracy_deg)
            generic.append(unchanged.frame_accuracy_deg)

        assert np.mean(calibrated) <= 1.05 * np.mean(generic)
        assert np.max(np.array(calibrated) / generic) < 1.25

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10_000), scatter_deg=st.floats(0.5, 4.0))
    def test_contradictory_targets_change_little(self, seed, scatter_deg):
        off_deg = np.random.default_rng(seed).normal(0, scatter_deg, (5, 2))
        off_deg -= off_deg.mean(axis=0)

        calibration = calibrate(make_frames(FIVE_TARGETS, off_deg, frames=3), **SETUP)

        if calibration.correction is not None:
            # Towards the middle of the targets, 10 degrees below the camera.
            at_the_targets = calibration.correction.apply([[0.0, -10.0]], [[0.0, 0.0, 0.0]], [0.3])[0]
            assert np.abs(at_the_targets - [0.0, -10.0]).max() < 0.5 * scatter_deg

    def test_without_improvement_there_is_no_correction(self):
        calibration = calibrate(make_frames(FIVE_TARGETS, [(3, 0), (-3, 0), (0, 3), (0, -3), (0, 0)]), **SETUP)

        assert (calibration.fitted, calibration.correction) == (Fitted.NOTHING, None)
        assert calibration.why_not is WhyNot.NO_IMPROVEMENT
        assert calibration.accuracy.accuracy_deg == calibration.accuracy.generic_accuracy_deg

    def test_two_targets_are_too_few(self):
        calibration = calibrate(make_frames(FIVE_TARGETS[:2], (4.0, 0.0)), **SETUP)

        assert (calibration.correction, calibration.why_not) == (None, WhyNot.TOO_FEW_TARGETS)
        assert calibration.accuracy.targets == 2

    def test_without_frames_there_is_no_calibration(self):
        calibration = calibrate(make_frames(FIVE_TARGETS, 0.0).select(np.zeros(75, dtype=bool)), **SETUP)

        assert (calibration.why_not, calibration.accuracy) == (WhyNot.TOO_FEW_TARGETS, None)

    def test_targets_close_together_determine_an_offset_only(self):
        near = [(0.48, 0.48), (0.52, 0.48), (0.5, 0.52), (0.5, 0.5)]

        calibration = calibrate(make_frames(near, (4.0, -3.0), noise_deg=0.2), **SETUP)

        assert calibration.fitted is Fitted.OFFSET
        assert calibration.correction.gain == (0.0, 0.0)
        assert calibration.correction.offset_deg == approx((-4.0, 3.0), abs=0.3)

    def test_targets_on_a_line_determine_an_offset_only(self):
        line = [(0.5, y) for y in (0.1, 0.3, 0.5, 0.7, 0.9)]

        calibration = calibrate(make_frames(line, (4.0, -3.0), noise_deg=0.2), **SETUP)

        assert calibration.fitted is Fitted.OFFSET

    def test_lids_that_droop_later_move_the_gaze_little(self):
        # Lids open by 0.004 per degree; the uncalibrated model sees 0.6 of every eye rotation.
        def look_at(targets, droop=0.0, seed=0):
            truths = [direction_to(GazePoint(*target), (0.0, 0.0, 450.0), **SETUP) for target in targets]
            parts = [
                make_frames(
                    [target],
                    -0.4 * truth,
                    openness=0.34 + 0.004 * truth[1] - droop,
                    noise_deg=1.0,
                    seed=100 * seed + number,
                )
                for number, (target, truth) in enumerate(zip(targets, truths, strict=True))
            ]
            return join(*parts)

        calibration = calibrate(look_at(NINE_TARGETS), **SETUP)
        fresh, tired = (
            measure_accuracy(calibration.correction, look_at(ELSEWHERE, droop, seed=1), **SETUP)
            for droop in (0.0, 0.04)
        )

        assert fresh.accuracy_deg < 0.5 * fresh.generic_accuracy_deg
        assert tired.accuracy_deg < fresh.accuracy_deg + 1.0


class TestRobustness:
    TRUE_OFF = (4.0, -3.0)

    def corrected_by(self, frames):
        return calibrate(frames, **SETUP).correction.apply([[0.0, 0.0]], [[0.0, 0.0, 0.0]], [0.3])[0]

    def test_blinks_are_ignored(self):
        good = make_frames(FIVE_TARGETS, self.TRUE_OFF, frames=12, noise_deg=0.5)
        blinks = make_frames(FIVE_TARGETS, (0.0, -15.0), frames=5, noise_deg=0.5, openness=0.18)

        calibration = calibrate(join(good, blinks), **SETUP)

        assert calibration.accuracy.frames <= 60
        assert self.corrected_by(join(good, blinks)) == approx(self.corrected_by(good), abs=0.1)

    def test_frames_before_the_eyes_reach_the_target_are_ignored(self):
        good = make_frames(FIVE_TARGETS, self.TRUE_OFF, frames=12, noise_deg=0.5)
        late = make_frames(FIVE_TARGETS, (14.0, 6.0), frames=4, noise_deg=0.5, seed=1)

        calibration = calibrate(join(good, late), **SETUP)

        assert calibration.accuracy.frames <= 60
        assert self.corrected_by(join(good, late)) == approx((-4.0, 3.0), abs=0.7)

    @pytest.mark.parametrize(("away_deg", "frames"), [(5.9, 9), (6.1, 7)])
    def test_frames_three_times_as_far_from_the_median_as_half_of_them_are_dropped(self, away_deg, frames):
        # Half of the frames at the first target are at most 2 degrees from their median.
        errors_deg = [-2, -2, -2, 0, 2, 2, 2, -away_deg, away_deg]
        first = [make_frames(FIVE_TARGETS[:1], (0.0, error_deg), frames=1) for error_deg in errors_deg]

        assert measure_accuracy(None, join(*first), **SETUP).frames == frames

    @pytest.mark.parametrize(("away_deg", "frames"), [(0.95, 9), (1.05, 7)])
    def test_frames_within_a_degree_of_the_median_are_kept(self, away_deg, frames):
        errors_deg = [-0.1, -0.1, -0.1, 0, 0.1, 0.1, 0.1, -away_deg, away_deg]
        first = [make_frames(FIVE_TARGETS[:1], (0.0, error_deg), frames=1) for error_deg in errors_deg]

        assert measure_accuracy(None, join(*first), **SETUP).frames == frames

    @pytest.mark.parametrize(("openness", "frames"), [(0.2245, 10), (0.2255, 11)])
    def test_frames_below_three_quarters_of_the_usual_openness_are_blinks(self, openness, frames):
        usual = make_frames(FIVE_TARGETS[:1], 0.0, frames=10, openness=0.3)
        drooping = make_frames(FIVE_TARGETS[:1], 0.0, frames=1, openness=openness)

        assert measure_accuracy(None, join(usual, drooping), **SETUP).frames == frames

    def test_the_weights_of_the_targets_converge(self):
        # Four weighting steps give (-4.062, 1.502), forty the numbers below.
        off_deg = np.tile(self.TRUE_OFF, (5, 1))
        off_deg[2] += (6.0, 6.0)

        correction = calibrate(make_frames(FIVE_TARGETS, off_deg), **SETUP, priors=PRIORS).correction

        assert correction.offset_deg == approx((-4.1623, 0.8909), abs=0.003)

    def test_one_target_that_was_not_looked_at_does_little_harm(self):
        off_deg = np.tile(self.TRUE_OFF, (9, 1))
        off_deg[2] += (15.0, 10.0)

        corrected = self.corrected_by(make_frames(NINE_TARGETS, off_deg, noise_deg=0.5))

        assert np.linalg.norm(corrected - [-4.0, 3.0]) < 1.5

    def test_the_order_of_the_frames_changes_nothing(self):
        frames = make_frames(NINE_TARGETS, self.TRUE_OFF, noise_deg=1.0)
        shuffled = np.random.default_rng(0).permutation(len(frames))

        first, second = calibrate(frames, **SETUP), calibrate(frames.select(shuffled), **SETUP)

        assert second.correction.offset_deg == approx(first.correction.offset_deg, abs=1e-9)
        assert second.accuracy.accuracy_deg == approx(first.accuracy.accuracy_deg, abs=1e-9)

    def test_up_to_10_degrees_beyond_the_targets_the_gain_applies(self):
        correction = Correction((0.0, 0.0), gain=(0.5, 0.0), eyes_deg=((-10.0, 10.0), (-5.0, 5.0)))

        at_15, at_20 = correction.apply([[15.0, 0.0], [20.0, 0.0]], np.zeros((2, 3)), [0.3, 0.3])[:, 0]

        assert (at_15, at_20) == approx((22.5, 30.0))

    def test_far_beyond_the_targets_the_gain_is_constant(self):
        correction = Correction((0.0, 0.0), gain=(0.5, 0.0), eyes_deg=((-10.0, 10.0), (-5.0, 5.0)))

        at_30, at_40 = correction.apply([[30.0, 0.0], [40.0, 0.0]], np.zeros((2, 3)), [0.3, 0.3])[:, 0]

        assert (at_30, at_40) == approx((40.0, 50.0))

    def test_hundreds_of_targets_are_fitted(self):
        targets = [(x, y) for x in np.linspace(0, 1, 25) for y in np.linspace(0, 1, 20)]

        assert calibrate(make_frames(targets, self.TRUE_OFF, frames=1, noise_deg=1.0), **SETUP).accuracy.targets == 500


class TestPriors:
    """Five targets of people whose errors come from the prior, with noise."""

    def calibrate_person(self, rng, noise_deg):
        """Return the mean error at other places before and after a calibration."""
        horizontal, vertical = (
            rng.multivariate_normal(prior.mean, prior.covariance, method="cholesky") for prior in PRIORS
        )

        def look_at(targets, frames):
            straight = make_frames(targets, 0.0, frames=frames)
            x, y = straight.uncalibrated_deg.T
            missing = np.column_stack([horizontal[0] + horizontal[1] * x / 10, vertical[0] + vertical[1] * y / 10])
            per_target = rng.normal(0, noise_deg, (len(targets), 2)).repeat(frames, axis=0)
            return straight, replace(straight, uncalibrated_deg=straight.uncalibrated_deg - missing + per_target)

        _, seen = look_at(FIVE_TARGETS, 10)
        truth, later = look_at(ELSEWHERE, 1)
        correction = calibrate(seen, **SETUP, priors=PRIORS).correction
        return tuple(
            np.linalg.norm(gaze_deg - truth.uncalibrated_deg, axis=1).mean()
            for gaze_deg in (later.uncalibrated_deg, later.correct(correction))
        )

    @pytest.mark.parametrize("noise_deg", [0.5, 1.5, 3.0, 6.0])
    def test_five_noisy_targets_do_not_raise_the_expected_error(self, noise_deg):
        rng = np.random.default_rng(4)

        before, after = np.array([self.calibrate_person(rng, noise_deg) for _ in range(30)]).T

        assert after.mean() < before.mean()

    def test_five_good_targets_harm_almost_nobody(self):
        rng = np.random.default_rng(5)

        before, after = np.array([self.calibrate_person(rng, 1.0) for _ in range(40)]).T

        assert (after > before).mean() <= 0.03
        assert after.mean() < 0.4 * before.mean()

    def test_a_wide_prior_follows_the_targets_and_a_narrow_one_does_not(self):
        frames = make_frames(FIVE_TARGETS, (4.0, -3.0), noise_deg=1.0)
        narrow = tuple(replace(prior, covariance=prior.covariance / 1000) for prior in PRIORS)

        wide, stiff = (
            calibrate(frames, **SETUP, priors=priors, max_loss=1.0).correction.apply(
                [[0.0, 0.0]], [[0.0, 0.0, 0.0]], [0.3]
            )[0]
            for priors in (PRIORS, narrow)
        )

        assert wide == approx([-4.0, 3.0], abs=0.7)
        assert np.abs(stiff).max() < 1.0

    def test_the_mean_of_the_prior_counts_without_evidence(self):
        # Everybody's eyes turn 2 degrees further in 10 than the model says; all targets are straight ahead.
        mean = np.array([0.0, 2.0, 0.0])
        priors = (AxisPrior(mean, np.diag([16.0, 1e-4, 1e-4]), 1.0, 0.6), PRIORS[1])
        targets = [(0.5, 0.5 + step) for step in (-0.4, -0.2, 0.0, 0.2, 0.4)]
        wide = [(0.5 + shift, y) for (_, y), shift in zip(targets, (-0.2, 0.2, 0.0, -0.2, 0.2), strict=True)]

        correction = calibrate(make_frames(wide, (0.0, 3.0)), **SETUP, max_loss=9.0, priors=priors).correction

        assert correction.gain[0] == approx(0.2, abs=0.01)


class TestCues:
    def make_frames(self, missing_deg, differences_deg, spread_deg=1.0):
        """Return frames at nine targets whose gaze is off by `missing_deg`, and three cues, one row a target each."""
        frames = make_frames(NINE_TARGETS, -np.asarray(missing_deg), frames=4)
        differences = np.repeat(np.asarray(differences_deg, dtype=float), 4, axis=0)
        spread = np.broadcast_to(np.asarray(spread_deg, dtype=float), (9,)).repeat(4)
        return replace(frames, cues=GazeCues(differences, np.column_stack([spread, spread])))

    def calibrate(self, frames):
        return calibrate(frames, **SETUP, priors=CUE_PRIORS, max_loss=9.0)

    @pytest.mark.parametrize("cue", [0, 1, 2], ids=["eyes", "landmarks", "blendshapes"])
    def test_an_error_that_a_cue_predicts_is_corrected(self, cue):
        differences = np.zeros((9, 3, 2))
        differences[:, cue] = np.random.default_rng(3).normal(0, 5, (9, 2))
        frames = self.make_frames(0.5 * differences[:, cue], differences)

        calibration = self.calibrate(frames)

        assert calibration.correction.cue_shares[cue] == approx((0.5, 0.5), abs=0.08)
        assert calibration.accuracy.accuracy_deg < 0.3 * calibration.accuracy.generic_accuracy_deg

    def test_a_missing_cue_counts_as_no_difference(self):
        correction = Correction((1.0, 0.0), cue_shares=((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)))
        cues = GazeCues(np.array([[[2.0, 0.0], [np.nan, np.nan], [0.0, 0.0]]]), np.ones((1, 2)))

        corrected = correction.apply([[0.0, 0.0]], np.zeros((1, 3)), [0.3], cues)

        assert corrected[0] == approx([2.0, 0.0])

    def test_frames_without_the_network_are_left_out_if_most_have_it(self):
        frames = self.make_frames(np.full((9, 2), 3.0), np.zeros((9, 3, 2)))
        spread = frames.cues.spread_deg.copy()
        spread[::4] = np.nan

        calibration = self.calibrate(replace(frames, cues=GazeCues(frames.cues.differences_deg, spread)))

        assert calibration.accuracy.frames == 27

    def test_a_target_where_the_network_is_unsure_counts_less(self):
        missing = np.full((9, 2), (2.0, 0.0))
        missing[0] = (5.0, 0.0)

        def offset_with(spread_of_first):
            spread = np.ones(9)
            spread[0] = spread_of_first
            frames = self.make_frames(missing, np.zeros((9, 3, 2)), spread)
            return self.calibrate(frames).correction.apply([[0.0, 0.0]], np.zeros((1, 3)), [0.3])[0, 0]

        assert abs(offset_with(4.0) - 2.0) < abs(offset_with(1.0) - 2.0) < abs(offset_with(0.25) - 2.0)

    def test_within_a_target_sure_frames_decide(self):
        # At every target, three unsure frames are 2.9 degrees off, two sure ones 2 degrees.
        parts = [make_frames(NINE_TARGETS, (-off, 0.0), frames=1) for off in (2.0, 2.0, 2.9, 2.9, 2.9)]
        spread = np.repeat([1.0, 1.0, 3.0, 3.0, 3.0], 9)
        frames = replace(join(*parts), cues=GazeCues(np.zeros((45, 3, 2)), np.column_stack([spread, spread])))

        corrected = self.calibrate(frames).correction.apply([[0.0, -8.0]], np.zeros((1, 3)), [0.3])

        assert corrected[0, 0] == approx(2.0, abs=0.15)


class TestHead:
    def test_up_to_10_degrees_beyond_the_targets_the_share_of_the_head_applies(self):
        correction = Correction((0.0, 0.0), head_gain=(0.5, 0.2), head_deg=((-5.0, 5.0), (-5.0, 5.0)))

        yaw_deg, pitch_deg = (
            correction.apply([rotated], [[pitch, yaw, 0.0]], [0.3])[0] - rotated
            for pitch, yaw, rotated in ((0.0, 40.0, (40.0, 0.0)), (40.0, 0.0, (0.0, 40.0)))
        )

        assert yaw_deg == approx([7.5, 0.0], abs=0.01)
        assert pitch_deg == approx([0.0, 3.0], abs=0.01)


class TestNumbers:
    def test_each_target_is_scored_with_the_correction_of_the_others(self):
        # Four targets agree. Without the fifth, the correction misses it by its whole deviation.
        off_deg = np.array([(4.0, 0.0)] * 4 + [(4.0, 6.0)])

        accuracy = calibrate(make_frames(FIVE_TARGETS, off_deg), **SETUP).accuracy

        assert accuracy.generic_accuracy_deg == approx((4 * 4 + np.hypot(4, 6)) / 5, abs=0.1)
        assert accuracy.accuracy_deg > 6 / 5

    def test_precision_is_the_scatter_of_frames_around_their_target(self):
        accuracy = calibrate(make_frames(FIVE_TARGETS, (4.0, 0.0), frames=200, noise_deg=1.0), **SETUP).accuracy

        assert accuracy.precision_deg == approx(np.sqrt(2), rel=0.08)
        assert accuracy.accuracy_deg < 0.3
        assert accuracy.frame_accuracy_deg == approx(1.25, rel=0.08)

    def test_drift_shows_in_the_shift(self):
        correction = calibrate(make_frames(FIVE_TARGETS, (4.0, -3.0)), **SETUP).correction

        later = measure_accuracy(correction, make_frames(ELSEWHERE, (6.0, -3.0)), **SETUP)

        assert later.shift_deg == approx((2.0, 0.0), abs=0.2)
        assert later.accuracy_deg == approx(2.0, abs=0.2)

    def test_without_frames_there_is_no_accuracy(self):
        assert measure_accuracy(None, make_frames(FIVE_TARGETS, 0.0).select(np.zeros(75, dtype=bool)), **SETUP) is None


def test_the_head_angles_are_at_their_position_among_the_features():
    assert FEATURE_NAMES[HEAD_ANGLES] == ("head_rotation_x", "head_rotation_y", "head_rotation_z")


def test_frames_with_mismatched_shapes_are_misuse():
    with pytest.raises(ValueError, match="head_deg must have shape"):
        TargetFrames(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 3)), np.zeros(3))
