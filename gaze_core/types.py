"""Values shared by all modules, with their units and frames of reference.

Camera frame: origin in the camera's centre of projection, x right in the image, y down, z away from the camera, mm;
looking into the camera is (0, 0, -1). The image is not mirrored: its right is the viewer's left.

Head frame: origin of the canonical face, mm, x to the viewer's left, y down to the chin, z into the head; straight
ahead is (0, 0, -1). Its axes equal those of the camera frame when the face looks straight into the camera.

Screen: normalised, origin top left as the viewer sees it, x right, y down, 1.0 at the far edge.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vector = NDArray[np.float64]  # shape (3,)
Matrix = NDArray[np.float64]  # shape (3, 3)
Frame = NDArray[np.uint8]  # RGB, shape (height, width, 3)
SaliencyMap = NDArray[Any]  # non-negative, shape (height, width), row 0 on top


def check_frame(frame: NDArray[Any]) -> None:
    """Raise `ValueError` unless an array is a `Frame` with at least one pixel."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(f"frame must be RGB uint8 of shape (h, w, 3), not {frame.dtype} {frame.shape}")


DEFAULT_VERTICAL_FOV_DEG = 63.0
"""Field of view assumed for an undescribed camera; MediaPipe assumes the same."""


@dataclass(frozen=True, slots=True)
class GazePoint:
    """Point of gaze on the screen, normalised to its size; may lie off-screen."""

    x: float
    y: float

    @property
    def on_screen(self) -> bool:
        """Whether the point lies on the screen, edges included."""
        return 0.0 <= self.x <= 1.0 and 0.0 <= self.y <= 1.0


class GazeDirection(NamedTuple):
    """Direction of the gaze ray, in degrees, in the camera frame unless stated otherwise.

    A named tuple, so that the functions of `gaze` accept it as an array of shape (2,).

    Attributes:
        gaze_x_deg: Angle to the right as the viewer sees the screen, atan2(-d_x, -d_z) of a gaze vector d.
        gaze_y_deg: Angle upwards, atan2(-d_y, hypot(d_x, d_z)).
    """

    gaze_x_deg: float
    gaze_y_deg: float


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Rotation and position of the head.

    The angles decompose R = Rz·Ry·Rx in the camera frame: pitch is minus the angle about x, yaw the angle about y, and
    roll minus the angle about z.

    Attributes:
        pitch_deg: Nose up is positive.
        yaw_deg: Nose towards the viewer's own right is positive.
        roll_deg: Head tilted to the viewer's own right shoulder is positive.
        head_rotation: Rotation R from head frame to camera frame, shape (3, 3).
        translation_mm: Origin of the head frame in the camera frame, shape (3,).
    """

    pitch_deg: float
    yaw_deg: float
    roll_deg: float
    head_rotation: Matrix = field(compare=False, repr=False)
    translation_mm: Vector = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Screen:
    """The viewer's screen; the default is a 15.6-inch laptop."""

    width_mm: float = 345.0
    height_mm: float = 194.0
    width_px: int = 1920
    height_px: int = 1080

    def __post_init__(self) -> None:
        for name in ("width_mm", "height_mm", "width_px", "height_px"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be a positive number, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Camera:
    """The webcam and its position relative to the middle of the screen's top edge.

    Attributes:
        vertical_fov_deg: Vertical field of view of the whole image.
        offset_x_mm: Distance to the right of that point, as the viewer sees the screen.
        offset_y_mm: Distance above that point.
        tilt_deg: Upward angle between the camera's axis and the screen's normal.
        mirrored: Whether the frames are flipped left to right, like a mirror image.
    """

    vertical_fov_deg: float = DEFAULT_VERTICAL_FOV_DEG
    offset_x_mm: float = 0.0
    offset_y_mm: float = 8.0
    tilt_deg: float = 0.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        if not 10.0 <= self.vertical_fov_deg <= 150.0:
            raise ValueError(f"vertical_fov_deg must lie between 10 and 150, not {self.vertical_fov_deg}")
        if not -60.0 <= self.tilt_deg <= 60.0:
            raise ValueError(f"tilt_deg must lie between -60 and 60, not {self.tilt_deg}")
        for name in ("offset_x_mm", "offset_y_mm"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Viewport:
    """Rectangle of the screen that shows the video, normalised to the screen; the default is the whole screen."""

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def __post_init__(self) -> None:
        for name in ("x", "y", "width", "height"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, not {getattr(self, name)}")
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"width and height must be positive, not {self.width} and {self.height}")


@dataclass(frozen=True, slots=True, eq=False)
class EyeGazes:
    """Gaze directions that the eye network reads from the images of both eyes, with its own uncertainty.

    Each direction is a pair (right, up) in degrees, as `GazeDirection` defines it. The network answers in the virtual
    camera frame of `gaze_core.eye_images`; `gaze_core.eye_images.EyeViews` turns directions into other frames.

    Attributes:
        eyes_deg: Line of sight of the left and right eye to the point that it looks at, shape (2, 2).
        eyes_spread_deg: Predicted standard deviation of `eyes_deg`, shape (2, 2).
        both_deg: Direction from the midpoint between the eyes to the point that they look at, shape (2,).
        both_spread_deg: Predicted standard deviation of `both_deg`, shape (2,).
    """

    eyes_deg: Floats
    eyes_spread_deg: Floats
    both_deg: Floats
    both_spread_deg: Floats

    def __post_init__(self) -> None:
        for name, shape in (
            ("eyes_deg", (2, 2)),
            ("eyes_spread_deg", (2, 2)),
            ("both_deg", (2,)),
            ("both_spread_deg", (2,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, not {getattr(self, name).shape}")


@dataclass(frozen=True, slots=True, eq=False)
class EyeEstimates:
    """All estimates of the eyes' direction in one frame, in the head frame.

    They are kept apart so that they can be combined again, in another way or for one viewer, without the image.

    Attributes:
        landmarks: From the landmarks of irises, lids and brows; None when both eyes are shut.
        network: From the eye network, turned into the head frame; includes an eye that is hidden or shut. Its spreads
            stay those along the axes of the virtual camera frame. None without a network.
        blendshapes: From the blendshapes; None if the landmarker does not estimate them.
    """

    landmarks: GazeDirection | None
    network: EyeGazes | None = None
    blendshapes: GazeDirection | None = None


class Validity(StrEnum):
    """Whether a frame yields a usable gaze and, if not, why."""

    OK = "ok"
    NO_FACE = "no_face"
    EYES_CLOSED = "eyes_closed"
    LOW_QUALITY = "low_quality"


@dataclass(frozen=True, slots=True)
class GazeSample:
    """Measurements of one viewer in one frame.

    Attributes:
        validity: `ok`, or the reason for the missing gaze.
        gaze: Point of gaze; None unless `ok`.
        direction: Output of the gaze model; None unless `ok`.
        features: The seven features in the model's order; None without a face or with both eyes shut.
        head_pose: Head pose; None without a face.
        origin_mm: Midpoint between the eyes in the camera frame, shape (3,); None without a face.
        distance_mm: Distance from the camera to that midpoint; None without a face.
        eye_openness: Eye aspect ratio of the viewer's left and right eye; None without a face.
        eyes: Estimates behind `features`; None if these come from the landmarks alone.
        eye_network_failed: Whether the eye network failed, so that `features` lack its estimate.
        covered_eyes: Whether the left and the right eye are covered, so that the other one alone gives the gaze.
        several_faces: Whether more than one face was found; the largest one was measured.
        quality_issues: Reasons for `low_quality`; empty otherwise.
    """

    validity: Validity
    gaze: GazePoint | None = None
    direction: GazeDirection | None = None
    features: tuple[float, ...] | None = None
    head_pose: HeadPose | None = None
    origin_mm: tuple[float, float, float] | None = None
    distance_mm: float | None = None
    eye_openness: tuple[float, float] | None = None
    eyes: EyeEstimates | None = field(default=None, compare=False)
    eye_network_failed: bool = False
    covered_eyes: tuple[bool, bool] = (False, False)
    several_faces: bool = False
    quality_issues: tuple[str, ...] = ()
