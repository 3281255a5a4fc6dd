"""A viewer with a constant gaze error, and a gaze model that needs no training."""

import numpy as np

from gaze_core.features import measure_face
from gaze_core.gaze import gaze_direction, gaze_vector, screen_point_mm
from gaze_core.head_pose import rotation_matrix
from gaze_core.targets import TargetFrames
from gaze_core.types import Camera, GazePoint, Screen
from tests.fakes.synthetic_face import ROTATION_CENTRE_MM, make_face

FIVE_TARGETS = [(0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
NINE_TARGETS = [(x, y) for y in (0.1, 0.5, 0.9) for x in (0.1, 0.5, 0.9)]
EYES_MM = np.mean(list(ROTATION_CENTRE_MM.values()), axis=0)


class StraightGazeModel:
    """Returns the direction of the combined gaze vector."""

    digest = "5" * 64
    estimates = ("landmarks",)

    def predict(self, features):
        return gaze_direction(features[:, :3])


class Viewer:
    """Viewer whose eyes turn only 1 / (1 + gain) of the angle to a target, minus `offset_deg`."""

    def __init__(self, *, offset_deg=(4.0, -3.0), gain=(0.0, 0.0), screen=None, camera=None):
        self.offset_deg, self.gain = np.array(offset_deg), np.array(gain)
        self.screen, self.camera = screen or Screen(), camera or Camera()

    def look_at(self, target, *, pose_deg=(0.0, 0.0, 0.0), place_mm=(0.0, 30.0, 600.0), **face):
        """Return the landmarks of the viewer looking at a target on the screen."""
        rotation = rotation_matrix(*pose_deg)
        eyes_mm = np.array(place_mm) + rotation @ EYES_MM
        towards = screen_point_mm(GazePoint(*target), self.screen, self.camera) - eyes_mm
        wanted = gaze_direction(rotation.T @ towards)
        turned = (wanted - self.offset_deg) / (1 + self.gain)
        reached = rotation @ gaze_vector(turned) * np.linalg.norm(towards)
        return make_face(
            pitch_deg=pose_deg[0],
            yaw_deg=pose_deg[1],
            roll_deg=pose_deg[2],
            place_mm=place_mm,
            target_mm=eyes_mm + reached,
            vertical_fov_deg=self.camera.vertical_fov_deg,
            **face,
        )


def measure_frames(faces, targets, *, camera=None):
    """Return the measurements of faces with their targets."""
    camera = camera or Camera()
    measured = [measure_face(face, vertical_fov_deg=camera.vertical_fov_deg, eye_region=None) for face in faces]
    features = np.array([each.features for each in measured])
    return TargetFrames(
        targets=np.array(targets, dtype=float),
        uncalibrated_deg=StraightGazeModel().predict(features),
        head_deg=features[:, 3:6],
        origin_mm=np.array([each.origin_mm for each in measured]),
        openness=np.array([np.mean(each.eye_openness) for each in measured]),
    )
