"""Bytes and database commands of a frame, measured."""

import itertools
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from gaze_tools.capacity.load import Client
from gaze_tools.sample_clip import SAMPLE_VIDEO_ID, read_truth
from gaze_tools.stack.launcher import UpstreamServices
from gaze_tools.stack.session_api import create_app

_STORE_FRAMES = 400


@dataclass(frozen=True, slots=True)
class StoreCosts:
    """Bytes and database commands of a frame.

    Attributes:
        request_bytes: Size of its request to the function.
        record_bytes: Size of its record as JSON.
        stored_bytes: Uncompressed size in the session API's database, with its share of the overhead.
        map_bytes: Size of its saliency map's document, compressed as stored.
        writes: Write commands of the session API.
        writes_described: Write commands if every frame describes the viewer's screen and camera.
        reads: Read commands of the session API.
    """

    request_bytes: float
    record_bytes: float
    stored_bytes: float
    map_bytes: float
    writes: float
    writes_described: float
    reads: float


def measure_store(upstream: UpstreamServices, jpegs: Sequence[bytes]) -> StoreCosts:
    """Measure what the posted frames left in the stores, and the database commands of a frame."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(upstream.mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        raw = client["session_api"].with_options(bson.CodecOptions(document_class=RawBSONDocument))
        parts = list(raw["parts"].find())
        stored_bytes = sum(len(document.raw) for document in itertools.chain(parts, raw["sessions"].find()))
        # Parts that were closed before a frame came have no values.
        records = [
            text for part in parts for key, text in bson.decode(part.raw).get("values", {}).items() if key.isdecimal()
        ]
        maps = [
            len(document.raw)
            for document in client["saliency_db"]
            .with_options(bson.CodecOptions(document_class=RawBSONDocument))[SAMPLE_VIDEO_ID]
            .find()
        ]
        writes, reads = count_commands(upstream.mongo_uri, records[0], described=False)
        writes_described, _ = count_commands(upstream.mongo_uri, records[0], described=True)
    request_bytes = statistics.mean(len(Client("", 1).make_body(1, jpeg)) for jpeg in jpegs)
    return StoreCosts(
        request_bytes=request_bytes,
        record_bytes=statistics.mean(map(len, records)),
        stored_bytes=stored_bytes / len(records),
        map_bytes=statistics.mean(maps),
        writes=writes,
        writes_described=writes_described,
        reads=reads,
    )


def count_commands(mongo_uri: str, record: str, *, described: bool) -> tuple[float, float]:
    """Return the write and read commands that the session API sends to its database per frame.

    Args:
        mongo_uri: Address of any MongoDB.
        record: Record of a frame, as JSON.
        described: Whether every frame describes the viewer's screen and camera.
    """
    listener = _CommandCounter()
    # Not a moment in the past: the database removes what has expired.
    now = datetime.now(UTC)
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo_uri, serverSelectionTimeoutMS=10_000, event_listeners=[listener]) as client:
        name = f"capacity_{'described' if described else 'plain'}"
        # 20 frames/s, independent of this machine's speed.
        api = create_app(client[name], clock=lambda: now + timedelta(milliseconds=50 * listener.frames)).test_client()
        api.post("/mk-session", json={"session_id": "s", "ip_address": "", "video_id": ""})
        listener.commands.clear()
        truth = read_truth()
        settings = {"screen": truth["screen"], "camera": truth["camera"]} if described else {}
        for number in range(1, _STORE_FRAMES + 1):
            listener.frames = number
            values = {str(number): json.loads(record), **settings}
            answer = api.put("/update_session/s", json={"component": "gaze_tracking", "data": values})
            assert answer.status_code == 200  # noqa: S101  our own API
        client.drop_database(name)
    writes = sum(listener.commands[name] for name in ("update", "insert", "findAndModify"))
    return writes / _STORE_FRAMES, listener.commands["find"] / _STORE_FRAMES


class _CommandCounter(CommandListener):
    def __init__(self) -> None:
        self.frames = 0
        self.commands: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.commands[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...
