"""Errors of the gaze model on unseen people, in the form of the card's `metrics`."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import FaceGeometry
from gaze_core.gaze import correct_gaze_vector, gaze_direction, gaze_vector, point_of_gaze
from gaze_core.types import EyeEstimates, Floats
from research.dataset.table import LandmarkTable
from research.evaluation.ranges import distance_from_centre, find_in_range
from research.evaluation.statistics import bootstrap_interval, describe, round_number
from research.training.examples import (
    CLOSED_BELOW,
    Examples,
    Measurements,
    angular_errors_deg,
    measure_table,
    mirror,
    select_examples,
)

MIN_IMAGES_OF_A_PERSON = 5
"""A person needs this many images in range for a mean of their own."""

Slices = Mapping[str, Mapping[str, NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True, eq=False)
class PredictionErrors:
    """Errors of the predicted gaze of some rows.

    Attributes:
        angular_deg: Angle at the eyes between prediction and truth, shape (n,).
        offset_deg: Predicted minus true gaze_x and gaze_y, shape (n, 2).
        screen_mm: Distance on the screen's plane between predicted and true point of gaze, NaN where the predicted ray
            misses the plane, shape (n,).
        identity: Number of the person, shape (n,).
    """

    angular_deg: NDArray[np.float64]
    offset_deg: NDArray[np.float64]
    screen_mm: NDArray[np.float64]
    identity: NDArray[np.int64]


def compare_with_truth(
    table: LandmarkTable, rows: NDArray[np.int64], predicted_deg: NDArray[np.float64], origin_mm: NDArray[np.float64]
) -> PredictionErrors:
    """Return the errors of predictions for some rows of a table.

    Args:
        table: Table with the true gaze.
        rows: Rows of the table, shape (n,).
        predicted_deg: Predicted gaze_x and gaze_y, shape (n, 2).
        origin_mm: Estimated midpoint between the eyes, where the predicted rays start, shape (n, 3).
    """
    screen_mm = np.full(len(rows), np.nan)
    for place, row in enumerate(rows.tolist()):
        screen, camera = table.screen_of(row), table.camera_of(row)
        found = point_of_gaze(predicted_deg[place], origin_mm[place], screen, camera)
        truth = point_of_gaze(table.gaze_deg[row], table.origin_mm[row], screen, camera)
        if found is not None and truth is not None:
            screen_mm[place] = np.hypot((found.x - truth.x) * screen.width_mm, (found.y - truth.y) * screen.height_mm)
    return PredictionErrors(
        angular_deg=angular_errors_deg(predicted_deg, table.gaze_deg[rows]),
        offset_deg=predicted_deg - table.gaze_deg[rows],
        screen_mm=screen_mm,
        identity=table.identity[rows],
    )


def summarise(predictions: PredictionErrors, *, seed: int = 0) -> dict[str, Any]:
    """Return both errors, their interval, bias and precision.

    `precision_deg` is the scatter about each person's own mean error, which no constant correction removes.
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
    """Return the root mean square distance of the errors from the mean error of their person."""
    squares = [
        ((offset_deg[identity == person] - offset_deg[identity == person].mean(axis=0)) ** 2).sum(axis=1)
        for person in np.unique(identity)
    ]
    return float(np.sqrt(np.concatenate(squares).mean()))


def find_baselines(
    training: Examples, test: Examples, table: LandmarkTable, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the predictions of simpler methods for the same rows by name, each of shape (n, 2).

    In rows that lack a single estimate, the others are fused, as in the service.

    Args:
        training: Examples of the training identities.
        test: Examples of the rows.
        table: Table with the true head poses, which a perfect head tracker would measure.
        rows: Rows of the table, shape (n,).
    """
    features, bare = test.features, test.with_estimates((), None).features
    learnt, learnt_deg = mirror(training.features, training.gaze_deg)
    head = slice(3, 6)
    return {
        "constant: mean gaze of the training people": np.tile(training.gaze_deg.mean(axis=0), (len(rows), 1)),
        "not learned: direction of the nose": features[:, [4, 3]],
        "not learned: true direction of the nose": table.pose_deg[rows][:, [1, 0]],
        "linear: head angles": LinearRegression().fit(learnt[:, head], learnt_deg).predict(features[:, head]),
        "not learned: iris geometry": gaze_direction(bare[:, :3]),
        **find_single_estimates(test),
        "linear: the same seven features": LinearRegression().fit(learnt, learnt_deg).predict(features),
    }


def find_single_estimates(examples: Examples) -> dict[str, NDArray[np.float64]]:
    """Return the gaze directions that the estimates give without the gaze model, alone and fused, shape (n, 2) each."""
    found = {"landmarks alone": examples.with_estimates((), EYE_REGION_MODEL).features[:, :3]}
    fused = examples.features[:, :3]
    for name in ("network", "blendshapes"):
        alone = [_turn(each, name, geometry) for each, geometry in zip(examples.eyes, examples.geometries, strict=True)]
        if any(each is not None for each in alone):
            pairs = zip(alone, fused, strict=True)
            found[f"{name} alone"] = np.array([other if each is None else each for each, other in pairs])
    if len(found) > 1:
        found["all fused"] = fused
    return {f"no trees: {name}": gaze_direction(vectors) for name, vectors in found.items()}


def _turn(eyes: EyeEstimates, name: str, geometry: FaceGeometry) -> Floats | None:
    """Return the gaze vector of the network or of the blendshapes, camera frame; None without that estimate."""
    by_network = None if eyes.network is None else eyes.network.both_deg
    direction = by_network if name == "network" else eyes.blendshapes
    return None if direction is None else correct_gaze_vector(gaze_vector(direction), geometry.head_pose.head_rotation)


def find_slices(table: LandmarkTable, rows: NDArray[np.int64], iris_diameter_px: NDArray[np.float64]) -> Slices:
    """Return the slices of the test rows by quantity and name, as masks of shape (n,).

    Args:
        table: Table of the rows.
        rows: Rows of the table, shape (n,).
        iris_diameter_px: Iris diameters in those images, shape (n,).
    """
    yaw_deg = np.abs(table.pose_deg[rows, 1])
    from_centre = np.array([distance_from_centre(table, row) for row in rows.tolist()])

    def bands(values: NDArray[np.float64], *limits: float, unit: str) -> dict[str, NDArray[np.bool_]]:
        edges = [-np.inf, *limits, np.inf]
        names = [f"below {limits[0]:g}{unit}"]
        names += [f"{low:g} to {high:g}{unit}" for low, high in itertools.pairwise(limits)]
        names += [f"{limits[-1]:g}{unit} and above"]
        pairs = zip(names, itertools.pairwise(edges), strict=True)
        return {name: (values >= low) & (values < high) for name, (low, high) in pairs}

    width_px = table.image_size_px[rows, 0]
    return {
        "distance": bands(table.distance_mm[rows], 450, 550, 650, 750, unit=" mm"),
        "head yaw, absolute": bands(yaw_deg, 10, 20, unit="°"),
        "image width": {f"{width} px": width_px == width for width in np.unique(width_px).tolist()},
        "iris diameter": bands(iris_diameter_px, 8, 12, unit=" px"),
        "screen": {
            "15.6 inches and smaller": table.screen_mm[rows, 0] < 400,
            "larger": table.screen_mm[rows, 0] >= 400,
        },
        "glasses": {"worn": table.wears_glasses[rows], "none": ~table.wears_glasses[rows]},
        "position on the screen": {
            "middle third": from_centre < 1 / 6,
            "outside the middle third": (from_centre >= 1 / 6) & (from_centre <= 0.5),
            "off screen": from_centre > 0.5,
        },
        "eye opening": bands(table.openness[rows], 0.75, unit=" of normal"),
        "light": bands(table.electrons[rows], 2000, 8000, unit=" electrons"),
        "skin reflectance": bands(table.skin[rows], 0.1, 0.3, unit=""),
        "motion blur": {"none": table.motion_px[rows] == 0, "some": table.motion_px[rows] > 0},
    }


def evaluate(
    table: LandmarkTable,
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    report: Callable[[str], None] = click.echo,
) -> dict[str, Any]:
    """Return the metrics of a model on the table's test group, as in the card.

    Args:
        table: Table with both groups; the training people are needed for the baselines.
        predict: Prediction of the model: features (n, 7) to gaze_x and gaze_y (n, 2).
        report: Called with one line per result.

    Raises:
        ValueError: The table has no usable row of the test group.
    """
    measured = measure_table(table)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    if len(rows) == 0:
        raise ValueError("the table has no usable row of the test group")
    test, origin_mm = select_examples(table, measured, held_out=True), measured.origin_mm[rows]
    predictions = compare_with_truth(table, rows, predict(test.features), origin_mm)
    in_range = find_in_range(table, rows)
    metrics: dict[str, Any] = {"in_range": summarise(_part_of(predictions, in_range)), "test": summarise(predictions)}
    report(f"{len(rows)} images of {metrics['test']['identities']} unseen people")
    report(_line("model, in range", _part_of(predictions, in_range)))
    report(_line("model, all", predictions))
    metrics["baselines"] = {}
    training = select_examples(table, measured, held_out=False)
    for name, predicted_deg in find_baselines(training, test, table, rows).items():
        baseline = compare_with_truth(table, rows, predicted_deg, origin_mm)
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
    metrics["closed_eyes"] = _evaluate_closed_eyes(table, measured)
    for name in ("geometry", "closed_eyes"):
        report(f"{name}: {metrics[name]}")
    return metrics


def _part_of(predictions: PredictionErrors, mask: NDArray[np.bool_]) -> PredictionErrors:
    return PredictionErrors(
        predictions.angular_deg[mask],
        predictions.offset_deg[mask],
        predictions.screen_mm[mask],
        predictions.identity[mask],
    )


def _evaluate_default_camera(
    table: LandmarkTable, predict: Callable[[NDArray[np.float64]], NDArray[np.float64]], report: Callable[[str], None]
) -> dict[str, Any]:
    """Return the errors if every camera is assumed to be the default one, as for viewers who describe none."""
    measured = measure_table(table, assume_default_camera=True)
    rows = np.flatnonzero(measured.is_usable & table.is_held_out)
    predictions = compare_with_truth(table, rows, predict(measured.features[rows]), measured.origin_mm[rows])
    report(_line("model, field of view assumed to be 63 degrees", predictions))
    return {
        "angular_error_deg": describe(predictions.angular_deg),
        "screen_error_mm": describe(predictions.screen_mm[~np.isnan(predictions.screen_mm)]),
    }


def _describe_people(predictions: PredictionErrors) -> dict[str, Any]:
    """Return the best, the median and the worst of the people with enough images."""
    means = {
        int(person): float(predictions.angular_deg[own].mean())
        for person in np.unique(predictions.identity)
        if (own := predictions.identity == person).sum() >= MIN_IMAGES_OF_A_PERSON
    }
    if not means:
        return {"people": 0}
    worst = max(means, key=lambda person: means[person])
    return {
        "people": len(means),
        "min_images": MIN_IMAGES_OF_A_PERSON,
        "best_mean_error_deg": round_number(min(means.values())),
        "median_mean_error_deg": round_number(float(np.median(list(means.values())))),
        "worst_mean_error_deg": round_number(means[worst]),
        "worst_identity": worst,
    }


def _evaluate_geometry(table: LandmarkTable, measured: Measurements, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return the errors of distance, eye position and head pose."""
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


def _evaluate_closed_eyes(table: LandmarkTable, measured: Measurements) -> dict[str, Any]:
    """Return how often closed eyes count as open and open eyes as closed, over all people."""
    is_closed = table.openness < CLOSED_BELOW
    has_features = np.isfinite(measured.features).all(axis=1)
    return {
        "closed": int(is_closed.sum()),
        "closed_but_classified_open": int((is_closed & has_features).sum()),
        "open": int((~is_closed).sum()),
        "open_but_classified_closed": int((~is_closed & ~has_features).sum()),
    }


def _line(name: str, predictions: PredictionErrors) -> str:
    angular, screen = predictions.angular_deg, predictions.screen_mm[~np.isnan(predictions.screen_mm)]
    screen_mm = f"{np.mean(screen):7.1f} mm" if len(screen) else "      – mm"
    return (
        f"  {name:<58} {len(angular):5d}  mean {angular.mean():6.2f}  median {np.median(angular):6.2f}  "
        f"p95 {np.percentile(angular, 95):6.2f} deg {screen_mm}"
    )
