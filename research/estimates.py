"""Estimates of the gaze in one image: by landmarks, network and blendshapes alone, and fused."""

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
from gaze_core.types import EyeEstimates, EyeGazes, Floats, Frame

ESTIMATES = (*fusion.ESTIMATES, "fused", "model")
"""Names of all estimates: the single ones, their combination, and the output of the gaze model."""


@dataclass(frozen=True, slots=True, eq=False)
class GazeEstimates:
    """Estimates of the gaze in one image.

    Attributes:
        geometry: Geometry of the face.
        eyes: The single estimates, head frame; that of the network leaves out an eye that is hidden or shut.
        eye_shapes: Blendshapes behind one of them, shape (2, 7); None if the engine does not estimate them.
    """

    geometry: FaceGeometry
    eyes: EyeEstimates
    eye_shapes: Floats | None = None

    @property
    def directions_deg(self) -> dict[str, Floats]:
        """Directions by name, all but the gaze model's, camera frame, shape (2,); missing ones are left out."""
        by_network = None if self.eyes.network is None else self.eyes.network.both_deg
        single = zip(fusion.ESTIMATES, (self.eyes.landmarks, by_network, self.eyes.blendshapes), strict=True)
        in_head = {name: direction for name, direction in single if direction is not None}
        if in_head:
            in_head["fused"] = fuse_eyes(self.eyes.landmarks, self.eyes.network, self.eyes.blendshapes)
        rotation = self.geometry.head_pose.head_rotation
        return {name: rotate_directions(direction, rotation) for name, direction in in_head.items()}

    @property
    def eyes_deg(self) -> Floats | None:
        """The network's line of sight of the left and right eye, camera frame, shape (2, 2); None without a network."""
        network = self.eyes.network
        return None if network is None else rotate_directions(network.eyes_deg, self.geometry.head_pose.head_rotation)


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
    eyes = EyeEstimates(
        landmarks=estimate_from_landmarks(geometry, EYE_REGION_MODEL),
        network=_ask_network(frame, face, geometry, vertical_fov_deg, network),
        blendshapes=None if face.eye_shapes is None else blendshape_gaze(face.eye_shapes),
    )
    return GazeEstimates(geometry, eyes, face.eye_shapes)


def _ask_network(
    frame: Frame, face: Landmarks, geometry: FaceGeometry, vertical_fov_deg: float, network: EyeNetwork | None
) -> EyeGazes | None:
    """Return the network's answer in the head frame; None without a network, or if it fails on this frame."""
    if network is None:
        return None
    pose = geometry.head_pose
    try:
        views = eye_views(geometry, face.image_width_px, face.image_height_px, vertical_fov_deg)
        gazes = views.to_head_frame(network.estimate(frame, views), pose.head_rotation)
    except (ValueError, EyeNetworkError):  # an eye is behind the camera, or the network failed
        return None
    usable = find_usable_eyes(geometry.eye_openness, pose.yaw_deg)
    return leave_out_hidden_eye(gazes, usable, geometry.distance_mm)
