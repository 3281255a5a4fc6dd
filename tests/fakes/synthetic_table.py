"""A small training table of synthetic faces whose gaze is known."""

import numpy as np

from gaze_core.eye_images import eye_views
from gaze_core.features import measure_face
from gaze_core.gaze import gaze_direction, rotate_directions, screen_point_mm
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Camera, GazePoint, Screen
from research.dataset.table import KEPT_LANDMARKS, LandmarkTable
from tests.fakes.synthetic_face import make_face

SHAPE_DEG = 40.0
"""Degrees for each unit of a blendshape."""

EYES_MM = np.array([0.0, -26.2462, -28.6566])  # midpoint between the centres of rotation, head frame


def make_table(
    *, identities=12, frames=20, held_out=3, seed=0, offset_deg=1.0, shut=0, network_sd_deg=None, shapes_sd_deg=None
):
    """Return a table of people with personal offsets of standard deviation `offset_deg`.

    The eyes are closed in the first `shut` frames of each person. With `network_sd_deg` there is an eye network whose
    answers have independent errors of that size, and with `shapes_sd_deg` there are blendshapes whose map is
    40 degrees times out minus in, and up minus down; without, both are NaN.
    """
    rng = np.random.default_rng(seed)
    answers = _Answers(seed)
    rows = []
    for identity in range(identities):
        beside = rng.normal(0, offset_deg, 2)
        for frame in range(frames):
            screen, camera = Screen(), Camera(vertical_fov_deg=float(rng.uniform(45, 65)))
            pose = rng.normal(0, (4, 8, 3))
            origin = np.array([rng.normal(0, 40), rng.normal(0, 30), rng.uniform(450, 750)])
            target = screen_point_mm(GazePoint(*rng.uniform(0, 1, 2)), screen, camera)
            distance = np.linalg.norm(origin)
            pointed_at = target + distance * np.append(np.tan(np.radians(beside)), 0.0)
            openness = 0.0 if frame < shut else 1.0
            face = make_face(
                pitch_deg=pose[0],
                yaw_deg=pose[1],
                roll_deg=pose[2],
                place_mm=origin - rotation_matrix(*pose) @ EYES_MM,
                target_mm=pointed_at,
                lid_opening_mm=9.0 * openness,
                vertical_fov_deg=camera.vertical_fov_deg,
            )
            truth = gaze_direction(target - origin)
            rows.append(
                {
                    "landmarks": face.points,
                    "image_size_px": (640, 480),
                    "gaze_deg": tuple(truth),
                    "target_mm": target,
                    "origin_mm": origin,
                    "distance_mm": distance,
                    "pose_deg": pose,
                    "camera": (camera.vertical_fov_deg, camera.offset_x_mm, camera.offset_y_mm, camera.tilt_deg),
                    "screen_mm": (screen.width_mm, screen.height_mm),
                    "identity": identity,
                    "session": identity,
                    "frame": frame,
                    "target_index": -1,
                    "openness": openness,
                    "wears_glasses": identity % 2 == 0,
                    "skin": 0.05 + 0.5 * identity / identities,
                    "electrons": 5000.0,
                    "window": 0.0,
                    "defocus_px": 0.5,
                    "motion_px": 0.0,
                    "jpeg_quality": 80,
                    "eye_shapes": answers.make_shapes(face, camera, truth, shapes_sd_deg),
                    "network_deg": answers.ask_network(face, camera, truth, network_sd_deg),
                    "network_spread_deg": np.full((3, 2), network_sd_deg or np.nan),
                }
            )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    dropped = np.setdiff1d(np.arange(478), KEPT_LANDMARKS)
    columns["landmarks"][:, dropped] = np.nan
    first = identities - held_out
    description = {"format": 2, "plan": {"identities": identities}, "first_held_out": first, "images": len(rows)}
    return LandmarkTable(first_held_out=first, description=description, **columns)


class _Answers:
    """What eye network and blendshapes say about faces whose gaze is known."""

    def __init__(self, seed):
        self._rng = np.random.default_rng([seed, 1])  # of its own, so that the faces do not depend on it

    def ask_network(self, face, camera, truth_deg, sd_deg):
        """Return the directions of left eye, right eye and both in the virtual camera frame, all equal."""
        if sd_deg is None:
            return np.full((3, 2), np.nan)
        geometry = measure_face(face, vertical_fov_deg=camera.vertical_fov_deg)
        views = eye_views(geometry, face.image_width_px, face.image_height_px, camera.vertical_fov_deg)
        return np.tile(views.from_camera_frame(truth_deg) + self._rng.normal(0, sd_deg, 2), (3, 1))

    def make_shapes(self, face, camera, truth_deg, sd_deg):
        """Return blendshapes of both eyes whose map gives the true direction in the head frame, with an error."""
        if sd_deg is None:
            return np.full((2, 7), np.nan)
        rotation = measure_face(face, vertical_fov_deg=camera.vertical_fov_deg).head_pose.head_rotation
        right, up = (rotate_directions(truth_deg, rotation.T) + self._rng.normal(0, sd_deg, 2)) / SHAPE_DEG
        shapes = np.zeros((2, 7))
        # In and out of the left eye, out and in of the right one; then up and down of both.
        shapes[0, 0], shapes[0, 1] = max(right, 0), max(-right, 0)
        shapes[1, 1], shapes[1, 0] = max(right, 0), max(-right, 0)
        shapes[:, 2], shapes[:, 3] = max(up, 0), max(-up, 0)
        return shapes
