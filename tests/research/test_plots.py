"""The figures of docs/accuracy.md, on errors that are known."""

import dataclasses

import numpy as np
import pytest
from pytest import approx

from research.evaluation.breakdown import ErrorsByCalibration, ImageErrors, map_errors
from research.evaluation.plots import (
    YAW,
    draw_figures,
    plot_calibration,
    plot_distribution,
    plot_quantities,
    plot_screen,
    save_figures,
)


@pytest.fixture(scope="module")
def errors():
    """Return 1000 images of 40 people; the error grows with the head's yaw, and the estimate is 1 degree too high."""
    rng = np.random.default_rng(0)
    pose_deg = rng.uniform([-18, -30, -12], [18, 30, 12], (1000, 3))
    return ImageErrors(
        point=rng.uniform(0, 1, (1000, 2)),
        angular_deg=2 + 0.1 * np.abs(pose_deg[:, 1]),
        offset_deg=np.tile([0.0, 1.0], (1000, 1)),
        pose_deg=pose_deg,
        distance_mm=rng.uniform(350, 850, 1000),
        iris_diameter_px=rng.uniform(6, 25, 1000),
        identity=np.repeat(np.arange(40), 25),
        is_in_range=np.arange(1000) % 2 == 0,
    )


@pytest.fixture(scope="module")
def calibration():
    return ErrorsByCalibration(np.array([8.0, 6.0]), np.array([4.0, 5.0]), np.array([3.0, 7.0]))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_each_cell_of_the_screen_states_its_mean_error_and_its_images(errors):
    one = dataclasses.replace(errors, point=np.tile([0.5, 0.5], (1000, 1)), angular_deg=np.full(1000, 3.0))

    figure = plot_screen(map_errors(one))

    shown = texts(figure.axes[0])
    assert shown.count("3.0\n(1,000)") == 1
    assert shown.count("–") == 34


def test_an_estimate_that_is_too_high_points_up_on_the_screen(errors):
    figure = plot_screen(map_errors(errors))

    (arrows,) = [each for each in figure.axes[1].collections if hasattr(each, "V")]
    assert approx(np.zeros(len(arrows.U))) == arrows.U
    assert (arrows.V > 0.9).all()


def test_the_distribution_marks_median_and_95th_percentile_of_the_images_in_range(errors):
    known = dataclasses.replace(errors, angular_deg=np.where(errors.is_in_range, 2.0, 9.0))

    (axes,) = plot_distribution(known).axes

    assert texts(axes) == ["50 % below 2.0°", "95 % below 2.0°"]


def test_the_mean_error_rises_with_the_yaw(errors):
    axes = plot_quantities(errors).axes[0]

    means = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 1]
    assert len(means) == 7
    assert means[0] == approx(4.75, abs=0.2)
    assert means[3] == approx(2.25, abs=0.1)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-np.inf, -25, True), (-25, -15, False), (15, 25, False), (25, np.inf, True)],
)
def test_bins_beyond_25_degrees_of_yaw_are_out_of_range(low, high, expected):
    assert YAW.is_out_of_range(low, high) is expected


def test_the_calibration_figure_states_the_mean_of_each_stage(calibration):
    figure = plot_calibration(calibration, calibration)

    assert texts(figure.axes[0]) == ["7.0°", "4.5°", "5.0°"]


def test_people_who_are_worse_after_calibration_stand_out(calibration):
    axes = plot_calibration(calibration, calibration).axes[0]

    (worse,) = [line for line in axes.lines if "worse" in str(line.get_label())]
    assert worse.get_ydata().tolist() == [6.0, 5.0, 7.0]


@pytest.mark.slow
def test_equal_errors_give_equal_files(errors, calibration, tmp_path):
    for folder in ("first", "second"):
        save_figures(draw_figures(errors, calibration, calibration), tmp_path / folder)

    first = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert sorted(first) == ["calibration.svg", "distribution.svg", "quantities.svg", "screen.svg"]
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()}


def test_files_contain_no_date(errors, calibration, tmp_path):
    figures = {"distribution": plot_distribution(errors)}

    (path,) = save_figures(figures, tmp_path)

    assert "dc:date" not in path.read_text()


def test_figures_can_be_written_as_png(errors, tmp_path):
    (path,) = save_figures({"distribution": plot_distribution(errors)}, tmp_path, suffix="png")

    assert path.read_bytes().startswith(b"\x89PNG")
