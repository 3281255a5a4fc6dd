"""The scale of the score at the head of a report."""

import re

import pytest

from gaze_tools.report.page import write_report
from gaze_tools.report.scale import draw_scale, place_label
from tests.fakes.report import LOOKS_RIGHT, RIGHT, examine, maps_for, record, result_of, right_and_left


def labels_of(svg):
    """Return position and anchor of each label of a figure."""
    texts = re.findall(r"<text ([^>]*)>([^<]*)</text>", svg.inline())
    return {text: dict(re.findall(r'([\w-]+)="([^"]*)"', attributes)) for attributes, text in texts}


def test_score_and_interval_are_above_the_line_and_chance_is_below():
    labels = labels_of(draw_scale(31.0, (25.0, 36.0), 30.0))

    assert list(labels) == ["31.0 %, 95 % interval 25.0 to 36.0 %", "chance 30.0 %", "0", "100"]
    assert float(labels["31.0 %, 95 % interval 25.0 to 36.0 %"]["y"]) == 23
    assert float(labels["chance 30.0 %"]["y"]) == 92


@pytest.mark.parametrize(("chance", "hidden"), [(0.0, "0"), (12.0, "0"), (90.0, "100"), (100.0, "100")])
def test_the_end_of_the_scale_makes_room_for_chance(chance, hidden):
    assert {"0", "100"} - labels_of(draw_scale(50.0, None, chance)).keys() == {hidden}


@pytest.mark.parametrize(("x", "placed"), [(0.0, 67.5), (67.5, 67.5), (300.0, 300.0), (600.0, 532.5)])
def test_a_label_is_never_cut_off(x, placed):
    # 10 letters of 13.5 units in a figure of 600.
    assert place_label(x, "0123456789") == placed


def test_the_report_begins_with_the_score_and_chance(tmp_path):
    frames = right_and_left()
    page = write_report(*examine(frames, maps_for(frames)), tmp_path).read_text()

    assert page.index("<strong>25.0 %</strong>") < page.index("<table class=numbers>")
    assert "Chance is 30.0 %." in page


def test_a_score_that_is_not_valid_is_no_headline(tmp_path):
    result = result_of(100.0, score_valid=False, score_invalid_reason="too_few_frames")
    page = write_report(*examine({1: record(LOOKS_RIGHT)}, {1: RIGHT}, result=result), tmp_path).read_text()

    assert "class=headline" not in page
    assert "The score is not valid: too few frames." in page
