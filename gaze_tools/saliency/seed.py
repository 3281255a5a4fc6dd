"""Stores saliency maps that a program has in memory, in one call."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from gaze_core.types import SaliencyMap
from gaze_tools.saliency.writer import GRACE_S, VideoDescription, open_generation, prune


def seed_saliency_maps(
    database: Database[dict[str, Any]],
    video_id: str,
    maps: Mapping[int, SaliencyMap] | Iterable[tuple[int, SaliencyMap]],
    *,
    fps: float,
    width: int,
    height: int,
    how: str,
    held: bool = False,
    frame_count: int | None = None,
    grace_s: float = GRACE_S,
) -> str:
    """Store the maps of a video in place of those that are there, and return their digest.

    They become a new generation, which readers see at once and as a whole when all of it is written. Older generations
    go when they have been replaced for `grace_s`, so the one before it goes with a later seeding.

    Args:
        database: Usually `saliency_db`.
        video_id: Of the video.
        maps: Map of each frame by its number, shape (rows, columns), uint8 or floats from 0 to 1, which are kept in
            steps of 1/255. Pairs are read one by one.
        fps: Frames a second.
        width: Of the video, in pixels.
        height: Likewise.
        how: How the maps were made.
        held: Whether a map stands for the frames up to the next one as well.
        frame_count: Of the video; None means up to the last map.
        grace_s: How long older maps are kept for readers amid them.

    Raises:
        ValueError: `video_id` cannot name a collection, the frames are not in rising order, the maps differ in size, or
            one holds something else.
        SaliencyMapError: A map cannot be used.
    """
    generation = open_generation(database, video_id, {"how": how, "seeding": uuid.uuid4().hex})
    assert generation is not None  # noqa: S101  nobody else has this recipe
    previous_num = None
    for frame_num, saliency_map in sorted(maps.items()) if isinstance(maps, Mapping) else maps:
        if previous_num is not None and frame_num <= previous_num:
            raise ValueError(f"frame {frame_num} comes after frame {previous_num}")
        generation.write(frame_num, saliency_map)
        previous_num = frame_num
    digest = generation.finish(
        VideoDescription(fps=fps, width=width, height=height, how=how, held=held, frame_count=frame_count)
    )
    prune(database, video_id, grace_s=grace_s)
    return digest
