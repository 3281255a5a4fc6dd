"""What is known of the videos in a database of saliency maps."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from func.adapters.saliency_store import VIDEOS, check_video_id, of_generation


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """A video with saliency maps; None for what is not stored.

    Attributes:
        video_id: Video id.
        maps: Number of maps.
        width: Width of the maps in pixels.
        height: Height of the maps in pixels.
        fps: Frame rate of the video.
        duration_s: Duration of the video.
        how: How the maps were made.
        faces: Whether faces are salient in the maps.
        faces_share: Share of the frames that show a face.
        age_s: Time since the maps were published.
    """

    video_id: str
    maps: int
    width: int | None
    height: int | None
    fps: float | None
    duration_s: float | None
    how: str | None
    faces: bool | None
    faces_share: float | None
    age_s: float | None


def list_maps(database: Database[dict[str, Any]], *, now: dt.datetime) -> list[ListedVideo]:
    """Return the videos that have maps, by id.

    Args:
        database: Database with the maps, usually `saliency_db`.
        now: Current time, with its time zone.
    """
    facts_by_id = {facts["_id"]: facts for facts in database[VIDEOS].find({})}
    found = []
    for video_id in sorted({*facts_by_id, *database.list_collection_names()}):
        facts = facts_by_id.get(video_id, {})
        maps = _count_maps(database, video_id, facts)
        if maps:
            found.append(_describe(video_id, maps, facts, now))
    return found


def has_all_maps(database: Database[dict[str, Any]], video_id: str) -> bool:
    """Return whether a video has maps, and as many as were published; somebody else may have removed some."""
    facts = database[VIDEOS].find_one({"_id": video_id}) or {}
    if facts.get("deleted"):
        return False
    stored = database[video_id].count_documents(of_generation(facts.get("generation", 0)))
    return stored >= max(1, int(facts.get("map_count") or 0))


def _count_maps(database: Database[dict[str, Any]], video_id: str, facts: Mapping[str, Any]) -> int:
    try:
        check_video_id(video_id)
    except ValueError:
        return 0  # a collection of another program
    if facts.get("map_count"):
        return int(facts["map_count"])
    # Old collections have no facts, and may have several documents for each frame.
    return len(database[video_id].distinct("frame_num", of_generation(facts.get("generation", 0))))


def _describe(video_id: str, maps: int, facts: Mapping[str, Any], now: dt.datetime) -> ListedVideo:
    fps, faces, published_at = facts.get("fps"), facts.get("faces") or {}, facts.get("published_at")
    duration_s = facts.get("duration_s")
    if duration_s is None and fps and facts.get("frame_count"):
        duration_s = facts["frame_count"] / fps
    if isinstance(published_at, dt.datetime) and published_at.tzinfo is None:
        published_at = published_at.replace(tzinfo=dt.UTC)
    return ListedVideo(
        video_id,
        maps,
        width=facts.get("map_width"),
        height=facts.get("map_height"),
        fps=fps,
        duration_s=duration_s,
        how=facts.get("how"),
        faces=faces.get("channel"),
        faces_share=faces.get("share"),
        age_s=(now - published_at).total_seconds() if isinstance(published_at, dt.datetime) else None,
    )
