"""Sessions in MongoDB: parts of 100 frames, idempotent updates, results that seal a component.

Storage: each session is a document in `sessions`. Its values are in `parts`, documents with up to `FRAMES_PER_PART`
integer keys, or with the other keys, of one component. A part is listed in its session's document before it is written;
a sealed component refuses new parts. Sealing marks the listed parts one by one, each atomically with its content. So
every write either precedes the sealing of its part or is refused. Every step can be repeated, and a process may die
between any two: a component that was sealed without a result gets it from the next attempt to store one.

Values are stored as JSON text and returned unchanged, independent of MongoDB's rules for keys and numbers.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from gaze_tools.stack.session_parts import (
    PARTS_PER_ENTRY,
    SETTINGS_PREFIX,
    Updated,
    component_of,
    entry_of,
    escape,
    expand_entries,
    find_later,
    first_key_after,
    frames_part_name,
    is_between,
    overlaps,
    part_id_of,
    sort_key,
    unescape,
)
from gaze_tools.stack.session_update import GoneError, SealedError, Update

MAX_AGE_S = 6 * 3600.0
"""Maximum age of a session, after which MongoDB removes its documents."""

_COMPONENTS = ("gaze_tracking", "blink_detection", "emotion_analysis")

_MAX_TRIES = 10
_PURGED_AT_ONCE = 10


class Sessions:
    """Sessions in a database; safe for use from several threads and processes."""

    def __init__(self, database: Database[dict[str, Any]], *, ttl_s: float, clock: Callable[[], datetime]) -> None:
        """Prepare the collections.

        Args:
            database: Database for the sessions.
            ttl_s: Lifetime of a session after its last use.
            clock: Returns the time, in UTC.
        """
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
        self._sessions = database.get_collection("sessions", codec_options=options)
        self._parts = database.get_collection("parts", codec_options=options)
        self._expired = database.get_collection("expired", codec_options=options)
        self._ttl = timedelta(seconds=ttl_s)
        # Not every update needs to record the use of the session.
        self._touch_after = timedelta(seconds=min(1.0, ttl_s / 100))
        self._max_age = timedelta(seconds=max(MAX_AGE_S, ttl_s))
        self._clock = clock
        for collection in (self._sessions, self._parts, self._expired):
            collection.create_index("remove_at", expireAfterSeconds=0)

    def create(self, session_id: str, ip_address: str, video_id: str, *, keep_s: float = 0.0) -> bool:
        """Create a session; return False if it exists.

        Args:
            session_id: Session id.
            ip_address: Address of the viewer.
            video_id: Id of the video.
            keep_s: Minimum time until the session expires, even if nobody uses it.
        """
        for expired in self._sessions.find({"expires_at": {"$lte": self._clock()}}, {"_id": 1}).limit(_PURGED_AT_ONCE):
            self._purge(expired["_id"])
        self._purge(session_id)
        now, keep = self._clock(), timedelta(seconds=keep_s)
        session = {
            "_id": session_id,
            # Distinguishes this session from earlier ones with the same id, whose parts may still exist.
            "incarnation": uuid.uuid4().hex,
            "ip_address": ip_address,
            "video_id": video_id,
            "created_at": now.isoformat(),
            "last_accessed": now,
            "expires_at": now + max(self._ttl, keep),
            "remove_at": now + max(self._max_age, keep),
            "parts": [],
            "sealed": [],
            "earlier_expired_at": self._find_expired_at(session_id),
        }
        for _ in range(_MAX_TRIES):
            try:
                self._sessions.insert_one(session)
            except DuplicateKeyError:
                if not self._purge(session_id):
                    return False
            else:
                return True
        return False

    def read(self, session_id: str, *, component: str | None, first: int | None, last: int | None) -> str:
        """Return a session as JSON text: all components, or one; integer keys from `first` to `last`.

        Raises:
            GoneError: The session does not exist.
        """
        session = self._find(session_id)
        # Settings first: once they contain the result, no frame can be added.
        settings = [
            name
            for name in session["parts"]
            if name.startswith(SETTINGS_PREFIX) and component in {None, component_of(name)}
        ]
        values = self._read_parts(session, settings)
        session = self._sessions.find_one({"_id": session_id, "incarnation": session["incarnation"]}) or session
        listed = expand_entries(session["parts"])
        frames = [
            name
            for name in listed
            if not name.startswith(SETTINGS_PREFIX)
            and component in {None, component_of(name)}
            and overlaps(name, first, last)
        ]
        for name, records in self._read_parts(session, frames).items():
            numbers = sorted(number for number in map(int, records) if is_between(number, first, last))
            values[name] = {str(number): records[str(number)] for number in numbers}
        entries: dict[str, list[str]] = {name: [] for name in ((component,) if component else _COMPONENTS)}
        for name in sorted(values, key=sort_key):
            entries.setdefault(component_of(name), []).extend(
                f"{json.dumps(key)}:{text}" for key, text in values[name].items()
            )
        head = {
            "session_id": session_id,
            "ip_address": session["ip_address"],
            "video_id": session["video_id"],
            "created_at": session["created_at"],
            "last_accessed": session["last_accessed"].isoformat(),
        }
        if component is not None:
            earlier = session.get("earlier_expired_at")
            head |= {"ttl_s": self._ttl.total_seconds(), "earlier_expired_at": earlier and earlier.isoformat()}
        components = ",".join(f"{json.dumps(name)}:{{{','.join(texts)}}}" for name, texts in entries.items())
        # Clients that read in ranges learn where to continue.
        more = ""
        if last is not None:
            more = f',"next_from":{json.dumps(self._find_next(session, find_later(listed, component, last), last))}'
        return f'{json.dumps(head)[:-1]},"components":{{{components}}}{more}}}'

    def update(self, session_id: str, updates: Sequence[Update], *, created_at: str = "") -> Updated:
        """Merge values into a session; with `created_at` only into the session created at that time.

        Raises:
            GoneError: The session does not exist.
            SealedError: An integer key is new and the component has its result.
        """
        session = self._find(session_id, components={update.component for update in updates})
        if created_at not in {"", session["created_at"]}:
            raise GoneError(self._find_expired_at(session_id))
        stored: dict[str, str] = {}
        written: list[int | str] = []
        for update in updates:
            for key, (text, is_new) in self._write_frames(session, update).items():
                stored[key] = text
                if is_new:
                    written.append(int(key))
            self._replace_settings(session, update)
            if update.result is not None:
                stored["result"], is_new = self._write_result(session, update.component, update.result)
                if is_new:
                    written.append("result")
        return Updated(stored, written, session["ip_address"], session["video_id"])

    def _find(self, session_id: str, *, components: Collection[str] | None = None) -> dict[str, Any]:
        """Return a session's document and record the use of the session or of these components."""
        now = self._clock()
        session = self._sessions.find_one({"_id": session_id})
        if session is None:
            raise GoneError(self._find_expired_at(session_id))
        if session["expires_at"] <= now:
            raise GoneError(session["expires_at"])
        is_scored = bool(session["sealed"]) if components is None else set(session["sealed"]) >= set(components)
        if is_scored or session["last_accessed"] + self._touch_after > now:
            return session
        expires_at = min(now + self._ttl, session["remove_at"])
        touched = self._sessions.update_one(
            # Not if it has just expired: another process may be removing it.
            {"_id": session_id, "incarnation": session["incarnation"], "expires_at": {"$gt": now}},
            {"$max": {"last_accessed": now, "expires_at": expires_at}},
        )
        if not touched.matched_count:
            raise GoneError
        return {**session, "last_accessed": now, "expires_at": expires_at}

    def _purge(self, session_id: str) -> bool:
        """Remove a session if it has expired, and remember its expiry; return whether it no longer exists."""
        now = self._clock()
        session = self._sessions.find_one({"_id": session_id, "expires_at": {"$lte": now}})
        if session is not None:
            # Before the removal, so that readers find either the session or this.
            self._expired.update_one(
                {"_id": session_id},
                {"$max": {"expired_at": session["expires_at"], "remove_at": now + self._max_age}},
                upsert=True,
            )
        # The session first, atomically, so that it cannot be used while its parts are removed.
        session = self._sessions.find_one_and_delete({"_id": session_id, "expires_at": {"$lte": self._clock()}})
        if session is None:
            return self._sessions.find_one({"_id": session_id}, {"_id": 1}) is None
        names = expand_entries(session["parts"])
        self._parts.delete_many({"_id": {"$in": [part_id_of(session, name) for name in names]}})
        return True

    def _find_expired_at(self, session_id: str) -> datetime | None:
        """Return the time at which the last session with an id expired; None if none is remembered."""
        remembered = self._expired.find_one({"_id": session_id}) or {}
        expired_at: datetime | None = remembered.get("expired_at")
        return expired_at

    def _find_next(self, session: Mapping[str, Any], later: Sequence[str], last: int) -> int | None:
        """Return the number after `last` from which to continue reading; None if there are no further integer keys.

        Args:
            session: Session.
            later: Names of the parts that can contain such keys, in order; not all of them exist.
            last: Last number that has been read.
        """
        for start in range(0, len(later), PARTS_PER_ENTRY):
            name_by_id = {part_id_of(session, name): name for name in later[start : start + PARTS_PER_ENTRY]}
            found = self._parts.find({"_id": {"$in": list(name_by_id)}, "values": {"$exists": True}}, {"_id": 1})
            numbers = [first_key_after(name_by_id[part["_id"]], last) for part in found]
            if numbers:
                return min(numbers)
        return None

    def _read_parts(self, session: Mapping[str, Any], names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the values of parts by part name, without parts that are listed but not written yet."""
        name_by_id = {part_id_of(session, name): name for name in names}
        return {
            name_by_id[part["_id"]]: {unescape(key): text for key, text in part.get("values", {}).items()}
            for part in self._parts.find({"_id": {"$in": list(name_by_id)}}, {"values": 1})
        }

    def _write_frames(self, session: dict[str, Any], update: Update) -> dict[str, tuple[str, bool]]:
        """Write integer keys unless they exist; return for each the stored value and whether this call wrote it."""
        by_part: dict[str, dict[str, str]] = {}
        for key, text in update.frames.items():
            by_part.setdefault(frames_part_name(update.component, key), {})[key] = text
        for name in by_part:
            self._announce(session, name, {"sealed": {"$ne": update.component}})
        done: dict[str, tuple[str, bool]] = {}
        for name, values in by_part.items():
            if len(values) > 1 and self._write_all_new(session, name, values):
                done |= {key: (text, True) for key, text in values.items()}
                continue
            # Some exist, such as those of older clients, which send all frames every time.
            known = self._read_parts(session, [name]).get(name, {}) if len(values) > 1 else {}
            for key, text in values.items():
                done[key] = (known[key], False) if key in known else self._write_once(session, name, key, text)
        return {key: done[key] for key in update.frames}

    def _write_all_new(self, session: Mapping[str, Any], name: str, values: Mapping[str, str]) -> bool:
        """Write several keys of a part atomically; return False, without writing, if one exists or it is sealed."""
        fields = {f"values.{key}": text for key, text in values.items()}
        try:
            self._parts.update_one(
                {
                    "_id": part_id_of(session, name),
                    "sealed": {"$exists": False},
                    **{field: {"$exists": False} for field in fields},
                },
                {"$set": fields, "$setOnInsert": {"remove_at": session["remove_at"]}},
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        return True

    def _write_result(self, session: dict[str, Any], component: str, text: str) -> tuple[str, bool]:
        """Seal a component and write its result unless it exists; return what is stored and whether it is new."""
        name = SETTINGS_PREFIX + component
        self._announce(session, name, {})
        part = self._parts.find_one({"_id": part_id_of(session, name)}, {"values.result": 1}) or {}
        if "result" in part.get("values", {}):
            return part["values"]["result"], False
        sealed = self._sessions.find_one_and_update(
            {"_id": session["_id"], "incarnation": session["incarnation"]},
            {"$addToSet": {"sealed": component}},
            return_document=ReturnDocument.AFTER,
        )
        if sealed is None:
            raise GoneError
        for part_name in expand_entries(sealed["parts"]):
            if component_of(part_name) == component and part_name != name:
                # A part that is listed but not written yet is created sealed.
                self._upsert(session, part_name, {"sealed": True})
        return self._write_once(session, name, "result", text)

    def _replace_settings(self, session: dict[str, Any], update: Update) -> None:
        if update.settings:
            name = SETTINGS_PREFIX + update.component
            self._announce(session, name, {})
            self._upsert(session, name, {f"values.{escape(key)}": text for key, text in update.settings.items()})

    def _announce(self, session: dict[str, Any], name: str, condition: Mapping[str, Any]) -> None:
        """List a part in its session's document unless it is listed.

        Raises:
            SealedError: The condition is not met.
        """
        entry = entry_of(name)
        if entry in session["parts"] or name in session["parts"]:
            return
        key = {"_id": session["_id"], "incarnation": session["incarnation"]}
        announced = self._sessions.find_one_and_update(
            {**key, **condition}, {"$addToSet": {"parts": entry}}, return_document=ReturnDocument.AFTER
        )
        if announced is None:
            announced = self._sessions.find_one(key)
            if announced is None:
                raise GoneError
            if entry not in announced["parts"]:
                raise SealedError(self._find_free_in_s(session))
        session["parts"] = announced["parts"]

    def _write_once(self, session: Mapping[str, Any], name: str, key: str, text: str) -> tuple[str, bool]:
        """Write a key of a part atomically unless it exists or the part is sealed."""
        part_id = part_id_of(session, name)
        field = f"values.{key}"
        for _ in range(_MAX_TRIES):
            try:
                self._parts.update_one(
                    {"_id": part_id, "sealed": {"$exists": False}, field: {"$exists": False}},
                    {"$set": {field: text}, "$setOnInsert": {"remove_at": session["remove_at"]}},
                    upsert=True,
                )
            except DuplicateKeyError:
                # The part exists but does not match the filter, or another call has just created it.
                part = self._parts.find_one({"_id": part_id}, {"sealed": 1, field: 1}) or {}
                if key in part.get("values", {}):
                    return part["values"][key], False
                if "sealed" in part:
                    raise SealedError(self._find_free_in_s(session)) from None
            else:
                return text, True
        raise PyMongoError("a part was changed too often by other processes")

    def _find_free_in_s(self, session: Mapping[str, Any]) -> float:
        left: timedelta = session["expires_at"] - self._clock()
        return max(0.0, left.total_seconds())

    def _upsert(self, session: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> None:
        """Set fields of a part, and create it if necessary."""
        for is_last in (False, True):
            try:
                self._parts.update_one(
                    {"_id": part_id_of(session, name)},
                    {"$set": changes, "$setOnInsert": {"remove_at": session["remove_at"]}},
                    upsert=True,
                )
            except DuplicateKeyError:
                # Another call has just created it; the second attempt finds it.
                if is_last:
                    raise
            else:
                return
