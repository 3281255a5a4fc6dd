"""The table and the figure of docs/read-the-score.md."""

import numpy as np
import pytest

from research.attention_simulation.reading import COLOURS, ScoredViewings, describe_lengths, draw_example, judge

FOLLOWS = 0


def viewings(scores, *, half_width=10.0):
    """Return viewings in which each viewer has one score for each film, whatever its length."""
    score = np.repeat(np.array(scores, dtype=float)[:, :, None], 4, axis=2)
    return ScoredViewings(score, score - half_width, score + half_width)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (30.1, 60.0, "above chance"),
        (29.9, 60.0, "not distinguishable from chance"),
        (10.0, 29.9, "below chance"),
        (np.nan, np.nan, "not distinguishable from chance"),
    ],
)
def test_a_verdict_compares_the_interval_with_chance(low, high, verdict):
    assert judge(low, high) == verdict


def test_the_table_has_a_row_for_each_length():
    films = viewings([[60, 30, 90, 30], [64, 45, 90, 30], [62, 30, 90, 30]])

    rows = describe_lengths([films]).splitlines()

    assert [row.split(" | ")[0] for row in rows[2:]] == ["| 10 s", "| 30 s", "| 120 s", "| 300 s"]
    # Intervals of ± 10; all of 60, 64, 62 are above chance; one of 30, 45, 30 is; their standard deviation is 2.
    assert rows[2] == "| 10 s | ± 10 | 100 | 33 | 2.0 | 4 | 0.0 |"


def test_differences_are_those_between_films_of_one_kind():
    kinds = [viewings([[60, 30, 90, 30], [61, 30, 90, 30]]), viewings([[80, 30, 90, 30], [81, 30, 90, 30]])]

    assert describe_lengths(kinds).splitlines()[2].endswith("| 0.7 | 1 | 0.0 |")


def test_two_of_a_kind_are_taken_for_different_beyond_the_root_of_the_squares_of_their_half_widths():
    # Consecutive differences of 15, 14 and 1, against a limit of 14.1.
    films = viewings([[60, 30, 90, 30], [75, 30, 90, 30], [61, 30, 90, 30], [62, 30, 90, 30]])

    assert describe_lengths([films]).splitlines()[2].endswith("| 33.3 |")


def test_a_viewing_without_an_interval_is_not_shown_above_chance():
    films = viewings([[60, 30, 90, 30], [60, 30, 90, 30]])
    films.low[0, FOLLOWS], films.high[0, FOLLOWS] = np.nan, np.nan

    assert describe_lengths([films]).splitlines()[2].startswith("| 10 s | ± 10 | 50 |")


def test_the_figure_shows_each_viewer_at_each_length_in_the_colour_of_the_verdict():
    panels = draw_example(viewings([[60, 30, 90, 5]])).axes

    assert len(panels) == 4
    points = [line for line in panels[1].lines if line.get_marker() == "o"]
    assert [float(point.get_xdata()[0]) for point in points] == [60, 30, 90, 5]
    assert [point.get_color() for point in points] == [
        COLOURS[verdict]
        for verdict in ("above chance", "not distinguishable from chance", "above chance", "below chance")
    ]
