"""Writes the saliency maps of a video to MongoDB, in form 3 of `func.adapters.saliency_store`."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING, ReturnDocument
from pymongo.database import Database

from func.adapters.saliency_store import VIDEOS, check_video_id
from gaze_core.saliency import check_map
from gaze_core.types import SaliencyMap

_MAPS_PER_INSERT = 32


def seed_saliency_maps(
    database: Database[dict[str, Any]],
    video_id: str,
    maps: Mapping[int, SaliencyMap] | Iterable[tuple[int, SaliencyMap]],
    *,
    fps: float,
    width: int,
    height: int,
    how: str,
) -> str:
    """Store the maps of a video in place of those that are there, and return their digest.

    They become a new generation, which readers see at once and as a whole when all of it is written. The generation
    before it stays for readers amid it, until the next seeding removes it. One seeding of a video at a time.

    Args:
        database: Usually `saliency_db`.
        video_id: Of the video.
        maps: Map of each frame by its number, shape (rows, columns), uint8 or floats from 0 to 1, which are kept in
            steps of 1/255. Pairs are read one by one.
        fps: Frames a second.
        width: Of the video, in pixels.
        height: Likewise.
        how: How the maps were made.

    Returns:
        SHA-256 in hexadecimal over number, rows, columns (8 bytes each, big-endian) and pixels of the maps in order.

    Raises:
        ValueError: `video_id` cannot name a collection, the frames are not in rising order, or a map holds something
            else.
        SaliencyMapError: A map cannot be used.
    """
    check_video_id(video_id)
    collection, videos = database[video_id], database[VIDEOS]
    # A number is taken before it is used: a repeated increment only leaves one out.
    before: dict[str, Any] = videos.find_one_and_update(  # type: ignore[assignment]  # never None: it upserts
        {"_id": video_id},
        {"$inc": {"last_generation": 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    current, generation = before.get("generation", 0), before["last_generation"]
    collection.create_index([("generation", ASCENDING), ("frame_num", ASCENDING), ("chunk_index", ASCENDING)])
    digest = hashlib.sha256()
    waiting: list[dict[str, Any]] = []
    count, previous_num = 0, None
    for frame_num, saliency_map in sorted(maps.items()) if isinstance(maps, Mapping) else maps:
        if previous_num is not None and frame_num <= previous_num:
            raise ValueError(f"frame {frame_num} comes after frame {previous_num}")
        quantised = _quantise(saliency_map)
        rows, columns = quantised.shape
        pixels = quantised.tobytes()
        for number in (frame_num, rows, columns):
            digest.update(number.to_bytes(8, "big"))
        digest.update(pixels)
        waiting.append(
            {
                "generation": generation,
                "frame_num": frame_num,
                "height": rows,
                "width": columns,
                "dtype": "uint8",
                "encoding": "zlib",
                "saliency_map": zlib.compress(pixels, 6),
            }
        )
        count, previous_num = count + 1, frame_num
        if len(waiting) == _MAPS_PER_INSERT:
            collection.insert_many(waiting)
            waiting = []
    if waiting:
        collection.insert_many(waiting)
    facts = {
        "generation": generation,
        "fps": fps,
        "width": width,
        "height": height,
        "frame_count": count,
        "how": how,
        "digest": digest.hexdigest(),
    }
    videos.update_one({"_id": video_id}, {"$set": facts})
    collection.delete_many({"generation": {"$nin": [generation, current, *([None] if current == 0 else [])]}})
    return digest.hexdigest()


def _quantise(saliency_map: SaliencyMap) -> NDArray[np.uint8]:
    array = check_map(saliency_map)
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) or array.max() > 1:
        raise ValueError("a saliency map must hold uint8 or floats from 0 to 1")
    return np.round(array * 255).astype(np.uint8)
