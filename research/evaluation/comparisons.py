"""Comparisons with other models: without single features, with other estimators, with fewer training people.

They use grouped cross-validation over the training people, so that the test group influences no choice. Only the
learning curve, which decides nothing, is measured on the test group.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gaze_core import eye_region_weights
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import FEATURE_NAMES
from gaze_core.gaze import gaze_direction
from research.evaluation.statistics import bootstrap_interval, describe
from research.training.examples import Examples, angular_errors_deg
from research.training.eye_region import fit_eye_region
from research.training.train import CANDIDATES, Fold, fit, predict_folds, split_people

Floats = NDArray[np.float64]

CURVE_SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
CURVE_REPEATS = 3
_TIMED = 200

Report = Callable[[str], None]


def compare_features(
    examples: Examples,
    estimator: str,
    hyperparameters: dict[str, Any],
    *,
    folds: int,
    seed: int,
    report: Report = click.echo,
) -> dict[str, Any]:
    """Return the errors with all features, without each one, and without parts of the gaze vector, in degrees.

    Args:
        examples: Examples of the training people.
        estimator: Name of the shipped estimator.
        hyperparameters: Hyperparameters of the shipped model.
        folds: Folds of the cross-validation.
        seed: Seed of the fits.
        report: Called with one line per result.
    """
    parts = split_people(examples, folds)
    bare = [Fold(part.train.with_eye_region(None), part.test.with_eye_region(None), part.rows) for part in parts]
    estimates = [name for name in ("network", "blendshapes") if _has(examples, name)]
    variants: dict[str, list[Fold]] = {"all": parts}
    for column, name in enumerate(FEATURE_NAMES):
        variants[f"without {name}"] = [_without(part, [column]) for part in parts]
    variants["without iris_x, iris_y, iris_z"] = [_without(part, [0, 1, 2]) for part in parts]
    variants["without head_rotation_x, _y, _z"] = [_without(part, [3, 4, 5]) for part in parts]
    variants["without the eye region"] = bare
    for left_out in estimates:
        kept = [name for name in estimates if name != left_out]
        variants[f"without the {left_out}"] = _with_estimates(examples, folds, kept)
    if len(estimates) > 1:
        variants["landmarks alone"] = _with_estimates(examples, folds, ())
    found = {}
    for name, folds_of_it in variants.items():
        predicted_deg = predict_folds(estimator, hyperparameters, folds_of_it, seed=seed)
        found[name] = describe(angular_errors_deg(predicted_deg, examples.gaze_deg))
        report(f"  {name:<42} {found[name]['mean']:.2f} degrees")
    return found


def _has(examples: Examples, name: str) -> bool:
    return any(getattr(each, name) is not None for each in examples.eyes)


def _with_estimates(examples: Examples, folds: int, names: Collection[str]) -> list[Fold]:
    """Return the folds of examples whose features come from fewer estimates."""
    return split_people(examples.with_estimates(names, EYE_REGION_MODEL), folds)


def _without(part: Fold, columns: list[int]) -> Fold:
    """Return a fold in which some features are constant: their means over the training people."""
    means = part.train.features.mean(axis=0)

    def blank(examples: Examples) -> Examples:
        features = examples.features.copy()
        features[:, columns] = means[columns]
        return replace(examples, features=features)

    return Fold(blank(part.train), blank(part.test), part.rows)


def compare_estimators(examples: Examples, *, folds: int, seed: int, report: Report = click.echo) -> dict[str, Any]:
    """Return the errors of every estimator's best candidate and of unlearned geometry, and the time of a prediction.

    Args:
        examples: Examples of the training people.
        folds: Folds of the cross-validation.
        seed: Seed of the fits.
        report: Called with one line per result.
    """
    parts = split_people(examples, folds)
    found: dict[str, Any] = {}
    for estimator, candidates in CANDIDATES.items():
        tried = [
            (angular_errors_deg(predict_folds(estimator, each, parts, seed=seed), examples.gaze_deg), each)
            for each in candidates
        ]
        errors_deg, chosen = min(tried, key=lambda entry: float(entry[0].mean()))
        fitted = fit(estimator, chosen, parts[0].train, seed)
        found[estimator] = describe(errors_deg) | {
            "mean_95_percent_interval": bootstrap_interval(errors_deg, examples.identity),
            "hyperparameters": dict(chosen),
            "prediction_ms": round(_time_ms(fitted.predict, parts[0].test.features), 3),
        }
        report(f"  {estimator:<42} {found[estimator]['mean']:.2f} degrees, {found[estimator]['prediction_ms']:.2f} ms")
    for name, rays in (
        ("not learned: iris geometry", [part.test.with_estimates((), None) for part in parts]),
        ("no trees: the gaze vector alone", [part.test for part in parts]),
    ):
        predicted_deg = np.empty_like(examples.gaze_deg)
        for part, tested in zip(parts, rays, strict=True):
            predicted_deg[part.rows] = gaze_direction(tested.features[:, :3])
        found[name] = describe(angular_errors_deg(predicted_deg, examples.gaze_deg))
        report(f"  {name:<42} {found[name]['mean']:.2f} degrees")
    return found


def _time_ms(predict: Callable[[Floats], Floats], features: Floats) -> float:
    """Return the median time of a prediction for one row on one core."""
    times = []
    with threadpool_limits(1):
        for row in range(_TIMED):
            one = features[row % len(features)][None]
            start = time.perf_counter()
            predict(one)
            times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def draw_learning_curve(
    training: Examples,
    test: Examples,
    estimator: str,
    hyperparameters: dict[str, Any],
    *,
    seed: int,
    report: Report = click.echo,
) -> list[dict[str, Any]]:
    """Return the error on the test group after training eye region and trees on fewer people.

    Args:
        training: Examples of the training people.
        test: Examples of the test group.
        estimator: Name of the shipped estimator.
        hyperparameters: Hyperparameters of the shipped model.
        seed: Seed of the fits and of the choice of people.
        report: Called with one line per result.
    """
    people = np.unique(training.identity)
    curve = []
    for share in CURVE_SHARES:
        count = max(round(share * len(people)), 2)
        means = []
        for repeat in range(CURVE_REPEATS if share < 1 else 1):
            drawn = np.random.default_rng([seed, repeat]).permutation(people)[:count]
            means.append(
                _learn_from(training.of(np.isin(training.identity, drawn)), test, estimator, hyperparameters, seed)
            )
        curve.append(
            {
                "people": count,
                "mean_angular_error_deg": round(float(np.mean(means)), 3),
                "lowest": round(min(means), 3),
                "highest": round(max(means), 3),
            }
        )
        report(f"  {count:4d} people: {curve[-1]['mean_angular_error_deg']:.2f} degrees")
    return curve


def _learn_from(learnt: Examples, test: Examples, estimator: str, hyperparameters: dict[str, Any], seed: int) -> float:
    eye_region = fit_eye_region(learnt.geometries, learnt.gaze_deg, strength=eye_region_weights.STRENGTH)
    regressors = fit(estimator, hyperparameters, learnt.with_eye_region(eye_region), seed)
    predicted_deg = regressors.predict(test.with_eye_region(eye_region).features)
    return float(angular_errors_deg(predicted_deg, test.gaze_deg).mean())
