"""Check the stored saliency maps of a video."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymongo.database import Database

from func.adapters.frame_times import digest_times
from func.adapters.saliency_store import VIDEOS, MongoSaliencyMaps
from gaze_core.ports import UnusableMap
from gaze_core.video_times import VideoTimes
from gaze_tools.film_times import FilmTimes
from gaze_tools.saliency.pixels import update_digest
from gaze_tools.saliency.writer import find_missing

_CLOSE_S = 0.001  # times rounded to milliseconds on both sides
_FPS_TOLERANCE = 0.01


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
        time_problems: What is wrong with the stored times, numbers and counts, one sentence each.
    """

    maps: int
    size: tuple[int, int] | None
    missing: tuple[int, ...]
    unusable: dict[int, str]
    flat: tuple[int, ...]
    is_digest_right: bool | None
    time_problems: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether all maps are present, unchanged and usable, their times are sound, and at least one can be hit."""
        is_whole = not self.missing and not self.unusable and not self.time_problems
        return is_whole and self.is_digest_right is not False and not self.are_all_flat

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
    problems = find_time_problems(facts, video.times, {*present, *unusable})
    return Findings(len(present), size, tuple(missing), unusable, tuple(flat), is_right, tuple(problems))


def find_time_problems(facts: Mapping[str, Any], times: VideoTimes, numbers: Collection[int]) -> Iterator[str]:
    """Yield what is wrong with the times, numbers and counts in the facts about a video.

    Args:
        facts: Facts about the video.
        times: Presentation times that a reader of the facts sees.
        numbers: Numbers of the frames with a map.
    """
    first, last = min(numbers, default=1), max(numbers, default=1)
    for key, actual in (("map_count", len(numbers)), ("first_frame", first)):
        if key in facts and facts[key] != actual:
            yield f"{key} is {facts[key]}, but the maps say {actual}."
    frame_count = facts.get("frame_count")
    if frame_count is not None and frame_count < last:
        yield f"frame_count is {frame_count}, but there is a map of frame {last}."
    starts_s, duration_s = times.starts_s, times.duration_s
    if starts_s is None:
        last_s = (frame_count - 1) / times.fps if times.fps and frame_count else 0.0
        if duration_s and duration_s < last_s - _CLOSE_S:
            yield f"duration_s is {duration_s:g}, but frame {frame_count} starts at {last_s:g} s."
        return
    if starts_s.size != frame_count:
        yield f"There are times for {starts_s.size} frames, but frame_count is {frame_count}."
    if facts.get("times_digest") != digest_times(facts["frame_times"], duration_s):
        yield "The digest of the frame times does not match."
    if duration_s is None or duration_s < starts_s[-1]:
        yield f"The last frame starts at {starts_s[-1]:g} s, but duration_s is {duration_s}."
    span_s = float(starts_s[-1] - starts_s[0])
    mean_fps = (starts_s.size - 1) / span_s if span_s > 0 else None
    if mean_fps is not None and (times.fps is None or abs(times.fps / mean_fps - 1) > _FPS_TOLERANCE):
        yield f"fps is {times.fps}, but the times have a mean of {mean_fps:.4g} frames/s."


def compare_with_film(times: VideoTimes, film: FilmTimes) -> Iterator[str]:
    """Yield how the stored times differ from those of a film."""
    if not times.is_known:
        yield "No frame rate and no times are stored."
        return
    count = film.starts_s.size
    stored_count = times.frame_count if times.starts_s is None else times.starts_s.size
    if stored_count is not None and stored_count != count:
        yield f"The film has {count} frames, but {stored_count} are stored."
    stored_s = np.arange(count) / times.fps if times.starts_s is None and times.fps else times.starts_s
    assert stored_s is not None  # noqa: S101  times are known
    common = min(count, stored_s.size)
    differs = np.flatnonzero(np.abs(stored_s[:common] - film.starts_s[:common]) > _CLOSE_S)
    if differs.size:
        at = int(differs[0])
        kind = "a constant frame rate is stored" if times.starts_s is None else "other times are stored"
        yield (
            f"{differs.size} frames are shown at another time in the film ({film.describe()}), but {kind}: "
            f"frame {at + 1} at {film.starts_s[at]:.3f} s, not {stored_s[at]:.3f} s. Make or import the maps again."
        )


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
