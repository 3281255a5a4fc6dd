"""Write the saliency maps of a video to MongoDB, in form 3 of `func.adapters.saliency_store`.

The maps of a video are replaced as a whole. New maps form a new generation next to the one that readers see. Once it
is complete and read back, a single update of one document, the facts about the video, moves the pointer. So readers see
one complete set or the other even if the writer is killed, and a writer that restarts with the same recipe resumes. The
previous generation is kept for running readers; `prune` removes it after a grace period.

In the facts, `building` lists the generations being written, `retired` those kept for readers, and `deleting` those
whose documents are being removed. Every step can be repeated after a kill.
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

from func.adapters.frame_times import digest_times, encode_times
from func.adapters.saliency_documents import decode_map
from func.adapters.saliency_store import VIDEOS, check_video_id, of_generation
from gaze_core.types import SaliencyMap
from gaze_tools.saliency.pixels import quantise, update_digest

GRACE_S = 120.0
"""Twice the time that scoring an hour of video takes."""

ABANDONED_AFTER_S = 86_400.0
"""An unfinished generation is removed after this time without progress."""

_MAPS_PER_BATCH = 32
_TOUCH_EVERY_S = 60.0
_COMPRESSION_LEVEL = 3  # level 6 takes twice the time and saves 20 %
_DUPLICATE_KEY = 11000
_OPTIONAL = ("duration_s", "faces", "frame_times", "times_digest", "warnings")  # facts that not every video has

Document = dict[str, Any]


class ReplacedError(Exception):
    """A generation or some of its maps were removed while it was being written."""


@dataclass(frozen=True, slots=True)
class VideoDescription:
    """Facts about a video that are stored with its maps.

    Attributes:
        fps: Frame rate, the mean one if it varies; None if unknown.
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        how: Description of how the maps were made.
        frame_count: Number of frames of the video; None means up to the last map.
        held: Whether a map also applies to the frames up to the next one.
        every: Frames from one map to the next; None derives it from regular frame numbers.
        starts_s: Presentation time of each frame from frame 1 on, shape (n,); None if frame n starts at (n - 1) / fps.
        duration_s: Position at which the video ends; None if unknown.
        warnings: What is wrong with the video, one sentence each.
        faces: What the maps know of faces: `channel` and `share`, as `FaceFacts`; None if unknown.
    """

    fps: float | None
    width: int
    height: int
    how: str
    frame_count: int | None = None
    held: bool = False
    every: int | None = None
    starts_s: NDArray[np.float64] | None = None
    duration_s: float | None = None
    warnings: tuple[str, ...] = ()
    faces: Mapping[str, Any] | None = None


class Generation:
    """Maps of a video that are being written; created by `open_generation`."""

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
        """Numbers of the frames with a stored map."""
        self.flat: list[int] = []
        """Numbers of the frames with a flat map, filled by `finish`."""

    def write(self, frame_num: int, saliency_map: SaliencyMap, *, faces: int | None = None) -> None:
        """Add a map; maps are stored in batches.

        Args:
            frame_num: Frame number; a repeated number has no effect.
            saliency_map: Shape (rows, columns), uint8 or floats from 0 to 1, which are stored in steps of 1/255.
            faces: Number of faces in the frame; None if nobody has looked.

        Raises:
            ValueError: The map has another type or values above 1.
            SaliencyMapError: The map is unusable.
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
                **({} if faces is None else {"faces": faces}),
            }
        )
        if len(self._waiting) == _MAPS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Store the current batch."""
        if self._waiting:
            try:
                self._collection.insert_many(self._waiting, ordered=False)
            except BulkWriteError as error:
                # Another writer with the same recipe may have stored the same maps.
                if any(each.get("code") != _DUPLICATE_KEY for each in error.details.get("writeErrors", [{}])):
                    raise
            self._waiting = []
        if (_now() - self._touched_at).total_seconds() > _TOUCH_EVERY_S:
            self._touched_at = _now()
            self._videos.update_one(
                {"_id": self._video_id, "building.generation": self.number},
                {"$set": {"building.$.touched_at": self._touched_at}},
            )

    def share_of_faces(self) -> float | None:
        """Return the share of the frames with a face among those that were searched; None if none was."""
        self.flush()
        counts = [
            self._collection.count_documents({**of_generation(self.number), "faces": {"$gte": least}})
            for least in (0, 1)
        ]
        return counts[1] / counts[0] if counts[0] else None

    def finish(self, description: VideoDescription) -> str:
        """Read all maps back, publish them, and return their digest.

        Returns:
            SHA-256, hexadecimal, over the number, rows, columns (8 bytes each, big-endian) and pixels of each map in
            order.

        Raises:
            ValueError: There are no maps, they differ in size, held maps are irregularly spaced, or there are times for
                fewer frames than have maps.
            ReplacedError: The generation or one of its maps was removed meanwhile.
        """
        self.flush()
        numbers = sorted(self.done)
        if not numbers:
            raise ValueError("there are no maps")
        every = description.every or _regular_step(numbers)
        if description.held and every is None:
            raise ValueError("irregularly spaced maps cannot be held")
        frame_count = max(description.frame_count or 0, numbers[-1])
        times = _describe_times(description, frame_count)
        digest = hashlib.sha256()
        size: tuple[int, int] | None = None
        self.flat.clear()
        for number, pixels in self._read_back(numbers):
            if pixels.min() == pixels.max():
                self.flat.append(number)
            rows, columns = pixels.shape
            size = size or (rows, columns)
            if (rows, columns) != size:
                raise ValueError(
                    f"the map of frame {number} has {rows}×{columns} pixels, those before it {size[0]}×{size[1]}"
                )
            update_digest(digest, number, pixels)
        assert size is not None  # noqa: S101  there is at least one map
        facts = {
            "generation": self.number,
            "fps": description.fps,
            "width": description.width,
            "height": description.height,
            "frame_count": frame_count,
            "first_frame": numbers[0],
            "every": every,
            "held": description.held,
            "map_count": len(numbers),
            "map_height": size[0],
            "map_width": size[1],
            "how": description.how,
            "recipe": self._recipe,
            "digest": digest.hexdigest(),
            **times,
            "published_at": _now(),
            **({} if description.faces is None else {"faces": dict(description.faces)}),
        }
        self._move_pointer(facts)
        return digest.hexdigest()

    def _move_pointer(self, facts: Document) -> None:
        while True:
            before = self._videos.find_one({"_id": self._video_id}, {"generation": 1}) or {}
            current = before.get("generation")
            update: Document = {
                "$set": facts,
                "$unset": dict.fromkeys({"deleted", *_OPTIONAL} - facts.keys(), ""),
                "$pull": {"building": {"generation": self.number}},
            }
            if current == self.number:
                return  # another writer with the same recipe was faster
            if current is not None or self._collection.find_one(of_generation(0), {"_id": 1}) is not None:
                update["$push"] = {"retired": {"generation": current or 0, "since": _now()}}
            moved = self._videos.update_one(
                {"_id": self._video_id, "generation": current, "building.generation": self.number}, update
            )
            if moved.matched_count:
                return
            if not self._videos.count_documents({"_id": self._video_id, "building.generation": self.number}):
                raise ReplacedError(f"the new maps of {self._video_id!r} were removed while being written")

    def _read_back(self, numbers: list[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for start in range(0, len(numbers), _MAPS_PER_BATCH):
            batch = numbers[start : start + _MAPS_PER_BATCH]
            ids = [self._document_id(number) for number in batch]
            found = {each["frame_num"]: each for each in self._collection.find({"_id": {"$in": ids}})}
            for number in batch:
                if number not in found:
                    raise ReplacedError(f"the new map of frame {number} of {self._video_id!r} was removed")
                yield number, decode_map([found[number]])

    def _document_id(self, frame_num: int) -> str:
        return f"{self.number}:{frame_num}"


def open_generation(
    database: Database[Document], video_id: str, recipe: Mapping[str, Any], *, again: bool = False
) -> Generation | None:
    """Return the generation to write into; None if the published maps have the same recipe.

    Args:
        database: Database with the maps, usually `saliency_db`.
        video_id: Video id.
        recipe: Everything that the maps depend on, in values that MongoDB stores unchanged. An unfinished generation
            with the same recipe is resumed.
        again: Always start a new generation.

    Raises:
        ValueError: `video_id` is not a valid collection name.
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
    """Remove generations that are no longer needed.

    Args:
        database: Database with the maps, usually `saliency_db`.
        video_id: Video id.
        grace_s: Time for which a replaced generation is kept.

    Returns:
        Seconds until the next generation can be removed; None if there is none.
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
            # Removed from the list before the first document: readers check the list after listing documents.
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
    """Hide the maps of a video from new readers; return whether the video had any.

    The documents are kept for running readers until `prune`, which then also removes the collection and the facts.
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
    gone = dict.fromkeys(("digest", "recipe", "map_count", "how", "held", "building", "published_at", *_OPTIONAL), "")
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


def find_missing(facts: Mapping[str, Any], present: Collection[int]) -> list[int]:
    """Return the frames that lack a map according to the facts about the video."""
    every = facts.get("every")
    if not every or "first_frame" not in facts:
        return []
    return sorted(set(range(facts["first_frame"], facts["frame_count"] + 1, every)) - set(present))


def _take_number(videos: MongoCollection[Document], video_id: str) -> int:
    """Return a new generation number; a repeated increment only skips one."""
    facts: Document = videos.find_one_and_update(  # type: ignore[assignment]  # never None: it upserts
        {"_id": video_id}, {"$inc": {"last_generation": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return int(facts["last_generation"])


def _forget(database: Database[Document], video_id: str, empty: int) -> None:
    """Remove the facts and the collection of a deleted video, unless new maps are being written."""
    forgotten = database[VIDEOS].delete_one(
        {"_id": video_id, "deleted": True, "generation": empty, "building.0": {"$exists": False}}
    )
    if forgotten.deleted_count:
        database.drop_collection(video_id)


def _describe_times(description: VideoDescription, frame_count: int) -> Document:
    """Return the facts about presentation times."""
    facts: Document = {}
    if description.duration_s is not None:
        facts["duration_s"] = description.duration_s
    if description.starts_s is not None:
        if description.starts_s.size < frame_count:
            raise ValueError(f"there are times for {description.starts_s.size} frames, but {frame_count} frames")
        facts["frame_times"] = encode_times(description.starts_s[:frame_count])
        facts["times_digest"] = digest_times(facts["frame_times"], description.duration_s)
    if description.warnings:
        facts["warnings"] = list(description.warnings)
    return facts


def _regular_step(numbers: list[int]) -> int | None:
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else None if steps else 1


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _as_utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
