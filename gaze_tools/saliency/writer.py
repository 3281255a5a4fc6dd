"""Writes the saliency maps of a video to MongoDB, in form 3 of `func.adapters.saliency_store`.

A video's maps are replaced as a whole. They become a new generation beside the one that readers see; when all of it is
written and read back, one update of one document, the video's facts, moves the pointer. So a reader finds either set
whole, whenever the writer is killed, and a writer that starts again with the same recipe goes on where it stopped. The
generation before stays for readers amid it; `prune` removes it after a grace period.

In the facts, `building` lists the generations that are being written, `retired` those kept for readers, `deleting`
those whose documents are being removed: each step can be done again after a kill.
"""

import datetime as dt
import hashlib
import itertools
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING, ReturnDocument
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from func.adapters.saliency_documents import decode_map
from func.adapters.saliency_store import VIDEOS, check_video_id, of_generation
from gaze_core.saliency import check_map
from gaze_core.types import SaliencyMap

GRACE_S = 120.0
"""Twice what scoring an hour of video takes."""

ABANDONED_AFTER_S = 86_400.0
"""A generation that nobody has gone on with for so long is removed."""

_MAPS_PER_BATCH = 32
_TOUCH_EVERY_S = 60.0
_COMPRESSION_LEVEL = 3  # level 6 takes twice as long and saves a fifth
_DUPLICATE_KEY = 11000

Document = dict[str, Any]


class ReplacedError(Exception):
    """A generation was removed, or its maps, while it was being written."""


@dataclass(frozen=True, slots=True)
class VideoDescription:
    """What is written down about a video beside its maps.

    Attributes:
        fps: Frames a second.
        width: Of the video, in pixels.
        height: Likewise.
        how: How the maps were made.
        frame_count: Of the video; None means up to the last map.
        held: Whether a map stands for the frames up to the next one as well.
        every: Frames from one map to the next; None means as the maps are numbered, when that is regular.
    """

    fps: float
    width: int
    height: int
    how: str
    frame_count: int | None = None
    held: bool = False
    every: int | None = None


class Generation:
    """The maps of a video while they are being written; made by `open_generation`."""

    def __init__(self, database: Database[Document], video_id: str, number: int, recipe: Mapping[str, Any]) -> None:
        self.number = number
        self._collection = database[video_id]
        self._videos = database[VIDEOS]
        self._video_id = video_id
        self._recipe = dict(recipe)
        self._waiting: list[Document] = []
        self._touched_at = _now()
        self.done: set[int] = {
            document["frame_num"] for document in self._collection.find(of_generation(number), {"frame_num": 1})
        }
        """Numbers of the frames that are written."""

    def write(self, frame_num: int, saliency_map: SaliencyMap) -> None:
        """Take a map; it is stored together with those after it.

        Args:
            frame_num: Of the frame; a number twice changes nothing.
            saliency_map: Shape (rows, columns), uint8 or floats from 0 to 1, which are kept in steps of 1/255.

        Raises:
            ValueError: The map holds something else.
            SaliencyMapError: It cannot be used.
        """
        if frame_num in self.done:
            return
        pixels = quantise(saliency_map)
        self.done.add(frame_num)
        self._waiting.append(
            {
                "_id": self._document_id(frame_num),
                "generation": self.number,
                "frame_num": frame_num,
                "height": pixels.shape[0],
                "width": pixels.shape[1],
                "dtype": "uint8",
                "encoding": "zlib",
                "saliency_map": zlib.compress(pixels.tobytes(), _COMPRESSION_LEVEL),
            }
        )
        if len(self._waiting) == _MAPS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Store what has been taken."""
        if self._waiting:
            try:
                self._collection.insert_many(self._waiting, ordered=False)
            except BulkWriteError as error:
                # Somebody else with the same recipe may have been faster: the maps are the same.
                if any(each.get("code") != _DUPLICATE_KEY for each in error.details.get("writeErrors", [{}])):
                    raise
            self._waiting = []
        if (_now() - self._touched_at).total_seconds() > _TOUCH_EVERY_S:
            self._touched_at = _now()
            self._videos.update_one(
                {"_id": self._video_id, "building.generation": self.number},
                {"$set": {"building.$.touched_at": self._touched_at}},
            )

    def finish(self, description: VideoDescription) -> str:
        """Read all of it back, let readers see it, and return its digest.

        Returns:
            SHA-256 in hexadecimal over number, rows, columns (8 bytes each, big-endian) and pixels of the maps in
            order.

        Raises:
            ValueError: There is no map, the maps differ in size, or they are to be held at irregular distances.
            ReplacedError: The generation or one of its maps was removed meanwhile.
        """
        self.flush()
        numbers = sorted(self.done)
        if not numbers:
            raise ValueError("there is no map")
        every = description.every or _regular_step(numbers)
        if description.held and every is None:
            raise ValueError("maps of frames at irregular distances cannot be held")
        digest = hashlib.sha256()
        size: tuple[int, int] | None = None
        for number, pixels in self._read_back(numbers):
            rows, columns = pixels.shape
            size = size or (rows, columns)
            if (rows, columns) != size:
                raise ValueError(
                    f"the map of frame {number} has {rows}×{columns} pixels, those before have {size[0]}×{size[1]}"
                )
            update_digest(digest, number, pixels)
        assert size is not None  # noqa: S101  there is a number, so there is a map
        facts = {
            "generation": self.number,
            "fps": description.fps,
            "width": description.width,
            "height": description.height,
            "frame_count": description.frame_count or numbers[-1],
            "first_frame": numbers[0],
            "every": every,
            "held": description.held,
            "map_count": len(numbers),
            "map_height": size[0],
            "map_width": size[1],
            "how": description.how,
            "recipe": self._recipe,
            "digest": digest.hexdigest(),
        }
        self._move_pointer(facts)
        return digest.hexdigest()

    def _move_pointer(self, facts: Document) -> None:
        while True:
            before = self._videos.find_one({"_id": self._video_id}, {"generation": 1}) or {}
            current = before.get("generation")
            update: Document = {
                "$set": facts,
                "$unset": {"deleted": ""},
                "$pull": {"building": {"generation": self.number}},
            }
            if current == self.number:
                return  # somebody else with the same recipe was faster
            if current is not None or self._collection.find_one(of_generation(0), {"_id": 1}) is not None:
                update["$push"] = {"retired": {"generation": current or 0, "since": _now()}}
            moved = self._videos.update_one(
                {"_id": self._video_id, "generation": current, "building.generation": self.number}, update
            )
            if moved.matched_count:
                return
            if not self._videos.count_documents({"_id": self._video_id, "building.generation": self.number}):
                raise ReplacedError(f"the new maps of {self._video_id!r} were removed while they were written")

    def _read_back(self, numbers: list[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for start in range(0, len(numbers), _MAPS_PER_BATCH):
            batch = numbers[start : start + _MAPS_PER_BATCH]
            ids = [self._document_id(number) for number in batch]
            found = {each["frame_num"]: each for each in self._collection.find({"_id": {"$in": ids}})}
            for number in batch:
                if number not in found:
                    raise ReplacedError(f"the new map of frame {number} of {self._video_id!r} is gone")
                yield number, decode_map([found[number]])

    def _document_id(self, frame_num: int) -> str:
        return f"{self.number}:{frame_num}"


def open_generation(
    database: Database[Document], video_id: str, recipe: Mapping[str, Any], *, again: bool = False
) -> Generation | None:
    """Return the generation to write into; None when the maps that readers see were made by this very recipe.

    Args:
        database: Usually `saliency_db`.
        video_id: Of the video.
        recipe: All that the maps depend on, in values that MongoDB keeps as they are. An unfinished generation of the
            same recipe is gone on with.
        again: Begin afresh whatever is there.

    Raises:
        ValueError: `video_id` cannot name a collection.
    """
    check_video_id(video_id)
    collection, videos = database[video_id], database[VIDEOS]
    facts = videos.find_one({"_id": video_id}) or {}
    if not again:
        if facts.get("recipe") == recipe and not facts.get("deleted"):
            return None
        for unfinished in facts.get("building", []):
            if unfinished["recipe"] == recipe:
                return Generation(database, video_id, unfinished["generation"], recipe)
    collection.create_index([("generation", ASCENDING), ("frame_num", ASCENDING), ("chunk_index", ASCENDING)])
    number = _take_number(videos, video_id)
    begun = {"generation": number, "recipe": dict(recipe), "touched_at": _now()}
    videos.update_one({"_id": video_id}, {"$push": {"building": begun}})
    return Generation(database, video_id, number, recipe)


def prune(database: Database[Document], video_id: str, *, grace_s: float = GRACE_S) -> float | None:
    """Remove the generations that nobody needs any more.

    Args:
        database: Usually `saliency_db`.
        video_id: Of the video.
        grace_s: How long a generation stays after readers have got another one.

    Returns:
        Seconds until the next one may go; None when there is none.
    """
    check_video_id(video_id)
    videos = database[VIDEOS]
    facts = videos.find_one({"_id": video_id}) or {}
    now = _now()
    waits_s = []
    removable = set(facts.get("deleting", []))
    for key, stamp, allowed_s in (("retired", "since", grace_s), ("building", "touched_at", ABANDONED_AFTER_S)):
        for each in facts.get(key, []):
            left_s = allowed_s - (now - _as_utc(each[stamp])).total_seconds()
            if left_s > 0:
                waits_s += [left_s] if key == "retired" else []
                continue
            # Taken from the list before the first document goes: readers look there after they have listed documents.
            videos.update_one(
                {"_id": video_id},
                {"$pull": {key: {"generation": each["generation"]}}, "$addToSet": {"deleting": each["generation"]}},
            )
            removable.add(each["generation"])
    for generation in sorted(removable):
        database[video_id].delete_many(of_generation(generation))
        videos.update_one({"_id": video_id}, {"$pull": {"deleting": generation}})
    if facts.get("deleted") and not waits_s:
        _forget(database, video_id, facts["generation"])
    return min(waits_s, default=None)


def hide(database: Database[Document], video_id: str) -> bool:
    """Let readers find no maps of a video from now on; return whether there was a trace of the video.

    The documents stay for readers amid them until `prune`, which then removes the collection and the facts as well.
    """
    check_video_id(video_id)
    videos = database[VIDEOS]
    before = videos.find_one({"_id": video_id})
    if before is None and database[video_id].find_one({}, {"_id": 1}) is None:
        return False
    if before and before.get("deleted"):
        return True
    retired = {"generation": (before or {}).get("generation", 0), "since": _now()}
    unfinished = [each["generation"] for each in (before or {}).get("building", [])]
    empty = _take_number(videos, video_id)
    gone = dict.fromkeys(("digest", "recipe", "map_count", "how", "held", "building"), "")
    videos.update_one(
        {"_id": video_id},
        {
            "$set": {"generation": empty, "deleted": True},
            "$unset": gone,
            "$push": {"retired": retired},
            "$addToSet": {"deleting": {"$each": unfinished}},
        },
    )
    return True


def quantise(saliency_map: SaliencyMap) -> NDArray[np.uint8]:
    """Return a map in steps of 1/255.

    Raises:
        ValueError: It holds something else than uint8 or floats from 0 to 1.
        SaliencyMapError: It cannot be used.
    """
    array = check_map(saliency_map)
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) or array.max() > 1:
        raise ValueError("a saliency map must hold uint8 or floats from 0 to 1")
    return np.round(array * 255).astype(np.uint8)


def update_digest(digest: "hashlib._Hash", frame_num: int, pixels: NDArray[np.uint8]) -> None:
    """Add a frame's map to the digest of a video's maps."""
    for number in (frame_num, *pixels.shape):
        digest.update(number.to_bytes(8, "big"))
    digest.update(pixels.tobytes())


def find_missing(facts: Mapping[str, Any], present: Collection[int]) -> list[int]:
    """Return the frames that have no map although the facts of the video expect one."""
    every = facts.get("every")
    if not every or "first_frame" not in facts:
        return []
    return sorted(set(range(facts["first_frame"], facts["frame_count"] + 1, every)) - set(present))


def _take_number(videos: MongoCollection[Document], video_id: str) -> int:
    """Return a generation that nobody else uses: a repeated increment only leaves one out."""
    facts: Document = videos.find_one_and_update(  # type: ignore[assignment]  # never None: it upserts
        {"_id": video_id}, {"$inc": {"last_generation": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return int(facts["last_generation"])


def _forget(database: Database[Document], video_id: str, empty: int) -> None:
    """Remove a deleted video's facts and collection, unless somebody has begun new maps of it."""
    forgotten = database[VIDEOS].delete_one(
        {"_id": video_id, "deleted": True, "generation": empty, "building.0": {"$exists": False}}
    )
    if forgotten.deleted_count:
        database.drop_collection(video_id)


def _regular_step(numbers: list[int]) -> int | None:
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else None if steps else 1


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _as_utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
