"""Error budget: the same model with true values in place of one measurement after another.

From the landmarks, the geometry derives the positions of the irises, the eyes' centres of rotation, and the head's
rotation. The renderer knows all three. The error that remains with all three true is the person's: the angle between
optical and visual axis, which no image shows.

For comparison, `regress_landmarks` fits a kernel ridge regression to all stored landmarks instead of seven features.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gaze_core import eye_region_weights
from gaze_core.eye_region import PLANE_MM
from gaze_core.features import FaceGeometry
from gaze_core.gaze import calculate_combined_gaze, estimate_gaze, gaze_direction, gaze_vector
from gaze_core.head_pose import focal_length_px, head_angles_deg, rotation_matrix
from gaze_core.types import GazeDirection, HeadPose
from research.dataset.table import KEPT_LANDMARKS, LandmarkTable
from research.evaluation.statistics import describe
from research.rendering.eye import SIDES, eye_rotation
from research.rendering.identity import Identity, sample_identity
from research.training.examples import Examples, Measurements, angular_errors_deg
from research.training.eye_region import fit_eye_region
from research.training.train import fit

Floats = NDArray[np.float64]

STEPS = (
    ("as measured", frozenset[str]()),
    ("true irises", frozenset({"irises"})),
    ("true centres of rotation", frozenset({"centres"})),
    ("true head rotation", frozenset({"head"})),
    ("true irises and centres of rotation", frozenset({"irises", "centres"})),
    ("true irises and head rotation", frozenset({"irises", "head"})),
    ("true centres and head rotation", frozenset({"centres", "head"})),
    ("all true", frozenset({"irises", "centres", "head"})),
)


def split_error(
    table: LandmarkTable,
    measured: Measurements,
    estimator: str,
    hyperparameters: dict[str, Any],
    *,
    seed: int,
    report: Callable[[str], None] = click.echo,
) -> dict[str, Any]:
    """Return the errors on the test group for each combination of true values, in degrees.

    Args:
        table: Table of rendered people with a known seed.
        measured: Measurements of the table.
        estimator: Name of the shipped estimator.
        hyperparameters: Hyperparameters of the shipped model.
        seed: Seed of the fits.
        report: Called with one line per result.
    """
    people_seed = int(table.description["plan"]["seed"])
    rows = np.array([row for row in np.flatnonzero(measured.is_usable).tolist() if _has_both_eyes(measured, row)])
    people = {number: sample_identity(number, people_seed) for number in np.unique(table.identity[rows]).tolist()}
    held_out = table.is_held_out[rows]
    found = {}
    for name, truths in STEPS:
        geometries = tuple(
            _replace_by_truth(table, row, measured.geometries[row], people[int(table.identity[row])], truths)
            for row in rows.tolist()
        )
        examples = Examples(np.zeros((len(rows), 7)), table.gaze_deg[rows], table.identity[rows], geometries)
        learnt = examples.of(~held_out)
        eye_region = fit_eye_region(learnt.geometries, learnt.gaze_deg, strength=eye_region_weights.STRENGTH)
        regressors = fit(estimator, hyperparameters, learnt.with_eye_region(eye_region), seed)
        test = examples.of(held_out).with_eye_region(eye_region)
        found[name] = describe(angular_errors_deg(regressors.predict(test.features), test.gaze_deg))
        report(f"  {name:<42} {found[name]['mean']:.2f} degrees")
    return found


def regress_landmarks(table: LandmarkTable, measured: Measurements) -> dict[str, Any]:
    """Return the errors on the test group of a regression on all stored landmarks, in degrees.

    Args:
        table: Table with both groups.
        measured: Measurements of the table.
    """
    rows = np.array([row for row in np.flatnonzero(measured.is_usable).tolist() if _has_both_eyes(measured, row)])
    held_out = table.is_held_out[rows]
    inputs = np.array(
        [_describe_face(table, row, measured.geometries[row], measured.features[row]) for row in rows.tolist()]
    )
    # In the head frame, so that the relation to the landmarks does not depend on the head's rotation.
    eyes_deg = _turn(table.gaze_deg[rows], measured.features[rows, 3:6], into_head=True)
    regressor = make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", gamma=3e-4, alpha=0.1))
    regressor.fit(inputs[~held_out], eyes_deg[~held_out])
    test = rows[held_out]
    predicted_deg = _turn(regressor.predict(inputs[held_out]), measured.features[test, 3:6], into_head=False)
    return describe(angular_errors_deg(predicted_deg, table.gaze_deg[test]))


def _turn(gaze_deg: Floats, head_deg: Floats, *, into_head: bool) -> Floats:
    """Return gaze directions rotated from the camera frame into the head frame, or back, shape (n, 2)."""
    rotations = np.array([rotation_matrix(*angles) for angles in head_deg.tolist()])
    return gaze_direction(np.einsum("nji,nj->ni" if into_head else "nij,nj->ni", rotations, gaze_vector(gaze_deg)))


def _describe_face(table: LandmarkTable, row: int, geometry: FaceGeometry | None, features: Floats) -> Floats:
    """Return landmarks in mm on the plane of the eye region, their depths, the irises' direction and the features."""
    assert geometry is not None  # noqa: S101 - rows with both eyes have one
    assert geometry.irises is not None  # noqa: S101 - rows with both eyes have one
    face = table.face(row)
    pixels = face.pixels(KEPT_LANDMARKS)
    focal_px = focal_length_px(face.image_height_px, table.camera_of(row).vertical_fov_deg)
    middle_px = np.array([face.image_width_px / 2, face.image_height_px / 2])
    rotation = geometry.head_pose.head_rotation
    in_head = np.column_stack([(pixels[:, :2] - middle_px) / focal_px, np.ones(len(pixels))]) @ rotation
    origin = rotation.T @ geometry.origin_mm
    places_mm = in_head[:, :2] * ((origin[2] - PLANE_MM) / in_head[:, 2:]) - origin[:2]
    depths_mm = pixels[:, 2] / focal_px * geometry.distance_mm
    irises = (geometry.irises.gaze_x_deg, geometry.irises.gaze_y_deg)
    return np.concatenate([places_mm.ravel(), depths_mm, irises, features])


def _has_both_eyes(measured: Measurements, row: int) -> bool:
    geometry = measured.geometries[row]
    return geometry is not None and geometry.eye_region_mm is not None


def _replace_by_truth(
    table: LandmarkTable, row: int, geometry: FaceGeometry | None, identity: Identity, truths: frozenset[str]
) -> FaceGeometry:
    """Return the geometry with some measurements replaced by true values."""
    assert geometry is not None  # noqa: S101 - rows with both eyes have one
    if not truths:
        return geometry
    true_rotation = rotation_matrix(*table.pose_deg[row])
    true_centres, true_irises = _place_eyes(table, row, identity, true_rotation)
    pose = geometry.head_pose
    if "head" in truths:
        pose = HeadPose(*head_angles_deg(true_rotation), true_rotation, pose.translation_mm)
    centres = true_centres if "centres" in truths else geometry.eyes_mm
    irises = true_irises if "irises" in truths else geometry.iris_rays
    to_head = pose.head_rotation.T
    origin = centres.mean(axis=0)
    distance_mm = float(np.linalg.norm(origin))
    left, right = (
        estimate_gaze(to_head @ centre, to_head @ iris, float(np.linalg.norm(centre)))
        for centre, iris in zip(centres, irises, strict=True)
    )
    return replace(
        geometry,
        head_pose=pose,
        origin_mm=origin,
        distance_mm=distance_mm,
        irises=GazeDirection(*gaze_direction(calculate_combined_gaze(left, right, np.eye(3), distance_mm)).tolist()),
    )


def _place_eyes(table: LandmarkTable, row: int, identity: Identity, rotation: Floats) -> tuple[Floats, Floats]:
    """Return both eyes' true centres of rotation and iris centres, camera frame, shape (2, 3) each."""
    origin = table.origin_mm[row]
    target = rotation.T @ (table.target_mm[row] - origin)
    centres, irises = [], []
    for side, outward in enumerate(SIDES):
        centre = np.array([outward * identity.ipd_mm / 2, 0.0, 0.0])
        axis = eye_rotation(target, centre, identity.kappa[side], side)[:, 2]
        centres.append(rotation @ centre + origin)
        irises.append(rotation @ (centre + axis * identity.eyeball.limbus_mm) + origin)
    return np.array(centres), np.array(irises)
