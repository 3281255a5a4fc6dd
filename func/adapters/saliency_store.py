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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
import numpy as np
from bson.errors import BSONError
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
_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_MAX_CHUNKED_BYTES = 18 * MAX_MAP_PIXELS
"""In a BSON array a float takes 9 bytes and its index at most 8 more."""
_DOCUMENTS_PER_BATCH = 32
_FRAMES_PER_LISTING = 5000
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
        self._client: MongoClient[dict[str, Any]] | None = None
        self._client_pid = 0

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in the order of their frame numbers.

        Of several whole maps for one frame, the first that the server lists counts.

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
            listing = _list_maps(database, video_id, wanted, frame_nums)
            if not listing and (frame_nums is None or database[video_id].find_one(wanted, {"_id": 1}) is None):
                raise SaliencyMapNotFoundError(video_id)
        except (PyMongoError, BSONError) as error:
            raise _translate(error) from error
        return VideoMaps(self._read_maps(video_id, listing), digest)

    def is_reachable(self) -> bool:
        """Return whether the store answers within a second."""
        try:
            with timeout(min(self._timeout_s, _REACHABLE_TIMEOUT_S)):
                self._database().command("ping")
        except (PyMongoError, SaliencyStoreError):
            return False
        return True

    def _database(self) -> Database[dict[str, Any]]:
        """Return the database through this process's own client: one made before a fork hangs after it."""
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():
                timeout_ms = max(1, round(self._timeout_s * 1000))
                try:
                    self._client = MongoClient(
                        self._uri,
                        appname="gaze-function",
                        connectTimeoutMS=timeout_ms,
                        serverSelectionTimeoutMS=timeout_ms,
                        socketTimeoutMS=timeout_ms,
                        timeoutMS=timeout_ms,
                    )
                except (PyMongoError, ValueError) as error:
                    raise SaliencyStoreError("the saliency store's URI cannot be used") from error
                self._client_pid = os.getpid()
            return self._client[self._database_name]

    def _read_maps(
        self, video_id: str, listing: "Sequence[_ListedMap]"
    ) -> Iterator[tuple[int, SaliencyMap | Exception]]:
        for batch in _split(listing):
            ids = [document_id for listed in batch for document_id in listed.document_ids]
            documents: dict[Any, list[Mapping[str, Any]]] = {listed.frame_num: [] for listed in batch}
            try:
                for document in self._database()[video_id].find({"_id": {"$in": ids}}):
                    documents.setdefault(document.get("frame_num"), []).append(document)
            except (PyMongoError, BSONError) as error:
                raise _translate(error) from error
            for listed in batch:
                # Freed as it is passed on: nested lists of floats take eight times the map.
                found = documents.pop(listed.frame_num)
                if len(found) < len(listed.document_ids):
                    raise SaliencyStoreError(f"the maps of {video_id!r} were replaced while they were read")
                try:
                    usable: SaliencyMap | Exception = _join_chunks(found) if listed.is_chunked else _decode(found[0])
                except SaliencyMapError as error:
                    usable = error
                del found
                yield listed.frame_num, usable


@dataclass(frozen=True, slots=True)
class _ListedMap:
    """Where the map of one frame is.

    Attributes:
        frame_num: Of the frame.
        document_ids: The `_id` of the document, or of each of its chunks.
        is_chunked: Whether it is in form 2.
        size_bytes: At most so much will be read.
    """

    frame_num: int
    document_ids: list[Any] = field(default_factory=list)
    is_chunked: bool = False
    size_bytes: int = _MAX_DOCUMENT_BYTES


def check_video_id(video_id: str) -> None:
    """Raise `ValueError` unless a video's id can be the name of a collection of its own.

    That takes 1 to 100 letters, digits, `.`, `_` and `-`, no dot at either end and no two in a row, and neither
    `videos` nor a name under `system.`.
    """
    if len(video_id) > 100 or not _VIDEO_ID.fullmatch(video_id) or video_id == VIDEOS or video_id.startswith("system."):
        raise ValueError(f"not a video id: {video_id[:100]!r}")


def _read_pointer(database: Database[dict[str, Any]], video_id: str) -> tuple[int, str | None]:
    """Return the generation that counts and the digest of its maps, if somebody wrote it down."""
    facts = database[VIDEOS].find_one({"_id": video_id}, {"generation": 1, "digest": 1}) or {}
    generation = facts.get("generation", 0)
    if not isinstance(generation, int) or isinstance(generation, bool):
        raise SaliencyStoreError(f"the generation of {video_id!r} is not an integer")
    digest = facts.get("digest")
    return generation, digest if isinstance(digest, str) else None


def _list_maps(
    database: Database[dict[str, Any]],
    video_id: str,
    wanted: Mapping[str, Any],
    frame_nums: Collection[int] | None,
) -> list[_ListedMap]:
    """Return where the maps are, in the order of their frame numbers.

    Maps are fetched by `_id` afterwards, since old collections may have no other index, and sorting is left to us,
    since a server may refuse to sort so much.
    """
    queries = [dict(wanted)]
    if frame_nums is not None:
        numbers = sorted({int(number) for number in frame_nums})
        queries = [
            {**wanted, "frame_num": {"$in": numbers[start : start + _FRAMES_PER_LISTING]}}
            for start in range(0, len(numbers), _FRAMES_PER_LISTING)
        ]
    fields = dict.fromkeys(("frame_num", "chunk_index", "height", "width", "encoding"), 1)
    whole: dict[int, _ListedMap] = {}
    chunked: dict[int, _ListedMap] = {}
    for query in queries:
        for document in database[video_id].find(query, fields):
            frame_num = _read_frame_num(document)
            if frame_num is None:
                _log.warning("a saliency map of %r has no frame number", video_id)
            elif "chunk_index" in document:
                listed = chunked.setdefault(frame_num, _ListedMap(frame_num, is_chunked=True))
                listed.document_ids.append(document["_id"])
            elif frame_num in whole:
                _log.warning("frame %d of %r has several saliency maps; the first counts", frame_num, video_id)
            else:
                whole[frame_num] = _ListedMap(frame_num, [document["_id"]], size_bytes=_size_bytes(document))
    return [listed for _, listed in sorted({**chunked, **whole}.items())]


def _read_frame_num(document: Mapping[str, Any]) -> int | None:
    """Return the frame number, which some writers store as a float; None if it is not a whole number."""
    frame_num = document.get("frame_num")
    if isinstance(frame_num, float) and frame_num.is_integer():
        return int(frame_num)
    return frame_num if isinstance(frame_num, int) and not isinstance(frame_num, bool) else None


def _size_bytes(document: Mapping[str, Any]) -> int:
    """Return at most how much will be read for a map that is whole."""
    height, width = document.get("height"), document.get("width")
    if "encoding" in document and isinstance(height, int) and isinstance(width, int):
        return min(max(0, height * width), _MAX_DOCUMENT_BYTES)
    return _MAX_DOCUMENT_BYTES


def _split(listing: Sequence[_ListedMap]) -> Iterator[list[_ListedMap]]:
    """Yield batches that are small in memory."""
    batch: list[_ListedMap] = []
    size_bytes = 0
    for listed in listing:
        if batch and (len(batch) == _DOCUMENTS_PER_BATCH or size_bytes + listed.size_bytes > _MAX_DOCUMENT_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(listed)
        size_bytes += listed.size_bytes
    if batch:
        yield batch


def _decode(document: Mapping[str, Any]) -> SaliencyMap:
    """Return the map of a document in form 1 or 3.

    Raises:
        SaliencyMapError: It cannot be used.
    """
    saliency_map = document.get("saliency_map")
    if "encoding" in document or "dtype" in document:
        return _inflate(document)
    if not isinstance(saliency_map, list):
        raise SaliencyMapError("the document is in no known form")
    try:
        return check_map(saliency_map)
    except (ValueError, TypeError, OverflowError) as error:
        raise SaliencyMapError("the rows of the map differ in length or hold more than numbers") from error


def _inflate(document: Mapping[str, Any]) -> SaliencyMap:
    """Return the map of a document in form 3.

    Raises:
        SaliencyMapError: It cannot be used.
    """
    if (document.get("encoding"), document.get("dtype")) != ("zlib", "uint8"):
        raise SaliencyMapError("only uint8 maps compressed by zlib are known")
    height, width = document.get("height"), document.get("width")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise SaliencyMapError("height and width must be positive integers")
    if height * width > MAX_MAP_PIXELS:
        raise SaliencyMapError(f"a saliency map of {height * width} pixels is over the limit of {MAX_MAP_PIXELS}")
    compressed = document.get("saliency_map")
    if not isinstance(compressed, bytes):
        raise SaliencyMapError("the compressed map is not binary")
    inflater = zlib.decompressobj()
    try:
        # One byte more than fits tells a map that is too long, without inflating all of it.
        pixels = inflater.decompress(compressed, height * width + 1)
    except zlib.error as error:
        raise SaliencyMapError("the compressed map is corrupt") from error
    if len(pixels) != height * width or not inflater.eof or inflater.unused_data:
        raise SaliencyMapError(f"the compressed map does not hold {height}×{width} pixels")
    return check_map(np.frombuffer(pixels, dtype=np.uint8).reshape(height, width))


def _join_chunks(documents: Sequence[Mapping[str, Any]]) -> SaliencyMap:
    """Return the map of the documents in form 2 of one frame.

    Raises:
        SaliencyMapError: A chunk is missing or there twice, or the map cannot be used.
    """
    chunks: dict[int, bytes] = {}
    for document in documents:
        index, data = document["chunk_index"], document.get("data")
        if not isinstance(index, int) or not isinstance(data, bytes):
            raise SaliencyMapError("a chunk has no integer index or no binary data")
        chunks[index] = data
    # Old writers count from 0 or from 1; a lost first or last chunk shows when the BSON is decoded.
    if len(chunks) < len(documents) or max(chunks) - min(chunks) + 1 != len(chunks):
        raise SaliencyMapError("a chunk is missing or there twice")
    if sum(map(len, chunks.values())) > _MAX_CHUNKED_BYTES:
        raise SaliencyMapError("the chunks are larger than any map")
    try:
        return _decode(bson.decode(b"".join(chunks[index] for index in sorted(chunks))))
    except BSONError as error:
        raise SaliencyMapError("the joined chunks are not BSON") from error


def _translate(error: Exception) -> SaliencyStoreError:
    """Return our error for one of MongoDB's, without its message: that may name hosts and users."""
    if isinstance(error, PyMongoError) and error.timeout:
        return SaliencyStoreTimeoutError("the saliency store did not answer in time")
    return SaliencyStoreError(f"the saliency store failed: {type(error).__name__}")
