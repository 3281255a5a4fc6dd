"""Scores of gazes on maps that a reader can check."""

import numpy as np
import pytest

from func.session.attention_score import GazeAccuracy, score_gazes
from func.session.frame_record import FrameRecord
from func.session.measured import Measured
from gaze_core.types import GazePoint, Screen, Validity, Viewport
from gaze_core.video_times import VideoTimes
from tests.fakes.saliency_store import FakeSaliencyMaps


def score(maps, gazes, records=None, **options):
    return score_gazes(
        FakeSaliencyMaps({"v": maps}),
        "v",
        gazes,
        records or {},
        screen=Screen(width_mm=345),
        viewport=Viewport(),
        **options,
    )


def test_an_unknown_viewing_distance_is_600_mm():
    # At 600 mm one degree of mean error is a standard deviation of 8.36 mm or 24.2 pixels, and the blur of the bright
    # pixel ends after 97 pixels. At 900 mm it would end after 146 pixels, at 300 mm after 49.
    bright = np.zeros((1, 1000))
    bright[0, 500] = 1.0
    gazes = {1: GazePoint(0.5805, 0.5), 2: GazePoint(0.6105, 0.5)}

    blurred = score({1: bright, 2: bright}, gazes, accuracy=GazeAccuracy(1.0, "setting")).at_accuracy

    assert blurred.final_score == 50.0


@pytest.mark.parametrize(
    ("distances_mm", "expected"), [([900.0], 100.0), ([300.0], 0.0), ([200.0, 900.0, 901.0], 100.0)]
)
def test_maps_are_blurred_for_the_median_viewing_distance(distances_mm, expected):
    bright = np.zeros((1, 1000))
    bright[0, 500] = 1.0
    gazes = {1: GazePoint(0.5805, 0.5), 2: GazePoint(0.6105, 0.5)}
    records = {
        number: FrameRecord(Validity.OK, measured=Measured.pack((0.0,) * 7, (0.0, 0.0, distance_mm), 0.3))
        for number, distance_mm in enumerate(distances_mm, 1)
    }

    blurred = score(
        {1: bright, 2: bright}, gazes, {**records, 8: None}, accuracy=GazeAccuracy(1.0, "setting")
    ).at_accuracy

    assert blurred.final_score == expected


@pytest.mark.parametrize(("last", "compared"), [(40, None), (41, 2)])
def test_a_video_without_frame_rate_plays_at_20_frames_per_second(last, compared):
    # Gazes are compared from a distance of 2 s: 40 frames.
    ramp = np.arange(8.0)[None, :]

    shuffled = score({1: ramp, last: ramp}, {1: GazePoint(0.1, 0.5), last: GazePoint(0.9, 0.5)}).statistics.shuffled_auc

    assert (shuffled and shuffled.frames) == compared


@pytest.mark.parametrize(
    ("times_ms", "compared"),
    [([0.0, 2000.0], 2), ([0.0, 1900.0], None), ([0.0, None], None), ([2000.0, 2000.0], None)],
    ids=["2 s apart", "1.9 s apart", "one unknown", "equal"],
)
def test_gazes_are_compared_from_a_distance_of_2_s_in_the_video(times_ms, compared):
    ramp = np.arange(8.0)[None, :]
    records = {number: FrameRecord(Validity.OK, video_time_ms=time_ms) for number, time_ms in enumerate(times_ms, 1)}

    statistics = score({1: ramp, 2: ramp}, {1: GazePoint(0.1, 0.5), 2: GazePoint(0.9, 0.5)}, records).statistics

    assert (statistics.shuffled_auc and statistics.shuffled_auc.frames) == compared


def test_the_accuracy_has_three_decimals():
    ramp = np.arange(8.0)[None, :]

    scored = score({1: ramp}, {1: GazePoint(0.1, 0.5)}, accuracy=GazeAccuracy(1.23456, "calibration"))

    assert (scored.at_accuracy.accuracy_deg, scored.at_accuracy.source) == (1.235, "calibration")


def test_a_gaze_is_compared_with_the_frame_that_starts_last_before_its_position():
    left, right = np.array([[9.0, 0, 0, 0]]), np.array([[0, 0, 0, 9.0]])
    times = VideoTimes(fps=1.0, starts_s=np.array([0.0, 2.0]), duration_s=3.0)
    gazes = {1: GazePoint(0.1, 0.5), 2: GazePoint(0.9, 0.5), 3: GazePoint(0.9, 0.5), 4: GazePoint(0.9, 0.5)}
    positions_ms = {1: 1999.0, 2: 2000.0, 3: 3000.0, 4: 4000.0}
    records = {number: FrameRecord(Validity.OK, video_time_ms=each) for number, each in positions_ms.items()}

    scored = score_gazes(
        FakeSaliencyMaps({"v": {1: left, 2: right}}, times=times),
        "v",
        gazes,
        records,
        screen=Screen(width_mm=345),
        viewport=Viewport(),
    )

    assert scored.trace.video_frame == [1, 2, 2, 3]
    assert scored.trace.hit == [1, 1, 1, None]
    assert scored.lost["no_map"] == 1
