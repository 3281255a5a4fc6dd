"""Sessions in MongoDB: parts of a hundred frames, idempotent updates, results that seal a component.

How it is stored: a document in `sessions` for each session, and its values in `parts`, documents that hold up to
`FRAMES_PER_PART` integer keys, or the other keys, of one component. A part is named in its session's document before it
is written, which a sealed component refuses; and the parts that are named are sealed one by one, each in one step with
what it holds. So a write is either before its part's sealing or refused. Every step may be repeated, and a process may
die between any two: a sealing without a result is finished by whoever stores the result again.

Values are kept as JSON text: they come back as they were, whatever MongoDB thinks of their keys and numbers.
"""

import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

FRAMES_PER_PART = 100
"""An update rewrites its part, so more make updates slower; fewer make reading slower."""

MAX_AGE_S = 6 * 3600.0
"""No session grows older; MongoDB removes then what nobody else has removed."""

_COMPONENTS = ("gaze_tracking", "blink_detection", "emotion_analysis")

MAX_RECORD_BYTES = 100 * 1024
"""So that a full part stays under MongoDB's limit of 16 MB."""

_MAX_TRIES = 10
_PURGED_AT_ONCE = 10

INTEGER_KEY = re.compile(r"0|-?[1-9][0-9]{0,14}")

_ESCAPED = re.compile(r"[%.$]")
_SETTINGS = "settings:"


class SealedError(Exception):
    """The component has its result, or is about to; it takes no new integer key."""

    def __init__(self, free_in_s: float) -> None:
        super().__init__()
        self.free_in_s = free_in_s


class GoneError(Exception):
    """There is no such session, or there is none any more.

    Attributes:
        expired_at: When it expired; None when no session under this id is remembered.
    """

    def __init__(self, expired_at: datetime | None = None) -> None:
        super().__init__()
        self.expired_at = expired_at


class RefusedError(Exception):
    """The request cannot be served as it is."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Update:
    """What a PUT asks for in one component, values as JSON text.

    Attributes:
        component: Its name.
        frames: The integer keys.
        settings: The other keys.
        result: The key `result`, if it is there.
    """

    component: str
    frames: Mapping[str, str]
    settings: Mapping[str, str]
    result: str | None = None


class Sessions:
    """The sessions in a database; safe to use from several threads and processes."""

    def __init__(self, database: Database[dict[str, Any]], *, ttl_s: float, clock: Callable[[], datetime]) -> None:
        """Prepare the collections.

        Args:
            database: To keep sessions in.
            ttl_s: How long a session lives after its last use.
            clock: Tells the time, in UTC.
        """
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
        self._sessions = database.get_collection("sessions", codec_options=options)
        self._parts = database.get_collection("parts", codec_options=options)
        self._expired = database.get_collection("expired", codec_options=options)
        self._ttl = timedelta(seconds=ttl_s)
        # Not every update needs to say that the session is in use.
        self._touch_after = timedelta(seconds=min(1.0, ttl_s / 100))
        self._max_age = timedelta(seconds=max(MAX_AGE_S, ttl_s))
        self._clock = clock
        for collection in (self._sessions, self._parts, self._expired):
            collection.create_index("remove_at", expireAfterSeconds=0)

    def create(self, session_id: str, ip_address: str, video_id: str) -> bool:
        """Create a session; return False if it exists."""
        for expired in self._sessions.find({"expires_at": {"$lte": self._clock()}}, {"_id": 1}).limit(_PURGED_AT_ONCE):
            self._purge(expired["_id"])
        self._purge(session_id)
        now = self._clock()
        session = {
            "_id": session_id,
            # Tells this session from earlier ones under the same id, whose parts may not be removed yet.
            "incarnation": uuid.uuid4().hex,
            "ip_address": ip_address,
            "video_id": video_id,
            "created_at": now.isoformat(),
            "last_accessed": now,
            "expires_at": now + self._ttl,
            "remove_at": now + self._max_age,
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
        """Return a session as JSON text: every component, or one; its integer keys from `first` to `last`.

        Raises:
            GoneError: There is no such session.
        """
        session = self._find(session_id)
        # The settings first: when the result is among them, no frame can come after it any more.
        settings = [
            name for name in session["parts"] if name.startswith(_SETTINGS) and component in {None, _component_of(name)}
        ]
        values = self._read_parts(session, settings)
        session = self._sessions.find_one({"_id": session_id, "incarnation": session["incarnation"]}) or session
        frames = [
            name
            for name in session["parts"]
            if not name.startswith(_SETTINGS)
            and component in {None, _component_of(name)}
            and _overlaps(name, first, last)
        ]
        for name, records in self._read_parts(session, frames).items():
            numbers = sorted(number for number in map(int, records) if _lies_between(number, first, last))
            values[name] = {str(number): records[str(number)] for number in numbers}
        entries: dict[str, list[str]] = {name: [] for name in ((component,) if component else _COMPONENTS)}
        for name in sorted(values, key=_sort_key):
            entries.setdefault(_component_of(name), []).extend(
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
        # Who reads range by range is told where to go on.
        more = "" if last is None else f',"next_from":{json.dumps(_find_next(session["parts"], component, last))}'
        return f'{json.dumps(head)[:-1]},"components":{{{components}}}{more}}}'

    def update(
        self, session_id: str, updates: Sequence[Update], *, created_at: str = ""
    ) -> tuple[dict[str, str], list[int | str]]:
        """Merge values into a session, or only into the one created at a time.

        Returns:
            The JSON text that stands under each key that is written once, and those of them that this call wrote.

        Raises:
            GoneError: There is no such session.
            SealedError: An integer key is new to a component that has its result.
        """
        session = self._find(session_id, components={update.component for update in updates})
        if created_at not in {"", session["created_at"]}:
            raise GoneError(self._find_expired_at(session_id))
        stored: dict[str, str] = {}
        written: list[int | str] = []
        for update in updates:
            # An older client sends all it knows each time.
            known = self._read_known(session, update) if len(update.frames) > 1 else {}
            for key in update.frames:
                stored[key], is_new = (known[key], False) if key in known else self._write_frame(session, update, key)
                if is_new:
                    written.append(int(key))
            self._replace_settings(session, update)
            if update.result is not None:
                stored["result"], is_new = self._write_result(session, update.component, update.result)
                if is_new:
                    written.append("result")
        return stored, written

    def _find(self, session_id: str, *, components: Collection[str] | None = None) -> dict[str, Any]:
        """Return a session's document, having noted that it, or these components of it, are in use."""
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
            # Not if it has just expired: somebody may be removing it.
            {"_id": session_id, "incarnation": session["incarnation"], "expires_at": {"$gt": now}},
            {"$max": {"last_accessed": now, "expires_at": expires_at}},
        )
        if not touched.matched_count:
            raise GoneError
        return {**session, "last_accessed": now, "expires_at": expires_at}

    def _purge(self, session_id: str) -> bool:
        """Remove a session that has expired and remember that; return whether it is gone."""
        now = self._clock()
        session = self._sessions.find_one({"_id": session_id, "expires_at": {"$lte": now}})
        if session is not None:
            # Before it is removed: then whoever finds no session finds this.
            self._expired.update_one(
                {"_id": session_id},
                {"$max": {"expired_at": session["expires_at"], "remove_at": now + self._max_age}},
                upsert=True,
            )
        # The session first, in one step: nobody can use it while its parts go.
        session = self._sessions.find_one_and_delete({"_id": session_id, "expires_at": {"$lte": self._clock()}})
        if session is None:
            return self._sessions.find_one({"_id": session_id}, {"_id": 1}) is None
        self._parts.delete_many({"_id": {"$in": [_part_id(session, name) for name in session["parts"]]}})
        return True

    def _find_expired_at(self, session_id: str) -> datetime | None:
        """Return when the last session under an id expired; None when none is remembered."""
        remembered = self._expired.find_one({"_id": session_id}) or {}
        expired_at: datetime | None = remembered.get("expired_at")
        return expired_at

    def _read_parts(self, session: Mapping[str, Any], names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the values of parts by the names of the parts; one that is named but not written is left out."""
        name_by_id = {_part_id(session, name): name for name in names}
        return {
            name_by_id[part["_id"]]: {_unescape(key): text for key, text in part.get("values", {}).items()}
            for part in self._parts.find({"_id": {"$in": list(name_by_id)}}, {"values": 1})
        }

    def _read_known(self, session: Mapping[str, Any], update: Update) -> dict[str, str]:
        """Return what stands already under the integer keys of an update."""
        names = {_frames_name(update.component, key) for key in update.frames}
        known: dict[str, str] = {}
        for values in self._read_parts(session, names).values():
            known.update(values)
        return known

    def _write_frame(self, session: dict[str, Any], update: Update, key: str) -> tuple[str, bool]:
        """Write an integer key unless it is there; return what stands and whether this call wrote it."""
        name = _frames_name(update.component, key)
        if name not in session["parts"]:
            self._announce(session, name, {"sealed": {"$ne": update.component}})
        return self._write_once(session, name, key, update.frames[key])

    def _write_result(self, session: dict[str, Any], component: str, text: str) -> tuple[str, bool]:
        """Seal a component and write its result unless it is there; return what stands and whether this call wrote."""
        name = _SETTINGS + component
        self._announce(session, name, {})
        part = self._parts.find_one({"_id": _part_id(session, name)}, {"values.result": 1}) or {}
        if "result" in part.get("values", {}):
            return part["values"]["result"], False
        sealed = self._sessions.find_one_and_update(
            {"_id": session["_id"], "incarnation": session["incarnation"]},
            {"$addToSet": {"sealed": component}},
            return_document=ReturnDocument.AFTER,
        )
        if sealed is None:
            raise GoneError
        for part_name in sealed["parts"]:
            if _component_of(part_name) == component and part_name != name:
                # One that is named but not written yet is made, so that nobody can make it open.
                self._upsert(session, part_name, {"sealed": True})
        return self._write_once(session, name, "result", text)

    def _replace_settings(self, session: dict[str, Any], update: Update) -> None:
        if update.settings:
            name = _SETTINGS + update.component
            self._announce(session, name, {})
            self._upsert(session, name, {f"values.{_escape(key)}": text for key, text in update.settings.items()})

    def _announce(self, session: dict[str, Any], name: str, condition: Mapping[str, Any]) -> None:
        """Name a part in its session's document unless it is there.

        Raises:
            SealedError: The condition does not hold.
        """
        if name in session["parts"]:
            return
        key = {"_id": session["_id"], "incarnation": session["incarnation"]}
        announced = self._sessions.find_one_and_update(
            {**key, **condition}, {"$addToSet": {"parts": name}}, return_document=ReturnDocument.AFTER
        )
        if announced is None:
            announced = self._sessions.find_one(key)
            if announced is None:
                raise GoneError
            if name not in announced["parts"]:
                raise SealedError(self._find_free_in_s(session))
        session["parts"] = announced["parts"]

    def _write_once(self, session: Mapping[str, Any], name: str, key: str, text: str) -> tuple[str, bool]:
        """Write a key of a part in one step unless it is there or the part is sealed."""
        part_id = _part_id(session, name)
        field = f"values.{key}"
        for _ in range(_MAX_TRIES):
            try:
                self._parts.update_one(
                    {"_id": part_id, "sealed": {"$exists": False}, field: {"$exists": False}},
                    {"$set": {field: text}, "$setOnInsert": {"remove_at": session["remove_at"]}},
                    upsert=True,
                )
            except DuplicateKeyError:
                # The part is there, but not as asked for; or another call has just made it.
                part = self._parts.find_one({"_id": part_id}, {"sealed": 1, field: 1}) or {}
                if key in part.get("values", {}):
                    return part["values"][key], False
                if "sealed" in part:
                    raise SealedError(self._find_free_in_s(session)) from None
            else:
                return text, True
        raise PyMongoError("a part changed too often")

    def _find_free_in_s(self, session: Mapping[str, Any]) -> float:
        left: timedelta = session["expires_at"] - self._clock()
        return max(0.0, left.total_seconds())

    def _upsert(self, session: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> None:
        """Set fields of a part, making it if need be."""
        for is_last in (False, True):
            try:
                self._parts.update_one(
                    {"_id": _part_id(session, name)},
                    {"$set": changes, "$setOnInsert": {"remove_at": session["remove_at"]}},
                    upsert=True,
                )
            except DuplicateKeyError:
                # Another call has just made it; the second time it is found.
                if is_last:
                    raise
            else:
                return


def _frames_name(component: str, key: str) -> str:
    """Return the name of the part that holds an integer key."""
    return f"{int(key) // FRAMES_PER_PART}:{component}"


def _component_of(name: str) -> str:
    return name.partition(":")[2]


def _overlaps(name: str, first: int | None, last: int | None) -> bool:
    """Return whether a part of frames can hold an integer key from `first` to `last`."""
    bucket = int(name.partition(":")[0])
    return (first is None or first // FRAMES_PER_PART <= bucket) and (last is None or bucket <= last // FRAMES_PER_PART)


def _find_next(names: Iterable[str], component: str | None, last: int) -> int | None:
    """Return a number beyond `last` before which no further integer key can be; None when there is none beyond."""
    buckets = [
        int(name.partition(":")[0])
        for name in names
        if not name.startswith(_SETTINGS) and component in {None, _component_of(name)}
    ]
    reaching = [bucket for bucket in buckets if (bucket + 1) * FRAMES_PER_PART - 1 > last]
    return max(last + 1, min(reaching) * FRAMES_PER_PART) if reaching else None


def _lies_between(number: int, first: int | None, last: int | None) -> bool:
    return (first is None or first <= number) and (last is None or number <= last)


def _sort_key(name: str) -> tuple[bool, int]:
    """Return what puts frames before settings, and frames in order."""
    return (True, 0) if name.startswith(_SETTINGS) else (False, int(name.partition(":")[0]))


def _part_id(session: Mapping[str, Any], name: str) -> str:
    return f"{session['incarnation']}:{name}"


def _escape(key: str) -> str:
    """Return a key as MongoDB takes it for the name of a field."""
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", key)


def _unescape(key: str) -> str:
    return re.sub("%(..)", lambda found: chr(int(found[1], 16)), key)
