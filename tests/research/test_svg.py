"""Scales, ticks and colours of the figures."""

import pytest
from pytest import approx

from research.evaluation.svg import RAMP, Bar, Drawing, Scale, draw_bars, find_colour, find_ticks, round_up, tell


def test_a_scale_puts_its_ends_where_they_belong_and_the_middle_between():
    scale = Scale(2, 4, 300, 100)

    assert [scale.px(value) for value in (2, 3, 4)] == [300, 200, 100]


def test_what_is_beyond_a_scale_is_put_at_its_end():
    assert [Scale(0, 1, 0, 10).px(value) for value in (-1, 2)] == [0, 10]


def test_on_a_logarithmic_scale_each_doubling_is_as_long():
    scale = Scale(1, 4, 0, 100, is_log=True)

    assert [scale.px(value) for value in (1, 2, 4)] == approx([0, 50, 100])


def test_a_scale_of_a_single_value_puts_it_in_the_middle():
    assert Scale(3, 3, 0, 100, is_log=True).px(3) == 50


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0.3, 1.1, [0.4, 0.6, 0.8, 1.0]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (2, 2, [2])],
)
def test_ticks_are_round(low, high, ticks):
    assert find_ticks(low, high) == ticks


@pytest.mark.parametrize(("value", "rounded"), [(4.12, 5), (6.01, 8), (5, 5), (0.07, 0.08), (0, 1)])
def test_a_scale_ends_at_a_round_number_that_is_no_less(value, rounded):
    assert round_up(value) == rounded


def test_the_ramp_runs_from_light_to_dark_and_type_on_it_stays_legible():
    assert find_colour(0) == (RAMP[0], "#1d2733")
    assert find_colour(1) == (RAMP[-1], "#ffffff")


def test_a_negative_number_has_a_minus_sign():
    assert tell(-0.5, "+.2f") == "−0.50"


def test_what_is_written_cannot_break_the_drawing():
    drawing = Drawing("a < b & c", "", height_px=10)

    assert "a &lt; b &amp; c" in drawing.render()


def test_a_bar_below_zero_lies_left_of_it_and_stands_out():
    drawing = draw_bars("", "", "", [Bar("helps", 1.0, "+1"), Bar("harms", -1.0, "−1")])

    assert '<rect x="148" y="81" width="136" height="15" fill="#0072b2"/>' in drawing.render()
    assert '<rect x="12" y="121" width="136" height="15" fill="#d55e00"/>' in drawing.render()
