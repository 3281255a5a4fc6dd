"""Measurements and training examples of a table.

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
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG
from research.dataset.table import LandmarkTable, fill_landmarks

CLOSED_BELOW = 0.2
"""Rendered eyes with a smaller opening hide their gaze and count as closed."""

MIRRORED_FEATURES = np.array([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0])
MIRRORED_GAZE = np.array([-1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Measurements of `gaze_core` on the rows of a table.

    Attributes:
        features: In the order of `FEATURE_NAMES`, NaN where both eyes count as closed, shape (n, 7).
        origin_mm: Estimated midpoint between the eyes, camera frame, shape (n, 3).
        iris_diameter_px: Iris diameter in the image, shape (n,).
        openness: Mean eye aspect ratio of both eyes, shape (n,).
        geometries: Face geometry behind the features; None where the landmarks span no face.
        is_usable: Whether a row has features and open eyes, shape (n,).
        left_out: Number of unusable rows by reason.
    """

    features: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    iris_diameter_px: NDArray[np.float64]
    openness: NDArray[np.float64]
    geometries: tuple[FaceGeometry | None, ...]
    is_usable: NDArray[np.bool_]
    left_out: dict[str, int]


def measure_table(
    table: LandmarkTable, *, assume_default_camera: bool = False, eye_region: EyeRegionModel | None = EYE_REGION_MODEL
) -> Measurements:
    """Return the measurements of every row.

    Args:
        table: Table of landmarks.
        assume_default_camera: Whether to assume the default field of view, as the service does for an undescribed
            camera.
        eye_region: Correction of the iris direction by the eye region; None uses the iris geometry alone.
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
        if table.openness[row] < CLOSED_BELOW:
            left_out["closed_eyes_detected" if geometry.features is None else "closed_eyes_missed"] += 1
        elif geometry.features is None:
            left_out["open_eyes_classified_closed"] += 1
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


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Training or test examples.

    Attributes:
        features: In the order of `FEATURE_NAMES`, shape (n, 7).
        gaze_deg: True gaze_x and gaze_y, shape (n, 2).
        identity: Number of the person, shape (n,).
        geometries: Face geometry behind each row of features.
    """

    features: NDArray[np.float64]
    gaze_deg: NDArray[np.float64]
    identity: NDArray[np.int64]
    geometries: tuple[FaceGeometry, ...]

    def __len__(self) -> int:
        return len(self.identity)

    def of(self, rows: NDArray[Any]) -> "Examples":
        """Return a selection of the rows."""
        numbers = np.arange(len(self))[rows].tolist()
        return Examples(
            self.features[rows],
            self.gaze_deg[rows],
            self.identity[rows],
            tuple(self.geometries[number] for number in numbers),
        )

    def with_eye_region(self, eye_region: EyeRegionModel | None) -> "Examples":
        """Return the rows with features computed with other weights of the eye region, or with none."""
        features = np.array([combine_features(geometry, eye_region) for geometry in self.geometries], dtype=np.float64)
        return Examples(features.reshape(-1, len(FEATURE_NAMES)), self.gaze_deg, self.identity, self.geometries)


def mirror(
    features: NDArray[np.float64], gaze_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows followed by their mirror images, shapes (2n, 7) and (2n, 2)."""
    return (
        np.concatenate([features, features * MIRRORED_FEATURES]),
        np.concatenate([gaze_deg, gaze_deg * MIRRORED_GAZE]),
    )


def select_examples(table: LandmarkTable, measured: Measurements, *, held_out: bool) -> Examples:
    """Return the usable rows of the test group or of the training people."""
    rows = np.flatnonzero(measured.is_usable & (table.is_held_out == held_out))
    geometries = [geometry for row in rows.tolist() if (geometry := measured.geometries[row]) is not None]
    return Examples(measured.features[rows], table.gaze_deg[rows], table.identity[rows], tuple(geometries))


def angular_errors_deg(predicted_deg: NDArray[np.float64], true_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles at the eye between predicted and true directions, each of shape (n, 2), in degrees."""
    return visual_angle_deg(predicted_deg, true_deg)
