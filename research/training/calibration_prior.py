"""Estimate the priors of the calibration and write them into `gaze_core.calibration_prior`.

    python -m research.training.calibration_prior [--table …] [--folds 10]

Every training person's gaze is predicted by a model trained on other people. The remaining error is a personal
correction, in the form that a calibration fits, plus scatter. Expectation maximisation estimates the distribution of
the corrections and the scatter (Laird and Ware, Random-effects models for longitudinal data, Biometrics 38, 1982). Each
person counts together with their mirror image, so that no prior prefers a side. The test group is not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from gaze_core.correction import HORIZONTAL_TERMS, VERTICAL_TERMS, HeadGaze, design_axes, missing_in_head_deg
from gaze_core.correction_fit import AxisPrior, Priors
from gaze_core.cues import CUES, GazeCues
from gaze_core.gaze import gaze_direction
from gaze_core.targets import HEAD_ANGLES
from models import GAZE_MODEL_PATH
from models.atomic_file import replace_file
from models.card import read_card
from research.command_line import Command
from research.dataset.table import TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.training.cues import find_table_cues
from research.training.examples import measure_table, select_examples
from research.training.train import predict_folds, split_people

Floats = NDArray[np.float64]

PRIOR_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "calibration_prior.py"

STEPS = 200

FIXATION_SHARE = 0.7
"""Scatter of a target, whose frames are alike, relative to that of single images, which are not."""

SCATTER_SPREAD = 0.6
"""Standard deviation over viewers of the logarithm of the scatter. Rendered people differ by 0.3 to 0.4; real viewers,
lights and cameras differ more, and some viewers do not look at all targets."""

FREE_MEANS = ("eyes", *CUES)
"""Terms whose mean over people is estimated: after a calibration, the best gain and the best weights of the estimates
differ from those without. The mean of the others is zero, so that they move nobody without evidence."""

OFFSET_FACTOR = 1.5
"""Factor on the variance of the offset: real screens and cameras are described less exactly than rendered ones."""

LIDS_FACTOR = 0.25
"""Factor on the variance of the lid term: real lids droop over time and would pull the gaze down with them."""

MIRRORED_HORIZONTAL = np.array([-1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
"""Sign of the coefficients of `HORIZONTAL_TERMS` in a mirror image, where the eyes change places."""

MIRRORED_VERTICAL = np.array([1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
"""Sign of the coefficients of `VERTICAL_TERMS`."""


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
        cues: Differences between the estimates; None if the table has no answer of the eye network.
    """

    rows: NDArray[np.int64]
    identity: NDArray[np.int64]
    features: Floats
    origin_mm: Floats
    openness: Floats
    uncalibrated_deg: Floats
    true_deg: Floats
    cues: GazeCues | None = None


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
        cues=find_table_cues(measured, rows),
    )


def find_priors(seen: UnseenPeople, *, people: NDArray[np.int64] | None = None) -> Priors:
    """Return the horizontal and the vertical prior.

    Args:
        seen: Predictions; with cues, the priors cover them too.
        people: Identities to learn from; None for all.
    """
    eyes_deg, missing_deg = missing_in_head_deg(seen.uncalibrated_deg, seen.true_deg, seen.features[:, HEAD_ANGLES])
    differences_deg = None if seen.cues is None else np.nan_to_num(seen.cues.differences_deg)
    designs: tuple[list[Floats], list[Floats]] = ([], [])
    missing: tuple[list[Floats], list[Floats]] = ([], [])
    for person in np.unique(seen.identity if people is None else people).tolist():
        own = seen.identity == person
        measured = HeadGaze(
            eyes_deg[own],
            seen.features[own][:, HEAD_ANGLES],
            seen.openness[own],
            None if differences_deg is None else differences_deg[own],
        )
        for axis, design in enumerate(design_axes(measured)):
            designs[axis].append(design)
            missing[axis].append(missing_deg[own, axis])
    horizontal, vertical = (
        _allow_for_reality(
            fit_random_effects(designs[axis], missing[axis], signs, np.array([term in FREE_MEANS for term in terms])),
            terms,
        )
        for axis, (terms, signs) in enumerate(
            ((HORIZONTAL_TERMS, MIRRORED_HORIZONTAL), (VERTICAL_TERMS, MIRRORED_VERTICAL))
        )
    )
    return horizontal, vertical


def _allow_for_reality(prior: AxisPrior, terms: Sequence[str]) -> AxisPrior:
    """Return the prior for a target and for real viewers, see `FIXATION_SHARE` and the constants after it."""
    factors = np.sqrt([{"offset": OFFSET_FACTOR, "lids": LIDS_FACTOR}.get(term, 1.0) for term in terms])
    factors = factors[: len(prior.mean)]
    return AxisPrior(
        prior.mean,
        prior.covariance * np.outer(factors, factors),
        FIXATION_SHARE * prior.scatter_deg,
        SCATTER_SPREAD,
    )


def fit_random_effects(
    designs: Sequence[Floats], missing_deg: Sequence[Floats], mirrored: Floats, has_mean: NDArray[np.bool_]
) -> AxisPrior:
    """Return the maximum-likelihood distribution of the coefficients, and the scatter of single images.

    Args:
        designs: Design matrix of each person, shape (images, k).
        missing_deg: True minus uncalibrated gaze of each person, shape (images,).
        mirrored: Sign of each coefficient in a mirror image, shape (k,) or longer.
        has_mean: Whether the mean of each coefficient is estimated; otherwise it is zero; shape (k,) or longer.
    """
    # A term that no image has is switched off, because nothing is known about it.
    is_used = np.any([np.abs(design).max(axis=0) > 0 for design in designs], axis=0)
    products = np.array([(design.T @ design)[np.ix_(is_used, is_used)] for design in designs])
    projections = np.array(
        [(design.T @ missing)[is_used] for design, missing in zip(designs, missing_deg, strict=True)]
    )
    squares = np.array([float(missing @ missing) for missing in missing_deg])
    images = np.array([len(missing) for missing in missing_deg])
    signs = mirrored[: len(is_used)][is_used]
    both = np.outer(signs, signs)
    free = has_mean[: len(is_used)][is_used] & (signs > 0)
    mean, covariance, variance = np.zeros(len(signs)), np.eye(len(signs)), 1.0
    for _ in range(STEPS):
        information = np.linalg.inv(covariance)
        posteriors = np.linalg.inv(information + products / variance)
        means = np.einsum("pkl,pl->pk", posteriors, information @ mean + projections / variance)
        # The mirror image of a person has the same coefficients with the signs of `mirrored`.
        middle = (1 + signs) / 2 * means.mean(axis=0)
        # The most likely mean, given that some of its elements are zero.
        mean = np.zeros(len(signs))
        regression = np.linalg.solve(covariance[np.ix_(~free, ~free)], middle[~free])
        mean[free] = middle[free] - covariance[np.ix_(free, ~free)] @ regression
        deviations = means - mean
        spread = (np.einsum("pk,pl->kl", deviations, deviations) + posteriors.sum(axis=0)) / len(designs)
        deviations = signs * means - mean
        mirror_spread = np.einsum("pk,pl->kl", deviations, deviations) + both * posteriors.sum(axis=0)
        covariance = (spread + mirror_spread / len(designs)) / 2
        misfits = squares - 2 * np.einsum("pk,pk->p", means, projections)
        misfits += np.einsum("pk,pkl,pl->p", means, products, means)
        variance = float((misfits.sum() + np.einsum("pkl,pkl->", products, posteriors)) / images.sum())
    scatters_deg = np.sqrt(np.maximum(misfits, 1e-12) / images)
    # The logarithm of a standard deviation from n values has itself a variance of about 1 / 2n.
    spread_2 = float(np.var(np.log(scatters_deg)) - np.mean(1 / (2 * images)))
    whole_mean, whole = np.zeros(len(is_used)), 1e-6 * np.eye(len(is_used))
    whole_mean[is_used] = mean
    whole[np.ix_(is_used, is_used)] = covariance
    return AxisPrior(whole_mean, whole, float(np.sqrt(variance)), float(np.sqrt(max(spread_2, 0.0))))


def render_priors(without_network: Priors, with_network: Priors | None) -> str:
    """Return the source of `gaze_core.calibration_prior`; four digits, so that CPUs agree."""
    lines = [
        '"""Priors of `correction_fit`. Generated by `research.training.calibration_prior`; do not edit by hand."""',
        "",
        "# Horizontal, then vertical: mean and covariance of the coefficients in the order of `HORIZONTAL_TERMS` and",
        "# `VERTICAL_TERMS` of `correction`, scatter of a target (degrees), standard deviation of its logarithm.",
        f"WITHOUT_NETWORK = {_describe(without_network)}",
        f"WITH_NETWORK = {'None' if with_network is None else _describe(with_network)}",
        "",
    ]
    return "\n".join(lines)


def _describe(priors: Priors) -> str:
    def tuple_of(values: Floats) -> str:
        return f"({', '.join(f'{value:.4g}' for value in values.tolist())})"

    axes = [
        "\n".join(
            [
                "    (",
                f"        {tuple_of(prior.mean)},",
                "        (",
                *(f"            {tuple_of(row)}," for row in prior.covariance),
                "        ),",
                f"        {prior.scatter_deg:.4g},",
                f"        {prior.scatter_spread:.4g},",
                "    ),",
            ]
        )
        for prior in priors
    ]
    return "\n".join(["(", *axes, ")"])


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=10, show_default=True, help="Folds of the cross-validation."
)
def main(table: Path, folds: int) -> None:
    """Estimate the priors of the calibration and write them into `gaze_core.calibration_prior`."""
    seen = predict_unseen(load_table(table), folds=folds)
    without_network = find_priors(replace(seen, cues=None))
    with_network = None if seen.cues is None else find_priors(seen)
    for kind, priors in (("without", without_network), ("with", with_network)):
        if priors is None:
            continue
        for axis, terms, prior in zip(
            ("horizontal", "vertical"), (HORIZONTAL_TERMS, VERTICAL_TERMS), priors, strict=True
        ):
            deviations = np.sqrt(np.diag(prior.covariance)).tolist()
            described = ", ".join(f"{term} {value:.1f}" for term, value in zip(terms, deviations, strict=False))
            click.echo(f"{kind} network, {axis}: deviations {described}; scatter of a target {prior.scatter_deg:.2f}")
    replace_file(PRIOR_PATH, render_priors(without_network, with_network).encode())
    click.echo(f"wrote {PRIOR_PATH.name}", err=True)


if __name__ == "__main__":
    main()
