"""Tries calibrations on training people: what the gate at dots that were left out costs and saves.

    python -m research.evaluation.calibration_trials [--table …] [--folds 5]

Every training person's gaze is predicted by a model that never saw them. They calibrate with their looks at five or
nine dots, one picture each, and the correction is tried on their other pictures. The test group takes no part.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.calibration import HEAD_ANGLES, TargetFrames, calibrate
from research.dataset.plan import DOTS
from research.dataset.table import TRAINING_TABLE_PATH, Table, load_table
from research.evaluation.calibration_accuracy import FIVE_DOTS
from research.rendering.sampling import DOTS as PLACES
from research.training.calibration_prior import Strangers, predict_strangers
from research.training.examples import angular_errors_deg

LOSSES = (-0.05, 0.0, 0.1, 0.2, 0.5)
"""Tried as `max_loss`; -0.05 demands 5 % less error."""

FEWEST = 3
"""Of somebody with fewer pictures to calibrate with, or to try it on, nothing is told."""

MUCH_WORSE_DEG = 1.0


def try_gate(table: Table, strangers: Strangers, dots: Sequence[int], max_loss: float) -> dict[str, Any]:
    """Return the mean error over people with and without calibration, how many used one and how many were harmed.

    Args:
        table: With dots and screens.
        strangers: The training people's pictures and what a model that never saw them says.
        dots: Which dots to calibrate with.
        max_loss: As `calibrate` takes it.
    """
    is_dot = np.isin(table.dot[strangers.rows], dots)
    is_free = table.dot[strangers.rows] < 0
    without_deg, with_deg, used = [], [], 0
    for person in np.unique(strangers.identity).tolist():
        own = strangers.identity == person
        looks, tried = np.flatnonzero(own & is_dot), np.flatnonzero(own & is_free)
        if len(looks) < FEWEST or len(tried) < FEWEST:
            continue
        row = int(strangers.rows[looks[0]])
        calibration = calibrate(
            _looks(table, strangers, looks), screen=table.screen_of(row), camera=table.camera_of(row), max_loss=max_loss
        )
        generic_deg = strangers.generic_deg[tried]
        without_deg.append(angular_errors_deg(generic_deg, strangers.true_deg[tried]).mean())
        if calibration.correction is not None:
            used += 1
            generic_deg = calibration.correction.apply(
                generic_deg, strangers.features[tried][:, HEAD_ANGLES], strangers.openness[tried]
            )
        with_deg.append(angular_errors_deg(generic_deg, strangers.true_deg[tried]).mean())
    harm_deg = np.array(with_deg) - np.array(without_deg)
    return {
        "people": len(with_deg),
        "used": used,
        "without_deg": float(np.mean(without_deg)),
        "with_deg": float(np.mean(with_deg)),
        "much_worse": int((harm_deg > MUCH_WORSE_DEG).sum()),
    }


def _looks(table: Table, strangers: Strangers, chosen: NDArray[np.int64]) -> TargetFrames:
    rows = strangers.rows[chosen]
    return TargetFrames(
        targets=np.array([(PLACES[dot].x, PLACES[dot].y) for dot in table.dot[rows].tolist()]),
        uncalibrated_deg=strangers.generic_deg[chosen],
        head_deg=strangers.features[chosen][:, HEAD_ANGLES],
        origin_mm=strangers.origin_mm[chosen],
        openness=strangers.openness[chosen],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Try and print."""
    parser = argparse.ArgumentParser(
        prog="python -m research.evaluation.calibration_trials", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH)
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args(arguments)
    table = load_table(options.table)
    strangers = predict_strangers(table, folds=options.folds)
    for dots in (FIVE_DOTS, tuple(range(DOTS))):
        for max_loss in LOSSES:
            found = try_gate(table, strangers, dots, max_loss)
            print(
                f"{len(dots)} dots, up to {max_loss:+.0%} at dots left out: {found['with_deg']:.2f} degrees "
                f"(without {found['without_deg']:.2f}), used by {found['used']} of {found['people']}, "
                f"{found['much_worse']} worse by a degree or more"
            )


if __name__ == "__main__":
    main()
