"""Accuracy of calibration, on synthetic people with a constant error."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from pytest import approx

from gaze_core.gaze import direction_to, screen_point_mm
from gaze_core.types import Camera, GazePoint, Screen
from research.evaluation.calibration_accuracy import FIVE_TARGETS, find_groups, summarise_calibrations, try_calibrations
from research.rendering.sampling import CALIBRATION_TARGETS
from research.training.examples import measure_table
from tests.fakes.synthetic_table import make_table
from tests.fakes.viewer import EYES_MM, StraightGazeModel, Viewer

PLACES = [GazePoint(x, y) for x in (0.3, 0.5, 0.7) for y in (0.35, 0.65)]


@pytest.fixture(autouse=True)
def _irises_alone(monkeypatch):
    """Use the irises alone: the lids of synthetic faces do not follow the eyes."""
    monkeypatch.setattr(
        "research.evaluation.calibration_accuracy.measure_table", partial(measure_table, eye_region=None)
    )


def make_calibrations(viewers, frames=2):
    """Return a table of viewers who fixate each calibration and validation target for some frames."""
    table = make_table(identities=len(viewers), frames=15 * frames, held_out=len(viewers))
    for row in range(len(table)):
        viewer = viewers[table.identity[row]]
        table.target_index[row] = (row // frames) % 15
        point = [*CALIBRATION_TARGETS, *PLACES][table.target_index[row]]
        place = np.array([0.0, 30.0, 600.0])
        kept = ~np.isnan(table.landmarks[row])
        table.landmarks[row][kept] = viewer.look_at((point.x, point.y), place_mm=place).points[kept]
        table.camera[row] = (63.0, 0.0, 8.0, 0.0)
        table.pose_deg[row] = 0.0
        table.origin_mm[row] = place + EYES_MM
        table.target_mm[row] = screen_point_mm(point, Screen(), Camera())
        truth = direction_to(point, table.origin_mm[row], Screen(), Camera())
        table.gaze_deg[row] = truth
        table.distance_mm[row] = np.linalg.norm(table.origin_mm[row])
    return table


def mean_deg(trials):
    return np.mean(np.concatenate([trial.median_gaze_deg for trial in trials]))


def test_5_targets_correct_a_constant_error_of_5_degrees():
    table = make_calibrations([Viewer(offset_deg=(4.0, -3.0)), Viewer(offset_deg=(-4.0, 3.0))])

    tried = try_calibrations(table, StraightGazeModel().predict)

    assert mean_deg(tried["uncalibrated"]) == approx(5.0, abs=0.4)
    assert mean_deg(tried["5 targets"]) < 0.5
    assert mean_deg(tried["9 targets"]) < 0.5
    assert all(len(trial.median_gaze_deg) == 6 and len(trial.frames_deg) == 12 for trial in tried["uncalibrated"])


def test_five_targets_are_the_centre_and_the_corners():
    assert [(CALIBRATION_TARGETS[each].x, CALIBRATION_TARGETS[each].y) for each in FIVE_TARGETS] == [
        (0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9),
    ]  # fmt: skip


def test_one_wrong_frame_of_three_moves_no_median():
    table = make_calibrations([Viewer(offset_deg=(0.0, 0.0))], frames=3)
    wrong = np.flatnonzero(table.target_index >= 9)[::3]
    kept = ~np.isnan(table.landmarks[0])
    for row in wrong:
        table.landmarks[row][kept] = Viewer(offset_deg=(0.0, 0.0)).look_at((0.9, 0.9)).points[kept]

    (trial,) = try_calibrations(table, StraightGazeModel().predict)["uncalibrated"]

    assert trial.median_gaze_deg.max() < 1.0
    assert trial.frames_deg.max() > 5.0


def test_the_summary_counts_accepted_and_harmful_calibrations_and_the_reported_accuracy():
    table = make_calibrations([Viewer(offset_deg=(4.0, -3.0)), Viewer(offset_deg=(0.0, 0.0))])

    summary = summarise_calibrations(try_calibrations(table, StraightGazeModel().predict), table)

    assert (summary["5 targets"]["people"], summary["5 targets"]["validation_targets"]) == (2, 12)
    assert summary["5 targets"]["used"] == 2
    assert summary["5 targets"]["reported_accuracy_deg"] < 0.2
    assert "used" not in summary["uncalibrated"]
    assert summary["5 targets"]["worse_than_uncalibrated"] == 0
    assert summary["uncalibrated"]["error_of_median_gaze_deg"]["worst"] == approx(5.0, abs=0.4)
    assert summary["slices"]["screen"]["larger"]["uncalibrated"] == {
        "people": 0,
        "mean": None,
        "median": None,
        "p95": None,
    }


def test_a_calibration_with_a_larger_error_than_uncalibrated_counts_as_worse():
    table = make_calibrations([Viewer(), Viewer()])
    tried = try_calibrations(table, StraightGazeModel().predict)
    first, second = tried["5 targets"]
    harmful = dataclasses.replace(first, median_gaze_deg=tried["uncalibrated"][0].median_gaze_deg + 0.1)

    summary = summarise_calibrations(tried | {"5 targets": [harmful, second]}, table)

    assert summary["5 targets"]["worse_than_uncalibrated"] == 1


def test_each_person_is_in_one_group_of_each_quantity():
    table = make_calibrations([Viewer(), Viewer()])

    for groups in find_groups(table).values():
        assert np.sum(list(groups.values()), axis=0).tolist() == [1] * len(table)


def test_a_table_without_validation_targets_is_a_misuse():
    table = make_calibrations([Viewer()])
    table.target_index[:] = 3

    with pytest.raises(ValueError, match="no validation target"):
        try_calibrations(table, StraightGazeModel().predict)
