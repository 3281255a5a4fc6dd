"""Says how well the gaze model works on people it never saw, and writes it into the model's card.

    python -m research.evaluation [--model …] [--table …] [--calibration-table …] [--folds 5]
    python -m research.evaluation --recording DIR

Every number of the card's `metrics`, of the README's table and of the page of figures comes from here. The test group's
identities took part in nothing else. With `--recording` it measures the model on a recording of a real person instead
and writes nothing; see `research.recordings`.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.model_file import load_gaze_model
from models import GAZE_MODEL_PATH
from models.card import read_card, write_card
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, Table, load_table
from research.evaluation.accuracy import Ablation, Calibrated, Estimator, Evaluation, LearningStep, Pictures, Rung
from research.evaluation.accuracy_tables import describe_for_docs, describe_for_readme, put_between
from research.evaluation.calibration_accuracy import Sitting, summarise_calibrations, try_calibrations
from research.evaluation.comparisons import compare_estimators, compare_features, draw_learning_curve
from research.evaluation.error_budget import regress_landmarks, split_error
from research.evaluation.figures import write_figures
from research.evaluation.metrics import evaluate, hold_against_truth
from research.evaluation.ranges import find_in_range, true_point
from research.recordings.measurement import report_recording
from research.training.examples import measure_table, select_examples

ROOT = Path(__file__).resolve().parents[2]
README_PATH = ROOT / "README.md"
DOCS = ROOT / "docs"
ESTIMATORS = {
    "GradientBoostingRegressor": "gradient_boosting",
    "RandomForestRegressor": "random_forest",
    "ExtraTreesRegressor": "extra_trees",
    "Pipeline": "kernel_ridge",
}


def draw(
    table: Table,
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    metrics: Mapping[str, Any],
    tried: Mapping[str, Sequence[Sitting]],
) -> Evaluation:
    """Return what the page of figures shows.

    Args:
        table: With the test group.
        predict: The model.
        metrics: As the card holds them, the comparisons among them.
        tried: What calibrations were worth.
    """
    measured = measure_table(table)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    predictions = hold_against_truth(table, rows, predict(measured.features[rows]), measured.origin_mm[rows])
    points = [true_point(table, row) for row in rows.tolist()]
    ablation = metrics["ablation"]
    return Evaluation(
        pictures=Pictures(
            point=np.array([(np.nan, np.nan) if point is None else (point.x, point.y) for point in points]),
            angular_deg=predictions.angular_deg,
            offset_deg=predictions.offset_deg,
            pose_deg=table.pose_deg[rows],
            distance_mm=table.distance_mm[rows],
            iris_diameter_px=measured.iris_diameter_px[rows],
            identity=table.identity[rows],
            is_in_range=find_in_range(table, rows),
        ),
        of_medians=_pair(tried, lambda sitting: sitting.places_deg),
        of_frames=_pair(tried, lambda sitting: sitting.frames_deg),
        learning=tuple(
            LearningStep(step["people"], step["mean_angular_error_deg"], step["least"], step["most"])
            for step in metrics["learning_curve"]
        ),
        ladder=tuple(Rung(name, errors["mean"]) for name, errors in metrics["error_budget"].items()),
        ablation=tuple(
            Ablation(name.removeprefix("without "), errors["mean"], ablation["all"]["mean"])
            for name, errors in ablation.items()
            if name != "all"
        ),
        estimators=tuple(
            Estimator(name, errors["mean"], errors["ms_a_prediction"])
            for name, errors in metrics["estimators"].items()
            if "ms_a_prediction" in errors
        ),
    )


def _pair(tried: Mapping[str, Sequence[Sitting]], errors_of: Callable[[Sitting], NDArray[np.float64]]) -> Calibrated:
    none, five, nine = (
        np.array([errors_of(sitting).mean() for sitting in tried[name]]) for name in ("none", "5 dots", "9 dots")
    )
    return Calibrated(none, five, nine)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate, print, and write the metrics into the card."""
    parser = argparse.ArgumentParser(prog="python -m research.evaluation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=GAZE_MODEL_PATH, help="its card lies beside it")
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH)
    parser.add_argument("--calibration-table", type=Path, default=CALIBRATION_TABLE_PATH)
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validations; 0 for the test group alone")
    parser.add_argument("--recording", type=Path, metavar="DIR", help="measure on this recording instead, print JSON")
    options = parser.parse_args(arguments)
    if options.recording is not None:
        report_recording(options.recording, options.model)
        return
    model = load_gaze_model(options.model)
    card_path = options.model.with_suffix(".json")
    card = read_card(card_path)
    table = load_table(options.table)
    metrics = evaluate(table, model.predict)
    is_shipped = options.model.resolve() == GAZE_MODEL_PATH
    if not options.folds:
        if not is_shipped:  # its card holds more than this
            write_card(card.model_copy(update={"metrics": metrics}), card_path)
        return
    calibrations = load_table(options.calibration_table)
    tried = try_calibrations(calibrations, model.predict)
    metrics["calibration"] = summarise_calibrations(tried, calibrations)
    for name in tried:
        print(f"calibration, {name}: {metrics['calibration'][name]['median_of_frames_deg']}")
    metrics |= compare(
        table, ESTIMATORS[card.model.estimator], card.model.hyperparameters, options.folds, card.model.seed
    )
    tables = (options.table.resolve(), options.calibration_table.resolve())
    if is_shipped and tables != (TRAINING_TABLE_PATH, CALIBRATION_TABLE_PATH):
        print("other tables than the shipped card tells of: nothing is written")
        return
    write_card(card.model_copy(update={"metrics": metrics}), card_path)
    print(f"written into {card_path.name}")
    if is_shipped:
        put_between(README_PATH, "metrics", describe_for_readme(metrics, card.data))
        put_between(DOCS / "accuracy.md", "metrics", describe_for_docs(metrics))
        page = write_figures(draw(table, model.predict, metrics, tried), DOCS)
        print(f"written into {README_PATH.name}, accuracy.md and {page.name}")


def compare(table: Table, estimator: str, hyperparameters: Mapping[str, Any], folds: int, seed: int) -> dict[str, Any]:
    """Return the card's comparisons: features, estimators, fewer people, and what the error is made of.

    Args:
        table: With both groups.
        estimator: As shipped.
        hyperparameters: As shipped.
        folds: Of the cross-validations.
        seed: Of the fits.
    """
    measured = measure_table(table)
    training = select_examples(table, measured, held_out=False)
    test = select_examples(table, measured, held_out=True)
    in_range = test.of(find_in_range(table, np.flatnonzero(measured.is_usable & table.is_held_out)))
    chosen = dict(hyperparameters)
    print("features, cross-validated on training people:")
    ablation = compare_features(training, estimator, chosen, folds=folds, seed=seed)
    print("estimators, likewise:")
    estimators = compare_estimators(training, folds=folds, seed=seed)
    print("learning from fewer people, test group, in range:")
    curve = draw_learning_curve(training, in_range, estimator, chosen, seed=seed)
    print("with the truth in place of a measurement, test group:")
    budget = split_error(table, measured, estimator, chosen, seed=seed)
    regressed = regress_landmarks(table, measured)
    print(f"  every landmark instead of seven features: {regressed['mean']:.2f} degrees")
    return {
        "ablation": ablation,
        "estimators": estimators,
        "learning_curve": curve,
        "error_budget": budget,
        "every_landmark": regressed,
    }


if __name__ == "__main__":
    main()
