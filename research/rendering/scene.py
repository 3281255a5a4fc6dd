"""One scene: a person in front of a screen, the fixated point, and the conditions of the image.

Positions are in the camera frame unless stated otherwise.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import gaze_direction
from gaze_core.head_pose import focal_length_px, rotation_matrix
from gaze_core.types import Camera, GazeDirection, Matrix, Screen, Vector
from research.rendering.eye import eye_rotation
from research.rendering.head import Head

Triple = tuple[float, float, float]

MAX_CATCHLIGHTS = 3


@dataclass(frozen=True, slots=True)
class Catchlight:
    """A lamp or window that the cornea mirrors.

    Attributes:
        direction: Direction towards it, camera frame, any length.
        radius: Tangent of half its angular width.
        brightness: Its radiance; 1 is that of a white surface in full light.
        squareness: 0 for a disc, 1 for a window with a cross.
    """

    direction: Triple
    radius: float
    brightness: float
    squareness: float


@dataclass(frozen=True, slots=True)
class Lighting:
    """The light on the person, linear RGB; 1 renders a white surface facing it as white.

    Attributes:
        key_direction: Direction towards the strongest lamp or window, any length.
        key: Light from there.
        sky: Light from above.
        ground: Light from below.
        screen: Light from the screen.
        rim_direction: Direction towards a lamp behind the person.
        rim: Light from there.
        catchlights: Lamps and windows seen as reflections in the eyes, at most `MAX_CATCHLIGHTS`.
    """

    key_direction: Triple
    key: Triple
    sky: Triple
    ground: Triple
    screen: Triple
    rim_direction: Triple
    rim: Triple
    catchlights: tuple[Catchlight, ...] = ()


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The background behind the person.

    Attributes:
        seed: Seed of the objects in it.
        brightness: Brightness of the wall, linear; high in front of a window.
        window: Brightness of a window, 0 for none.
        blur_px: Defocus at an image width of 640 px.
    """

    seed: int
    brightness: float
    window: float
    blur_px: float


@dataclass(frozen=True, slots=True)
class Optics:
    """Optics, sensor and image processing of the webcam; see `photograph`.

    Attributes:
        electrons: Electrons at full scale of the sensor; 20,000 in daylight, 400 in the dark.
        read_noise: Standard deviation of the read noise, electrons.
        exposure: Target of the automatic exposure, share of full scale, linear.
        face_metering: Share of the metering that goes by the face rather than the whole image.
        white_balance: Gain of red and of blue.
        contrast: Strength of the tone curve.
        saturation: Colour saturation; 1 is neutral.
        defocus_px: Standard deviation of the blur at an image width of 640 px.
        motion_px: Length of the motion blur at an image width of 640 px.
        motion_angle_deg: Direction of the motion blur.
        sharpening: Strength of the sharpening.
        denoising: Strength of the noise filter.
        vignetting: Loss of light in the corners, 0..1.
        distortion: Radial distortion at the corner, relative; negative is barrel-shaped.
        jpeg_quality: Quality of the JPEG compression, 50..95.
        seed: Seed of the noise.
    """

    electrons: float
    read_noise: float
    exposure: float
    face_metering: float
    white_balance: tuple[float, float]
    contrast: float
    saturation: float
    defocus_px: float
    motion_px: float
    motion_angle_deg: float
    sharpening: float
    denoising: float
    vignetting: float
    distortion: float
    jpeg_quality: int
    seed: int


@dataclass(frozen=True)
class Scene:
    """A person in front of a screen, with their true gaze.

    Attributes:
        identity_id: Number of the person.
        image_width_px: Width of the image.
        image_height_px: Height of the image.
        screen: The person's screen.
        camera: The person's webcam.
        target_mm: Fixated point, shape (3,).
        origin_mm: Midpoint between the eyes' centres of rotation, shape (3,).
        pitch_deg: Pitch of the head, as in `HeadPose`.
        yaw_deg: Yaw of the head, as in `HeadPose`.
        roll_deg: Roll of the head, as in `HeadPose`.
        openness: Eye opening relative to what the gaze direction demands, 0 closed.
        expression: Names from `head.EXPRESSIONS` and weights.
        trunk_yaw_deg: Yaw of the trunk.
        wears_glasses: Whether the person wears their glasses.
        hand: Fingertips of a hand near the face, head frame, mm, and the direction from there to the wrist, degrees
            clockwise from up in a frontal image; None without a hand.
        lighting: Light on the person.
        backdrop: Background behind the person.
        optics: Optics of the camera.
    """

    identity_id: int
    image_width_px: int
    image_height_px: int
    screen: Screen
    camera: Camera
    target_mm: Triple
    origin_mm: Triple
    pitch_deg: float
    yaw_deg: float
    roll_deg: float
    openness: float
    expression: tuple[tuple[str, float], ...]
    trunk_yaw_deg: float
    wears_glasses: bool
    lighting: Lighting
    backdrop: Backdrop
    optics: Optics
    hand: tuple[float, float, float, float] | None = None

    @cached_property
    def head_rotation(self) -> Matrix:
        """Rotation R from head frame to camera frame, shape (3, 3)."""
        return rotation_matrix(self.pitch_deg, self.yaw_deg, self.roll_deg)

    @cached_property
    def direction(self) -> GazeDirection:
        """True gaze direction in the camera frame."""
        return GazeDirection(*gaze_direction(np.array(self.target_mm) - np.array(self.origin_mm)).tolist())

    @property
    def distance_mm(self) -> float:
        """Distance from the camera to the midpoint between the eyes."""
        return float(np.linalg.norm(self.origin_mm))

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return focal_length_px(self.image_height_px, self.camera.vertical_fov_deg)

    def target_in_head_mm(self) -> Vector:
        """Return the target in the head frame, shape (3,)."""
        return np.asarray(self.head_rotation.T @ (np.array(self.target_mm) - np.array(self.origin_mm)))

    def eye_rotations(self, head: Head) -> NDArray[np.float64]:
        """Return the rotations from the eye frame to the head frame of the left and the right eye, shape (2, 3, 3)."""
        target = self.target_in_head_mm()
        return np.stack(
            [
                eye_rotation(target, head.eyes_mm[side], head.identity.kappa[side], side)
                for side in range(len(head.eyes_mm))
            ]
        )

    def project(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the image positions of points in the camera frame, pixels from the top left corner, shape (n, 2)."""
        centre = np.array([self.image_width_px / 2, self.image_height_px / 2])
        return np.asarray(self.focal_px * points_mm[:, :2] / points_mm[:, 2:] + centre)


def triple(values: np.ndarray) -> tuple[float, float, float]:
    """Return an array of three numbers as a tuple."""
    return float(values[0]), float(values[1]), float(values[2])
