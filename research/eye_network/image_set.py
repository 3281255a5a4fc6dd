"""The eye image set: eye images of rendered people with their true gaze, in shards that `research.dataset` writes."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Floats
from research.dataset.eye_images import PLAN_NAME, load_eye_images

MAX_ANGLE_DEG = 60.0
"""Directions beyond this are left out: the eye image shows no iris."""

OPEN = 0.5
"""Eyes less open than this are left out of errors, though not out of training."""


@dataclass(frozen=True, slots=True, eq=False)
class EyeImageSet:
    """n pairs of eye images; directions are (right, up) in the measured virtual camera frame, degrees.

    Attributes:
        images: Left eye, mirrored, and right eye; uint8, shape (n, 2, 48, 72).
        head_deg: Measured pitch and yaw of the head, shape (n, 2).
        eyes_deg: True direction of each eye to the target, shape (n, 2, 2).
        both_deg: True direction from the midpoint between the eyes to the target, shape (n, 2).
        openness: Eye opening relative to what the gaze direction demands, 0 closed, shape (n,).
        identity: Number of the person, shape (n,).
        wears_glasses: Whether the person wears glasses, shape (n,).
        distance_mm: Distance from the camera, shape (n,).
        iris_px: Diameter of the iris in the camera's image, shape (n,).
    """

    images: NDArray[np.uint8]
    head_deg: Floats
    eyes_deg: Floats
    both_deg: Floats
    openness: Floats
    identity: NDArray[np.int64]
    wears_glasses: NDArray[np.bool_]
    distance_mm: Floats
    iris_px: Floats

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.identity)

    @property
    def people(self) -> NDArray[np.int64]:
        """Numbers of the people, ascending."""
        return np.unique(self.identity)

    def of(self, rows: NDArray[Any]) -> Self:
        """Return the pairs at rows, given as indices or as a mask."""
        return type(self)(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def of_people(self, low: int, high: int) -> Self:
        """Return the pairs of the people from number `low` up to but not including `high`."""
        return self.of((self.identity >= low) & (self.identity < high))

    def digest(self) -> str:
        """Return the SHA-256 of all values in order, hexadecimal."""
        digest = hashlib.sha256()
        for column in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, column.name)).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PeopleSplit:
    """Groups of people by number: training, then selection, then test.

    Attributes:
        first_selection: Number of the first selection person.
        first_held_out: Number of the first test person.
        end: One more than the last test person's number.
    """

    first_selection: int
    first_held_out: int
    end: int

    @property
    def selection(self) -> tuple[int, int]:
        """Number of the first selection person, and one more than that of the last."""
        return self.first_selection, self.first_held_out


KINDS: dict[str, type[np.generic]] = {
    "images": np.uint8,
    "identity": np.int64,
    "wears_glasses": np.bool_,
}
"""Kinds of the columns that are not float64."""


def find_image_set(folder: Path) -> Path:
    """Return a folder with a set: this one, or the one in it that was made or resumed last.

    Raises:
        FileNotFoundError: There is none.
    """
    if (folder / PLAN_NAME).is_file():
        return folder
    plans = sorted(folder.glob(f"*/{PLAN_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    if not plans:
        raise FileNotFoundError(f"{folder} has no eye images; make them with python -m research.dataset.eye_images")
    return plans[-1].parent


def load_image_set(folder: Path) -> tuple[EyeImageSet, PeopleSplit]:
    """Return all pairs of a set, and the groups of its people.

    Pairs with a value that is not finite or a direction beyond `MAX_ANGLE_DEG` are left out.

    Args:
        folder: Folder of the set.

    Raises:
        FileNotFoundError: A shard is missing.
        ValueError: The set lacks a column, or a group of people is empty.
    """
    shard, first_held_out = load_eye_images(folder)
    columns = [column.name for column in fields(EyeImageSet)]
    if missing := [name for name in columns if name not in shard]:
        raise ValueError(f"the eye images in {folder} lack {', '.join(missing)}")
    images = EyeImageSet(**{name: shard[name].astype(KINDS.get(name, np.float64)) for name in columns})
    numbers = np.column_stack([images.head_deg, images.both_deg, images.eyes_deg.reshape(-1, 4), images.openness])
    usable = np.isfinite(numbers).all(axis=1) & (np.abs(images.both_deg).max(axis=1) <= MAX_ANGLE_DEG)
    split = split_people(first_held_out, int(images.identity.max()) + 1)
    return images if usable.all() else images.of(usable), split


def split_people(first_held_out: int, end: int) -> PeopleSplit:
    """Return the groups of people; a tenth of those who are not test people, at most 60, are selection people.

    Args:
        first_held_out: Number of the first test person.
        end: One more than the last test person's number.

    Raises:
        ValueError: There is nobody to train on or to select on.
    """
    split = PeopleSplit(first_held_out - min(60, first_held_out // 10), first_held_out, end)
    if not 0 < split.first_selection < split.first_held_out:
        raise ValueError(f"{first_held_out} people who are not test people are too few to train and to select")
    return split
