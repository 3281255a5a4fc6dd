"""Scoring with the calibration of the viewer, on a viewer whose gaze misses every target by the same angle."""

import math

import numpy as np
import pytest

from func.session.attention_score import find_accuracy
from func.session.expected_frames import ExpectedFrames
from func.session.session_score import SessionScorer
from func.session.viewer_calibration import describe_calibration
from gaze_core.calibration import Calibration, Fitted, TargetAccuracy
from gaze_core.correction import Correction
from gaze_core.errors import SessionStoreError
from gaze_core.gaze import direction_to, gaze_vector, point_of_gaze
from gaze_core.types import Camera, GazePoint, Screen
from tests.fakes.completion import CompletionWorld
from tests.fakes.scored_sessions import ScoredSessions
from tests.fakes.viewer import FIVE_TARGETS, StraightGazeModel

ORIGIN_MM = (0.0, 120.0, 600.0)
OFFSET_DEG = (4.0, -3.0)
WIDE = {"screen": {"width_mm": 690.0, "height_mm": 388.0}, "camera": {"tilt_deg": 10.0}}


def record(target, *, use=None, offset_deg=OFFSET_DEG, setup=None):
    """Return the record of a frame whose uncalibrated gaze misses the target by an angle."""
    setup = setup or {}
    screen, camera = Screen(**setup.get("screen", {})), Camera(**setup.get("camera", {}))
    direction_deg = direction_to(GazePoint(*target), ORIGIN_MM, screen, camera) + offset_deg
    gaze = point_of_gaze(direction_deg, np.array(ORIGIN_MM), screen, camera)
    return {
        "gaze": [gaze.x, gaze.y],
        "validity": "ok",
        "features": [*gaze_vector(direction_deg).tolist(), 0.0, 0.0, 0.0, 600.0],
        "origin_mm": list(ORIGIN_MM),
        "eye_openness": [0.3, 0.3],
        **({} if use is None else {"target": list(target), "calibration_use": use}),
        **setup,
    }


class World(ScoredSessions):
    """Sessions of a viewer whose gaze misses every target by the same angle."""

    def calibrate(self, targets=FIVE_TARGETS, **more):
        self.store("calibration", [record(target, use="fit", **more) for target in targets for _ in range(4)])


@pytest.fixture
def world():
    return World()


def test_a_session_is_scored_with_the_calibration_that_it_selects(world):
    # 4 degrees at 600 mm are 12 % of the screen's width: uncalibrated, the gaze misses the left 30 %.
    world.calibrate()
    world.store("s", [record((0.25, 0.5)) | {"calibration_session": "calibration"}])
    world.store("plain", [record((0.25, 0.5))])

    assert world.score("plain").final_score == 0.0
    assert world.score("s").final_score == 100.0


def test_the_result_describes_the_calibration(world):
    world.calibrate()
    world.store("s", [record((0.25, 0.5)) | {"calibration_session": "calibration"}])

    assert world.score().calibration.as_json() == {
        "used": True,
        "reason": None,
        "fitted": "full",
        "dots": 5,
        "frames": 20,
        "accuracy_deg": pytest.approx(0.0, abs=0.25),
        "frame_accuracy_deg": pytest.approx(0.0, abs=0.25),
        "precision_deg": 0.0,
        "generic_accuracy_deg": pytest.approx(5.0, abs=0.15),
        "validation": None,
        "mirrored": {"suspected": False, "declared": False, "swapped_share": 1.0, "threshold": 0.333, "dots": 5},
    }


def test_a_calibration_is_fitted_for_its_own_screen_and_camera(world):
    world.calibrate(setup=WIDE)
    world.store("s", [record((0.25, 0.5), setup=WIDE) | {"calibration_session": "calibration"}])

    assert world.score().calibration.accuracy_deg == pytest.approx(0.0, abs=0.15)


def test_a_missing_calibration_session_leaves_the_session_uncalibrated(world):
    world.store("s", [record((0.1, 0.5)) | {"calibration_session": "calibration"}])

    result = world.score()

    assert result.final_score == 100.0
    assert result.calibration.as_json() == {
        "used": False,
        "reason": "session_not_found",
        "fitted": "nothing",
        "dots": 0,
        "frames": 0,
        "accuracy_deg": None,
        "frame_accuracy_deg": None,
        "precision_deg": None,
        "generic_accuracy_deg": None,
        "validation": None,
    }


def test_too_few_targets_leave_the_session_uncalibrated(world):
    world.calibrate(targets=[(0.5, 0.5)])
    world.store("s", [record((0.1, 0.5)) | {"calibration_session": "calibration"}])

    calibration = world.score().calibration

    assert (calibration.used, calibration.reason) == (False, "too_few_dots")


def test_a_calibration_session_describes_its_own_calibration(world):
    world.calibrate()

    result = world.score("calibration", 21)

    assert (result.score_valid, result.score_invalid_reason) == (False, "calibration_session")
    assert (result.frames.received, result.frames.expected) == (0, 0)
    assert (result.calibration.used, result.calibration.dots) == (True, 5)


def test_a_calibration_session_that_cannot_be_read_is_an_error(world, monkeypatch):
    world.store("s", [record((0.1, 0.5)) | {"calibration_session": "calibration"}])
    session = world.sessions.get_session("s")
    monkeypatch.setattr(world.sessions, "error", SessionStoreError("down"))
    scorer = SessionScorer(world.sessions, world.maps, model=StraightGazeModel())

    with pytest.raises(SessionStoreError):
        scorer.score(session, ExpectedFrames(2, has_image=False, total_frames=None), "contents1")


class TestValidation:
    def score(self, world, *, offset_deg, setup=None):
        """Score a session of six video frames and two validation targets."""
        video = [record((0.25, 0.5), setup=setup) | {"calibration_session": "calibration"}] * 6
        checks = [record(target, use="validate", offset_deg=offset_deg, setup=setup) for target in FIVE_TARGETS[:2]]
        world.store("s", video + checks)
        return world.score("s", 9)

    def test_a_calibration_that_still_fits_has_not_drifted(self, world):
        world.calibrate(setup=WIDE)

        validation = self.score(world, offset_deg=OFFSET_DEG, setup=WIDE).calibration.validation

        assert (validation.dots, validation.frames, validation.drifted) == (2, 2, False)
        assert validation.accuracy_deg == pytest.approx(0.0, abs=0.15)
        assert validation.shift_deg == pytest.approx([0.0, 0.0], abs=0.15)

    def test_a_calibration_that_no_longer_fits_has_drifted(self, world):
        world.calibrate()

        validation = self.score(world, offset_deg=(6.0, -3.0)).calibration.validation

        assert validation.drifted is True
        assert validation.shift_deg == pytest.approx([2.0, 0.0], abs=0.1)

    def test_validation_targets_are_not_video_frames(self, world):
        world.calibrate()

        frames = self.score(world, offset_deg=OFFSET_DEG).frames

        assert (frames.expected, frames.received, frames.scored) == (6, 6, 6)

    def test_validation_targets_alone_describe_the_uncalibrated_gaze(self, world):
        world.store("s", [record((0.1, 0.5))] * 2 + [record((0.5, 0.5), use="validate")])

        calibration = world.score("s", 4).calibration

        assert (calibration.used, calibration.reason, calibration.fitted) == (
            False,
            "no_calibration_session",
            "nothing",
        )
        assert calibration.validation.accuracy_deg == pytest.approx(5.0, abs=0.15)
        assert calibration.validation.drifted is None


class TestRefresh:
    """The viewer's offset has moved by two degrees since the calibration."""

    NOW_DEG = (6.0, -3.0)

    def refresh(self, world, targets=((0.5, 0.5),), *, session_id="refresh", earlier="calibration"):
        records = [record(target, use="fit", offset_deg=self.NOW_DEG) for target in targets for _ in range(4)]
        world.store(session_id, [each | {"calibration_session": earlier} for each in records])

    def test_one_target_moves_the_offset_of_the_earlier_calibration(self, world):
        world.calibrate()
        self.refresh(world)

        summary = world.score("refresh", 5).calibration

        assert (summary.used, summary.refreshed, summary.dots) == (True, True, 1)
        assert summary.refreshed_by_deg == pytest.approx([-1.7, 0.0], abs=0.35)

    def test_a_viewing_uses_the_refreshed_offset(self, world):
        world.calibrate()
        self.refresh(world)
        seen = record((0.25, 0.5), offset_deg=self.NOW_DEG)
        checks = [record(target, use="validate", offset_deg=self.NOW_DEG) for target in FIVE_TARGETS[:2]]
        for name in ("calibration", "refresh"):
            world.store(f"with {name}", [seen | {"calibration_session": name}] * 6 + checks)

        before, after = (
            world.score(f"with {name}", 9).calibration.validation.accuracy_deg for name in ("calibration", "refresh")
        )

        assert before == pytest.approx(2.0, abs=0.2)
        assert after < 0.6

    def test_the_earlier_session_of_an_earlier_session_does_not_count(self, world):
        world.calibrate()
        self.refresh(world)
        self.refresh(world, session_id="again", earlier="refresh")

        # `refresh` alone has one target, which is too few to calibrate, and so has `again`.
        summary = world.score("again", 5).calibration

        assert (summary.used, summary.reason, summary.refreshed) == (False, "too_few_dots", False)

    @pytest.mark.parametrize("earlier", ["refresh", "gone"])
    def test_a_session_that_names_itself_or_a_missing_one_calibrates_on_its_own(self, world, earlier):
        self.refresh(world, FIVE_TARGETS, earlier=earlier)

        summary = world.score("refresh", 21).calibration

        assert (summary.used, summary.dots) == (True, 5)
        assert summary.refreshed is (None if earlier == "refresh" else False)

    def test_settings_of_the_session_name_no_earlier_calibration(self, world):
        world.calibrate()
        world.store("refresh", [record((0.5, 0.5), use="fit")] * 4)
        world.sessions.store_settings("refresh", {"calibration_session": "calibration"})

        assert world.score("refresh", 5).calibration.refreshed is None

    def test_without_an_earlier_calibration_the_result_has_no_such_keys(self, world):
        world.calibrate()

        assert not {"refreshed", "refreshed_by_deg"} & world.score("calibration", 21).calibration.as_json().keys()


class TestDrift:
    def watch(self, world, shown):
        """Score a session whose gaze drifts: frame numbers with the drift to the right; every tenth has a target."""
        world.calibrate()
        records = []
        for number, right_deg in enumerate(shown):
            offset_deg = (OFFSET_DEG[0] + right_deg, OFFSET_DEG[1])
            target = FIVE_TARGETS[number // 10 % 5]
            seen = (
                record(target, use="validate", offset_deg=offset_deg)
                if number % 10 == 0
                else record((0.25, 0.5), offset_deg=offset_deg)
            )
            records.append(seen | {"timestamp_ms": 5000.0 + 30_000.0 * number, "calibration_session": "calibration"})
        world.store("s", records)
        return world.score("s", len(shown) + 1)

    def test_validation_targets_correct_the_drift_of_the_gaze(self, world):
        # A drift of 3 degrees moves the gaze from the left to the right half of the screen.
        result = self.watch(world, [3.0] * 60)

        drift = result.calibration.validation.drift
        assert (drift.used, drift.moments) == (True, 6)
        assert drift.right_deg == pytest.approx([-3.0] * len(drift.times_s), abs=0.6)
        assert result.calibration.validation.accuracy_deg == pytest.approx(3.0, abs=0.2)
        assert drift.accuracy_deg < 0.5
        assert result.final_score == 100.0

    def test_times_are_seconds_since_the_first_frame(self, world):
        drift = self.watch(world, np.linspace(0.0, 3.0, 60)).calibration.validation.drift

        assert drift.times_s == [0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0]
        assert drift.right_deg[-1] < drift.right_deg[0] - 1.0

    def test_a_calibration_session_has_no_drift(self, world):
        world.calibrate()
        world.store("calibration", [record((0.5, 0.5), use="validate", offset_deg=(7.0, -3.0))], start=100)

        validation = world.score("calibration", 101).calibration.validation

        assert "drift" not in validation.model_dump(exclude_unset=True)


class TestOtherViewer:
    def watch(self, world, openness, frames=30):
        world.calibrate()
        for number in range(21, 31):
            world.store("calibration", [record((0.5, 0.5), use="fit")], start=number)
        seen = record((0.25, 0.5)) | {"eye_openness": [openness] * 2, "calibration_session": "calibration"}
        world.store("s", [seen] * frames)
        return world.score("s", frames + 1).calibration

    @pytest.mark.parametrize(("openness", "suspected"), [(0.3, False), (0.36, False), (0.6, True)])
    def test_very_different_lids_are_suspicious(self, world, openness, suspected):
        assert self.watch(world, openness).other_viewer.suspected is suspected

    def test_few_frames_are_not_compared(self, world):
        assert self.watch(world, 0.6, frames=19).other_viewer is None


class TestMirroredImages:
    """The features of a mirrored image have the horizontal direction turned round."""

    def calibrate(self, world, **camera):
        records = [record(target, use="fit") for target in FIVE_TARGETS for _ in range(4)]
        for each in records:
            each["features"][0] *= -1
            each["camera"] = camera
        world.store("calibration", records)

    @pytest.mark.parametrize("declared", [False, True])
    def test_the_calibration_is_suspected_and_not_used(self, world, declared):
        self.calibrate(world, mirrored=declared)

        found = world.score("calibration", 21).calibration

        assert (found.used, found.reason, found.fitted) == (False, "mirrored", "nothing")
        assert (found.mirrored.suspected, found.mirrored.declared) == (True, declared)

    def test_a_viewing_that_names_it_is_flagged(self, world):
        self.calibrate(world)
        world.store("s", [record((0.25, 0.5)) | {"calibration_session": "calibration"}])

        found = world.score().calibration

        assert (found.used, found.reason, found.mirrored.suspected) == (False, "mirrored", True)

    @pytest.mark.parametrize(("declared", "advice"), [(False, "with camera.mirrored: true"), (True, "without camera.")])
    def test_the_answer_to_the_last_frame_says_what_to_do(self, declared, advice):
        world = CompletionWorld(model=StraightGazeModel())
        records = [record(target, use="fit") for target in FIVE_TARGETS for _ in range(4)]
        for each in records:
            each["features"][0] *= -1
            each["camera"] = {"mirrored": declared}
        world.store(*records)

        (warning,) = world.finish(21).warnings

        assert warning.startswith("the calibration is not used, because the gaze runs against its targets")
        assert f"calibrate again {advice}" in warning

    def test_few_targets_say_nothing(self, world):
        world.calibrate(targets=FIVE_TARGETS[:3])

        assert "mirrored" not in world.score("calibration", 13).calibration.as_json()


def accuracy(accuracy_deg, **changes):
    values = {
        "targets": 5,
        "frames": 50,
        "accuracy_deg": accuracy_deg,
        "frame_accuracy_deg": 1.98765,
        "precision_deg": math.nan,
        "generic_accuracy_deg": 7.0,
        "shift_deg": (0.12345, math.inf),
    }
    return TargetAccuracy(**values | changes)


def calibration_of(measured):
    return Calibration(Fitted.OFFSET, Correction((1.0, 0.0)), None, measured)


@pytest.mark.parametrize(
    ("then_deg", "now_deg", "drifted"),
    [(1.0, 2.0, False), (1.0, 2.01, True), (4.0, 6.0, False), (4.0, 6.01, True)],
)
def test_a_drift_exceeds_the_error_by_both_half_and_a_degree(then_deg, now_deg, drifted):
    described = describe_calibration(calibration_of(accuracy(then_deg)), checked=accuracy(now_deg))

    assert described.validation.drifted is drifted


def test_angles_have_two_decimals_and_are_null_if_unknown():
    described = describe_calibration(calibration_of(accuracy(1.23456)), checked=accuracy(1.0))

    assert (described.accuracy_deg, described.frame_accuracy_deg, described.precision_deg) == (1.23, 1.99, None)
    assert described.validation.shift_deg == [0.12, None]


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (calibration_of(accuracy(1.5, frame_accuracy_deg=2.5)), (2.5, "calibration")),
        (calibration_of(accuracy(1.5, frame_accuracy_deg=0.0)), (4.0, "setting")),
        (calibration_of(accuracy(1.5, frame_accuracy_deg=math.inf)), (4.0, "setting")),
        (calibration_of(None), (4.0, "setting")),
        (Calibration(Fitted.NOTHING, None, None, accuracy(1.5)), (4.0, "setting")),
        (None, (4.0, "setting")),
    ],
    ids=["calibrated", "zero", "infinite", "unknown", "no correction", "no calibration"],
)
def test_maps_are_blurred_to_the_accuracy_of_the_calibration_or_else_of_the_setting(calibration, expected):
    found = find_accuracy(calibration, 4.0)

    assert (found.accuracy_deg, found.source) == expected


def test_without_calibration_and_setting_the_accuracy_is_unknown():
    assert find_accuracy(None, None) is None
