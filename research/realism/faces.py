"""Landmarks of many faces, real or rendered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from research.dataset.table import LandmarkTable
from research.realism.measures import Flags, Floats, Integers, eye_width_mm, find_open, measure_ratios

FRONTAL_DEG = 15.0
"""Maximum pitch and yaw of faces that are compared; others are foreshortened."""

TOWARDS_CAMERA_DEG = 8.0
"""Maximum angle between the gaze and the direction to the camera for a gaze towards the camera."""

SAME_TAKE_CORRELATION = 0.95
SAME_TAKE_FRAMES = 20
"""Clips show the same take if their lids move with this correlation over at least this many frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Landmarks of many images.

    Attributes:
        points_px: Landmarks in pixels, shape (n, 478, 2).
        is_frontal: Whether pitch and yaw are at most `FRONTAL_DEG`, shape (n,).
        person: Number of the person, shape (n,).
        sequence: Number of the clip or fixation with consecutive frames, shape (n,).
        frame: Number of the frame in its sequence, ascending, shape (n,).
        looks_at_camera: Whether the gaze is towards the camera, shape (n,); None if unknown.
    """

    points_px: Floats
    is_frontal: Flags
    person: Integers
    sequence: Integers
    frame: Integers
    looks_at_camera: Flags | None = None

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The faces of one video of one real person.

    Attributes:
        name: File name.
        sha256: Digest of the file.
        frames: Number of frames.
        size_px: Width and height.
        faces: Largest face of each frame.
    """

    name: str
    sha256: str
    frames: int
    size_px: tuple[int, int]
    faces: Faces


def faces_of(table: LandmarkTable) -> Faces:
    """Return the faces of a table; the frames of one fixation are a sequence."""
    order = in_sequence(table)
    sequence = np.unique(np.stack([table.session, table.target_index], axis=1)[order], axis=0, return_inverse=True)[1]
    return Faces(
        points_px=table.landmarks[order, :, :2] * table.image_size_px[order, None],
        is_frontal=np.abs(table.pose_deg[order, :2]).max(axis=1) <= FRONTAL_DEG,
        person=table.identity[order],
        sequence=sequence.ravel(),
        frame=table.frame[order],
        looks_at_camera=np.linalg.norm(table.gaze_deg[order], axis=1) <= TOWARDS_CAMERA_DEG,
    )


def in_sequence(table: LandmarkTable) -> Integers:
    """Return the rows of a table in the order of sessions, targets and frames."""
    return np.asarray(np.lexsort((table.frame, table.target_index, table.session)))


def find_takes(clips: Sequence[Clip]) -> tuple[int, ...]:
    """Return the number of each clip's take; clips whose lids move alike share a take."""
    apertures = [measure_ratios(clip.faces.points_px)["lid_aperture"] for clip in clips]
    takes: list[int] = []
    for number, clip in enumerate(clips):
        same = None
        for former in range(number):
            mine, theirs = common_frames(clip.faces, clips[former].faces)
            if len(mine) >= SAME_TAKE_FRAMES:
                alike = np.corrcoef(apertures[number][mine], apertures[former][theirs])[0, 1]
                if alike >= SAME_TAKE_CORRELATION:
                    same = takes[former]
                    break
        takes.append(len(set(takes)) if same is None else same)
    return tuple(takes)


def common_frames(first: Faces, second: Faces) -> tuple[Integers, Integers]:
    """Return the rows of both at their common frames."""
    _, mine, theirs = np.intersect1d(first.frame, second.frame, return_indices=True)
    return mine, theirs


def measure_open(faces: Faces) -> tuple[dict[str, Floats], Integers]:
    """Return the quantities of frontal faces with open eyes, and their rows.

    Raises:
        ValueError: There is none.
    """
    measured = measure_ratios(faces.points_px)
    rows = np.flatnonzero(faces.is_frontal & find_open(measured["lid_aperture"], faces.person))
    if not len(rows):
        raise ValueError("no frontal face with open eyes")
    return {name: values[rows] for name, values in measured.items()}, rows


def width_mm(faces: Faces) -> float:
    """Return the median width of the eyes, assuming irises of 11.7 mm."""
    return float(np.median(eye_width_mm(faces.points_px)))
