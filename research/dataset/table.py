"""Tables of landmarks with their ground truth, and their compact files."""

import json
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.head_pose import CANONICAL_FACE
from gaze_core.landmarks import EYE_SHAPES, LANDMARK_COUNT, Landmarks
from gaze_core.types import Camera, EyeGazes, Screen
from models.atomic_file import open_replacement

FORMAT = 2
"""Format of written files. Format 1 had neither blendshapes nor the eye network's answers."""

TABLES = Path(__file__).resolve().parents[1] / "tables"

TRAINING_TABLE_PATH = TABLES / "training_table.npz"
CALIBRATION_TABLE_PATH = TABLES / "calibration_table.npz"

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
BROWS = (55, 65, 52, 105, 285, 295, 282, 334)
OUTLINE = (1, 4, 10, 152, 168, 234, 454, 61, 291, 13, 14)
KEPT_LANDMARKS = tuple(
    sorted({*range(468, 478), *RIGHT_EYE, *LEFT_EYE, *BROWS, *OUTLINE, *(int(row[0]) for row in CANONICAL_FACE)})
)

LOW = np.array([-0.5, -0.5, -1.0])
"""Smallest x, y and z that a file can store."""

RANGE = 2.0
"""Difference between the smallest and the largest; 65,535 steps of 0.02 px each in an image 640 px wide."""

_STEPS = 65535


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkTable:
    """Landmarks and ground truth of images in which a face was found, one row per image.

    Frames of reference are those of `gaze_core.types`.

    Attributes:
        landmarks: Points as in `gaze_core.landmarks.Landmarks`, NaN where not stored, shape (n, 478, 3).
        image_size_px: Width and height, shape (n, 2).
        gaze_deg: True gaze_x and gaze_y, camera frame, shape (n, 2).
        target_mm: Fixated point, camera frame, shape (n, 3).
        origin_mm: Midpoint between the eyes' centres of rotation, camera frame, shape (n, 3).
        distance_mm: Distance from the camera to that midpoint, shape (n,).
        pose_deg: True pitch, yaw and roll of the head, shape (n, 3).
        camera: Vertical field of view (degrees), offset to the right and up (mm), tilt (degrees), shape (n, 4).
        screen_mm: Width and height of the screen, shape (n, 2).
        identity: Number of the person, shape (n,).
        session: Number of the session, shape (n,).
        frame: Number within the session, shape (n,).
        target_index: Fixated target: 0 to 8 a calibration target, from 9 a validation target, -1 none, shape (n,).
        openness: Eye opening relative to what the gaze direction demands, 0 closed, shape (n,).
        wears_glasses: Whether the person wears glasses, shape (n,).
        skin: Mean reflectance of the skin, linear, shape (n,).
        electrons: Electrons at full scale of the sensor, few in the dark, shape (n,).
        window: Brightness of a window behind the person, 0 for none, shape (n,).
        defocus_px: Blur at an image width of 640 px, shape (n,).
        motion_px: Motion blur at an image width of 640 px, shape (n,).
        jpeg_quality: Quality of the JPEG compression, shape (n,).
        eye_shapes: Blendshapes as in `gaze_core.landmarks.Landmarks`, NaN where unknown, shape (n, 2, 7).
        network_deg: The eye network's directions of the left eye, the right eye and both, virtual camera frame, as in
            `gaze_core.types.EyeGazes`, NaN where unknown, shape (n, 3, 2).
        network_spread_deg: Their standard deviations as predicted by the network, shape (n, 3, 2).
        first_held_out: Number of the first identity of the test group, which is excluded from training.
        description: The plan, the number of images, the images without a face, and the digest of the eye network.
    """

    landmarks: NDArray[np.float64]
    image_size_px: NDArray[np.int64]
    gaze_deg: NDArray[np.float64]
    target_mm: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    distance_mm: NDArray[np.float64]
    pose_deg: NDArray[np.float64]
    camera: NDArray[np.float64]
    screen_mm: NDArray[np.float64]
    identity: NDArray[np.int64]
    session: NDArray[np.int64]
    frame: NDArray[np.int64]
    target_index: NDArray[np.int64]
    openness: NDArray[np.float64]
    wears_glasses: NDArray[np.bool_]
    skin: NDArray[np.float64]
    electrons: NDArray[np.float64]
    window: NDArray[np.float64]
    defocus_px: NDArray[np.float64]
    motion_px: NDArray[np.float64]
    jpeg_quality: NDArray[np.int64]
    eye_shapes: NDArray[np.float64]
    network_deg: NDArray[np.float64]
    network_spread_deg: NDArray[np.float64]
    first_held_out: int
    description: dict[str, Any]

    def __len__(self) -> int:
        return len(self.identity)

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Whether each row belongs to the test group, shape (n,)."""
        return np.asarray(self.identity >= self.first_held_out)

    def face(self, row: int) -> Landmarks:
        """Return the landmarks of one row."""
        width, height = self.image_size_px[row].tolist()
        shapes = self.eye_shapes[row]
        return Landmarks(self.landmarks[row], width, height, shapes if np.isfinite(shapes).all() else None)

    def gazes_of(self, row: int) -> EyeGazes | None:
        """Return the eye network's answer for one row, virtual camera frame; None where unknown."""
        directions_deg, spread_deg = self.network_deg[row], self.network_spread_deg[row]
        if not (np.isfinite(directions_deg).all() and np.isfinite(spread_deg).all()):
            return None
        return EyeGazes(directions_deg[:2], spread_deg[:2], directions_deg[2], spread_deg[2])

    def camera_of(self, row: int) -> Camera:
        """Return the camera of one row."""
        fov, right, up, tilt = self.camera[row].tolist()
        return Camera(vertical_fov_deg=fov, offset_x_mm=right, offset_y_mm=up, tilt_deg=tilt)

    def screen_of(self, row: int) -> Screen:
        """Return the screen of one row; its size in pixels is unknown and therefore the default."""
        width, height = self.screen_mm[row].tolist()
        return Screen(width_mm=width, height_mm=height)


def fill_landmarks(face: Landmarks) -> Landmarks:
    """Return a face with placeholders for the landmarks that the table does not store.

    The core uses these landmarks only in the mean z of the first 468, which MediaPipe's networks keep at zero (below
    0.0001 on 574 images). The placeholders' z makes that mean zero.
    """
    points = face.points.copy()
    is_missing = np.isnan(points[:, 2])
    missing_in_mean = int(is_missing[:468].sum())
    if missing_in_mean:
        points[is_missing, 2] = -np.nansum(points[:468, 2]) / missing_in_mean
    points[np.isnan(points)] = 0.5
    return replace(face, points=points)


PLAIN_COLUMNS = tuple(
    field.name for field in fields(LandmarkTable) if field.name not in ("landmarks", "first_held_out", "description")
)

LATER_COLUMNS = {
    "eye_shapes": (2, len(EYE_SHAPES)),
    "network_deg": (3, 2),
    "network_spread_deg": (3, 2),
}
"""Shapes of a row in the columns that format 1 did not have."""

STORED_NAMES = {"target_index": "dot", "electrons": "photons"}
"""Names of columns in files where they differ from the attributes."""

WIDE_COLUMNS = {
    "identity": np.int64,
    "session": np.int64,
    "frame": np.int64,
    "target_index": np.int64,
    "image_size_px": np.int64,
    "jpeg_quality": np.int64,
    "wears_glasses": np.bool_,
}

NARROW_COLUMNS = {
    "identity": np.int32,
    "session": np.int32,
    "frame": np.int16,
    "target_index": np.int8,
    "image_size_px": np.int16,
    "jpeg_quality": np.int8,
    "wears_glasses": np.bool_,
    "eye_shapes": np.float16,
    "network_deg": np.float16,
    "network_spread_deg": np.float16,
}


def load_table(path: Path) -> LandmarkTable:
    """Return the table in a file.

    Raises:
        ValueError: The file's format is unknown.
    """
    with np.load(path, allow_pickle=False) as stored:
        description = json.loads(str(stored["description"]))
        if description["format"] not in (1, FORMAT):
            raise ValueError(f"{path.name} has format {description['format']}, expected {FORMAT}")
        columns: dict[str, Any] = {
            name: stored[STORED_NAMES.get(name, name)].astype(WIDE_COLUMNS.get(name, np.float64))
            for name in PLAIN_COLUMNS
            if not (description["format"] == 1 and name in LATER_COLUMNS)
        }
        for name in LATER_COLUMNS.keys() - columns.keys():
            columns[name] = np.full((len(columns["identity"]), *LATER_COLUMNS[name]), np.nan)
        kept = stored["kept_landmarks"].astype(np.int64)
        steps = _join_planes(stored["landmarks_high"], stored["landmarks_low"])
    landmarks = np.full((steps.shape[0], LANDMARK_COUNT, 3), np.nan)
    landmarks[:, kept] = LOW + steps * (RANGE / _STEPS)
    return LandmarkTable(
        landmarks=landmarks, first_held_out=int(description["first_held_out"]), description=description, **columns
    )


def write_table(table: LandmarkTable, path: Path) -> None:
    """Write a table atomically, landmarks quantised to 16 bits; equal tables give equal bytes.

    Raises:
        ValueError: A landmark lies outside the range that a file can store.
        FileExistsError: The path exists and is not a regular file.
        OSError: The file cannot be written.
    """
    points = table.landmarks[:, list(KEPT_LANDMARKS)]
    steps = np.round((points - LOW) * (_STEPS / RANGE))
    if not (np.isfinite(steps).all() and steps.min(initial=0) >= 0 and steps.max(initial=0) <= _STEPS):
        raise ValueError("a landmark lies outside the range that a file can store")
    high, low = _split_planes(steps.astype(np.int64))
    arrays: dict[str, NDArray[Any]] = {
        "description": np.array(json.dumps(table.description, sort_keys=True)),
        "kept_landmarks": np.array(KEPT_LANDMARKS, dtype=np.int16),
        "landmarks_high": high,
        "landmarks_low": low,
    }
    for name in PLAIN_COLUMNS:
        arrays[STORED_NAMES.get(name, name)] = getattr(table, name).astype(NARROW_COLUMNS.get(name, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        open_replacement(path) as replacement,
        zipfile.ZipFile(replacement, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")  # its fixed date makes the file reproducible
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)


def _split_planes(steps: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return high and low bytes of the steps relative to each face's first landmark; they compress far better."""
    relative = steps.copy()
    relative[:, 1:] = (relative[:, 1:] - relative[:, :1] + (_STEPS + 1) // 2) % (_STEPS + 1)
    columns = np.moveaxis(relative, 0, -1)
    return (columns >> 8).astype(np.uint8), (columns & 255).astype(np.uint8)


def _join_planes(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.int64]:
    steps = np.moveaxis((high.astype(np.int64) << 8) | low, -1, 0).copy()
    steps[:, 1:] = (steps[:, 1:] + steps[:, :1] - (_STEPS + 1) // 2) % (_STEPS + 1)
    return steps
