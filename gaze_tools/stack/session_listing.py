"""The calls of an operator on sessions in MongoDB: list and remove them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson.codec_options import CodecOptions
from pymongo.database import Database

from gaze_tools.stack.session_parts import SETTINGS_PREFIX, component_of, expand_entries, part_id_of

MAX_LISTED = 1000
"""Maximum number of sessions in a list: the most recently used ones."""

COMPONENT = "gaze_tracking"


class SessionListing:
    """Lists and removes the sessions that `Sessions` keeps; listing does not prolong their life."""

    def __init__(self, database: Database[dict[str, Any]], *, clock: Callable[[], datetime]) -> None:
        """Prepare to read.

        Args:
            database: Database with the sessions.
            clock: Returns the time, in UTC.
        """
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
        self._sessions = database.get_collection("sessions", codec_options=options)
        self._parts = database.get_collection("parts", codec_options=options)
        self._clock = clock

    def read(self) -> list[dict[str, Any]]:
        """Return the live sessions as JSON values, the most recently used first.

        Each has `session_id`, `video_id`, `created_at`, `last_accessed`, `age_s`, `left_s`, and of the gaze the number
        of `frames`, and whether it is `scored` and `delivered`.
        """
        now = self._clock()
        found = self._sessions.find({"expires_at": {"$gt": now}}).sort("last_accessed", -1).limit(MAX_LISTED)
        return [self._describe(session, now) for session in found]

    def remove(self, session_id: str) -> bool:
        """Remove a session with all its values; return whether it existed."""
        # The session first, atomically, so that it cannot be used while its parts are removed.
        session = self._sessions.find_one_and_delete({"_id": session_id})
        if session is None:
            return False
        self._parts.delete_many(
            {"_id": {"$in": [part_id_of(session, name) for name in expand_entries(session["parts"])]}}
        )
        return session["expires_at"] > self._clock()  # type: ignore[no-any-return]

    def _describe(self, session: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        own = [name for name in expand_entries(session["parts"]) if component_of(name) == COMPONENT]
        settings = self._parts.find_one(
            {"_id": part_id_of(session, SETTINGS_PREFIX + COMPONENT)}, {"values.result_delivered": 1}
        )
        return {
            "session_id": session["_id"],
            "video_id": session["video_id"],
            "created_at": session["created_at"],
            "last_accessed": session["last_accessed"].isoformat(),
            "age_s": round((now - datetime.fromisoformat(session["created_at"])).total_seconds(), 1),
            "left_s": round((session["expires_at"] - now).total_seconds(), 1),
            "frames": self._count_frames(session, [name for name in own if not name.startswith(SETTINGS_PREFIX)]),
            "scored": COMPONENT in session["sealed"],
            "delivered": ((settings or {}).get("values") or {}).get("result_delivered") == "true",
        }

    def _count_frames(self, session: Mapping[str, Any], names: list[str]) -> int:
        """Count the frames in the database, without reading their values."""
        counted = self._parts.aggregate(
            [
                {"$match": {"_id": {"$in": [part_id_of(session, name) for name in names]}}},
                {"$group": {"_id": None, "n": {"$sum": {"$size": {"$objectToArray": {"$ifNull": ["$values", {}]}}}}}},
            ]
        )
        return sum(int(each["n"]) for each in counted)
