"""One scene: a person before a screen, what they look at, and everything that makes the picture better or worse.

All places are in the camera frame unless said otherwise.
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


@dataclass(frozen=True, slots=True)
class Lighting:
    """The light on the person, linear RGB; 1 makes a white surface that faces it white.

    Attributes:
        key_direction: Towards the strongest lamp or window, any length.
        key: Its light.
        sky: Light from above.
        ground: Light from below.
        screen: Light from the screen.
        rim_direction: Towards a lamp behind the person.
        rim: Its light.
    """

    key_direction: Triple
    key: Triple
    sky: Triple
    ground: Triple
    screen: Triple
    rim_direction: Triple
    rim: Triple


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is behind the person.

    Attributes:
        seed: Of the clutter.
        brightness: Of the wall, linear; large when there is a window behind the person.
        window: Brightness of a window in it, 0 for none.
        blur_px: How much out of focus, at 640 pixels' width.
    """

    seed: int
    brightness: float
    window: float
    blur_px: float


@dataclass(frozen=True, slots=True)
class Optics:
    """What the webcam makes of the light; see `photograph`.

    Attributes:
        photons: Electrons at full scale: how much light there was; 20,000 by day, 400 in the dark.
        read_noise: Standard deviation, electrons.
        exposure: Brightness that the automatic exposure aims at, 0..1 of full scale, linear.
        face_metering: Share of the metering that goes by the face rather than the whole picture.
        white_balance: Gain of red and of blue.
        contrast: Strength of the tone curve.
        saturation: Of colours; 1 leaves them.
        defocus_px: Standard deviation of the blur at 640 pixels' width.
        motion_px: Length of the motion blur at 640 pixels' width.
        motion_angle_deg: Its direction.
        sharpening: Strength of the webcam's own sharpening.
        denoising: Strength of its noise filter.
        vignetting: Loss of light in the corners, 0..1.
        distortion: Radial distortion at the corner, relative; negative is barrel-shaped.
        jpeg_quality: 50..95.
        seed: Of the noise.
    """

    photons: float
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
    """A person before a screen, and the truth about their gaze.

    Attributes:
        identity_id: Who.
        image_width_px: Of the picture.
        image_height_px: Of the picture.
        screen: What they sit before.
        camera: What takes the picture.
        target_mm: What they look at, shape (3,).
        origin_mm: Midpoint between the eyes' centres of rotation, shape (3,).
        pitch_deg: Of the head, as `HeadPose` defines it.
        yaw_deg: Likewise.
        roll_deg: Likewise.
        openness: 1 as open as the gaze wants it, 0 shut.
        expression: Weights by the names of `head.EXPRESSIONS`.
        trunk_yaw_deg: How far the trunk is turned.
        wears_glasses: Whether the person's glasses are on.
        lighting: Of the person.
        backdrop: Behind them.
        optics: Of the camera.
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

    @cached_property
    def head_rotation(self) -> Matrix:
        """R, head frame to camera frame, shape (3, 3)."""
        return rotation_matrix(self.pitch_deg, self.yaw_deg, self.roll_deg)

    @cached_property
    def direction(self) -> GazeDirection:
        """The truth: the gaze direction in the camera frame."""
        return GazeDirection(*gaze_direction(np.array(self.target_mm) - np.array(self.origin_mm)).tolist())

    @property
    def distance_mm(self) -> float:
        """From the camera to the midpoint between the eyes."""
        return float(np.linalg.norm(self.origin_mm))

    @property
    def focal_px(self) -> float:
        """Focal length."""
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
        """Return where points of the camera frame appear, in pixels from the top-left corner, shape (n, 2)."""
        centre = np.array([self.image_width_px / 2, self.image_height_px / 2])
        return np.asarray(self.focal_px * points_mm[:, :2] / points_mm[:, 2:] + centre)


def triple(values: np.ndarray) -> tuple[float, float, float]:
    """Return three numbers as a tuple."""
    return float(values[0]), float(values[1]), float(values[2])
