"""Measure the accuracy of the gaze model on people that it has never seen.

    python -m research.evaluation [--model …] [--table …] [--calibration-table …] [--folds 5]
    python -m research.evaluation --documents-only
    python -m research.evaluation --recording DIR
    python -m research.evaluation --looking-at-camera DIR [--vertical-fov-deg 20]

The first command measures the model on the test group of rendered people, writes the metrics into the model's card, and
renews the tables and figures of the documents. With `--documents-only` the tables come from the card. The other two
measure the model on images of real people, print JSON and write nothing; see docs/recordings.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from func.adapters.model_file import SklearnGazeModel, load_gaze_model
from models import EYE_NETWORK_PATH, GAZE_MODEL_PATH
from models.card import read_card, write_card
from research.command_line import Command
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.evaluation.calibration_accuracy import summarise_calibrations, try_calibrations
from research.evaluation.comparisons import compare_estimators, compare_features, draw_learning_curve
from research.evaluation.documents import write_documents
from research.evaluation.error_budget import regress_landmarks, split_error
from research.evaluation.metrics import evaluate
from research.evaluation.portraits import report_portraits
from research.evaluation.ranges import find_in_range
from research.recordings.measurement import report_recording
from research.training.examples import find_estimates, measure_table, select_examples

ESTIMATORS = {
    "GradientBoostingRegressor": "gradient_boosting",
    "RandomForestRegressor": "random_forest",
    "ExtraTreesRegressor": "extra_trees",
    "Pipeline": "kernel_ridge",
}


@click.command(cls=Command)
@click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    default=GAZE_MODEL_PATH,
    help="Model file; its card lies beside it.",
)
@click.option(
    "--table", "table_path", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table."
)
@click.option(
    "--calibration-table",
    "calibration_table_path",
    type=click.Path(path_type=Path),
    default=CALIBRATION_TABLE_PATH,
    help="Calibration table.",
)
@click.option("--folds", default=5, show_default=True, help="Folds of the cross-validations; 0 skips the comparisons.")
@click.option("--documents-only", is_flag=True, help="Renew tables and figures of the shipped model from its card.")
@click.option(
    "--recording",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measure on a recording of a real person, print JSON and write nothing.",
)
@click.option(
    "--looking-at-camera",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Measure on portraits of people who look into the lens, print JSON and write nothing.",
)
@click.option(
    "--network",
    "network_path",
    type=click.Path(path_type=Path),
    default=EYE_NETWORK_PATH,
    help="Eye network; its card lies beside it.",
)
@click.option("--vertical-fov-deg", default=20.0, show_default=True, help="Vertical field of view of the portraits.")
def main(
    *,
    model_path: Path,
    table_path: Path,
    calibration_table_path: Path,
    folds: int,
    documents_only: bool,
    recording: Path | None,
    looking_at_camera: Path | None,
    network_path: Path,
    vertical_fov_deg: float,
) -> None:
    """Measure the accuracy of the gaze model on people that it has never seen.

    Without --recording and --looking-at-camera, these are the rendered people of the test group: the metrics are
    written into the model's card, and the tables and figures of the documents are renewed.
    """
    if recording is not None:
        report_recording(recording, model_path, network_path=network_path)
    elif looking_at_camera is not None:
        report_portraits(looking_at_camera, model_path, vertical_fov_deg=vertical_fov_deg, network_path=network_path)
    elif documents_only:
        _renew_documents(model_path, table_path, calibration_table_path)
    else:
        _evaluate(model_path, table_path, calibration_table_path, folds)


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
    click.echo("without single features, cross-validated on training people:")
    ablation = compare_features(training, estimator, chosen, folds=folds, seed=seed)
    click.echo("other estimators, cross-validated on training people:")
    estimators = compare_estimators(training, folds=folds, seed=seed)
    click.echo("trained on fewer people, test group, in range:")
    curve = draw_learning_curve(training, in_range, estimator, chosen, seed=seed)
    click.echo("with true values in place of measurements, test group:")
    budget = split_error(table, measured, estimator, chosen, seed=seed)
    regressed = regress_landmarks(table, measured)
    click.echo(f"  kernel ridge on all landmarks: {regressed['mean']:.2f} degrees")
    return {
        "ablation": ablation,
        "estimators": estimators,
        "learning_curve": curve,
        "error_budget": budget,
        "every_landmark": regressed,
    }


def _load_matching(model: SklearnGazeModel, path: Path) -> LandmarkTable:
    """Return a table whose rows have the estimates that the model was trained with.

    Raises:
        ValueError: It has other estimates, or those of another eye network.
    """
    table = load_table(path)
    estimates = find_estimates(table)
    if set(estimates) != set(model.estimates):
        raise ValueError(
            f"the model was trained with estimates by {', '.join(model.estimates)}, but {path.name} has "
            f"{', '.join(estimates)}: train the model again, or render the table again"
        )
    if "network" in estimates and table.description["eye_network_sha256"] != model.eye_network_sha256:
        raise ValueError(f"the model was trained with another eye network than that of {path.name}")
    return table


def _renew_documents(model_path: Path, table_path: Path, calibration_table_path: Path) -> None:
    model = load_gaze_model(model_path)
    card = read_card(model_path.with_suffix(".json"))
    tried = try_calibrations(_load_matching(model, calibration_table_path), model.predict)
    write_documents(card.metrics, _load_matching(model, table_path), model.predict, tried)


def _evaluate(model_path: Path, table_path: Path, calibration_table_path: Path, folds: int) -> None:
    model = load_gaze_model(model_path)
    table = _load_matching(model, table_path)
    card_path = model_path.with_suffix(".json")
    card = read_card(card_path)
    is_shipped = model_path.resolve() == GAZE_MODEL_PATH
    metrics = evaluate(table, model.predict)
    if not folds:
        if not is_shipped:  # the shipped card holds the comparisons, too
            write_card(card.model_copy(update={"metrics": metrics}), card_path)
        return
    calibrations = _load_matching(model, calibration_table_path)
    tried = try_calibrations(calibrations, model.predict)
    metrics["calibration"] = summarise_calibrations(tried, calibrations)
    for name in tried:
        click.echo(f"calibration, {name}: {metrics['calibration'][name]['error_of_median_gaze_deg']}")
    metrics |= compare(table, ESTIMATORS[card.model.estimator], card.model.hyperparameters, folds, card.model.seed)
    tables = (table_path.resolve(), calibration_table_path.resolve())
    if is_shipped and tables != (TRAINING_TABLE_PATH, CALIBRATION_TABLE_PATH):
        click.echo("these are not the tables of the shipped card: nothing is written", err=True)
        return
    write_card(card.model_copy(update={"metrics": metrics}), card_path)
    click.echo(f"wrote {card_path.name}", err=True)
    if is_shipped:
        write_documents(metrics, table, model.predict, tried)
        click.echo("wrote README.md, docs/accuracy.md and docs/accuracy/*.svg", err=True)


if __name__ == "__main__":
    main()
