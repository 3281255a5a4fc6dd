"""Measurements and training examples of a table.

Features come from `gaze_core`, so they cannot differ from the service's. Only the map from blendshapes to a direction
is a different one, see `shapes`.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import eye_views
from gaze_core.eye_region import EYE_REGION_MODEL, EyeRegionModel
from gaze_core.features import FEATURE_NAMES, FaceGeometry, combine_features, estimate_from_landmarks, measure_face
from gaze_core.fusion import ESTIMATES, blendshape_gaze
from gaze_core.gaze import visual_angle_deg
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, EyeEstimates
from research.dataset.table import LandmarkTable, fill_landmarks
from research.training.shapes import RENDERED_SHAPE_MODEL

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
        eyes: Estimates of the eyes' direction in the features; None where the landmarks span no face.
        is_usable: Whether a row has features and open eyes, shape (n,).
        left_out: Number of unusable rows by reason.
    """

    features: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    iris_diameter_px: NDArray[np.float64]
    openness: NDArray[np.float64]
    geometries: tuple[FaceGeometry | None, ...]
    eyes: tuple[EyeEstimates | None, ...]
    is_usable: NDArray[np.bool_]
    left_out: dict[str, int]


def find_estimates(table: LandmarkTable) -> tuple[str, ...]:
    """Return the estimates of the eyes' direction that a table has, among `fusion.ESTIMATES`."""
    columns = {"network": table.network_deg, "blendshapes": table.eye_shapes}
    return tuple(name for name in ESTIMATES if name not in columns or np.isfinite(columns[name]).any())


def measure_table(
    table: LandmarkTable,
    *,
    assume_default_camera: bool = False,
    eye_region: EyeRegionModel | None = EYE_REGION_MODEL,
    estimates: Collection[str] | None = None,
) -> Measurements:
    """Return the measurements of every row.

    Args:
        table: Table of landmarks.
        assume_default_camera: Whether to assume the default field of view, as the service does for an undescribed
            camera. The eye images are still those of the true one.
        eye_region: Correction of the iris direction by the eye region; None uses the iris geometry alone.
        estimates: Estimates of the eyes' direction in the features, the landmarks' and others of `fusion.ESTIMATES`;
            None for all that the table has.

    Raises:
        ValueError: The table lacks an estimate.
    """
    known = find_estimates(table)
    missing = [name for name in estimates or () if name not in known]
    if missing:
        raise ValueError(f"the table has no estimate by {' and '.join(missing)}; run python -m research.dataset")
    wanted = known if estimates is None else estimates
    features = np.full((len(table), len(FEATURE_NAMES)), np.nan)
    origin_mm = np.full((len(table), 3), np.nan)
    iris_diameter_px = np.full(len(table), np.nan)
    openness = np.full(len(table), np.nan)
    geometries: list[FaceGeometry | None] = []
    eyes: list[EyeEstimates | None] = []
    is_usable = np.zeros(len(table), dtype=np.bool_)
    left_out: Counter[str] = Counter()
    for row in range(len(table)):
        fov_deg = DEFAULT_VERTICAL_FOV_DEG if assume_default_camera else table.camera_of(row).vertical_fov_deg
        try:
            geometry = measure_face(fill_landmarks(table.face(row)), vertical_fov_deg=fov_deg, eye_region=None)
        except ValueError:
            left_out["landmarks_span_no_face"] += 1
            geometries.append(None)
            eyes.append(None)
            continue
        estimates_of_row = _estimate(table, row, geometry, eye_region, wanted)
        geometries.append(geometry)
        eyes.append(estimates_of_row)
        origin_mm[row] = geometry.origin_mm
        iris_diameter_px[row] = geometry.iris_diameter_px
        openness[row] = np.mean(geometry.eye_openness)
        combined = _combine(geometry, eye_region, estimates_of_row)
        if combined is not None:
            features[row] = combined
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
        tuple(eyes),
        is_usable,
        dict(sorted(left_out.items())),
    )


def _estimate(
    table: LandmarkTable, row: int, geometry: FaceGeometry, eye_region: EyeRegionModel | None, wanted: Collection[str]
) -> EyeEstimates:
    """Return the wanted estimates of one row, head frame."""
    face, gazes = table.face(row), table.gazes_of(row)
    network, blendshapes = None, None
    if gazes is not None and "network" in wanted:
        fov_deg = table.camera_of(row).vertical_fov_deg
        views = eye_views(geometry, face.image_width_px, face.image_height_px, fov_deg)
        network = views.to_head_frame(gazes, geometry.head_pose.head_rotation)
    if face.eye_shapes is not None and "blendshapes" in wanted:
        blendshapes = blendshape_gaze(face.eye_shapes, model=RENDERED_SHAPE_MODEL)
    return EyeEstimates(estimate_from_landmarks(geometry, eye_region), network, blendshapes)


def _combine(
    geometry: FaceGeometry, eye_region: EyeRegionModel | None, eyes: EyeEstimates | None
) -> tuple[float, ...] | None:
    """Return the seven features; None when both eyes are shut."""
    if eyes is None:
        return combine_features(geometry, eye_region)
    return combine_features(geometry, eye_region, network=eyes.network, blendshapes=eyes.blendshapes)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Training or test examples.

    Attributes:
        features: In the order of `FEATURE_NAMES`, shape (n, 7).
        gaze_deg: True gaze_x and gaze_y, shape (n, 2).
        identity: Number of the person, shape (n,).
        geometries: Face geometry behind each row of features.
        eyes: Estimates of the eyes' direction in each row of features; empty if these come from the landmarks alone.
    """

    features: NDArray[np.float64]
    gaze_deg: NDArray[np.float64]
    identity: NDArray[np.int64]
    geometries: tuple[FaceGeometry, ...]
    eyes: tuple[EyeEstimates, ...] = ()

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
            tuple(self.eyes[number] for number in numbers) if self.eyes else (),
        )

    def with_eye_region(self, eye_region: EyeRegionModel | None) -> "Examples":
        """Return the rows with features computed with other weights of the eye region, or with none."""
        eyes = self.eyes or (None,) * len(self)
        features = [_combine(geometry, eye_region, each) for geometry, each in zip(self.geometries, eyes, strict=True)]
        return replace(self, features=np.array(features, dtype=np.float64).reshape(-1, len(FEATURE_NAMES)))

    def with_estimates(self, names: Collection[str], eye_region: EyeRegionModel | None) -> "Examples":
        """Return the rows with features from fewer estimates.

        Args:
            names: Estimates besides that of the landmarks, among `fusion.ESTIMATES`.
            eye_region: Weights of the eye region.
        """
        eyes = tuple(
            replace(
                each,
                network=each.network if "network" in names else None,
                blendshapes=each.blendshapes if "blendshapes" in names else None,
            )
            for each in self.eyes
        )
        return replace(self, eyes=eyes).with_eye_region(eye_region)


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
    eyes = [each for row in rows.tolist() if (each := measured.eyes[row]) is not None]
    return Examples(measured.features[rows], table.gaze_deg[rows], table.identity[rows], tuple(geometries), tuple(eyes))


def angular_errors_deg(predicted_deg: NDArray[np.float64], true_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles at the eye between predicted and true directions, each of shape (n, 2), in degrees."""
    return visual_angle_deg(predicted_deg, true_deg)
