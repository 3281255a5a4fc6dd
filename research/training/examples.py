"""What the core makes of the pictures in a table: the examples that models are fitted to and measured on.

Features come from `gaze_core`, so they cannot differ from the service's.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_region import EYE_REGION_MODEL, EyeRegionModel
from gaze_core.features import FEATURE_NAMES, FaceGeometry, combine_features, measure_face
from gaze_core.gaze import visual_angle_deg
from gaze_core.landmarks import Landmarks
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG
from research.dataset.table import Table

SHUT_BELOW = 0.2
"""Openness below which a rendered eye shows nothing of its gaze."""

MIRRORED_FEATURES = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0])
MIRRORED_GAZE = np.array([-1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """What `gaze_core` makes of the rows of a table.

    Attributes:
        features: In the order of `FEATURE_NAMES`, NaN where both eyes count as shut, shape (n, 7).
        origin_mm: Estimated midpoint between the eyes, camera frame, shape (n, 3).
        iris_diameter_px: Shape (n,).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        geometries: What the features were made from; None where the landmarks span no face.
        is_usable: Which rows have features and open eyes: those a model can learn from, shape (n,).
        left_out: How many rows are not usable, by reason.
    """

    features: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    iris_diameter_px: NDArray[np.float64]
    openness: NDArray[np.float64]
    geometries: tuple[FaceGeometry | None, ...]
    is_usable: NDArray[np.bool_]
    left_out: dict[str, int]


def measure_table(
    table: Table, *, assume_default_camera: bool = False, eye_region: EyeRegionModel | None = EYE_REGION_MODEL
) -> Measurements:
    """Return the features of every row.

    Args:
        table: The rows.
        assume_default_camera: Whether to take every camera for one of the default field of view, as the service does
            with a camera that nobody described.
        eye_region: Correction of the iris direction; None uses the iris geometry alone.
    """
    features = np.full((len(table), len(FEATURE_NAMES)), np.nan)
    origin_mm = np.full((len(table), 3), np.nan)
    iris_diameter_px = np.full(len(table), np.nan)
    openness = np.full(len(table), np.nan)
    geometries: list[FaceGeometry | None] = []
    is_usable = np.zeros(len(table), dtype=np.bool_)
    left_out: Counter[str] = Counter()
    for row in range(len(table)):
        fov_deg = DEFAULT_VERTICAL_FOV_DEG if assume_default_camera else table.camera_of(row).vertical_fov_deg
        try:
            geometry = measure_face(fill_landmarks(table.face(row)), vertical_fov_deg=fov_deg, eye_region=eye_region)
        except ValueError:
            left_out["landmarks_span_no_face"] += 1
            geometries.append(None)
            continue
        geometries.append(geometry)
        origin_mm[row] = geometry.origin_mm
        iris_diameter_px[row] = geometry.iris_diameter_px
        openness[row] = np.mean(geometry.eye_openness)
        if geometry.features is not None:
            features[row] = geometry.features
        if table.openness[row] < SHUT_BELOW:
            left_out["eyes_shut_and_seen_so" if geometry.features is None else "eyes_shut_but_taken_for_open"] += 1
        elif geometry.features is None:
            left_out["eyes_open_but_taken_for_shut"] += 1
        else:
            is_usable[row] = True
    return Measurements(
        features,
        origin_mm,
        iris_diameter_px,
        openness,
        tuple(geometries),
        is_usable,
        dict(sorted(left_out.items())),
    )


def fill_landmarks(face: Landmarks) -> Landmarks:
    """Return a face whose landmarks that the table did not keep lie somewhere harmless.

    Of those, the core uses only their share in the mean z of the first 468. MediaPipe's networks make that mean zero
    (it stayed below 0.0001 on 574 pictures), so the missing ones get what makes it zero.
    """
    points = face.points.copy()
    is_missing = np.isnan(points[:, 2])
    missing_in_mean = int(is_missing[:468].sum())
    if missing_in_mean:
        points[is_missing, 2] = -np.nansum(points[:468, 2]) / missing_in_mean
    points[np.isnan(points)] = 0.5
    return Landmarks(points, face.image_width_px, face.image_height_px)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a model is fitted on.

    Attributes:
        features: Shape (n, 7).
        gaze_deg: gaze_x and gaze_y, shape (n, 2).
        identity: Number of the person, shape (n,).
        geometries: What the features were made from, n of them.
    """

    features: NDArray[np.float64]
    gaze_deg: NDArray[np.float64]
    identity: NDArray[np.int64]
    geometries: tuple[FaceGeometry, ...]

    def __len__(self) -> int:
        return len(self.identity)

    def of(self, rows: NDArray[Any]) -> "Examples":
        """Return some of the rows."""
        numbers = np.arange(len(self))[rows].tolist()
        return Examples(
            self.features[rows],
            self.gaze_deg[rows],
            self.identity[rows],
            tuple(self.geometries[number] for number in numbers),
        )

    def with_outline(self, outline: EyeRegionModel | None) -> "Examples":
        """Return the same rows with the features that another outline gives, or none."""
        features = np.array([combine_features(geometry, outline) for geometry in self.geometries], dtype=np.float64)
        return Examples(features.reshape(-1, len(FEATURE_NAMES)), self.gaze_deg, self.identity, self.geometries)


def mirror(
    features: NDArray[np.float64], gaze_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and their mirror images, shapes (2n, 7) and (2n, 2): what holds for one eye holds for the other."""
    return (
        np.concatenate([features, features * MIRRORED_FEATURES]),
        np.concatenate([gaze_deg, gaze_deg * MIRRORED_GAZE]),
    )


def select_examples(table: Table, measured: Measurements, *, held_out: bool) -> Examples:
    """Return the usable rows of the test identities, or of all others."""
    rows = np.flatnonzero(measured.is_usable & (table.is_held_out == held_out))
    geometries = [geometry for row in rows.tolist() if (geometry := measured.geometries[row]) is not None]
    return Examples(measured.features[rows], table.gaze_deg[rows], table.identity[rows], tuple(geometries))


def angular_errors_deg(predicted_deg: NDArray[np.float64], true_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle at the eye between each two directions, in degrees, shape (n,).

    Args:
        predicted_deg: gaze_x and gaze_y, shape (n, 2).
        true_deg: Likewise.
    """
    return visual_angle_deg(predicted_deg, true_deg)
