"""Says how well the gaze model works on people it never saw, and writes it into the model's card.

    python -m models.evaluate [--model …] [--table …] [--folds 5]
    python -m models.evaluate --recording DIR

Every number of the card's `metrics` comes from here. The test group's identities took part in nothing else. With
`--recording` it measures the model on a recording of a real person instead and writes nothing; see `models.recording`.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from func.adapters.model_file import load_gaze_model
from gaze_core.gaze import gaze_direction, point_of_regard
from gaze_core.types import GazeDirection
from models.card import read_card, write_card
from models.dataset import Table, load_table
from models.recording import report_recording
from models.train import (
    MODEL_PATH,
    SHUT_BELOW,
    TABLE_PATH,
    Examples,
    Measurements,
    angular_errors_deg,
    cross_validate,
    measure_table,
    select_examples,
)

RESAMPLES = 2000

README_PATH = Path(__file__).resolve().parents[1] / "README.md"
FEWEST_IN_README = 20
"""A slice with fewer pictures is in the card alone."""

ESTIMATORS = {"GradientBoostingRegressor": "gradient_boosting", "RandomForestRegressor": "random_forest"}

Slices = Mapping[str, Mapping[str, NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predicted gaze of some rows, held against the truth.

    Attributes:
        angular_deg: Angle at the eye between prediction and truth, shape (n,).
        offset_deg: gaze_x and gaze_y, prediction minus truth, shape (n, 2).
        screen_mm: Distance on the screen's plane between predicted and true point of regard, NaN where the predicted
            ray misses the plane, shape (n,).
        identity: Number of the person, shape (n,).
    """

    angular_deg: NDArray[np.float64]
    offset_deg: NDArray[np.float64]
    screen_mm: NDArray[np.float64]
    identity: NDArray[np.int64]


def hold_against_truth(
    table: Table, rows: NDArray[np.int64], predicted_deg: NDArray[np.float64], origin_mm: NDArray[np.float64]
) -> Predictions:
    """Return the errors of predictions for some rows of a table.

    Args:
        table: With the truth.
        rows: Which rows, shape (n,).
        predicted_deg: gaze_x and gaze_y, shape (n, 2).
        origin_mm: Where the predicted rays start: the estimated midpoint between the eyes, shape (n, 3).
    """
    screen_mm = np.full(len(rows), np.nan)
    for place, row in enumerate(rows.tolist()):
        screen, camera = table.screen_of(row), table.camera_of(row)
        found = point_of_regard(GazeDirection(*predicted_deg[place].tolist()), origin_mm[place], screen, camera)
        truth = point_of_regard(GazeDirection(*table.gaze_deg[row].tolist()), table.origin_mm[row], screen, camera)
        if found is not None and truth is not None:
            screen_mm[place] = np.hypot((found.x - truth.x) * screen.width_mm, (found.y - truth.y) * screen.height_mm)
    return Predictions(
        angular_deg=angular_errors_deg(predicted_deg, table.gaze_deg[rows]),
        offset_deg=predicted_deg - table.gaze_deg[rows],
        screen_mm=screen_mm,
        identity=table.identity[rows],
    )


def summarise(predictions: Predictions, *, seed: int = 0) -> dict[str, Any]:
    """Return mean, median and 95th percentile of both errors, bias, precision and an interval for the mean.

    `precision_deg` is the scatter about each person's own mean error: what calibration cannot take away.
    """
    missed = np.isnan(predictions.screen_mm)
    return {
        "images": len(predictions.identity),
        "identities": len(np.unique(predictions.identity)),
        "angular_error_deg": _describe(predictions.angular_deg)
        | {"mean_95_percent_interval": bootstrap_interval(predictions.angular_deg, predictions.identity, seed=seed)},
        "screen_error_mm": _describe(predictions.screen_mm[~missed]),
        "rays_that_miss_the_screen_plane": int(missed.sum()),
        "bias_deg": [_round(value) for value in predictions.offset_deg.mean(axis=0)],
        "precision_deg": _round(precision_deg(predictions.offset_deg, predictions.identity)),
    }


def bootstrap_interval(values: NDArray[np.float64], identity: NDArray[np.int64], *, seed: int = 0) -> list[float]:
    """Return the 95 % interval of the mean over other people: whole identities are drawn again, with replacement."""
    people, member = np.unique(identity, return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    drawn = np.random.default_rng(seed).integers(0, len(people), (RESAMPLES, len(people)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return [_round(value) for value in np.percentile(means, [2.5, 97.5])]


def precision_deg(offset_deg: NDArray[np.float64], identity: NDArray[np.int64]) -> float:
    """Return the root mean square distance of the errors from their own person's mean error."""
    squares = [
        ((offset_deg[identity == person] - offset_deg[identity == person].mean(axis=0)) ** 2).sum(axis=1)
        for person in np.unique(identity)
    ]
    return float(np.sqrt(np.concatenate(squares).mean()))


def find_baselines(
    training: Examples, features: NDArray[np.float64], table: Table, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what simpler ways predict for the same rows, each of shape (n, 2), by their names.

    Args:
        training: Examples of the training identities.
        features: Of the rows.
        table: For the true head poses, which an ideal head tracker would give.
        rows: Which rows.
    """
    doubled = training.with_mirrored()
    head = slice(3, 6)
    directions = [gaze_direction(vector) for vector in features[:, :3]]
    return {
        "centre: always the training people's mean direction": np.tile(training.gaze_deg.mean(axis=0), (len(rows), 1)),
        "head, not learned: where the nose points": features[:, [4, 3]],
        "true head, not learned: where the nose really points": table.pose_deg[rows][:, [1, 0]],
        "head, learned: linear in the three head angles": LinearRegression()
        .fit(doubled.features[:, head], doubled.gaze_deg)
        .predict(features[:, head]),
        "eyes, not learned: the direction of iris_x, iris_y, iris_z": np.array(
            [(direction.gaze_x_deg, direction.gaze_y_deg) for direction in directions]
        ),
        "all, linear: linear in the seven features": LinearRegression()
        .fit(doubled.features, doubled.gaze_deg)
        .predict(features),
    }


def find_slices(table: Table, rows: NDArray[np.int64]) -> Slices:
    """Return the parts of the test rows on which errors are given separately, as masks of shape (n,)."""
    yaw_deg = np.abs(table.pose_deg[rows, 1])
    from_middle = np.array([_distance_from_middle(table, row) for row in rows.tolist()])

    def bands(values: NDArray[np.float64], *limits: float, unit: str) -> dict[str, NDArray[np.bool_]]:
        edges = [-np.inf, *limits, np.inf]
        names = [f"below {limits[0]:g}{unit}"]
        names += [f"{low:g} to {high:g}{unit}" for low, high in itertools.pairwise(limits)]
        names += [f"{limits[-1]:g}{unit} and more"]
        pairs = zip(names, itertools.pairwise(edges), strict=True)
        return {name: (values >= low) & (values < high) for name, (low, high) in pairs}

    width_px = table.image_size_px[rows, 0]
    return {
        "distance": bands(table.distance_mm[rows], 450, 550, 650, 750, unit=" mm"),
        "head yaw, either way": bands(yaw_deg, 10, 20, unit=" deg"),
        "picture width": {f"{width} px": width_px == width for width in np.unique(width_px).tolist()},
        "glasses": {"worn": table.wears_glasses[rows], "none": ~table.wears_glasses[rows]},
        "place on the screen": {
            "middle third": from_middle < 1 / 6,
            "towards the edges": (from_middle >= 1 / 6) & (from_middle <= 0.5),
            "beyond the edges": from_middle > 0.5,
        },
        "lids": bands(table.openness[rows], 0.75, unit=" of the usual opening"),
        "light": bands(table.photons[rows], 2000, 8000, unit=" electrons"),
        "skin": bands(table.skin[rows], 0.1, 0.3, unit=" reflectance"),
        "motion blur": {"none": table.motion_px[rows] == 0, "some": table.motion_px[rows] > 0},
    }


def _distance_from_middle(table: Table, row: int) -> float:
    """Return how far the true point of regard lies from the screen's middle, 0.5 at the edge."""
    truth = GazeDirection(*table.gaze_deg[row].tolist())
    point = point_of_regard(truth, table.origin_mm[row], table.screen_of(row), table.camera_of(row))
    return np.inf if point is None else max(abs(point.x - 0.5), abs(point.y - 0.5))


def evaluate(
    table: Table,
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Return the metrics of a model on the table's test identities, as the card holds them.

    Args:
        table: With both groups; the training identities feed the baselines.
        predict: The model: features, shape (n, 7), to gaze_x and gaze_y, shape (n, 2).
        report: Takes one line about each result.

    Raises:
        ValueError: The table has no usable test row.
    """
    measured = measure_table(table)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    if len(rows) == 0:
        raise ValueError("the table has no usable row of a test identity")
    features, origin_mm = measured.features[rows], measured.origin_mm[rows]
    predictions = hold_against_truth(table, rows, predict(features), origin_mm)
    metrics: dict[str, Any] = {"test": summarise(predictions)}
    report(f"{len(rows)} pictures of {metrics['test']['identities']} people whom the model never saw")
    report(_line("model", predictions))
    metrics["baselines"] = {}
    training = select_examples(table, measured, held_out=False)
    for name, predicted_deg in find_baselines(training, features, table, rows).items():
        baseline = hold_against_truth(table, rows, predicted_deg, origin_mm)
        metrics["baselines"][name] = _describe(baseline.angular_deg)
        report(_line(name, baseline))
    metrics["camera_not_described"] = _evaluate_default_camera(table, predict, report)
    metrics["slices"] = {}
    for quantity, parts in find_slices(table, rows).items():
        metrics["slices"][quantity] = {}
        for name, mask in parts.items():
            if mask.any():
                part = _part_of(predictions, mask)
                described = {"images": int(mask.sum()), "identities": len(np.unique(part.identity))}
                metrics["slices"][quantity][name] = described | _describe(part.angular_deg)
                report(_line(f"{quantity}: {name}", part))
    metrics["people"] = _describe_people(predictions)
    report(f"people: {metrics['people']}")
    metrics["geometry"] = _evaluate_geometry(table, measured, rows)
    metrics["eyes_shut"] = _evaluate_shut_eyes(table, measured)
    for name in ("geometry", "eyes_shut"):
        report(f"{name}: {metrics[name]}")
    return metrics


def _part_of(predictions: Predictions, mask: NDArray[np.bool_]) -> Predictions:
    return Predictions(
        predictions.angular_deg[mask],
        predictions.offset_deg[mask],
        predictions.screen_mm[mask],
        predictions.identity[mask],
    )


def _evaluate_default_camera(
    table: Table, predict: Callable[[NDArray[np.float64]], NDArray[np.float64]], report: Callable[[str], None]
) -> dict[str, Any]:
    """Return the errors when every camera is taken for the default one, as with a viewer who described none."""
    measured = measure_table(table, assume_default_camera=True)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    predictions = hold_against_truth(table, rows, predict(measured.features[rows]), measured.origin_mm[rows])
    report(_line("model, camera taken for one of 63 degrees", predictions))
    return {
        "angular_error_deg": _describe(predictions.angular_deg),
        "screen_error_mm": _describe(predictions.screen_mm[~np.isnan(predictions.screen_mm)]),
    }


def _describe_people(predictions: Predictions) -> dict[str, Any]:
    means = {
        int(person): float(predictions.angular_deg[predictions.identity == person].mean())
        for person in np.unique(predictions.identity)
    }
    worst = max(means, key=lambda person: means[person])
    return {
        "mean_angular_error_deg_of_the_best": _round(min(means.values())),
        "mean_angular_error_deg_of_the_median": _round(float(np.median(list(means.values())))),
        "mean_angular_error_deg_of_the_worst": _round(means[worst]),
        "worst_identity": worst,
    }


def _evaluate_geometry(table: Table, measured: Measurements, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return how well the eyes' place is estimated."""
    origin_mm = measured.origin_mm[rows]
    distance_mm = np.linalg.norm(origin_mm, axis=1)
    relative = 100 * (distance_mm / table.distance_mm[rows] - 1)
    angles_deg = measured.features[rows, 3:6] - table.pose_deg[rows]
    return {
        "distance_bias_percent": _round(relative.mean()),
        "distance_error_percent": _describe(np.abs(relative)),
        "origin_error_mm": _describe(np.linalg.norm(origin_mm - table.origin_mm[rows], axis=1)),
        "head_angle_bias_deg": [_round(value) for value in angles_deg.mean(axis=0)],
        "head_angle_error_deg": [_round(value) for value in np.abs(angles_deg).mean(axis=0)],
    }


def _evaluate_shut_eyes(table: Table, measured: Measurements) -> dict[str, Any]:
    """Return how often shut eyes are taken for open ones and the other way round, over all identities."""
    is_shut = table.openness < SHUT_BELOW
    has_features = np.isfinite(measured.features).all(axis=1)
    return {
        "shut": int(is_shut.sum()),
        "shut_but_taken_for_open": int((is_shut & has_features).sum()),
        "open": int((~is_shut).sum()),
        "open_but_taken_for_shut": int((~is_shut & ~has_features).sum()),
    }


def _describe(values: NDArray[np.float64]) -> dict[str, Any]:
    if len(values) == 0:
        return {"mean": None, "median": None, "p95": None}
    return {
        "mean": _round(values.mean()),
        "median": _round(float(np.median(values))),
        "p95": _round(float(np.percentile(values, 95))),
    }


def _round(value: float) -> float:
    return round(float(value), 3)


def _line(name: str, predictions: Predictions) -> str:
    angular, screen = predictions.angular_deg, predictions.screen_mm[~np.isnan(predictions.screen_mm)]
    screen_mm = f"{np.mean(screen):7.1f} mm" if len(screen) else "      – mm"
    return (
        f"  {name:<58} {len(angular):5d}  mean {angular.mean():6.2f}  median {np.median(angular):6.2f}  "
        f"p95 {np.percentile(angular, 95):6.2f} deg {screen_mm}"
    )


def describe_for_readme(metrics: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return the README's table of a card's metrics and data, in Markdown."""
    test, trained = metrics["test"], data["training"]
    baselines = {name.split(":")[0]: errors for name, errors in metrics["baselines"].items()}
    slices = [
        (f"{kind}: {name}", errors)
        for kind, each in metrics["slices"].items()
        for name, errors in each.items()
        if errors["images"] >= FEWEST_IN_README
    ]
    worst, worst_errors = max(slices, key=lambda entry: float(entry[1]["mean"]))
    low, high = test["angular_error_deg"]["mean_95_percent_interval"]
    people = metrics["people"]
    rows = [
        ("the model", test["angular_error_deg"]),
        ("linear in the same features", baselines["all, linear"]),
        ("no learning: the direction of the irises", baselines["eyes, not learned"]),
        ("no learning: where the nose points", baselines["head, not learned"]),
        ("always the mean direction", baselines["centre"]),
        (f"the model's worst slice ({worst})", worst_errors),
    ]
    lines = [
        (
            f"On {test['images']} rendered pictures of {test['identities']} people of whom no picture was trained on "
            f"({trained['identities']} others were), one picture at a time, without calibration (`make evaluate`):"
        ),
        "",
        "| angular error at the eyes, degrees | mean | median | 95th percentile |",
        "|---|---|---|---|",
        *(f"| {name} | {e['mean']:.1f} | {e['median']:.1f} | {e['p95']:.1f} |" for name, e in rows),
        "",
        (
            f"The mean's 95 % interval over people is {low:.1f} to {high:.1f}°; the best of them has "
            f"{people['mean_angular_error_deg_of_the_best']:.1f}°, the worst "
            f"{people['mean_angular_error_deg_of_the_worst']:.1f}°. On the screen the mean is "
            f"{test['screen_error_mm']['mean']:.0f} mm. Cameras, lights, distances and head poses are varied more "
            "than a desk varies them; no number here was measured on real people."
        ),
    ]
    return "\n".join(lines)


def renew_readme(summary: str, path: Path) -> None:
    """Put the summary between the README's markers."""
    before, marker, rest = path.read_text().partition("<!-- metrics: begin -->\n")
    _, end, after = rest.partition("<!-- metrics: end -->")
    if not marker or not end:
        raise ValueError(f"{path.name} has no place for the metrics")
    path.write_text(f"{before}{marker}{summary}\n{end}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate, print, and write the metrics into the card."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL_PATH, help="its card lies beside it")
    parser.add_argument("--table", type=Path, default=TABLE_PATH)
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation on training people; 0 for none")
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
    if options.folds:
        examples = select_examples(table, measure_table(table), held_out=False)
        errors_deg = cross_validate(
            ESTIMATORS[card.model.estimator],
            card.model.hyperparameters,
            examples,
            folds=options.folds,
            seed=card.model.seed,
        )
        metrics["cross_validation_on_training_people"] = {"folds": options.folds} | _describe(errors_deg)
        print(f"cross-validation: {metrics['cross_validation_on_training_people']}")
    write_card(card.model_copy(update={"metrics": metrics}), card_path)
    print(f"written into {card_path.name}")
    if options.model == MODEL_PATH and options.folds:
        renew_readme(describe_for_readme(metrics, card.data), README_PATH)
        print(f"written into {README_PATH.name}")


if __name__ == "__main__":
    main()
