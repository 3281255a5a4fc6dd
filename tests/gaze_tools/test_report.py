"""The report on a session: its numbers, its events, and odd sessions."""

import numpy as np
import pytest

from func.session.completion import Completer, LastFrame, complete
from func.session.session_score import SessionScorer
from func.web.metrics import Metrics
from gaze_core.errors import SaliencyMapError
from gaze_core.types import GazePoint
from gaze_tools.report.examination import examine_session, read_gazes
from gaze_tools.report.numbers import describe_numbers
from gaze_tools.report.page import write_report
from tests.fakes.aggregator import FakeResultSink
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.report import (
    LOOKS_LEFT,
    LOOKS_RIGHT,
    RIGHT,
    examine,
    make_session,
    maps_for,
    record,
    result_of,
    right_and_left,
)
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore


class TestNumbers:
    def test_score_chance_and_coverage(self):
        frames = right_and_left()
        report, _ = examine(frames, maps_for(frames))

        assert report.attention.final_score_percent.value == 25.0
        assert report.attention.chance_level_percent == pytest.approx(30.0)
        assert report.coverage == 1.0
        assert [name for name, _, _ in describe_numbers(report)] == [
            *("Score", "Chance level", "Lift", "NSS", "AUC", "Shuffled AUC", "Coverage", "Fixations", "Saccades")
        ]

    def test_every_number_has_a_sentence(self):
        frames = right_and_left()
        report, _ = examine(frames, maps_for(frames))

        assert all(meaning.endswith(".") for _, _, meaning in describe_numbers(report))

    def test_two_places_are_two_fixations(self):
        frames = right_and_left()
        report, _ = examine(frames, maps_for(frames))

        first, second = report.events.fixations
        assert (first.x, first.y, second.x, second.y) == pytest.approx((0.95, 0.5, 0.05, 0.5))
        assert (first.onset_s, first.duration_s, second.onset_s) == pytest.approx((0.0, 0.45, 0.5))
        assert [row.fixation for row in report.rows] == [1] * 10 + [2] * 30

    def test_the_jump_between_them_is_a_saccade(self):
        frames = right_and_left()
        report, _ = examine(frames, maps_for(frames))

        (saccade,) = report.events.saccades
        # 0.9 of a screen 344 mm wide, seen from 600 mm: 2 atan(154.8 / 600) = 28.95 degrees, in one frame of 50 ms.
        assert saccade.amplitude_deg == pytest.approx(28.95, abs=0.1)
        assert (saccade.onset_s, saccade.duration_s) == pytest.approx((0.45, 0.05))
        assert saccade.peak_velocity_deg_per_s == pytest.approx(28.95 / 0.05, rel=0.05)
        assert [row.frame_number for row in report.rows if row.saccade == 1] == [11]

    def test_shut_eyes_are_a_blink(self):
        openness = {20: [0.05, 0.05], 21: [0.05, 0.07], 22: [0.05, 0.05], 23: [0.05, 0.05]}
        frames = {
            number: each | {"eye_openness": openness.get(number, [0.3, 0.3])}
            for number, each in right_and_left().items()
        }
        report, _ = examine(frames, maps_for(frames))

        (blink,) = report.events.blinks
        # Half of 0.3 is crossed 0.6 of the way from frame 19 (0.9 s) to 20, and 0.4 of the way from 23 to 24 (1.15 s).
        assert (blink.onset_s, blink.duration_s) == pytest.approx((0.93, 0.19))
        assert [row.frame_number for row in report.rows if row.blink == 1] == [20, 21, 22, 23]

    def test_a_part_that_is_watched_again_has_events_of_its_own(self):
        """Once on the left, once on the right: mixed by position, the gaze would jump with every frame."""
        frames = {
            number: record(
                LOOKS_LEFT if number <= 20 else LOOKS_RIGHT,
                video_time_ms=50.0 * ((number - 1) % 20) + (0 if number <= 20 else 25),
                eye_openness=[0.1 if number in {5, 6, 7, 30, 31, 32} else 0.3] * 2,
            )
            for number in range(1, 41)
        }
        report, _ = examine(frames, maps_for(frames))

        assert [(each.onset_s, each.samples) for each in report.events.fixations] == [(0.0, 20), (0.025, 20)]
        assert [row.fixation for row in report.rows] == [1] * 20 + [2] * 20
        assert report.events.saccades == ()
        assert [row.frame_number for row in report.rows if row.blink == 2] == [30, 31, 32]

    @pytest.mark.parametrize(("back_ms", "fixations"), [(160.0, 1), (240.0, 2)])
    def test_a_position_that_is_rounded_is_no_rewind(self, back_ms, fixations):
        times_ms = [*np.arange(20) * 50.0, *(950.0 - back_ms + np.arange(20) * 50.0)]
        frames = {number: record(LOOKS_LEFT, video_time_ms=time) for number, time in enumerate(times_ms, start=1)}
        report, _ = examine(frames, maps_for(frames))

        assert len(report.events.fixations) == fixations

    def test_without_eye_openness_blinks_are_unknown(self):
        frames = right_and_left()
        report, _ = examine(frames, maps_for(frames))

        assert report.events.blinks is None

    def test_a_frame_s_own_screen_counts(self):
        # The same jump on a screen half as wide: 2 atan(77.4 / 600) = 14.7 degrees.
        screen = {"width_mm": 172.0, "height_mm": 194.0}
        frames = {number: each | {"screen": screen} for number, each in right_and_left().items()}
        report, _ = examine(frames, maps_for(frames))

        (saccade,) = report.events.saccades
        assert saccade.amplitude_deg == pytest.approx(14.7, abs=0.1)

    def test_a_gaze_counts_on_the_video_s_own_place(self):
        # The video fills the right half of the screen, so its left edge is the middle of the screen.
        report, _ = examine(
            {1: record([0.5, 0.5])}, {1: RIGHT}, viewport={"x": 0.5, "y": 0.0, "width": 0.5, "height": 1.0}
        )

        assert (report.rows[0].screen_x, report.rows[0].video_x, report.rows[0].hit) == (0.5, 0.0, 0)

    def test_each_frame_has_its_own_viewport(self):
        window = {"x": 0.5, "y": 0.25, "width": 0.5, "height": 0.5}
        frames = {1: record([0.975, 0.5], viewport=window), 2: record(LOOKS_RIGHT)}
        frames[2]["viewport"] = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}
        report, _ = examine(frames, maps_for(frames))

        assert [(row.video_x, row.video_y, row.hit) for row in report.rows] == [
            (pytest.approx(0.95), 0.5, 1),
            (0.95, 0.5, 1),
        ]
        assert report.setup_of(1)[1].width == 0.5
        assert report.setup_of(2)[1].width == 1.0
        assert "Screen or viewport changed during the session; each frame is scored with its own." in report.notes

    def test_frames_without_a_position_in_the_video_are_listed_as_such(self):
        frames = {1: record(LOOKS_RIGHT, video_time_ms=0.0), 2: record(LOOKS_RIGHT)}
        report, _ = examine(frames, maps_for(frames))

        assert [row.status for row in report.rows] == ["scored", "no_time"]

    def test_the_report_says_why_a_score_is_invalid_and_what_is_doubtful(self):
        frames = right_and_left()
        doubt = {"code": "flat_maps", "frames": 7, "detail": "the maps are flat"}
        result = result_of(25.0, maps_digest="d1", warnings=[doubt]) | {
            "score_valid": False,
            "score_invalid_reason": "too_few_frames",
        }
        report, _ = examine(frames, maps_for(frames), result=result)

        assert report.notes == ("The score is not valid: too few frames.", "7 frames: the maps are flat.")

    def test_the_position_in_the_video_chooses_the_map(self):
        frames = {1: record(LOOKS_RIGHT, video_time_ms=150), 2: record(LOOKS_RIGHT, video_time_ms=100)}
        report, _ = examine(frames, {3: RIGHT[:, ::-1], 4: RIGHT})

        assert [(row.video_frame, row.hit) for row in report.rows] == [(4, 1), (3, 0)]

    def test_held_maps_score_every_frame(self):
        frames = right_and_left()
        session = make_session(frames)
        store = FakeSaliencyMaps({"v": dict.fromkeys(range(1, 41, 5), RIGHT)}, fps=20.0, held_every=5)
        gazes = {number: GazePoint(*each["gaze"]) for number, each in frames.items()}

        report = examine_session(session, store, gazes)

        assert report.attention.frames == 40
        assert report.attention.hits == 10


class TestAgainstTheResult:
    """The page says what the function said of the same session."""

    def complete_and_examine(self, frames, store, *, accuracy_deg=None, calibration=None):
        sessions, maps, model = (
            FakeSessionStore(),
            FakeSaliencyMaps({"v": store}, digest="d1", fps=20.0),
            FakeGazeModel(),
        )
        viewer = {"ip_address": "203.0.113.7", "video_id": "v"}
        for session_id, records in (("s", frames), ("calibration", calibration or {})):
            for number, each in records.items():
                sessions.update_session(session_id, number, each, **viewer)
        if calibration is not None:
            sessions.store_settings("s", {"calibration_session": "calibration"})
        scorer = SessionScorer(sessions, maps, model=model, accuracy_deg=accuracy_deg)
        completer = Completer(sessions, scorer, FakeResultSink(), observer=Metrics())
        last = LastFrame("s", frame_number=max(frames) + 1, has_image=False, **viewer)
        result = complete(completer, last).result.as_json()
        session, notes = sessions.get_session("s"), []
        gazes, accuracy = read_gazes(session, sessions, lambda: model, notes)
        return result, examine_session(session, maps, gazes, notes, accuracy=accuracy)

    def looks(self, count=60):
        """Return frames of somebody who looks right, left, off the screen and nowhere."""
        places = [LOOKS_RIGHT, LOOKS_RIGHT, LOOKS_LEFT, [0.62, 0.4], [1.5, 0.5]]
        frames = {
            number: record(places[number // 3 % 5], video_time_ms=50.0 * number - 20) for number in range(1, count + 1)
        }
        return frames | {7: record(validity="no_face"), 20: record(validity="eyes_closed")}

    def assert_same(self, report, result):
        for attention, told in ((report.attention, result), (report.at_accuracy, result["at_accuracy"])):
            score = attention.final_score_percent
            assert round(score.value, 2) == told["final_score"]
            assert [round(score.low, 2), round(score.high, 2)] == told["interval_95"]
            assert round(attention.chance_level_percent, 2) == told["chance_level"]
            for name, digits in (("nss", 4), ("auc", 4), ("shuffled_auc", 4)):
                assert round(getattr(attention, name).value, digits) == told[name]["value"]
        assert round(report.coverage, 4) == result["coverage"]
        assert {name: count for name, count in result["lost"].items() if count} == {
            name: count for name, count in report.statuses.items() if name != "scored"
        }
        rows = [row for row in report.rows if row.screen_x is not None]
        for name, column in result["trace"].items():
            assert [getattr(row, name) for row in rows] == column
        assert report.notes == ()

    def test_the_numbers_are_those_of_the_stored_result_with_maps_blurred_as_the_settings_say(self):
        bad = {9: SaliencyMapError("bad"), 30: np.array([[-1.0, 1.0]])}
        maps = {number: np.roll(RIGHT, number, axis=1) for number in range(1, 56)} | bad
        result, report = self.complete_and_examine(self.looks(), maps, accuracy_deg=3.0)

        assert (result["lost"]["bad_map"], result["lost"]["no_map"]) == (2, 5)
        assert result["at_accuracy"]["source"] == "setting"
        self.assert_same(report, result)
        assert [name for name, _, _ in describe_numbers(report) if "blurred" in name] == [
            *("Score, blurred", "Lift, blurred", "Shuffled AUC, blurred")
        ]

    def test_the_numbers_are_those_of_the_stored_result_with_maps_blurred_as_the_calibration_says(self):
        measured = {"features": [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 608.3], "eye_openness": [0.3, 0.3]}
        targets = [(x, y) for y in (0.4, 0.6) for x in (0.4, 0.5, 0.6) for _ in range(5)]
        calibration = {
            number: record([0.5, 0.5], target=list(target), calibration_use="fit", **measured)
            for number, target in enumerate(targets, start=1)
        }
        frames = {number: each | (measured if number % 3 else {}) for number, each in self.looks().items()}
        maps = {number: np.roll(RIGHT, number, axis=1) for number in range(1, 56)}
        result, report = self.complete_and_examine(frames, maps, accuracy_deg=3.0, calibration=calibration)

        assert result["at_accuracy"]["source"] == "calibration"
        self.assert_same(report, result)


class TestStatuses:
    def test_every_frame_says_what_became_of_it(self):
        frames = {
            1: record(LOOKS_RIGHT),
            2: record(validity="no_face"),
            3: record(validity="eyes_closed"),
            4: record(validity="low_quality"),
            5: [320, 240],
            6: "rubbish",
            7: record(LOOKS_RIGHT),
            8: record(LOOKS_RIGHT),
            10: record(LOOKS_RIGHT),
        }
        report, _ = examine(
            frames,
            {1: RIGHT, 7: SaliencyMapError("bad"), 10: RIGHT},
            result=result_of(100.0, lost={"missing": 1}),
        )

        assert [(row.frame_number, row.status) for row in report.rows] == [
            (1, "scored"),
            (2, "no_face"),
            (3, "eyes_closed"),
            (4, "low_quality"),
            (5, "old_format"),
            (6, "unreadable"),
            (7, "bad_map"),
            (8, "no_map"),
            (9, "missing"),
            (10, "scored"),
        ]

    @pytest.mark.parametrize(
        "bad", [np.array([[np.nan, 1.0]]), np.array([[-1.0, 1.0]]), np.zeros(3), SaliencyMapError("of another size")]
    )
    def test_a_map_that_cannot_be_used_scores_nothing(self, bad):
        report, _ = examine({1: record(LOOKS_RIGHT)}, {1: bad})

        assert report.rows[0].status == "bad_map"
        assert report.attention is None

    @pytest.mark.parametrize("flat", [np.full((4, 4), 7, dtype=np.uint8), np.array([[0.5]])])
    def test_a_flat_map_is_hit_by_nothing_and_has_no_chance(self, flat):
        report, _ = examine({1: record(LOOKS_RIGHT)}, {1: flat})

        row = report.rows[0]
        assert (row.status, row.hit, row.chance, row.rank, row.nss) == ("scored", 0, 0.0, 0.5, None)

    def test_a_missing_frame_lies_between_its_neighbours_in_the_video(self):
        """A webcam at 10 frames/s, a film at 20: the number of a frame is no clock."""
        frames = {number: record(LOOKS_RIGHT, video_time_ms=100.0 * number) for number in (1, 2, 4, 5)}
        report, _ = examine(frames, maps_for(range(1, 20)), result=result_of(100.0, lost={"missing": 1}))

        assert [(row.time_s, row.video_frame) for row in report.rows] == [
            *((0.1, 3), (0.2, 5), (pytest.approx(0.3), 7), (0.4, 9), (0.5, 11))
        ]

    def test_missing_frames_at_either_end_are_a_usual_step_apart(self):
        frames = {number: record(LOOKS_RIGHT, video_time_ms=100.0 * number) for number in (2, 3, 5)}
        frames |= {1: "rubbish", 6: "rubbish"}
        report, _ = examine(frames, maps_for(range(1, 20)), result=result_of(100.0, lost={"missing": 1}))

        assert [row.time_s for row in report.rows] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])

    def test_frames_with_targets_are_no_frames_of_the_video(self):
        target = {"target": [0.5, 0.5], "calibration_use": "validate"}
        report, _ = examine({1: record(LOOKS_RIGHT), 2: record(LOOKS_RIGHT, **target)}, {1: RIGHT, 2: RIGHT})

        assert [row.frame_number for row in report.rows] == [1]


class TestOddSessions:
    @pytest.mark.parametrize(
        ("frames", "maps", "said"),
        [
            ({}, {1: RIGHT}, "There is no score: the session has no frames."),
            ({1: record(validity="no_face"), 2: record(validity="no_face")}, {1: RIGHT}, "no score: 2 no face"),
            ({1: record(LOOKS_RIGHT)}, None, "no score: 1 no map"),
            ({1: record(LOOKS_RIGHT)}, {5: RIGHT}, "no score: 1 no map"),
            ({1: [5, 5]}, {1: RIGHT}, "no score: 1 old format"),
        ],
        ids=["empty", "no face", "unknown video", "no map for it", "old records"],
    )
    def test_there_is_a_page_that_says_why_there_is_no_score(self, tmp_path, frames, maps, said):
        report, store = examine(frames, maps)

        assert said in write_report(report, store, tmp_path).read_text()

    def test_one_frame_is_a_session(self, tmp_path):
        report, store = examine({1: record(LOOKS_RIGHT)}, {1: RIGHT})

        page = write_report(report, store, tmp_path).read_text()

        assert "100.0 %" in page
        assert "too short for reliable 95 % intervals" in page

    def test_a_result_of_other_maps_is_pointed_out(self):
        report, _ = examine({1: record(LOOKS_RIGHT)}, {1: RIGHT}, result=result_of(12.5, maps_digest="old"))

        assert "The stored result is 12.5, computed with other maps than those in the store now." in report.notes

    def test_a_result_whose_maps_were_removed_is_stated(self):
        report, _ = examine({1: record(LOOKS_RIGHT)}, None, result=result_of(12.5, maps_digest="old"))

        assert "The stored result is 12.5, computed with maps that have been removed since." in report.notes

    def test_a_result_that_agrees_needs_no_note(self):
        report, _ = examine({1: record(LOOKS_RIGHT)}, {1: RIGHT}, result=result_of(100.0, maps_digest="d1"))

        assert report.notes == ()

    def test_a_gaze_far_off_the_screen_is_drawn(self, tmp_path):
        frames = {number: record([5.0, -3.0]) for number in range(1, 30)}
        report, store = examine(frames, maps_for(frames))

        assert report.attention.off_video == 29
        assert write_report(report, store, tmp_path).exists()

    def test_the_calibration_of_another_session_changes_the_gaze(self):
        session = make_session(
            {1: record(LOOKS_RIGHT)}, calibration_session="gone", result=result_of(1.0, model_digest="another")
        )
        notes = []

        gazes, _ = read_gazes(session, FakeSessionStore(), FakeGazeModel, notes)

        assert list(gazes) == [1]
        assert notes == [
            "The gaze was recomputed with another model than the one that scored the session.",
            "The calibration session no longer exists; the gaze is uncalibrated.",
        ]
