"""Errors of a recording, on values that can be computed by hand."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.types import Camera, GazePoint, Screen
from research.recordings.errors import TargetErrors, compare_with_targets, describe_errors
from tests.fakes.recordings import IN_FRONT_OF_THE_CAMERA_MM, FakeRecording


@pytest.fixture
def recording(tmp_path):
    return FakeRecording(tmp_path / "me")


def test_three_degrees_at_600_mm_are_31_mm_on_the_screen(tmp_path):
    # The target is the camera itself, straight ahead of the eyes at 600 mm.
    recording = FakeRecording(
        tmp_path / "me", camera=Camera(offset_y_mm=0.0), description={"camera": {"offset_y_mm": 0.0}}
    )
    recording.add(0.5, 0.0, off_deg=(3.0, 0.0), place_mm=IN_FRONT_OF_THE_CAMERA_MM)

    errors = recording.measure()["test"]["uncalibrated"]

    assert errors["error_deg"] == {"mean": 3.0, "median": 3.0, "p95": 3.0}
    assert (errors["offset_right_deg"], errors["offset_up_deg"]) == (3.0, 0.0)
    # 600 mm × tan 3° = 31.4 mm, and 1920 pixels are 345 mm; the distance is estimated within 2 %.
    assert errors["error_mm"]["mean"] == approx(31.4, rel=0.02)
    assert errors["error_px"]["mean"] == approx(175, rel=0.02)


def test_up_is_up(recording):
    recording.add(0.5, 0.5, off_deg=(0.0, 2.0))

    report = recording.measure()

    assert report["test"]["uncalibrated"]["error_deg"]["mean"] == 2.0
    assert report["test"]["uncalibrated"]["offset_up_deg"] == 2.0
    assert report["by_target"][0]["uncalibrated"]["offset_up_deg"] == 2.0


def test_pixels_are_those_of_the_screen(tmp_path):
    reports = []
    for name, width_px, height_px in (("coarse", 1000, 500), ("fine", 2000, 1000)):
        size = {"width_px": width_px, "height_px": height_px}
        recording = FakeRecording(tmp_path / name, description={"screen": size})
        recording.add(0.5, 0.5, off_deg=(1.0, 2.0))
        reports.append(recording.measure()["test"]["uncalibrated"])

    coarse, fine = reports
    assert fine["error_px"]["mean"] == approx(2 * coarse["error_px"]["mean"], abs=0.2)
    assert fine["error_mm"] == coarse["error_mm"]


def errors_of(offsets_deg, targets):
    offsets_deg = np.array(offsets_deg, dtype=float)
    return TargetErrors(np.array(targets), np.linalg.norm(offsets_deg, axis=1), offsets_deg, 10 * offsets_deg)


def test_frames_that_scatter_about_their_target_have_a_median_gaze_on_it():
    described = describe_errors(errors_of([(-2, 0), (0, 0), (2, 0)], [0, 0, 0]), Screen())

    assert described["error_deg"] == {"mean": 1.33, "median": 2.0, "p95": 2.0}
    assert (described["error_of_median_gaze_deg"], described["error_of_median_gaze_mm"]) == (0.0, 0.0)
    assert described["precision_deg"] == 1.63  # the root of (4 + 0 + 4) / 3


def test_every_target_counts_once_for_the_median_gaze_and_every_frame_for_the_frames():
    described = describe_errors(errors_of([(3, 0), (3, 0), (3, 0), (0, -1)], [0, 0, 0, 1]), Screen())

    assert described["error_deg"]["mean"] == 2.5
    assert described["error_of_median_gaze_deg"] == 2.0
    assert (described["offset_right_deg"], described["offset_up_deg"]) == (1.5, -0.5)


def test_a_single_frame_has_no_precision():
    described = describe_errors(errors_of([(3, 0), (1, 0), (2, 0)], [0, 1, 1]), Screen())

    assert described["precision_deg"] == 0.5
    assert describe_errors(errors_of([(3, 0)], [0]), Screen())["precision_deg"] is None


def test_right_and_up_are_positive_on_the_screen_too():
    errors = compare_with_targets(
        np.array([[3.0, 0.0], [0.0, 3.0]]),
        np.array([[0.0, 0.0, 600.0]] * 2),
        [GazePoint(0.5, 0.0)] * 2,
        [0, 0],
        screen=Screen(),
        camera=Camera(offset_y_mm=0.0),
    )

    assert errors.offset_deg == approx(np.array([[3.0, 0.0], [0.0, 3.0]]))
    assert errors.offset_mm == approx(np.array([[31.44, 0.0], [0.0, 31.44]]), abs=0.01)


def test_rays_that_miss_the_screens_plane_are_counted_and_have_no_screen_error():
    errors = compare_with_targets(
        np.array([[0.0, 0.0], [100.0, 0.0]]),
        np.array([[0.0, 0.0, 600.0]] * 2),
        [GazePoint(0.5, 0.0)] * 2,
        [0, 0],
        screen=Screen(),
        camera=Camera(offset_y_mm=0.0),
    )
    described = describe_errors(errors, Screen())

    assert described["rays_that_miss_the_screen_plane"] == 1
    assert described["error_deg"]["mean"] == 50.0
    assert described["error_mm"]["mean"] == 0.0
