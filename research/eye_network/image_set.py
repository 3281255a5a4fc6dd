"""The eye image set: eye images of rendered people with their true gaze, in shards that `research.dataset` writes."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX
from gaze_core.types import Floats

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
            digest.update(np.ascontiguousarray(getattr(self, column.name)).tobytes())
        return digest.hexdigest()


KINDS: dict[str, type[np.generic]] = {
    "images": np.uint8,
    "identity": np.int64,
    "wears_glasses": np.bool_,
}
"""Kinds of the columns that are not float64."""


def load_eye_images(folder: Path) -> EyeImageSet:
    """Return the pairs in all shards of a folder, ordered by file name.

    Pairs with a value that is not finite or a direction beyond `MAX_ANGLE_DEG` are left out.

    Raises:
        FileNotFoundError: The folder contains no shard with images.
        ValueError: A shard is malformed.
    """
    parts = [part for path in sorted(folder.glob("*.npz")) if (part := _read_shard(path)) is not None]
    if not parts:
        raise FileNotFoundError(
            f"{folder} contains no eye images; make them with python -m research.dataset.eye_images"
        )
    joined = EyeImageSet(
        **{
            column.name: np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(EyeImageSet)
        }
    )
    numbers = np.column_stack([joined.head_deg, joined.both_deg, joined.eyes_deg.reshape(-1, 4), joined.openness])
    usable = np.isfinite(numbers).all(axis=1) & (np.abs(joined.both_deg).max(axis=1) <= MAX_ANGLE_DEG)
    return joined if usable.all() else joined.of(usable)


def _read_shard(path: Path) -> EyeImageSet | None:
    """Return a shard's pairs, or None if it has none."""
    with np.load(path, allow_pickle=False) as shard:
        names = [column.name for column in fields(EyeImageSet)]
        if "identity" not in shard or not len(shard["identity"]):
            return None
        if missing := [name for name in names if name not in shard]:
            raise ValueError(f"{path.name} lacks {', '.join(missing)}")
        part = EyeImageSet(**{name: shard[name].astype(KINDS.get(name, np.float64)) for name in names})
    if part.images.shape != (len(part), 2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX):
        raise ValueError(f"{path.name} has images of shape {part.images.shape[1:]}, not (2, 48, 72)")
    return part


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


def split_people(images: EyeImageSet, held_out: int | None = None) -> PeopleSplit:
    """Return the groups of people; a tenth of those who are not test people, at most 60, are selection people.

    Args:
        images: The whole set.
        held_out: Size of the test group, the last people of the plan; a sixth if None.

    Raises:
        ValueError: A group is empty.
    """
    people = int(images.people[-1]) + 1
    first_held_out = people - (people // 6 if held_out is None else held_out)
    split = PeopleSplit(first_held_out - min(60, first_held_out // 10), first_held_out, people)
    if not 0 < split.first_selection < split.first_held_out <= split.end:
        raise ValueError(f"{people} people with {held_out} held out are too few to train and to select")
    return split
