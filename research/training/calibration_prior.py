"""Estimate the prior of the calibration's coefficients, `gaze_core.calibration`.

    python -m research.training.calibration_prior [--table …] [--folds 10]

Every training person's gaze is predicted by a model trained on other people. The remaining error is a personal
correction, in the form that a calibration fits, plus scatter. Expectation maximisation estimates both variances (Laird
and Ware, Random-effects models for longitudinal data, Biometrics 38, 1982). The test group is not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from gaze_core.calibration import HEAD_ANGLES
from gaze_core.correction import design_axes, missing_in_head_deg
from gaze_core.gaze import gaze_direction
from models import GAZE_MODEL_PATH
from models.card import read_card
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.training.examples import measure_table, select_examples
from research.training.train import predict_folds, split_people

Floats = NDArray[np.float64]

STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Distribution of people's corrections along one axis.

    Attributes:
        covariance: Covariance of the coefficients over people about zero, shape (k, k).
        scatter_deg: Standard deviation of single images about their person's correction.
        people: Number of people.
    """

    covariance: Floats
    scatter_deg: float
    people: int


@dataclass(frozen=True, slots=True, eq=False)
class UnseenPeople:
    """Predictions for training people by models trained on other people.

    Attributes:
        rows: Rows of the table, shape (n,).
        identity: Number of the person, shape (n,).
        features: In the order of `FEATURE_NAMES`, shape (n, 7).
        origin_mm: Estimated midpoint between the eyes, camera frame, shape (n, 3).
        openness: Mean eye aspect ratio, shape (n,).
        uncalibrated_deg: Predicted gaze_x and gaze_y, shape (n, 2).
        true_deg: Direction from the estimated midpoint to the target, as a client knows it, shape (n, 2).
    """

    rows: NDArray[np.int64]
    identity: NDArray[np.int64]
    features: Floats
    origin_mm: Floats
    openness: Floats
    uncalibrated_deg: Floats
    true_deg: Floats


def predict_unseen(table: LandmarkTable, *, folds: int, seed: int = 0) -> UnseenPeople:
    """Return cross-validated predictions for the training people, with the shipped model's hyperparameters.

    Raises:
        ValueError: The table has fewer usable training identities than folds.
    """
    measured = measure_table(table)
    examples = select_examples(table, measured, held_out=False)
    rows = np.flatnonzero(measured.is_usable & ~table.is_held_out)
    shipped = read_card(GAZE_MODEL_PATH.with_suffix(".json")).model.hyperparameters
    uncalibrated_deg = predict_folds("gradient_boosting", shipped, split_people(examples, folds), seed=seed)
    return UnseenPeople(
        rows=rows,
        identity=examples.identity,
        features=examples.features,
        origin_mm=measured.origin_mm[rows],
        openness=measured.openness[rows],
        uncalibrated_deg=uncalibrated_deg,
        true_deg=gaze_direction(table.target_mm[rows] - measured.origin_mm[rows]),
    )


def find_priors(table: LandmarkTable, *, folds: int, seed: int = 0) -> tuple[Prior, Prior]:
    """Return the horizontal and the vertical prior.

    Raises:
        ValueError: The table has fewer usable training identities than folds.
    """
    seen = predict_unseen(table, folds=folds, seed=seed)
    eyes_deg, missing_deg = missing_in_head_deg(seen.uncalibrated_deg, seen.true_deg, seen.features[:, HEAD_ANGLES])
    people = [seen.identity == person for person in np.unique(seen.identity)]
    designs = [design_axes(eyes_deg[own], seen.openness[own], float(seen.openness[own].mean())) for own in people]
    horizontal, vertical = (
        fit_random_effects([pair[axis] for pair in designs], [missing_deg[own, axis] for own in people])
        for axis in (0, 1)
    )
    return horizontal, vertical


def fit_random_effects(designs: Sequence[Floats], missing_deg: Sequence[Floats]) -> Prior:
    """Return the maximum-likelihood covariance and scatter.

    Args:
        designs: Design matrix of each person, shape (images, k).
        missing_deg: True minus uncalibrated gaze of each person, shape (images,).
    """
    width = designs[0].shape[1]
    covariance, variance = np.eye(width), 1.0
    total = sum(map(len, missing_deg))
    for _ in range(STEPS):
        outer, squares = np.zeros((width, width)), 0.0
        for design, missing in zip(designs, missing_deg, strict=True):
            posterior = np.linalg.inv(np.linalg.inv(covariance) + design.T @ design / variance)
            mean = posterior @ design.T @ missing / variance
            outer += np.outer(mean, mean) + posterior
            squares += float(((missing - design @ mean) ** 2).sum() + np.trace(design @ posterior @ design.T))
        covariance, variance = outer / len(designs), squares / total
    return Prior(covariance, float(np.sqrt(variance)), len(designs))


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=10, show_default=True, help="Folds of the cross-validation."
)
def main(table: Path, folds: int) -> None:
    """Estimate the prior of the calibration's coefficients and print it in the form of `gaze_core.calibration`."""
    priors = find_priors(load_table(table), folds=folds)
    for name, prior in zip(("horizontal", "vertical"), priors, strict=True):
        click.echo(f"{name}: {prior.people} people, scatter of single images {prior.scatter_deg:.2f} degrees")
        click.echo(np.array2string(prior.covariance, precision=1, separator=", ", suppress_small=True))


if __name__ == "__main__":
    main()
