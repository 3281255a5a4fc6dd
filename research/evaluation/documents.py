"""Renewal of the table in both READMEs, the tables and the figures of docs/accuracy.md."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from research.dataset.table import LandmarkTable
from research.evaluation.breakdown import ErrorsByCalibration, ImageErrors
from research.evaluation.calibration_accuracy import CALIBRATIONS, CalibrationTrial
from research.evaluation.metrics import compare_with_truth
from research.evaluation.plots import draw_figures, save_figures
from research.evaluation.ranges import find_in_range, true_point
from research.evaluation.tables import describe_for_docs, describe_for_readme
from research.markdown import replace_block, replace_numbers
from research.training.examples import measure_table

ROOT = Path(__file__).resolve().parents[2]
README_PATH = ROOT / "README.md"
KOREAN_README_PATH = ROOT / "README.ko.md"
ACCURACY_PATH = ROOT / "docs" / "accuracy.md"
FIGURES = ROOT / "docs" / "accuracy"

Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def write_documents(
    metrics: Mapping[str, Any],
    table: LandmarkTable,
    predict: Predict,
    tried: Mapping[str, Sequence[CalibrationTrial]],
) -> None:
    """Renew the tables and figures of the documents.

    Args:
        metrics: Metrics of the card, which the tables show.
        table: Training table, whose test group the figures show.
        predict: Prediction of the model: features (n, 7) to gaze_x and gaze_y (n, 2).
        tried: Calibrations of the test group.

    Raises:
        ValueError: A document lacks a block.
    """
    replace_block(README_PATH, "metrics", describe_for_readme(metrics))
    replace_numbers(KOREAN_README_PATH, "metrics", describe_for_readme(metrics))
    for name, text in describe_for_docs(metrics).items():
        replace_block(ACCURACY_PATH, name, text)
    figures = draw_figures(
        find_image_errors(table, predict),
        find_calibration_errors(tried, lambda trial: trial.median_gaze_deg),
        find_calibration_errors(tried, lambda trial: trial.frames_deg),
    )
    save_figures(figures, FIGURES)


def find_image_errors(table: LandmarkTable, predict: Predict) -> ImageErrors:
    """Return the uncalibrated errors on the images of the test group."""
    measured = measure_table(table)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    errors = compare_with_truth(table, rows, predict(measured.features[rows]), measured.origin_mm[rows])
    points = [true_point(table, row) for row in rows.tolist()]
    return ImageErrors(
        point=np.array([(np.nan, np.nan) if point is None else (point.x, point.y) for point in points]),
        angular_deg=errors.angular_deg,
        offset_deg=errors.offset_deg,
        pose_deg=table.pose_deg[rows],
        distance_mm=table.distance_mm[rows],
        iris_diameter_px=measured.iris_diameter_px[rows],
        identity=table.identity[rows],
        is_in_range=find_in_range(table, rows),
    )


def find_calibration_errors(
    tried: Mapping[str, Sequence[CalibrationTrial]], errors_of: Callable[[CalibrationTrial], NDArray[np.float64]]
) -> ErrorsByCalibration:
    """Return each person's mean error by stage of calibration."""
    return ErrorsByCalibration(*(np.array([errors_of(trial).mean() for trial in tried[name]]) for name in CALIBRATIONS))
