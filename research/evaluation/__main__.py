"""Measure the accuracy of the gaze model on people that it has never seen.

    python -m research.evaluation [--model …] [--table …] [--calibration-table …] [--folds 5]
    python -m research.evaluation --documents-only
    python -m research.evaluation --recording DIR
    python -m research.evaluation --looking-at-camera DIR [--vertical-fov-deg 20]

The first command measures the model on the test group of rendered people, writes the metrics into the model's card, and
renews the tables and figures of the documents. With `--documents-only` the tables come from the card. The other two
measure the model on images of real people, print JSON and write nothing; see docs/recordings.md.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from func.adapters.model_file import load_gaze_model
from models import GAZE_MODEL_PATH
from models.card import read_card, write_card
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.evaluation.calibration_accuracy import summarise_calibrations, try_calibrations
from research.evaluation.comparisons import compare_estimators, compare_features, draw_learning_curve
from research.evaluation.documents import write_documents
from research.evaluation.error_budget import regress_landmarks, split_error
from research.evaluation.metrics import evaluate
from research.evaluation.portraits import report_portraits
from research.evaluation.ranges import find_in_range
from research.recordings.measurement import report_recording
from research.training.examples import measure_table, select_examples

ESTIMATORS = {
    "GradientBoostingRegressor": "gradient_boosting",
    "RandomForestRegressor": "random_forest",
    "ExtraTreesRegressor": "extra_trees",
    "Pipeline": "kernel_ridge",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parse(arguments)
    if options.recording is not None:
        report_recording(options.recording, options.model)
    elif options.looking_at_camera is not None:
        report_portraits(options.looking_at_camera, options.model, vertical_fov_deg=options.vertical_fov_deg)
    else:
        _evaluate(options)


def compare(
    table: LandmarkTable, estimator: str, hyperparameters: Mapping[str, Any], folds: int, seed: int
) -> dict[str, Any]:
    """Return the comparisons of the card: features, estimators, fewer people, error budget.

    Args:
        table: Table with both groups.
        estimator: Name of the shipped estimator.
        hyperparameters: Hyperparameters of the shipped model.
        folds: Folds of the cross-validations.
        seed: Seed of the fits.
    """
    measured = measure_table(table)
    training = select_examples(table, measured, held_out=False)
    test = select_examples(table, measured, held_out=True)
    in_range = test.of(find_in_range(table, np.flatnonzero(measured.is_usable & table.is_held_out)))
    chosen = dict(hyperparameters)
    print("without single features, cross-validated on training people:")
    ablation = compare_features(training, estimator, chosen, folds=folds, seed=seed)
    print("other estimators, cross-validated on training people:")
    estimators = compare_estimators(training, folds=folds, seed=seed)
    print("trained on fewer people, test group, in range:")
    curve = draw_learning_curve(training, in_range, estimator, chosen, seed=seed)
    print("with true values in place of measurements, test group:")
    budget = split_error(table, measured, estimator, chosen, seed=seed)
    regressed = regress_landmarks(table, measured)
    print(f"  kernel ridge on all landmarks: {regressed['mean']:.2f} degrees")
    return {
        "ablation": ablation,
        "estimators": estimators,
        "learning_curve": curve,
        "error_budget": budget,
        "every_landmark": regressed,
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m research.evaluation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=GAZE_MODEL_PATH, help="model file; its card lies beside it")
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH, help="training table")
    parser.add_argument("--calibration-table", type=Path, default=CALIBRATION_TABLE_PATH, help="calibration table")
    parser.add_argument("--folds", type=int, default=5, help="folds of the cross-validations; 0 skips comparisons")
    parser.add_argument(
        "--documents-only", action="store_true", help="renew tables and figures of the shipped model from its card"
    )
    parser.add_argument("--recording", type=Path, metavar="DIR", help="measure on a recording and print JSON")
    parser.add_argument(
        "--looking-at-camera",
        type=Path,
        metavar="DIR",
        help="measure on portraits of people who look into the lens and print JSON",
    )
    parser.add_argument(
        "--vertical-fov-deg", type=float, default=20.0, help="vertical field of view of the portraits (default: 20)"
    )
    return parser.parse_args(arguments)


def _evaluate(options: argparse.Namespace) -> None:
    model = load_gaze_model(options.model)
    card_path = options.model.with_suffix(".json")
    card = read_card(card_path)
    table = load_table(options.table)
    is_shipped = options.model.resolve() == GAZE_MODEL_PATH
    if options.documents_only:
        tried = try_calibrations(load_table(options.calibration_table), model.predict)
        write_documents(card.metrics, table, model.predict, tried)
        return
    metrics = evaluate(table, model.predict)
    if not options.folds:
        if not is_shipped:  # the shipped card holds the comparisons, too
            write_card(card.model_copy(update={"metrics": metrics}), card_path)
        return
    calibrations = load_table(options.calibration_table)
    tried = try_calibrations(calibrations, model.predict)
    metrics["calibration"] = summarise_calibrations(tried, calibrations)
    for name in tried:
        print(f"calibration, {name}: {metrics['calibration'][name]['error_of_median_gaze_deg']}")
    metrics |= compare(
        table, ESTIMATORS[card.model.estimator], card.model.hyperparameters, options.folds, card.model.seed
    )
    tables = (options.table.resolve(), options.calibration_table.resolve())
    if is_shipped and tables != (TRAINING_TABLE_PATH, CALIBRATION_TABLE_PATH):
        print("these are not the tables of the shipped card: nothing is written")
        return
    write_card(card.model_copy(update={"metrics": metrics}), card_path)
    print(f"wrote {card_path.name}")
    if is_shipped:
        write_documents(metrics, table, model.predict, tried)
        print("wrote README.md, docs/accuracy.md and docs/accuracy/*.svg")


if __name__ == "__main__":
    main()
