"""Measure how the service places the eye images, on whole rendered faces; write `research/tables/eye_placement.json`.

    python -m research.dataset.eye_placement_fit                   # renders 120 people, 12 images each
    python -m research.dataset.eye_placement_fit --table research/tables/training_table.npz

The second command measures an existing table, which must have been made by the current renderer.
"""

import os
from pathlib import Path

import click
import numpy as np

from gaze_core.features import measure_face
from gaze_core.types import Floats
from research.command_line import Command
from research.dataset.eye_placement import (
    ERRORS,
    EYE_PLACEMENT_PATH,
    MIRRORED_ERRORS,
    MIRRORED_PREDICTORS,
    PlacementModel,
    corners_at_rest,
    find_errors,
    find_true_eyes,
    write_placement_model,
)
from research.dataset.plan import Plan
from research.dataset.shards import CACHE, gather, make_shards
from research.dataset.table import LandmarkTable, fill_landmarks, load_table
from research.rendering.head import build_head
from research.rendering.identity import sample_identity
from research.rendering.sampling import sample_fixation, sample_scene, sample_session
from research.rendering.topology import Extent

_SIZES = 4
"""Number of groups of frames by iris diameter."""

_LARGEST_DEVIATION = 5.0
"""Errors beyond so many robust standard deviations count as that large: the landmarker has missed the face."""


@click.command(cls=Command)
@click.option("--table", type=click.Path(path_type=Path, exists=True), help="Existing table to measure.")
@click.option("--people", default=120, show_default=True, help="Number of people to render.")
@click.option("--images-per-person", default=12, show_default=True, help="Images per person.")
@click.option("--seed", default=5, show_default=True, help="Random seed of the plan.")
@click.option("--jobs", type=click.IntRange(min=1), default=lambda: os.cpu_count() or 1, show_default="one per CPU")
@click.option("--out", type=click.Path(path_type=Path), default=EYE_PLACEMENT_PATH, help="File to write.")
def main(*, table: Path | None, people: int, images_per_person: int, seed: int, jobs: int, out: Path) -> None:
    """Measure how the service places the eye images, on whole rendered faces."""
    if table is None:
        plan = Plan(people, images_per_person, seed, held_out=0, frames_per_session=max(images_per_person // 2, 1))
        make_shards(plan, CACHE / plan.digest(), jobs=jobs)
        measured = gather(plan, CACHE / plan.digest())
    else:
        measured = load_table(table)
    model = fit_placement(*measure_placement(measured))
    write_placement_model(model, out)
    click.echo(describe(model))


def measure_placement(table: LandmarkTable) -> tuple[Floats, Floats, Floats, Floats]:
    """Return errors, predictors, identities and iris diameters of a table's rows, shapes (n, 9), (n, 9), (n,), (n,).

    Raises:
        ValueError: The table was made from other scenes than the current renderer's.
    """
    plan = table.description["plan"]
    rows: list[tuple[Floats, Floats, float, float]] = []
    for number in np.unique(table.identity).tolist():
        identity = sample_identity(number, plan["seed"])
        head = build_head(identity, Extent.EYES)
        corners_mm = corners_at_rest(head)
        for row in np.flatnonzero(table.identity == number).tolist():
            session = sample_session(identity, int(table.session[row]), plan["seed"])
            sample = sample_fixation if plan.get("calibrations") else None
            frame, target_index = int(table.frame[row]), int(table.target_index[row])
            if sample is None:
                scene = sample_scene(session, identity, frame, target_index)
            else:
                scene = sample(session, identity, target_index, frame)
            if not np.allclose(scene.origin_mm, table.origin_mm[row], atol=0.01):
                raise ValueError("the table was made from other scenes than this renderer's")
            true = find_true_eyes(scene, head, corners_mm)
            try:
                geometry = measure_face(fill_landmarks(table.face(row)), vertical_fov_deg=scene.camera.vertical_fov_deg)
            except ValueError:
                continue
            rows.append((find_errors(true, geometry), true.predictors, float(number), true.iris_px))
    errors, predictors, identities, iris_px = (np.array(column) for column in zip(*rows, strict=True))
    return errors, predictors, identities, iris_px


def fit_placement(errors: Floats, predictors: Floats, identities: Floats, iris_px: Floats) -> PlacementModel:
    """Return the distribution of measured errors; it is the same for an image and its mirror image.

    Args:
        errors: Result of `measure_placement`, shape (n, 9).
        predictors: Shape (n, 9).
        identities: Shape (n,).
        iris_px: Shape (n,).
    """
    frames = len(errors)
    errors = np.concatenate([errors, errors @ MIRRORED_ERRORS.T])
    predictors = np.concatenate([predictors, predictors * MIRRORED_PREDICTORS])
    people = np.concatenate([identities, identities + identities.max() + 1])
    iris_px = np.concatenate([iris_px, iris_px])
    weights: Floats = np.zeros((predictors.shape[1], errors.shape[1]))
    kept: Floats = errors
    for _ in range(3):
        weights = np.asarray(np.linalg.lstsq(predictors, kept, rcond=None)[0], dtype=np.float64)
        left = errors - predictors @ weights
        limit = _LARGEST_DEVIATION * 1.4826 * np.median(np.abs(left), axis=0)
        kept = predictors @ weights + np.clip(left, -limit, limit)
    left = kept - predictors @ weights
    numbers = np.unique(people)
    means = np.array([left[people == number].mean(axis=0) for number in numbers])
    counts = np.array([np.sum(people == number) for number in numbers])
    within = left - means[np.searchsorted(numbers, people)]
    within *= np.sqrt(counts / np.maximum(counts - 1, 1))[np.searchsorted(numbers, people)][:, None]
    frame_covariance = within.T @ within / len(within)
    between = means.T @ means / len(means) - frame_covariance * np.mean(1 / counts)
    values, vectors = np.linalg.eigh(between)
    person_covariance: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    spread = np.sqrt(np.diag(frame_covariance))
    edges = np.quantile(iris_px, np.linspace(0, 1, _SIZES + 1))
    groups = np.clip(np.searchsorted(edges, iris_px, side="right") - 1, 0, _SIZES - 1)
    kurtosis = float(np.median((within**4).mean(axis=0) / (within**2).mean(axis=0) ** 2))
    return PlacementModel(
        weights=weights,
        person_covariance=person_covariance,
        frame_correlation=frame_covariance / np.outer(spread, spread),
        iris_px=np.array([np.median(iris_px[groups == group]) for group in range(_SIZES)]),
        frame_spread=np.array([np.sqrt((within[groups == group] ** 2).mean(axis=0)) for group in range(_SIZES)]),
        degrees_of_freedom=4 + 6 / max(kurtosis - 3, 0.1),
        measured_on={"people": len(numbers) // 2, "frames": frames},
    )


def describe(model: PlacementModel) -> str:
    """Return a table of the errors: mean for a straight view, and standard deviations."""
    lines = [f"measured on {model.measured_on}; Student's t with {model.degrees_of_freedom:.1f} degrees of freedom"]
    lines.append(
        f"{'error':<22}{'mean':>8}{'people':>8}{'frames':>8}  frames by iris diameter {np.round(model.iris_px, 1)}"
    )
    person = np.sqrt(np.diag(model.person_covariance))
    for index, name in enumerate(ERRORS):
        column = model.frame_spread[:, index]
        lines.append(
            f"{name:<22}{model.weights[0, index]:8.3f}{person[index]:8.3f}{np.sqrt((column**2).mean()):8.3f}  "
            + " ".join(f"{value:.3f}" for value in column)
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
