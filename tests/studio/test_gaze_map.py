"""Arithmetic of the score step's drawings, run by Node.js."""

import json

import pytest
from pytest import approx

from tests.studio.test_client_module import run


def call(name, *arguments):
    return run("gaze-map.js", f"m.{name}({', '.join(json.dumps(each) for each in arguments)})")


def test_the_density_is_highest_where_most_of_the_gaze_was():
    places = [{"x": 0.25, "y": 0.5}] * 3 + [{"x": 0.75, "y": 0.5}, {"x": 1.5, "y": 0.5}]
    density = list(call("measureDensity", places, 40, 20).values())

    row = density[10 * 40 : 11 * 40]
    assert max(density) == 1
    assert row[10] == 1
    assert row[30] == approx(1 / 3, abs=0.01)
    # One standard deviation beside a point it is exp(-1 / 2) of it: 0.045 of 40 columns are 1.8.
    assert row[12] == approx(0.54, abs=0.01)


def test_without_a_gaze_there_is_no_density():
    assert set(call("measureDensity", [], 4, 2).values()) == {0}


def test_thirds_count_the_whole_gaze():
    places = [{"x": 0.1, "y": 0.1}, {"x": 0.5, "y": 0.9}, {"x": 1.0, "y": 1.0}, {"x": -0.01, "y": 0.5}]

    counted = call("countThirds", places)

    assert counted == {"thirds": [[0.25, 0, 0], [0, 0, 0], [0, 0.25, 0.25]], "outside": 0.25}


def test_fixations_are_read_from_columns_of_integers():
    columns = {"onset_ms": [1500, 2000], "duration_ms": [250, 100], "x": [30_000, -12], "y": [50_000, 100_000]}

    found = call("readFixations", columns)

    assert found == [
        {"number": 1, "onsetS": 1.5, "durationS": 0.25, "x": 0.3, "y": 0.5},
        {"number": 2, "onsetS": 2, "durationS": 0.1, "x": -0.00012, "y": 1},
    ]


def test_old_records_have_no_fixations():
    assert call("readFixations", {"onset_ms": None, "duration_ms": None, "x": None, "y": None}) is None


def test_a_film_of_three_hours_has_an_end():
    # 216,000 frames: more than a call of JavaScript has arguments.
    found = run("charts.js", "m.findEndMs(Array.from({ length: 216000 }, (_, index) => ({ videoTimeMs: 50 * index })))")

    assert found == 50 * 215_999


@pytest.mark.parametrize(
    ("from_s", "to_s", "limit", "numbers"),
    [(0, 10, 9, [1, 2, 3]), (1.2, 1.9, 9, [2]), (0, 10, 2, [1, 3]), (5, 9, 9, [])],
)
def test_the_longest_fixations_of_a_moment_are_drawn_in_order(from_s, to_s, limit, numbers):
    fixations = [
        {"number": number, "onsetS": onset_s, "durationS": duration_s}
        for number, onset_s, duration_s in ((1, 0.0, 0.5), (2, 1.0, 0.3), (3, 2.0, 0.9))
    ]

    chosen = call("chooseFixations", fixations, from_s, to_s, limit)

    assert [each["number"] for each in chosen] == numbers


@pytest.mark.parametrize(
    ("places", "numbers"),
    [
        # Apart, each has room; a number of two digits is 20 wide, of one 10, and a line is 17 high.
        ([(1, 100, 100, 0.2), (2, 111, 100, 0.3), (3, 100, 118, 0.4)], [3, 2, 1]),
        # Crowded, the longest comes first, and then whatever has room beside it.
        ([(1, 100, 100, 0.2), (2, 109, 100, 0.3), (3, 118, 100, 0.4), (4, 100, 116, 0.1)], [3, 1]),
        ([(10, 100, 100, 0.4), (11, 119, 100, 0.3)], [10]),
        ([(10, 100, 100, 0.4), (11, 121, 100, 0.3)], [10, 11]),
        ([], []),
    ],
)
def test_a_fixation_has_a_number_where_there_is_room_for_it(places, numbers):
    placed = [
        {"number": number, "left": left, "top": top, "durationS": duration_s}
        for number, left, top, duration_s in places
    ]

    chosen = call("chooseNumbers", placed)

    assert [each["number"] for each in chosen] == numbers


def test_the_table_of_the_trace_has_means_of_each_second():
    full = {"x": 0, "y": 0, "width": 1, "height": 1}
    points = [
        {"frameNumber": 1, "videoTimeMs": 0, "gaze": {"x": 0.2, "y": 0.5}, "viewport": full},
        {"frameNumber": 2, "videoTimeMs": 999, "gaze": {"x": 0.4, "y": 0.5}, "viewport": full},
        {"frameNumber": 3, "videoTimeMs": 1000, "gaze": None, "viewport": full},
        {"frameNumber": 4, "videoTimeMs": 2100, "gaze": {"x": 0.4, "y": 0.5}, "viewport": {**full, "width": 0.5}},
    ]
    trace = {"frame_number": [1, 2, 4], "hit": [1, 0, None]}

    rows = call("summariseTrace", points, trace)

    assert rows == [
        {"startS": 0, "x": approx(0.3), "y": 0.5, "hits": 0.5},
        {"startS": 1, "x": None, "y": None, "hits": None},
        {"startS": 2, "x": 0.8, "y": 0.5, "hits": None},
    ]
