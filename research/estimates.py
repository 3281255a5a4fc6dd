"""The single estimates of the gaze in one image, before they are fused and after the gaze model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gaze_core.errors import EyeNetworkError
from gaze_core.eye_images import EyeViews, eye_views
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import FaceGeometry
from gaze_core.fusion import FUSION_MODEL, SHAPE_MODEL, FusionModel, ShapeModel, blendshape_gaze, fuse_eyes
from gaze_core.gaze import rotate_directions
from gaze_core.landmarks import Landmarks
from gaze_core.ports import EyeNetwork
from gaze_core.types import EyeGazes, Floats, Frame, GazeDirection

SINGLE = ("landmarks", "network", "blendshapes")
"""Names of the estimates that are fused, in the order of `gaze_core.fusion.ESTIMATES`."""

ESTIMATES = (*SINGLE, "fused", "model")
"""Names of all estimates, with their combination and the output of the gaze model."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeEstimates:
    """Estimates of the gaze in one image, camera frame, degrees; those that do not exist are missing.

    Attributes:
        directions_deg: Direction from the midpoint between the eyes by name, shape (2,) each.
        eyes_deg: The network's line of sight of the left and the right eye, shape (2, 2); None without a network.
        eyes_mm: Centres of rotation of the left and right eye, where these lines start, shape (2, 3).
        origin_mm: Midpoint between the eyes, shape (3,).
    """

    directions_deg: Mapping[str, Floats]
    eyes_deg: Floats | None
    eyes_mm: Floats
    origin_mm: Floats


def estimate_gazes(
    frame: Frame,
    landmarks: Landmarks,
    geometry: FaceGeometry,
    *,
    vertical_fov_deg: float,
    network: EyeNetwork | None,
    fusion: FusionModel = FUSION_MODEL,
    shapes: ShapeModel = SHAPE_MODEL,
) -> GazeEstimates:
    """Return the estimates of one face, all but the gaze model's.

    Args:
        frame: RGB image, not mirrored.
        landmarks: Landmarks of the face.
        geometry: Result of `measure_face` for these landmarks.
        vertical_fov_deg: Vertical field of view of the camera.
        network: Network for the eye images; None leaves its estimate out.
        fusion: The covariances of the estimates.
        shapes: The map from blendshapes to gaze.
    """
    rotation = geometry.head_pose.head_rotation
    by_landmarks = estimate_by_landmarks(geometry)
    by_shapes = None if landmarks.eye_shapes is None else blendshape_gaze(landmarks.eye_shapes, model=shapes)
    views, gazes = None, None
    if network is not None:
        try:
            views = eye_views(geometry, landmarks.image_width_px, landmarks.image_height_px, vertical_fov_deg)
            gazes = network.estimate(frame, views)
        except (ValueError, EyeNetworkError):  # an eye is behind the camera, or the network fails on this frame
            views, gazes = None, None
    by_network = None if gazes is None or views is None else to_head_frame(gazes, views, rotation)
    in_head: dict[str, GazeDirection | Floats | None] = {
        "landmarks": by_landmarks,
        "network": None if by_network is None else by_network.both_deg,
        "blendshapes": by_shapes,
    }
    if any(each is not None for each in in_head.values()):
        in_head["fused"] = fuse_eyes(by_landmarks, by_network, by_shapes, model=fusion)
    return GazeEstimates(
        directions_deg={
            name: rotate_directions(direction, rotation) for name, direction in in_head.items() if direction is not None
        },
        eyes_deg=None if by_network is None else rotate_directions(by_network.eyes_deg, rotation),
        eyes_mm=geometry.eyes_mm,
        origin_mm=geometry.origin_mm,
    )


def estimate_by_landmarks(geometry: FaceGeometry) -> GazeDirection | None:
    """Return the direction from irises and eye region alone, head frame; None when both eyes are shut."""
    if geometry.irises is None:
        return None
    pose = geometry.head_pose
    head_deg = (pose.pitch_deg, pose.yaw_deg, pose.roll_deg)
    return EYE_REGION_MODEL.correct(geometry.irises, head_deg, geometry.distance_mm, geometry.eye_region_mm)


def to_head_frame(gazes: EyeGazes, views: EyeViews, head_rotation: Floats) -> EyeGazes:
    """Return the network's gazes turned from the virtual camera frame into the head frame; spreads stay as they are."""
    turn = head_rotation.T @ views.rotation.T
    return EyeGazes(
        eyes_deg=rotate_directions(gazes.eyes_deg, turn),
        eyes_spread_deg=gazes.eyes_spread_deg,
        both_deg=rotate_directions(gazes.both_deg, turn),
        both_spread_deg=np.asarray(gazes.both_spread_deg),
    )
