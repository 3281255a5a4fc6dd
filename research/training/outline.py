"""Learns how much the outline of eyes and brows counts, and writes it into `gaze_core.eye_region_weights`.

    python -m research.training.outline [--table …]

Ridge regression (Hoerl and Kennard, Technometrics 12, 1970) of what the irises' geometry lacks, in the head frame, on
the outline and the pose, each column in units of its own scatter. How strongly the coefficients are pulled towards zero
is chosen by grouped cross-validation over training identities: the strongest pull whose mean angular error is within
4 % of the best, since whoever is measured will differ from rendered people. The test group takes no part.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from gaze_core.eye_region import PAIRS, EyeRegionModel, describe_pose, split_pairs
from gaze_core.features import FaceGeometry
from gaze_core.gaze import gaze_direction, gaze_vector
from models.card import replace_file
from research.dataset.table import TRAINING_TABLE_PATH, load_table
from research.training.examples import Examples, angular_errors_deg, measure_table, select_examples

Floats = NDArray[np.float64]

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 300.0, 1000.0, 3000.0)
"""Of the pull, in rows of the table."""

TOLERANCE = 0.04
"""By what share of the best error a stronger pull may be worse: what it costs on rendered faces it may save on real
ones, in which points lie otherwise."""

WEIGHTS_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "eye_region_weights.py"


def fit_outline(geometries: Sequence[FaceGeometry], gaze_deg: Floats, *, strength: float) -> EyeRegionModel:
    """Return the outline's weights under which what the irises lack is explained best.

    Args:
        geometries: Faces; those with an eye hidden or shut count for nothing.
        gaze_deg: The truth: gaze_x and gaze_y in the camera frame, shape (n, 2).
        strength: Of the pull towards zero.

    Raises:
        ValueError: No face has both eyes open.
    """
    lacking: list[Floats] = []
    apart: list[Floats] = []
    common: list[Floats] = []
    sideways: list[Floats] = []
    upwards: list[Floats] = []
    for geometry, truth in zip(geometries, gaze_deg.tolist(), strict=True):
        if geometry.irises is None or geometry.eye_region_mm is None:
            continue
        pose = geometry.head_pose
        in_head = gaze_direction(pose.head_rotation.T @ gaze_vector(truth))
        irises = geometry.irises
        lacking.append(in_head - irises)
        head_deg = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
        for rows, values in zip(
            (sideways, upwards), describe_pose(irises, head_deg, geometry.distance_mm), strict=True
        ):
            rows.append(values)
        for rows, values in zip((apart, common), split_pairs(geometry.eye_region_mm), strict=True):
            rows.append(values.ravel())
    if not lacking:
        raise ValueError("no face has both eyes open")
    right_deg, up_deg = np.array(lacking).T
    # Mirrored faces would only double every row of the first system and its negative; and the second's as it is.
    across = _solve(np.column_stack([apart, sideways]), right_deg, strength)
    along = _solve(np.column_stack([common, np.array(upwards)[:, 1:]]), up_deg, strength, with_constant=True)
    width = 2 * len(PAIRS)
    return EyeRegionModel(
        sideways=across[:width].reshape(-1, 2),
        upwards=along[1 : 1 + width].reshape(-1, 2),
        sideways_terms=across[width:],
        upwards_terms=np.concatenate([along[:1], along[1 + width :]]),
        alone_sideways=_solve(np.array(sideways), right_deg, strength),
        alone_upwards=_solve(np.array(upwards)[:, 1:], up_deg, strength, with_constant=True),
    )


def _solve(columns: Floats, lacking_deg: Floats, strength: float, *, with_constant: bool = False) -> Floats:
    """Return the coefficients, the constant first; it is not pulled."""
    middle = columns.mean(axis=0) if with_constant else np.zeros(columns.shape[1])
    scatter = np.sqrt(((columns - middle) ** 2).mean(axis=0))
    scatter[scatter == 0] = 1.0  # a column that never changes explains nothing
    scaled = (columns - middle) / scatter
    mean = lacking_deg.mean() if with_constant else 0.0
    inverse = scaled.T @ scaled + strength * np.eye(scaled.shape[1])
    coefficients: Floats = np.linalg.solve(inverse, scaled.T @ (lacking_deg - mean)) / scatter
    if not with_constant:
        return coefficients
    return np.concatenate([[mean - middle @ coefficients], coefficients])


def choose_strength(examples: Examples, *, folds: int) -> tuple[float, dict[float, float]]:
    """Return the strength to use and every strength's mean angular error on people it was not fitted to, in degrees."""
    errors_deg = {}
    for strength in STRENGTHS:
        predicted = np.empty_like(examples.gaze_deg)
        for train, test in GroupKFold(folds).split(examples.gaze_deg, groups=examples.identity):
            learnt = examples.of(train)
            outline = fit_outline(learnt.geometries, learnt.gaze_deg, strength=strength)
            rays = examples.of(test).with_outline(outline).features[:, :3]
            predicted[test] = gaze_direction(rays)
        errors_deg[strength] = float(angular_errors_deg(predicted, examples.gaze_deg).mean())
    limit_deg = (1 + TOLERANCE) * min(errors_deg.values())
    return max(strength for strength, error_deg in errors_deg.items() if error_deg <= limit_deg), errors_deg


def render_weights(outline: EyeRegionModel, strength: float) -> str:
    """Return the source of `gaze_core.eye_region_weights`; five digits, so that CPUs agree."""

    def tuple_of(values: Floats) -> str:
        return f"({', '.join(f'{value:.5g}' for value in values.tolist())})"

    pairs = np.concatenate([outline.sideways, outline.upwards], axis=1)
    lines = [
        '"""Weights of `eye_region.EYE_REGION_MODEL`. Generated by fitting the training table; do not edit by hand."""',
        "",
        "# For each pair of points, degrees per mm: horizontal for x and y, vertical for x and y.",
        "PAIRS = (",
        *(f"    {tuple_of(row)}," for row in pairs),
        ")",
        f"SIDEWAYS = {tuple_of(outline.sideways_terms)}",
        f"UPWARDS = {tuple_of(outline.upwards_terms)}",
        f"ALONE_SIDEWAYS = {tuple_of(outline.alone_sideways)}",
        f"ALONE_UPWARDS = {tuple_of(outline.alone_upwards)}",
        "",
        "# Ridge penalty of the fit.",
        f"STRENGTH = {strength:g}",
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose, fit and write."""
    parser = argparse.ArgumentParser(
        prog="python -m research.training.outline", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH)
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args(arguments)
    table = load_table(options.table)
    examples = select_examples(table, measure_table(table), held_out=False)
    strength, errors_deg = choose_strength(examples, folds=options.folds)
    for each, error_deg in errors_deg.items():
        print(f"  strength {each:6g}: {error_deg:.3f} degrees{' <' if each == strength else ''}")
    outline = fit_outline(examples.geometries, examples.gaze_deg, strength=strength)
    replace_file(WEIGHTS_PATH, render_weights(outline, strength).encode())
    print(f"written into {WEIGHTS_PATH.name}")


if __name__ == "__main__":
    main()
