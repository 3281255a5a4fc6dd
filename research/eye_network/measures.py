"""Errors of the eye network, by condition, and how well it predicts them."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import visual_angle_deg
from gaze_core.types import Floats
from research.eye_network.image_set import OPEN, EyeImageSet
from research.eye_network.inference import Answers
from research.eye_network.spreads import bin_spreads

Rows = NDArray[np.bool_]

AXES = ("right", "up")


def summarise(answers: Answers, images: EyeImageSet) -> dict[str, Any]:
    """Return the metrics of the card: eyes open unless stated otherwise, degrees.

    Args:
        answers: What the network says.
        images: The same pairs with the truth.
    """
    is_open = images.openness >= OPEN
    both = visual_angle_deg(answers.both_deg, images.both_deg)
    return {
        "people": len(images.people),
        "images": len(images),
        "images_with_open_eyes": int(is_open.sum()),
        "both": describe(both[is_open]),
        "one_eye": describe(visual_angle_deg(answers.eyes_deg, images.eyes_deg)[is_open]),
        "mean_of_two_eyes": describe(visual_angle_deg(answers.eyes_deg.mean(axis=1), images.both_deg)[is_open]),
        "both_by_axis": _by_axis(answers.both_deg - images.both_deg, images.identity, is_open),
        "both_by_condition": {
            name: describe(both[rows]) for name, rows in find_conditions(images, is_open).items() if rows.any()
        },
        "spread": {
            name: [round_numbers(check_spread(*each)) for each in values]
            for name, values in paired_spreads(answers, images, np.ones(len(images), dtype=bool)).items()
        },
    }


def describe(errors_deg: Floats) -> dict[str, Any]:
    """Return count, mean, median and 95th percentile of angular errors."""
    flat = errors_deg.ravel()
    values = {"mean": flat.mean(), "median": np.median(flat), "p95": np.percentile(flat, 95)}
    return {"n": flat.size} | {name: round(float(value), 2) for name, value in values.items()}


def find_conditions(images: EyeImageSet, rows: Rows) -> dict[str, Rows]:
    """Return masks of images by condition, within `rows` except for the closed eyes."""
    down = images.both_deg[:, 1]
    sideways = np.abs(images.both_deg[:, 0])
    conditions = {
        "glasses": images.wears_glasses,
        "no_glasses": ~images.wears_glasses,
        "openness_below_0.8": images.openness < 0.8,
        "openness_from_0.8": images.openness >= 0.8,
        "gaze_up": down > 5,
        "gaze_level": (down <= 5) & (down > -15),
        "gaze_down_15": down <= -15,
        "gaze_sideways_20": sideways >= 20,
        "head_turned_15": np.abs(images.head_deg[:, 1]) >= 15,
    }
    for name, values, edges in (
        ("distance_mm", images.distance_mm, (0, 350, 500, 650, np.inf)),
        ("iris_px", images.iris_px, (0, 8, 11, 15, 20, np.inf)),
    ):
        for low, high in itertools.pairwise(edges):
            label = f"{name}_from_{low:g}" if np.isinf(high) else f"{name}_{low:g}_to_{high:g}"
            conditions[label] = (values >= low) & (values < high)
    return {name: mask & rows for name, mask in conditions.items()} | {"eyes_closing": images.openness < OPEN}


def paired_spreads(answers: Answers, images: EyeImageSet, rows: Rows) -> dict[str, list[tuple[Floats, Floats]]]:
    """Return errors and predicted spreads of one eye and of both, for right and for up."""
    pairs = {
        "one_eye": (answers.eyes_deg - images.eyes_deg, answers.eyes_spread_deg),
        "both": (answers.both_deg - images.both_deg, answers.both_spread_deg),
    }
    return {
        name: [(error[rows][..., axis].ravel(), spread[rows][..., axis].ravel()) for axis in range(len(AXES))]
        for name, (error, spread) in pairs.items()
    }


def check_spread(errors_deg: Floats, spreads_deg: Floats) -> dict[str, Any]:
    """Return how errors compare with their predicted standard deviations.

    `ratio` is the root mean square of error over spread; 1 is right, more is over-confident. `within_1` and `within_2`
    are the shares of errors within one and two spreads; normally distributed errors have 0.68 and 0.95.
    """
    relative = np.abs(errors_deg) / spreads_deg
    bins = bin_spreads(errors_deg, spreads_deg)
    return {
        "ratio": float(np.sqrt(np.mean(relative**2))),
        "within_1": float(np.mean(relative <= 1)),
        "within_2": float(np.mean(relative <= 2)),
        "predicted_deg": bins.predicted.tolist(),
        "real_deg": bins.real.tolist(),
    }


def round_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Return numbers and lists of numbers rounded to two decimals."""
    return {
        name: [round(each, 2) for each in value] if isinstance(value, list) else round(value, 2)
        for name, value in values.items()
    }


def _by_axis(errors_deg: Floats, identity: NDArray[np.int64], rows: Rows) -> dict[str, dict[str, float]]:
    """Return by axis the mean error, the standard deviation between people's means, and the one around them."""
    errors, people = errors_deg[rows], identity[rows]
    numbers, inverse = np.unique(people, return_inverse=True)
    means = np.stack([errors[inverse == number].mean(axis=0) for number in range(len(numbers))])
    around = errors - means[inverse]
    return {
        label: {
            "bias": round(float(errors[:, axis].mean()), 2),
            "between_people": round(float(means[:, axis].std()), 2),
            "within_people": round(float(around[:, axis].std()), 2),
        }
        for axis, label in enumerate(AXES)
    }
