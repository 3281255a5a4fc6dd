"""Measure how often the images of a calibration are suspected to be mirrored, rightly and wrongly.

    python -m research.evaluation.mirroring [--calibration-table …]

People of the test group look at four, five or nine targets, as they are and with their gaze mirrored. A mirrored image
negates the horizontal gaze exactly, because the features and the networks are symmetric; only MediaPipe's blendshapes
are not. The command also simulates viewers who look at another target once, and viewers who look at the targets in
another order than shown, so that their gaze has nothing to do with them; and a gaze that is much poorer than that of
rendered people, since real people may be measured worse.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.model_file import load_gaze_model
from gaze_core.mirroring import Mirroring, compare_with_mirror
from gaze_core.targets import TargetFrames, drop_blinks, measure_targets
from gaze_core.types import Camera, Screen
from models import GAZE_MODEL_PATH
from research.command_line import Command
from research.dataset.plan import TARGET_COUNT
from research.dataset.table import CALIBRATION_TABLE_PATH, LandmarkTable, load_table
from research.evaluation.calibration_accuracy import FIVE_TARGETS, select_fixations
from research.training.examples import measure_table

Floats = NDArray[np.float64]
Calibrating = tuple[TargetFrames, Screen, Camera]

CALIBRATIONS = {4: (0, 2, 6, 8), 5: FIVE_TARGETS, 9: tuple(range(TARGET_COUNT))}
"""Numbers of the targets: the corners, with the centre, and all."""

POOR_GAIN = 0.5
"""Share of each movement that a poor gaze shows."""

POOR_ERROR_DEG = 4.0
"""Standard deviation of the error of a poor gaze from target to target, in each direction.

Portraits of real people have errors of 3.6 to 3.8 degrees (docs/accuracy.md), mostly constant in a person.
"""

REPEATS = 40
"""Random draws for each person."""


def find_calibrations(
    table: LandmarkTable, predict: Callable[[Floats], Floats], targets: tuple[int, ...]
) -> Iterator[Calibrating]:
    """Yield the frames at the targets, the screen and the camera of each person who has a frame at each target."""
    measured = measure_table(table)
    usable = np.flatnonzero(measured.is_usable)
    uncalibrated_deg = np.full((len(table), 2), np.nan)
    uncalibrated_deg[usable] = predict(measured.features[usable])
    at_targets = usable[np.isin(table.target_index[usable], targets)]
    for person in np.unique(table.identity[at_targets]).tolist():
        rows = at_targets[table.identity[at_targets] == person]
        if len(np.unique(table.target_index[rows])) == len(targets):
            frames = select_fixations(table, measured, rows, uncalibrated_deg)
            yield frames, table.screen_of(rows[0]), table.camera_of(rows[0])


def mirror(frames: TargetFrames) -> TargetFrames:
    """Return the frames as measured in mirrored images; without cues, which the comparison does not need."""
    return replace(
        frames,
        uncalibrated_deg=frames.uncalibrated_deg * [-1, 1],
        head_deg=frames.head_deg * [1, -1, -1],
        origin_mm=frames.origin_mm * [-1, 1, 1],
        cues=None,
    )


def look_elsewhere(frames: TargetFrames, rng: np.random.Generator) -> TargetFrames:
    """Return the frames of a viewer who looks at another target instead of one, drawn at random."""
    places, target = _number(frames)
    wrong, looked_at = rng.permutation(len(places))[:2]
    gaze_deg = frames.uncalibrated_deg.copy()
    gaze_deg[target == wrong] = np.median(gaze_deg[target == looked_at], axis=0)
    return replace(frames, uncalibrated_deg=gaze_deg)


def look_in_another_order(frames: TargetFrames, rng: np.random.Generator) -> TargetFrames:
    """Return the frames with the targets exchanged at random."""
    places, target = _number(frames)
    return replace(frames, targets=places[rng.permutation(len(places))][target])


def worsen(frames: TargetFrames, rng: np.random.Generator) -> TargetFrames:
    """Return the frames with a smaller gain and a random error at each target."""
    places, target = _number(frames)
    middle_deg = np.median(frames.uncalibrated_deg, axis=0)
    errors_deg = rng.normal(0, POOR_ERROR_DEG, (len(places), 2))
    gaze_deg = middle_deg + POOR_GAIN * (frames.uncalibrated_deg - middle_deg) + errors_deg[target]
    return replace(frames, uncalibrated_deg=gaze_deg)


def _number(frames: TargetFrames) -> tuple[Floats, NDArray[np.int64]]:
    places, target = np.unique(frames.targets, axis=0, return_inverse=True)
    return places, target.reshape(-1)


def compare(
    people: list[Calibrating], change: Callable[[TargetFrames], TargetFrames] = lambda frames: frames
) -> list[Mirroring]:
    """Compare each person's gaze with its mirror image, as a calibration does; without those whose targets do not tell.

    Args:
        people: Frames, screen and camera of each person.
        change: What happens to the frames before.
    """
    compared = [
        compare_with_mirror(measure_targets(drop_blinks(change(frames)), screen, camera))
        for frames, screen, camera in people
    ]
    return [each for each in compared if each is not None]


def count_suspicions(people: list[Calibrating], *, seed: int = 0) -> dict[str, float]:
    """Return the share of suspected calibrations, among those whose targets tell, for each behaviour."""
    rng = np.random.default_rng(seed)
    repeated = people * REPEATS
    compared = {
        "as they are": compare(people),
        "mirrored": compare(people, mirror),
        "one wrong target": compare(repeated, lambda frames: look_elsewhere(frames, rng)),
        "mirrored, one wrong target": compare(repeated, lambda frames: mirror(look_elsewhere(frames, rng))),
        "poor gaze": compare(repeated, lambda frames: worsen(frames, rng)),
        "mirrored, poor gaze": compare(repeated, lambda frames: mirror(worsen(frames, rng))),
        "other order": compare(repeated, lambda frames: look_in_another_order(frames, rng)),
    }
    return {name: float(np.mean([each.is_suspected for each in found])) for name, found in compared.items()}


@click.command(cls=Command)
@click.option("--calibration-table", type=click.Path(path_type=Path), default=CALIBRATION_TABLE_PATH, help="Table.")
def main(calibration_table: Path) -> None:
    """Measure how often the images of a calibration are suspected to be mirrored."""
    table, model = load_table(calibration_table), load_gaze_model(GAZE_MODEL_PATH)
    for count, targets in CALIBRATIONS.items():
        people = list(find_calibrations(table, model.predict, targets))
        known = compare(people)
        smallest = min(each.swapped_share for each in known)
        click.echo(
            f"{len(people)} people with {count} targets; those of {len(known)} tell, shares from {smallest:.2f} up"
        )
        for name, suspected in count_suspicions(people).items():
            click.echo(f"  {name}: {suspected:.1%} suspected")


if __name__ == "__main__":
    main()
