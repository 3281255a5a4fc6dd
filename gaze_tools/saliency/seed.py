"""Store saliency maps from memory in one call."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
    starts_s: NDArray[np.float64] | None = None,
    duration_s: float | None = None,
    grace_s: float = GRACE_S,
) -> str:
    """Replace the maps of a video and return the digest of the new ones.

    The maps form a new generation, which readers see as a whole once it is complete. A replaced generation is removed
    by the first call after `grace_s`.

    Args:
        database: Database with the maps, usually `saliency_db`.
        video_id: Video id.
        maps: Map of each frame by number, shape (rows, columns), uint8 or floats from 0 to 1, which are stored in steps
            of 1/255. An iterable of pairs is consumed lazily.
        fps: Frame rate of the video.
        width: Width of the video in pixels.
        height: Height of the video in pixels.
        how: Description of how the maps were made.
        held: Whether a map also applies to the frames up to the next one.
        frame_count: Number of frames of the video; None means up to the last map.
        starts_s: Presentation time of each frame from frame 1 on, shape (n,); None if frame n starts at (n - 1) / fps.
        duration_s: Position at which the video ends; None if unknown.
        grace_s: Time for which replaced maps are kept for running readers.

    Raises:
        ValueError: `video_id` is not a valid collection name, the frame numbers do not rise, or the maps differ in size
            or have another type.
        SaliencyMapError: A map is unusable.
    """
    generation = open_generation(database, video_id, {"how": how, "seeding": uuid.uuid4().hex})
    assert generation is not None  # noqa: S101  the recipe is unique
    previous_num = None
    for frame_num, saliency_map in sorted(maps.items()) if isinstance(maps, Mapping) else maps:
        if previous_num is not None and frame_num <= previous_num:
            raise ValueError(f"frame {frame_num} comes after frame {previous_num}")
        generation.write(frame_num, saliency_map)
        previous_num = frame_num
    digest = generation.finish(
        VideoDescription(
            fps=fps,
            width=width,
            height=height,
            how=how,
            held=held,
            frame_count=frame_count,
            starts_s=starts_s,
            duration_s=duration_s,
        )
    )
    prune(database, video_id, grace_s=grace_s)
    return digest
