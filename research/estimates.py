"""Estimates of the gaze in one image: by landmarks, network and blendshapes alone, and fused."""

from collections.abc import Mapping
from dataclasses import dataclass

from gaze_core import fusion
from gaze_core.errors import EyeNetworkError
from gaze_core.eye_images import eye_views
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import FaceGeometry, estimate_from_landmarks, find_usable_eyes, measure_face
from gaze_core.fusion import blendshape_gaze, fuse_eyes
from gaze_core.gaze import rotate_directions
from gaze_core.landmarks import Landmarks
from gaze_core.one_eye import leave_out_hidden_eye
from gaze_core.ports import EyeNetwork, FaceLandmarker
from gaze_core.types import Floats, Frame, GazeDirection

ESTIMATES = (*fusion.ESTIMATES, "fused", "model")
"""Names of all estimates: the single ones, their combination, and the output of the gaze model."""


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


def estimate_frame(
    frame: Frame, landmarker: FaceLandmarker, *, vertical_fov_deg: float, network: EyeNetwork | None
) -> GazeEstimates:
    """Return the estimates of the largest face in a frame.

    Args:
        frame: RGB image, not mirrored.
        landmarker: Landmarker, which finds a face in the frame.
        vertical_fov_deg: Vertical field of view of the camera.
        network: Network for the eye images; None leaves its estimate out.

    Raises:
        ValueError: There is no face, or the landmarks do not form one.
    """
    face = max(landmarker.detect(frame), key=lambda found: found.area_px)
    geometry = measure_face(face, vertical_fov_deg=vertical_fov_deg)
    return estimate_gazes(frame, face, geometry, vertical_fov_deg=vertical_fov_deg, network=network)


def estimate_gazes(
    frame: Frame,
    landmarks: Landmarks,
    geometry: FaceGeometry,
    *,
    vertical_fov_deg: float,
    network: EyeNetwork | None,
) -> GazeEstimates:
    """Return the estimates of one face, all but the gaze model's.

    Args:
        frame: RGB image, not mirrored.
        landmarks: Landmarks of the face.
        geometry: Result of `measure_face` for these landmarks.
        vertical_fov_deg: Vertical field of view of the camera.
        network: Network for the eye images; None leaves its estimate out.
    """
    pose = geometry.head_pose
    by_landmarks = estimate_from_landmarks(geometry, EYE_REGION_MODEL)
    by_shapes = None if landmarks.eye_shapes is None else blendshape_gaze(landmarks.eye_shapes)
    by_network = None
    if network is not None:
        try:
            views = eye_views(geometry, landmarks.image_width_px, landmarks.image_height_px, vertical_fov_deg)
            by_network = views.to_head_frame(network.estimate(frame, views), pose.head_rotation)
        except (ValueError, EyeNetworkError):  # an eye is behind the camera, or the network fails on this frame
            pass
        else:
            usable = find_usable_eyes(geometry.eye_openness, pose.yaw_deg)
            by_network = leave_out_hidden_eye(by_network, usable, geometry.distance_mm)
    in_head: dict[str, GazeDirection | Floats | None] = {
        "landmarks": by_landmarks,
        "network": None if by_network is None else by_network.both_deg,
        "blendshapes": by_shapes,
    }
    if any(each is not None for each in in_head.values()):
        in_head["fused"] = fuse_eyes(by_landmarks, by_network, by_shapes)
    return GazeEstimates(
        directions_deg={
            name: rotate_directions(direction, pose.head_rotation)
            for name, direction in in_head.items()
            if direction is not None
        },
        eyes_deg=None if by_network is None else rotate_directions(by_network.eyes_deg, pose.head_rotation),
        eyes_mm=geometry.eyes_mm,
        origin_mm=geometry.origin_mm,
    )
