"""Which gaze a frame of the film shows, for how long, and how far its tail reaches back."""

import numpy as np
import pytest

from gaze_tools.film_times import make_times
from gaze_tools.report.gaze_on_film import GazeOnFilm
from tests.gaze_tools.test_report_overlay import gaze_row, lost_row, report_of

FILM = make_times(np.arange(0, 100) / 100, end_s=1.0, stated_fps=[100.0])


def gaze_on_film(rows, **changes):
    return GazeOnFilm(report_of(rows, **changes), FILM)


@pytest.mark.parametrize(
    ("step_s", "last_shown"),
    # One and a half steps after the last row at 5 steps: 7.5 of 0.1 s; of 0.02 s less than the least, 0.1 s.
    [(0.1, 1 + 65), (0.02, 1 + 20)],
    ids=["10 frames/s", "50 frames/s"],
)
def test_a_gaze_is_shown_until_it_is_one_and_a_half_steps_or_a_tenth_of_a_second_old(step_s, last_shown):
    gaze = gaze_on_film([gaze_row(number, step_s * (number - 1), 0.5, 0.5) for number in range(1, 7)])

    shown = [number for number in range(1, 101) if gaze.at(number).point is not None]

    assert shown == list(range(1, last_shown + 1))
    assert gaze.at(last_shown + 1).lost == "no data"


def test_before_the_first_frame_of_the_webcam_there_are_no_data():
    gaze = gaze_on_film([gaze_row(1, 0.5, 0.5, 0.5)])

    assert gaze.at(50).lost == "no data"
    assert gaze.at(51).point == (0.5, 0.5)


def test_the_tail_reaches_back_for_six_tenths_of_a_second():
    gaze = gaze_on_film([gaze_row(number, 0.05 * (number - 1), 0.01 * number, 0.5) for number in range(1, 21)])

    shown = gaze.at(91)  # at 0.9 s, the 19th row

    assert shown.point == pytest.approx((0.19, 0.5))
    assert [round(each.x, 2) for each in shown.tail] == [
        *(0.18, 0.17, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10, 0.09, 0.08),
    ]
    assert [each.age for each in shown.tail[:3]] == pytest.approx([0.05 / 0.6, 0.1 / 0.6, 0.15 / 0.6])


@pytest.mark.parametrize(
    "between",
    [[lost_row(3, 0.2)], [], [gaze_row(3, 0.9, 0.1, 0.1)]],
    ids=["a lost frame", "a gap", "a jump of the film"],
)
def test_the_tail_ends_at(between):
    rows = [gaze_row(1, 0.05, 0.1, 0.5), gaze_row(2, 0.1, 0.2, 0.5), *between, gaze_row(4, 0.3, 0.4, 0.5)]
    gaze = gaze_on_film([*rows, gaze_row(5, 0.35, 0.5, 0.5)])

    assert [each.x for each in gaze.at(36).tail] == [0.4]


def test_positions_outside_the_film_show_nothing():
    gaze = gaze_on_film([gaze_row(1, -5.0, 0.5, 0.5), gaze_row(2, 1.26, 0.5, 0.5)])

    assert {gaze.at(number).lost for number in (1, 50, 100)} == {"no data"}


def test_a_position_just_after_the_end_is_on_the_last_frame():
    gaze = gaze_on_film([gaze_row(1, 1.24, 0.5, 0.5)])

    assert gaze.at(100).point == (0.5, 0.5)
