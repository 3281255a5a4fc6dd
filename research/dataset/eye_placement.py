"""How the service places the eye images: the errors of landmarks, head pose and distance against the truth.

The service cuts the eye images out where the landmarks show the eyes' corners. Rendered eye regions have no landmarks,
so their eye images are placed with errors sampled from a model that `research.dataset.eye_placement_fit` measures on
whole rendered faces: a linear function of pose, gaze and opening, plus a part that is constant for a person, plus a
part that differs between frames.

Virtual camera frame here: that of `gaze_core.eye_images` for the true head.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import virtual_rotation
from gaze_core.features import CANTHI_TO_ROTATION_MM, FaceGeometry
from gaze_core.head_pose import head_angles_deg, rotation_matrix
from gaze_core.types import Floats, HeadPose, Matrix
from models.atomic_file import open_replacement
from research.dataset.table import TABLES
from research.rendering.eye import fick_angles_deg
from research.rendering.head import Head
from research.rendering.scene import Scene
from research.rendering.window import after_distortion

EYE_PLACEMENT_PATH = TABLES / "eye_placement.json"

ERRORS = (
    "pitch_deg",
    "yaw_deg",
    "roll_deg",
    "left_right_mm",
    "left_down_mm",
    "right_right_mm",
    "right_down_mm",
    "log_depth",
    "log_depth_difference",
)
"""Measured minus true: head rotation in the virtual camera frame; the middle of the corners of the left and the right
eye, to the right and down, in the plane of the eye; logarithm of the depth, and how much it exceeds the right eye's for
the left eye."""

PREDICTORS = ("one", "pitch", "yaw", "roll", "gaze_right", "gaze_up", "shut", "yaw_squared", "pitch_squared")
"""Rotations of head and eyes in units of 10 degrees, gaze in the head frame; `shut` is 1 for closed eyes."""

MIRRORED_ERRORS = np.zeros((len(ERRORS), len(ERRORS)))
"""Matrix that turns the errors of an image into those of its mirror image, shape (9, 9)."""
for _row, _column, _sign in (
    (0, 0, 1),
    (1, 1, -1),
    (2, 2, -1),
    (3, 5, -1),
    (4, 6, 1),
    (5, 3, -1),
    (6, 4, 1),
    (7, 7, 1),
    (8, 8, -1),
):
    MIRRORED_ERRORS[_row, _column] = _sign

MIRRORED_PREDICTORS = np.array([1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class TrueEyes:
    """Where the eyes of a scene truly are, as the image shows them.

    Attributes:
        rotation: Rotation from camera frame to virtual camera frame, shape (3, 3).
        corners_mm: Middle of the corners of the left and the right eye, virtual camera frame, shape (2, 3). They
            include the distortion of the lens, which no landmark can undo.
        head_deg: Pitch, yaw and roll of the head in the virtual camera frame, shape (3,).
        predictors: In the order of `PREDICTORS`, shape (9,).
        iris_px: Diameter of the iris in the image.
    """

    rotation: Matrix
    corners_mm: Floats
    head_deg: Floats
    predictors: Floats
    iris_px: float


def corners_at_rest(head: Head) -> Floats:
    """Return the middle of the corners of the left and the right eye at rest, head frame, shape (2, 3)."""
    middles = []
    for rings in head.topology.lids:
        places = head.topology.surface.matrix[rings.middle] @ head.control_mm
        middles.append((places[places[:, 0].argmin()] + places[places[:, 0].argmax()]) / 2)
    return np.array(middles)


def find_true_eyes(scene: Scene, head: Head, corners_mm: Floats) -> TrueEyes:
    """Return where the eyes of a scene are.

    Args:
        scene: The scene.
        head: The person's head.
        corners_mm: Result of `corners_at_rest`.
    """
    rotation_of_head, origin = scene.head_rotation, np.array(scene.origin_mm)
    middles = corners_mm @ rotation_of_head.T + origin
    size = scene.image_width_px, scene.image_height_px
    pixels = after_distortion(scene.project(middles) - 0.5, scene.optics.distortion, *size) + 0.5
    rays = np.column_stack([(pixels - np.array(size) / 2) / scene.focal_px, np.ones(2)])
    shown = rays * middles[:, 2:]
    centre = (shown + CANTHI_TO_ROTATION_MM * rotation_of_head[:, 2]).mean(axis=0)
    rotation = virtual_rotation(centre, rotation_of_head)
    head_deg = np.array(head_angles_deg(rotation @ rotation_of_head))
    left_deg, up_deg = fick_angles_deg(scene.target_in_head_mm())
    pitch, yaw, roll = *head_deg[:2] / 10, scene.roll_deg / 10
    shut = 1 - min(scene.openness, 1.0)
    predictors = np.array([1.0, pitch, yaw, roll, -left_deg / 10, up_deg / 10, shut, yaw**2, pitch**2])
    iris_px = head.identity.eyeball.iris_diameter_mm * scene.focal_px / float(middles[:, 2].mean())
    return TrueEyes(rotation, shown @ rotation.T, head_deg, predictors, iris_px)


def find_errors(true: TrueEyes, geometry: FaceGeometry) -> Floats:
    """Return the errors of a measured face in the order of `ERRORS`, shape (9,)."""
    rotation_of_head = geometry.head_pose.head_rotation
    measured = (geometry.eyes_mm - CANTHI_TO_ROTATION_MM * rotation_of_head[:, 2]) @ true.rotation.T
    in_plane = measured[:, :2] / measured[:, 2:] * true.corners_mm[:, 2:] - true.corners_mm[:, :2]
    log_depths = np.log(measured[:, 2] / true.corners_mm[:, 2])
    turned = np.array(head_angles_deg(true.rotation @ rotation_of_head)) - true.head_deg
    return np.concatenate([turned, in_plane.ravel(), [log_depths.mean(), log_depths[0] - log_depths[1]]])


def place_with_errors(true: TrueEyes, errors: Floats) -> FaceGeometry:
    """Return what the service would measure; only what `gaze_core.eye_images` needs is filled.

    Args:
        true: Where the eyes are.
        errors: In the order of `ERRORS`, shape (9,).
    """
    back = true.rotation.T
    head_rotation = back @ rotation_matrix(*(true.head_deg + errors[:3]).tolist())
    depth = errors[7] + errors[8] * np.array([0.5, -0.5])
    shown = true.corners_mm.copy()
    shown[:, :2] += errors[3:7].reshape(2, 2)
    corners = shown * np.exp(depth)[:, None] @ back.T
    eyes_mm = corners + CANTHI_TO_ROTATION_MM * head_rotation[:, 2]
    origin = eyes_mm.mean(axis=0)
    return FaceGeometry(
        features=None,
        head_pose=HeadPose(*head_angles_deg(head_rotation), head_rotation, origin),
        origin_mm=origin,
        distance_mm=float(np.linalg.norm(origin)),
        eye_openness=(float("nan"), float("nan")),
        iris_diameter_px=true.iris_px,
        eyes_mm=eyes_mm,
        iris_rays=np.full((2, 3), np.nan),
        irises=None,
        eye_region_mm=None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class PlacementModel:
    """Distribution of the errors.

    Attributes:
        weights: Mean errors = predictors @ weights, shape (9, 9).
        person_covariance: Covariance of what is constant for a person, shape (9, 9).
        frame_correlation: Correlation of what differs between frames, shape (9, 9).
        iris_px: Iris diameters at which its spread is given, ascending, shape (k,).
        frame_spread: Its standard deviations at those diameters, shape (k, 9).
        degrees_of_freedom: Student's t of the frame part: the fewer, the heavier its tails.
        measured_on: Number of people and frames, and their source.
    """

    weights: Floats
    person_covariance: Floats
    frame_correlation: Floats
    iris_px: Floats
    frame_spread: Floats
    degrees_of_freedom: float
    measured_on: dict[str, Any]

    def sample_person(self, rng: np.random.Generator) -> Floats:
        """Return the part of the errors that is constant for one person, shape (9,)."""
        return np.asarray(rng.multivariate_normal(np.zeros(len(ERRORS)), self.person_covariance))

    def sample(self, rng: np.random.Generator, person: Floats, true: TrueEyes) -> Floats:
        """Return the errors of one frame in the order of `ERRORS`, shape (9,).

        Args:
            rng: Random generator.
            person: Result of `sample_person`.
            true: Where the eyes are.
        """
        frame = rng.multivariate_normal(np.zeros(len(ERRORS)), self.frame_correlation)
        freedom = self.degrees_of_freedom
        frame *= np.sqrt((freedom - 2) / rng.chisquare(freedom))
        spread = [np.interp(true.iris_px, self.iris_px, column) for column in self.frame_spread.T]
        return np.asarray(true.predictors @ self.weights + person + frame * spread)


def load_placement_model(path: Path = EYE_PLACEMENT_PATH) -> PlacementModel:
    """Return the model in a JSON file.

    Raises:
        ValueError: The file was made for other errors or predictors.
    """
    stored = json.loads(path.read_text())
    if stored["errors"] != list(ERRORS) or stored["predictors"] != list(PREDICTORS):
        raise ValueError(f"{path.name} was made for other errors or predictors")
    arrays: dict[str, NDArray[np.float64]] = {
        name: np.array(stored[name])
        for name in ("weights", "person_covariance", "frame_correlation", "iris_px", "frame_spread")
    }
    return PlacementModel(degrees_of_freedom=stored["degrees_of_freedom"], measured_on=stored["measured_on"], **arrays)


def write_placement_model(model: PlacementModel, path: Path) -> None:
    """Write a model to a JSON file, atomically."""
    described = {
        "errors": ERRORS,
        "predictors": PREDICTORS,
        "degrees_of_freedom": model.degrees_of_freedom,
        "measured_on": model.measured_on,
        **{
            name: np.round(getattr(model, name), 6).tolist()
            for name in ("weights", "person_covariance", "frame_correlation", "iris_px", "frame_spread")
        },
    }
    with open_replacement(path) as stream:
        stream.write((json.dumps(described, indent=1) + "\n").encode())
