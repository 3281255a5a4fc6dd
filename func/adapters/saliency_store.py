"""Saliency maps in MongoDB: one collection for each video, three forms of document, all readable.

1. `{frame_num, saliency_map: [[float]*width]*height}`
2. `{frame_num, chunk_index, data: Binary}`: the chunks of one frame joined are the BSON of form 1.
3. `{frame_num, height, width, dtype: "uint8", encoding: "zlib", saliency_map: Binary}`

A document may carry a `generation`, an integer; without one it belongs to generation 0. The collection `videos` says
under `_id = video_id` which `generation` counts (none means 0), and the `digest` of its maps.
"""

import logging
import os
import re
import threading
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, timeout
from pymongo.database import Database
from pymongo.errors import PyMongoError

from gaze_core.errors import (
    SaliencyMapError,
    SaliencyMapNotFoundError,
    SaliencyStoreError,
    SaliencyStoreTimeoutError,
)
from gaze_core.ports import VideoMaps
from gaze_core.saliency import MAX_MAP_PIXELS, check_map
from gaze_core.types import SaliencyMap

VIDEOS = "videos"

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_RAW = CodecOptions(document_class=RawBSONDocument)

_FRAMES_PER_LISTING = 5000
_MAX_DOCUMENTS_PER_BATCH = 64
_BYTES_PER_BATCH = 8 * 1024 * 1024
_MAX_CHUNKED_BYTES = 17 * MAX_MAP_PIXELS
"""A float in a BSON array takes at most 9 bytes and its index."""
_REACHABLE_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


class MongoSaliencyMaps:
    """Reads saliency maps from MongoDB; safe to use from several threads and to create before a fork."""

    def __init__(self, uri: str, *, database: str = "saliency_db", timeout_s: float) -> None:
        """Prepare to read; nothing is connected yet.

        Args:
            uri: Of MongoDB.
            database: That holds a collection for each video.
            timeout_s: Of one exchange with the server, finding one included.

        Raises:
            ValueError: `timeout_s` is not positive.
        """
        if not timeout_s > 0:
            raise ValueError("timeout_s must be positive")
        self._uri = uri
        self._database_name = database
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._client: MongoClient[RawBSONDocument] | None = None
        self._client_pid = 0

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in the order of their frame numbers.

        Of several whole documents for one frame the first stored counts.

        Args:
            video_id: Of the video; see `check_video_id`.
            frame_nums: Only these frames; None means all. Frames without a map are left out.

        Raises:
            ValueError: `video_id` cannot be the name of a collection.
            SaliencyMapNotFoundError: Not one map is stored for the video.
            SaliencyStoreError: The store failed; SaliencyStoreTimeoutError: it did not answer in time.
                Both can also come while the maps are read.
        """
        check_video_id(video_id)
        try:
            database = self._database()
            generation, digest = _read_pointer(database, video_id)
            wanted: dict[str, Any] = {"generation": generation or {"$in": [0, None]}}
            entries = _list_documents(database, video_id, wanted, frame_nums)
            if not entries and (frame_nums is None or database[video_id].find_one(wanted, {"_id": 1}) is None):
                raise SaliencyMapNotFoundError(video_id)
        except (PyMongoError, BSONError) as error:
            raise _translate(error) from error
        return VideoMaps(self._read_maps(video_id, entries), digest)

    def is_reachable(self) -> bool:
        """Return whether the store answers within a second."""
        try:
            with timeout(min(self._timeout_s, _REACHABLE_TIMEOUT_S)):
                self._database().command("ping")
        except PyMongoError:
            return False
        return True

    def _database(self) -> Database[RawBSONDocument]:
        """Return the database through this process's own client: one made before a fork hangs after it."""
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():
                timeout_ms = round(self._timeout_s * 1000)
                self._client = MongoClient(
                    self._uri,
                    document_class=RawBSONDocument,
                    appname="gaze-function",
                    connectTimeoutMS=timeout_ms,
                    serverSelectionTimeoutMS=timeout_ms,
                    socketTimeoutMS=timeout_ms,
                    timeoutMS=timeout_ms,
                )
                self._client_pid = os.getpid()
            return self._client[self._database_name]

    def _read_maps(
        self, video_id: str, entries: Mapping[int, "list[_Entry]"]
    ) -> Iterator[tuple[int, SaliencyMap | Exception]]:
        frame_nums = sorted(entries)
        batch_size = 1
        position = 0
        while position < len(frame_nums):
            batch = frame_nums[position : position + batch_size]
            if any(entry.chunk_index is not None for frame_num in batch for entry in entries[frame_num]):
                # Chunked maps are huge: one at a time.
                batch = batch[:1]
            documents = self._fetch(video_id, [entry.id for frame_num in batch for entry in entries[frame_num]])
            for frame_num in batch:
                try:
                    found = [(entry, documents[entry.key]) for entry in entries[frame_num]]
                except KeyError as error:
                    raise SaliencyStoreError(f"the maps of {video_id!r} were replaced while being read") from error
                try:
                    yield frame_num, _assemble(found)
                except SaliencyMapError as error:
                    yield frame_num, error
            position += len(batch)
            bytes_per_frame = sum(len(document) for document in documents.values()) // len(batch) + 1
            batch_size = max(1, min(_MAX_DOCUMENTS_PER_BATCH, _BYTES_PER_BATCH // bytes_per_frame))

    def _fetch(self, video_id: str, ids: "list[Any]") -> dict[bytes, bytes]:
        """Return documents as BSON by the key of their entry."""
        documents = {}
        total_bytes = 0
        try:
            for document in self._database()[video_id].find({"_id": {"$in": ids}}):
                total_bytes += len(document.raw)
                if total_bytes > _MAX_CHUNKED_BYTES + _MAX_DOCUMENTS_PER_BATCH * _BYTES_PER_BATCH:
                    raise SaliencyStoreError(f"the documents of a map of {video_id!r} are too large")
                documents[_make_key(document["_id"])] = bytes(document.raw)
        except (PyMongoError, BSONError) as error:
            raise _translate(error) from error
        return documents


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one document is: its `_id`, and which chunk of its frame it holds; None for the whole map."""

    id: Any
    key: bytes
    chunk_index: Any


def check_video_id(video_id: str) -> None:
    """Raise `ValueError` unless a video's id can be the name of a collection of its own.

    That takes 1 to 100 letters, digits, `.`, `_` and `-`, no dot at either end and no two in a row, and neither
    `videos` nor a name under `system.`.
    """
    if (
        len(video_id) > 100
        or not _VIDEO_ID.fullmatch(video_id)
        or video_id == VIDEOS
        or video_id.startswith("system.")
    ):
        raise ValueError(f"not a video id: {video_id[:100]!r}")
