"""Scores of gazes on maps that a reader can check."""

import numpy as np
import pytest

from func.session.attention_score import GazeAccuracy, score_gazes
from func.session.frame_record import FrameRecord
from func.session.measured import Measured
from gaze_core.ports import UsableMap, VideoMaps
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


@pytest.mark.parametrize(
    ("times_ms", "compared"), [([0.0, 2000.0, 2000.0], 3), ([0.0, 1900.0, 1900.0], None)], ids=["2 s", "1.9 s"]
)
def test_frames_taken_while_the_video_is_paused_keep_their_times(times_ms, compared):
    ramp = np.arange(8.0)[None, :]
    records = {number: FrameRecord(Validity.OK, video_time_ms=time_ms) for number, time_ms in enumerate(times_ms, 1)}
    gazes = {1: GazePoint(0.1, 0.5), 2: GazePoint(0.9, 0.5), 3: GazePoint(0.8, 0.5)}

    statistics = score(dict.fromkeys((1, 2, 3), ramp), gazes, records).statistics

    assert (statistics.shuffled_auc and statistics.shuffled_auc.frames) == compared


def test_a_video_clock_that_never_runs_is_not_used():
    # By number at 20 frames per second, frames 1 and 41 are 2 s apart.
    ramp = np.arange(8.0)[None, :]
    records = dict.fromkeys((1, 41), FrameRecord(Validity.OK, video_time_ms=0.0))

    statistics = score({1: ramp, 41: ramp}, {1: GazePoint(0.1, 0.5), 41: GazePoint(0.9, 0.5)}, records).statistics

    assert statistics.shuffled_auc.frames == 2


def test_the_accuracy_has_three_decimals():
    ramp = np.arange(8.0)[None, :]

    scored = score({1: ramp}, {1: GazePoint(0.1, 0.5)}, accuracy=GazeAccuracy(1.23456, "calibration"))

    assert (scored.at_accuracy.accuracy_deg, scored.at_accuracy.source) == (1.235, "calibration")


SIDE = Viewport(width=0.5)
"""The left half of the screen."""


@pytest.mark.parametrize("first", [Viewport(), SIDE, Viewport(width=0.25)], ids=["full", "half", "quarter"])
def test_maps_are_blurred_for_the_viewport_of_each_frame(first):
    # Full screen, the blur of the bright pixel ends after 97 of 1000 pixels, and at half the width after twice as many.
    bright = np.zeros((1, 1000))
    bright[0, 500] = 1.0
    places = {1: (0.5805, Viewport()), 2: (0.6105, Viewport()), 3: (0.6105, SIDE), 4: (0.7105, SIDE)}
    records = {number: FrameRecord(Validity.OK, viewport=own) for number, (_, own) in places.items()}
    gazes = {number: GazePoint(own.width * x, 0.5) for number, (x, own) in places.items()}

    numbers = score_gazes(
        FakeSaliencyMaps({"v": dict.fromkeys(range(1, 5), bright)}),
        "v",
        gazes,
        records,
        screen=Screen(width_mm=345),
        viewport=first,
        accuracy=GazeAccuracy(1.0, "setting"),
    )

    # Hits: 1 (80 pixels away, full screen) and 3 (110 pixels away, half the width).
    assert numbers.attention_at_accuracy.hits == 2


@pytest.mark.parametrize(("width_mm", "expected"), [(345, 0.0), (172.5, 100.0)])
def test_maps_are_blurred_for_the_screen_of_each_frame(width_mm, expected):
    bright = np.zeros((1, 1000))
    bright[0, 500] = 1.0
    records = {1: FrameRecord(Validity.OK, screen=Screen(width_mm=width_mm))}

    blurred = score({1: bright}, {1: GazePoint(0.6105, 0.5)}, records, accuracy=GazeAccuracy(1.0, "setting"))

    assert blurred.at_accuracy.final_score == expected


def test_one_map_is_blurred_for_all_viewports_of_the_frames_that_it_is_held_for():
    bright = np.zeros((1, 1000))
    bright[0, 500] = 1.0
    records = {1: FrameRecord(Validity.OK, viewport=Viewport()), 2: FrameRecord(Validity.OK, viewport=SIDE)}
    maps = FakeSaliencyMaps({"v": {1: bright}}, held_every=2)
    gazes = {1: GazePoint(0.6105, 0.5), 2: GazePoint(0.30525, 0.5)}

    numbers = score_gazes(
        maps,
        "v",
        gazes,
        records,
        screen=Screen(width_mm=345),
        viewport=Viewport(),
        accuracy=GazeAccuracy(1.0, "setting"),
    )

    assert (numbers.attention_at_accuracy.frames, numbers.attention_at_accuracy.hits) == (2, 1)


def test_a_viewport_of_almost_no_size_blurs_the_map_until_it_is_uniform():
    ramp = np.arange(100.0)[None, :]
    records = {1: FrameRecord(Validity.OK, viewport=Viewport(width=1e-320, height=1e-320))}

    scored = score({1: ramp}, {1: GazePoint(0.5, 0.5)}, records, accuracy=GazeAccuracy(1.0, "setting"))

    assert scored.at_accuracy.final_score == 0.0


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


@pytest.mark.parametrize("every", [1, 2, 300])
def test_every_frame_is_compared_with_its_own_map_in_a_long_session(every):
    # Frames of a long session are looked up in blocks; a map is held for some of them, or for more than a block.
    left, right = np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0, 4.0]])
    maps = HeldMaps({number: (left, right)[number // every % 2] for number in range(0, 600, every)}, every)
    gazes = {number + 1: GazePoint(0.1, 0.5) for number in range(600) if number % 7}

    trace = score_gazes(maps, "v", gazes, {}, screen=Screen(), viewport=Viewport()).trace

    assert trace.frame_number == sorted(gazes)
    assert trace.hit == [1 - (number - 1) // every % 2 for number in trace.frame_number]


def test_a_map_may_be_shared_by_frames_with_others_between():
    maps = HeldMaps({}, 1)
    left, right = np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0, 4.0]])
    maps.stored = [UsableMap((1, 3), left), UsableMap((2,), right)]
    gazes = {number: GazePoint(0.1, 0.5) for number in (1, 2, 3)}

    trace = score_gazes(maps, "v", gazes, {}, screen=Screen(), viewport=Viewport()).trace

    assert trace.hit == [1, 0, 1]


class HeldMaps:
    """Maps that are each held for some video frames."""

    def __init__(self, maps, every):
        self.stored = [
            UsableMap(tuple(range(first + 1, first + 1 + every)), saliency_map) for first, saliency_map in maps.items()
        ]

    def extract_saliencyMap(self, video_id, *, frame_nums=None):
        return VideoMaps(iter(self.stored), None, fps=20.0, times=VideoTimes(20.0))
