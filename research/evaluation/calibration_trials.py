"""Measure the calibration's acceptance threshold on training people.

    python -m research.evaluation.calibration_trials [--table …] [--folds 5]

A calibration is accepted only if its error at targets left out of the fit does not exceed the uncalibrated error by
more than `max_loss`. The command prints the effect of several thresholds: every training person's gaze is predicted by
a model trained on other people, calibrated with one image of each of five or nine targets, and tested on their other
images. The priors come from other people, too. The test group is not used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from gaze_core.calibration import calibrate
from gaze_core.correction_fit import Priors
from gaze_core.targets import HEAD_ANGLES, TargetFrames
from research.command_line import Command
from research.dataset.plan import TARGET_COUNT
from research.dataset.table import TRAINING_TABLE_PATH, LandmarkTable, load_table
from research.evaluation.calibration_accuracy import FIVE_TARGETS, POSITIONS
from research.training.calibration_prior import UnseenPeople, find_priors, predict_unseen
from research.training.examples import angular_errors_deg

LOSSES = (-0.05, 0.0, 0.1, 0.2, 0.5)
"""Values of `max_loss`; -0.05 demands 5 % less error."""

MIN_IMAGES = 3
"""People with fewer images to calibrate with, or to test on, are skipped."""

MUCH_WORSE_DEG = 1.0


def try_threshold(
    table: LandmarkTable,
    unseen: UnseenPeople,
    targets: Sequence[int],
    max_loss: float,
    priors: Mapping[int, Priors] | None = None,
) -> dict[str, Any]:
    """Return the mean error over people with and without calibration, the accepted and the harmful calibrations.

    Args:
        table: Table with targets and screens.
        unseen: Predictions for people by models trained on others.
        targets: Indices of the targets to calibrate with.
        max_loss: Acceptance threshold, see `calibrate`.
        priors: Priors for each person, from `find_fold_priors`; None for the shipped ones.
    """
    is_target = np.isin(table.target_index[unseen.rows], targets)
    is_free = table.target_index[unseen.rows] < 0
    without_deg, with_deg, used = [], [], 0
    for person in np.unique(unseen.identity).tolist():
        own = unseen.identity == person
        fixations, tested = np.flatnonzero(own & is_target), np.flatnonzero(own & is_free)
        if len(fixations) < MIN_IMAGES or len(tested) < MIN_IMAGES:
            continue
        row = int(unseen.rows[fixations[0]])
        calibration = calibrate(
            _select_fixations(table, unseen, fixations),
            screen=table.screen_of(row),
            camera=table.camera_of(row),
            max_loss=max_loss,
            priors=None if priors is None else priors[person],
        )
        uncalibrated_deg = unseen.uncalibrated_deg[tested]
        without_deg.append(angular_errors_deg(uncalibrated_deg, unseen.true_deg[tested]).mean())
        if calibration.correction is not None:
            used += 1
            uncalibrated_deg = calibration.correction.apply(
                uncalibrated_deg,
                unseen.features[tested][:, HEAD_ANGLES],
                unseen.openness[tested],
                None if unseen.cues is None else unseen.cues.select(tested),
            )
        with_deg.append(angular_errors_deg(uncalibrated_deg, unseen.true_deg[tested]).mean())
    harm_deg = np.array(with_deg) - np.array(without_deg)
    return {
        "people": len(with_deg),
        "used": used,
        "without_deg": float(np.mean(without_deg)),
        "with_deg": float(np.mean(with_deg)),
        "worse": int((harm_deg > 0).sum()),
        "much_worse": int((harm_deg > MUCH_WORSE_DEG).sum()),
    }


def find_fold_priors(unseen: UnseenPeople, *, folds: int, seed: int = 0) -> dict[int, Priors]:
    """Return for each person the priors of people in other folds."""
    people = np.random.default_rng(seed).permutation(np.unique(unseen.identity))
    found: dict[int, Priors] = {}
    for fold in range(folds):
        own = people[fold::folds]
        found |= dict.fromkeys(own.tolist(), find_priors(unseen, people=np.setdiff1d(people, own)))
    return found


def _select_fixations(table: LandmarkTable, unseen: UnseenPeople, chosen: NDArray[np.int64]) -> TargetFrames:
    rows = unseen.rows[chosen]
    return TargetFrames(
        targets=POSITIONS[table.target_index[rows]],
        uncalibrated_deg=unseen.uncalibrated_deg[chosen],
        head_deg=unseen.features[chosen][:, HEAD_ANGLES],
        origin_mm=unseen.origin_mm[chosen],
        openness=unseen.openness[chosen],
        cues=None if unseen.cues is None else unseen.cues.select(chosen),
    )


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path), default=TRAINING_TABLE_PATH, help="Training table.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of the cross-validation."
)
def main(table: Path, folds: int) -> None:
    """Measure the effect of the calibration's acceptance threshold on training people."""
    loaded = load_table(table)
    unseen = predict_unseen(loaded, folds=folds)
    priors = find_fold_priors(unseen, folds=folds)
    for targets in (FIVE_TARGETS, tuple(range(TARGET_COUNT))):
        for max_loss in LOSSES:
            found = try_threshold(loaded, unseen, targets, max_loss, priors)
            click.echo(
                f"{len(targets)} targets, max_loss {max_loss:+.0%}: {found['with_deg']:.2f} degrees "
                f"(uncalibrated {found['without_deg']:.2f}), accepted for {found['used']} of {found['people']} people, "
                f"{found['worse']} worse off, {found['much_worse']} of them by more than a degree"
            )


if __name__ == "__main__":
    main()
