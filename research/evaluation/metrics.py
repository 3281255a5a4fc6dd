"""Errors of the gaze model on people it never saw, as the card holds them."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from gaze_core.gaze import gaze_direction, point_of_gaze
from research.dataset.table import Table
from research.evaluation.ranges import distance_from_middle, find_in_range
from research.evaluation.statistics import bootstrap_interval, describe, round_number
from research.training.examples import (
    SHUT_BELOW,
    Examples,
    Measurements,
    angular_errors_deg,
    measure_table,
    mirror,
    select_examples,
)

FEWEST_OF_A_PERSON = 5
"""Of somebody with fewer pictures in range no mean is told."""

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
        found = point_of_gaze(predicted_deg[place], origin_mm[place], screen, camera)
        truth = point_of_gaze(table.gaze_deg[row], table.origin_mm[row], screen, camera)
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
        "angular_error_deg": describe(predictions.angular_deg)
        | {"mean_95_percent_interval": bootstrap_interval(predictions.angular_deg, predictions.identity, seed=seed)},
        "screen_error_mm": describe(predictions.screen_mm[~missed]),
        "rays_that_miss_the_screen_plane": int(missed.sum()),
        "bias_deg": [round_number(value) for value in predictions.offset_deg.mean(axis=0)],
        "precision_deg": round_number(precision_deg(predictions.offset_deg, predictions.identity)),
    }


def precision_deg(offset_deg: NDArray[np.float64], identity: NDArray[np.int64]) -> float:
    """Return the root mean square distance of the errors from their own person's mean error."""
    squares = [
        ((offset_deg[identity == person] - offset_deg[identity == person].mean(axis=0)) ** 2).sum(axis=1)
        for person in np.unique(identity)
    ]
    return float(np.sqrt(np.concatenate(squares).mean()))


def find_baselines(
    training: Examples, test: Examples, table: Table, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what simpler ways predict for the same rows, each of shape (n, 2), by their names.

    Args:
        training: Examples of the training identities.
        test: Of the rows.
        table: For the true head poses, which an ideal head tracker would give.
        rows: Which rows.
    """
    features, bare = test.features, test.with_outline(None).features
    learnt, learnt_deg = mirror(training.features, training.gaze_deg)
    head = slice(3, 6)
    return {
        "centre: always the training people's mean direction": np.tile(training.gaze_deg.mean(axis=0), (len(rows), 1)),
        "head, not learned: where the nose points": features[:, [4, 3]],
        "true head, not learned: where the nose really points": table.pose_deg[rows][:, [1, 0]],
        "head, learned: linear in the three head angles": LinearRegression()
        .fit(learnt[:, head], learnt_deg)
        .predict(features[:, head]),
        "eyes, not learned: the direction of the irises alone": gaze_direction(bare[:, :3]),
        "all, linear: linear in the seven features": LinearRegression().fit(learnt, learnt_deg).predict(features),
    }


def find_slices(table: Table, rows: NDArray[np.int64], iris_diameter_px: NDArray[np.float64]) -> Slices:
    """Return the parts of the test rows on which errors are given separately, as masks of shape (n,).

    Args:
        table: With what is known of the rows.
        rows: Which ones, shape (n,).
        iris_diameter_px: Of the irises in those pictures, shape (n,).
    """
    yaw_deg = np.abs(table.pose_deg[rows, 1])
    from_middle = np.array([distance_from_middle(table, row) for row in rows.tolist()])

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
        "iris in the picture": bands(iris_diameter_px, 8, 12, unit=" px"),
        "screen": {
            "15.6 inches and smaller": table.screen_mm[rows, 0] < 400,
            "larger": table.screen_mm[rows, 0] >= 400,
        },
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
    test, origin_mm = select_examples(table, measured, held_out=True), measured.origin_mm[rows]
    predictions = hold_against_truth(table, rows, predict(test.features), origin_mm)
    in_range = find_in_range(table, rows)
    metrics: dict[str, Any] = {"in_range": summarise(_part_of(predictions, in_range)), "test": summarise(predictions)}
    report(f"{len(rows)} pictures of {metrics['test']['identities']} people whom the model never saw")
    report(_line("model, in range", _part_of(predictions, in_range)))
    report(_line("model, all", predictions))
    metrics["baselines"] = {}
    training = select_examples(table, measured, held_out=False)
    for name, predicted_deg in find_baselines(training, test, table, rows).items():
        baseline = hold_against_truth(table, rows, predicted_deg, origin_mm)
        metrics["baselines"][name] = describe(baseline.angular_deg[in_range])
        report(_line(f"{name}, in range", _part_of(baseline, in_range)))
    metrics["camera_not_described"] = _evaluate_default_camera(table, predict, report)
    metrics["slices"] = {}
    for quantity, parts in find_slices(table, rows, measured.iris_diameter_px[rows]).items():
        metrics["slices"][quantity] = {}
        for name, mask in parts.items():
            if mask.any():
                part = _part_of(predictions, mask)
                described = {"images": int(mask.sum()), "identities": len(np.unique(part.identity))}
                metrics["slices"][quantity][name] = described | describe(part.angular_deg)
                report(_line(f"{quantity}: {name}", part))
    metrics["people"] = _describe_people(_part_of(predictions, in_range))
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
        "angular_error_deg": describe(predictions.angular_deg),
        "screen_error_mm": describe(predictions.screen_mm[~np.isnan(predictions.screen_mm)]),
    }


def _describe_people(predictions: Predictions) -> dict[str, Any]:
    """Return the best, the middle and the worst of the people of whom there are enough pictures."""
    means = {
        int(person): float(predictions.angular_deg[own].mean())
        for person in np.unique(predictions.identity)
        if (own := predictions.identity == person).sum() >= FEWEST_OF_A_PERSON
    }
    if not means:
        return {"people": 0}
    worst = max(means, key=lambda person: means[person])
    return {
        "people": len(means),
        "fewest_pictures": FEWEST_OF_A_PERSON,
        "mean_angular_error_deg_of_the_best": round_number(min(means.values())),
        "mean_angular_error_deg_of_the_median": round_number(float(np.median(list(means.values())))),
        "mean_angular_error_deg_of_the_worst": round_number(means[worst]),
        "worst_identity": worst,
    }


def _evaluate_geometry(table: Table, measured: Measurements, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return how well the eyes' place is estimated."""
    origin_mm = measured.origin_mm[rows]
    distance_mm = np.linalg.norm(origin_mm, axis=1)
    relative = 100 * (distance_mm / table.distance_mm[rows] - 1)
    angles_deg = measured.features[rows, 3:6] - table.pose_deg[rows]
    return {
        "distance_bias_percent": round_number(relative.mean()),
        "distance_error_percent": describe(np.abs(relative)),
        "origin_error_mm": describe(np.linalg.norm(origin_mm - table.origin_mm[rows], axis=1)),
        "head_angle_bias_deg": [round_number(value) for value in angles_deg.mean(axis=0)],
        "head_angle_error_deg": [round_number(value) for value in np.abs(angles_deg).mean(axis=0)],
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


def _line(name: str, predictions: Predictions) -> str:
    angular, screen = predictions.angular_deg, predictions.screen_mm[~np.isnan(predictions.screen_mm)]
    screen_mm = f"{np.mean(screen):7.1f} mm" if len(screen) else "      – mm"
    return (
        f"  {name:<58} {len(angular):5d}  mean {angular.mean():6.2f}  median {np.median(angular):6.2f}  "
        f"p95 {np.percentile(angular, 95):6.2f} deg {screen_mm}"
    )
