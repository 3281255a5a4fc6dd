"""Landmarks of many faces, real or rendered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from research.dataset.table import LandmarkTable
from research.realism.measures import Flags, Floats, Integers, eye_width_mm, find_open, measure_ratios

FRONTAL_DEG = 15.0
"""Faces turned up, down or aside by more are left out: the picture foreshortens them."""

TOWARDS_CAMERA_DEG = 8.0
"""Somebody looks towards the camera when their gaze is at most this far from straight into it."""

SAME_TAKE_CORRELATION = 0.95
SAME_TAKE_FRAMES = 20
"""Clips whose lids move alike, frame by frame, over at least so many frames show the same take."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Landmarks of many pictures.

    Attributes:
        points_px: Shape (n, 478, 2).
        is_frontal: Which faces are turned aside by at most `FRONTAL_DEG`, shape (n,).
        person: Number of the person, shape (n,).
        sequence: Number of the clip or dot whose frames follow each other, shape (n,).
        frame: Number of the picture in its sequence, ascending, shape (n,).
        looks_at_camera: Who is known to look towards the camera, shape (n,); None when nobody knows.
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
        name: Of the file, without its folder.
        sha256: Of the file.
        pictures: How many frames it has.
        size_px: Width and height.
        faces: The largest in each frame.
    """

    name: str
    sha256: str
    pictures: int
    size_px: tuple[int, int]
    faces: Faces


def faces_of(table: LandmarkTable) -> Faces:
    """Return the faces of a table; the frames of one dot at one sitting are a sequence."""
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
    """Return the rows of a table in the order of trials, dots and frames."""
    return np.asarray(np.lexsort((table.frame, table.target_index, table.session)))


def find_takes(clips: Sequence[Clip]) -> tuple[int, ...]:
    """Return the number of each clip's take: clips whose lids move alike frame by frame have the same."""
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
    """Return the rows of both at the frames which both have."""
    _, mine, theirs = np.intersect1d(first.frame, second.frame, return_indices=True)
    return mine, theirs


def measure_open(faces: Faces) -> tuple[dict[str, Floats], Integers]:
    """Return the quantities of frontal faces with open eyes, and in which rows these are.

    Raises:
        ValueError: There are none.
    """
    measured = measure_ratios(faces.points_px)
    rows = np.flatnonzero(faces.is_frontal & find_open(measured["lid_aperture"], faces.person))
    if not len(rows):
        raise ValueError("no frontal face with open eyes")
    return {name: values[rows] for name, values in measured.items()}, rows


def width_mm(faces: Faces) -> float:
    """Return how wide the eyes are, if irises are 11.7 mm across, median."""
    return float(np.median(eye_width_mm(faces.points_px)))
