"""Check the stored saliency maps of a video."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymongo.database import Database

from func.adapters.saliency_store import VIDEOS, MongoSaliencyMaps
from gaze_core.ports import UnusableMap
from gaze_tools.saliency.writer import find_missing, update_digest


@dataclass(frozen=True, slots=True)
class Findings:
    """Result of a check.

    Attributes:
        maps: Number of usable maps.
        size: Height and width of the first usable map; None if there is none.
        missing: Frames that lack a map; empty if the facts about the video do not tell which frames need one.
        unusable: Reason why a map is unusable, by frame.
        flat: Frames with a constant map, which cannot be hit.
        is_digest_right: Whether the maps match the stored digest; None if none is stored.
    """

    maps: int
    size: tuple[int, int] | None
    missing: tuple[int, ...]
    unusable: dict[int, str]
    flat: tuple[int, ...]
    is_digest_right: bool | None

    @property
    def is_sound(self) -> bool:
        """Whether all maps are present, unchanged and usable, and at least one can be hit."""
        is_whole = not self.missing and not self.unusable and self.is_digest_right is not False
        return is_whole and not self.are_all_flat

    @property
    def are_all_flat(self) -> bool:
        """Whether no map can be hit."""
        return self.maps > 0 and len(self.flat) == self.maps


def check_maps(
    database: Database[dict[str, Any]],
    store: MongoSaliencyMaps,
    video_id: str,
    *,
    on_map: Callable[[], None] = lambda: None,
) -> Findings:
    """Read all maps of a video once and check them.

    Args:
        database: Database with the maps and the facts about the video.
        store: Store that reads the same database.
        video_id: Video id.
        on_map: Called after each map.

    Raises:
        SaliencyMapNotFoundError: The video has no maps.
        SaliencyStoreError: The store failed, or the maps were replaced meanwhile.
    """
    facts = database[VIDEOS].find_one({"_id": video_id}) or {}
    video = store.extract_saliencyMap(video_id)
    digest = hashlib.sha256()
    unusable: dict[int, str] = {}
    flat, present = [], []
    size: tuple[int, int] | None = None
    for stored in video.stored:
        if isinstance(stored, UnusableMap):
            unusable |= dict.fromkeys(stored.frame_nums, stored.reason)
        else:
            (number,), saliency_map = stored.frame_nums, stored.saliency_map
            present.append(number)
            size = size or (saliency_map.shape[0], saliency_map.shape[1])
            if saliency_map.min() == saliency_map.max():
                flat.append(number)
            if saliency_map.dtype == np.uint8:
                update_digest(digest, number, saliency_map)
        on_map()
    missing = find_missing(facts, {*present, *unusable})
    is_right = None if video.digest is None else video.digest == digest.hexdigest()
    return Findings(len(present), size, tuple(missing), unusable, tuple(flat), is_right)


def describe_flat(found: Findings) -> str:
    """Return what the flat maps of a video do to its scores."""
    if found.are_all_flat:
        return f"all {found.maps} maps are flat (all pixels equal): no gaze can hit them, so every score is invalid"
    return (
        f"{len(found.flat)} of {found.maps} maps are flat (all pixels equal): every gaze on them is a miss, which "
        f"lowers scores and chance level; frames {describe_frames(found.flat)}"
    )


def describe_frames(numbers: Iterable[int], *, limit: int = 12) -> str:
    """Return frame numbers as ranges, such as `3, 7-9 and 4 more`."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:limit])
    left = sum(last - first + 1 for first, last in ranges[limit:])
    return f"{shown} and {left} more" if left else shown
