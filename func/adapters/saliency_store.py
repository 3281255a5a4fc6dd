"""Saliency maps in MongoDB: one collection for each video, three forms of document, all readable.

1. `{frame_num, saliency_map: [[float]*width]*height}`
2. `{frame_num, chunk_index, data: Binary}`: the chunks of one frame joined are the BSON of form 1.
3. `{frame_num, height, width, dtype: "uint8", encoding: "zlib", saliency_map: Binary}`

A document may carry a `generation`, an integer; without one it belongs to generation 0. The collection `videos` holds
the facts of each video under `_id = video_id`, all optional: which `generation` counts (none means 0), the
generations `retired` that are still there for readers amid them, `digest`, `fps`, `map_count`, `map_height` and
`map_width`, and with `held` true that each map stands for `every` frames, its own and those after it.
"""

import logging
import math
import re
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import bson
import numpy as np
from bson.errors import BSONError
from pymongo.database import Database

from func.adapters.mongo_reader import MongoReader
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError, SaliencyStoreError
from gaze_core.ports import UnusableMap, UsableMap, VideoMaps
from gaze_core.saliency import MAX_MAP_PIXELS, check_map
from gaze_core.types import SaliencyMap

VIDEOS = "videos"

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_MAX_CHUNKED_BYTES = 18 * MAX_MAP_PIXELS
"""In a BSON array a float takes 9 bytes and its index at most 8 more."""
_DOCUMENTS_PER_BATCH = 32
_FRAMES_PER_LISTING = 1000
_REPLACED = "the maps of {!r} were replaced while they were read"

_log = logging.getLogger(__name__)


class MongoSaliencyMaps:
    """Reads saliency maps from MongoDB; safe to use from several threads and to create before a fork."""

    def __init__(
        self, uri: str, *, database: str = "saliency_db", timeout_s: float, ca_bundle: Path | None = None
    ) -> None:
        """Prepare to read; nothing is connected yet.

        Args:
            uri: Address of MongoDB.
            database: Holds a collection for each video.
            timeout_s: Limit of one exchange with the server, finding one included. The deadline of the request that
                is served (`func.deadline`) bounds all of them together.
            ca_bundle: PEM file of the authorities that TLS trusts, unless `uri` names one; None means the system's.

        Raises:
            ValueError: `timeout_s` is not positive.
        """
        self._mongo = MongoReader(uri, database=database, timeout_s=timeout_s, ca_bundle=ca_bundle)

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in the order of their frame numbers.

        Of several whole maps for one frame, the first that the server lists counts. A map of another size than the
        facts say cannot be used; when they say nothing, the first usable map that is read sets the size.

        Args:
            video_id: Of the video; see `check_video_id`.
            frame_nums: Only these frames; None means every map under its own number. Where the facts say that maps are
                held, a frame gets the latest map among the `every` frames that end with it. Frames without a map are
                left out.

        Raises:
            ValueError: `video_id` cannot be the name of a collection.
            SaliencyMapNotFoundError: Not one map is stored for the video.
            SaliencyStoreError: The store failed; SaliencyStoreTimeoutError: it did not answer in time.
                Both can also come while the maps are read.
        """
        check_video_id(video_id)
        facts = self._mongo.read(lambda database: self._find_facts(database, video_id))
        asked = None if frame_nums is None else sorted({int(number) for number in frame_nums})
        return VideoMaps(
            self._read_maps(video_id, facts, asked), facts.digest, fps=facts.fps, held_every=facts.held_every
        )

    def is_reachable(self) -> bool:
        """Return whether the store answers within a second."""
        return self._mongo.is_reachable()

    def _find_facts(self, database: Database[dict[str, Any]], video_id: str) -> "VideoFacts":
        with self._mongo.limit_exchange():
            facts = read_facts(database, video_id)
        if not facts.map_count:
            with self._mongo.limit_exchange():
                found = database[video_id].find_one(of_generation(facts.generation), {"_id": 1})
            if found is None:
                raise SaliencyMapNotFoundError(video_id)
        return facts

    def _read_maps(
        self, video_id: str, facts: "VideoFacts", asked: Sequence[int] | None
    ) -> Iterator[UsableMap | UnusableMap]:
        size = facts.map_size
        for listing, frames in self._list_maps(video_id, facts, asked):
            for stored in self._fetch(video_id, listing, frames):
                if isinstance(stored, UsableMap):
                    height, width = stored.saliency_map.shape
                    size = size or (height, width)
                    if (height, width) != size:
                        reason = f"the map has {height}×{width} pixels, not {size[0]}×{size[1]}"
                        yield UnusableMap(stored.frame_nums, reason)
                        continue
                yield stored

    def _list_maps(
        self, video_id: str, facts: "VideoFacts", asked: Sequence[int] | None
    ) -> Iterator[tuple[list["_ListedMap"], dict[int, list[int]]]]:
        """Yield where maps are and for which frames each of them stands, a stretch of the video at a time."""
        every = facts.held_every or 1
        stretches: list[Sequence[int] | None] = [None]
        if asked is not None:
            # Old collections may have no index: one look at the whole of them then.
            stretches = [asked] if asked and facts.generation == 0 else list(_stretches(asked))
        for stretch in stretches:
            wanted = of_generation(facts.generation)
            if stretch is not None:
                # A frame more on each side, since servers are known that leave out a bound; sorted out below.
                wanted["frame_num"] = {"$gte": stretch[0] - every, "$lte": stretch[-1] + 1}
            listing = self._mongo.read(partial(self._list_maps_kept, video_id, facts.generation, wanted))
            if not listing and asked is None:
                raise SaliencyStoreError(_REPLACED.format(video_id))
            frames = _frames_by_map([listed.frame_num for listed in listing], stretch, every)
            yield [listed for listed in listing if listed.frame_num in frames], frames

    def _list_maps_kept(
        self, video_id: str, generation: int, wanted: Mapping[str, Any], database: Database[dict[str, Any]]
    ) -> list["_ListedMap"]:
        fields = dict.fromkeys(("frame_num", "chunk_index", "height", "width", "encoding"), 1)
        listing = _list_documents(self._mongo.iterate(database[video_id].find(wanted, fields)), video_id)
        with self._mongo.limit_exchange():
            is_kept = _is_kept(database, video_id, generation)
        if not is_kept:
            raise SaliencyStoreError(_REPLACED.format(video_id))
        return listing

    def _fetch(
        self, video_id: str, listing: "Sequence[_ListedMap]", frames: Mapping[int, Sequence[int]]
    ) -> Iterator[UsableMap | UnusableMap]:
        for batch in _split(listing):
            documents = self._mongo.read(partial(self._read_batch, video_id, batch))
            for listed in batch:
                # Freed once they are decoded: nested lists of floats take eight times the map.
                found = documents.pop(listed.frame_num)
                if len(found) < len(listed.document_ids):
                    raise SaliencyStoreError(_REPLACED.format(video_id))
                yield _read_map(tuple(frames[listed.frame_num]), found)
                del found

    def _read_batch(
        self, video_id: str, batch: "Sequence[_ListedMap]", database: Database[dict[str, Any]]
    ) -> dict[Any, list[Mapping[str, Any]]]:
        """Return the documents of a batch by frame number."""
        ids = [document_id for listed in batch for document_id in listed.document_ids]
        documents: dict[Any, list[Mapping[str, Any]]] = {listed.frame_num: [] for listed in batch}
        for document in self._mongo.iterate(database[video_id].find({"_id": {"$in": ids}})):
            documents.setdefault(document.get("frame_num"), []).append(document)
        return documents


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the collection `videos` says of a video, as far as it can be read.

    Attributes:
        generation: The one that counts.
        digest: Of its maps.
        fps: Frames a second of the video.
        held_every: For so many frames a map stands, its own included; None when each stands for its own alone.
        map_count: How many maps there are.
        map_size: Height and width of the maps.
    """

    generation: int = 0
    digest: str | None = None
    fps: float | None = None
    held_every: int | None = None
    map_count: int | None = None
    map_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _ListedMap:
    """Where the map of one frame is.

    Attributes:
        frame_num: Of the frame.
        document_ids: The `_id` of the document, or of each of its chunks.
        size_bytes: At most so much will be read.
    """

    frame_num: int
    document_ids: list[Any] = field(default_factory=list)
    size_bytes: int = _MAX_DOCUMENT_BYTES


def check_video_id(video_id: str) -> None:
    """Raise `ValueError` unless a video's id can be the name of a collection of its own.

    That takes 1 to 100 letters, digits, `.`, `_` and `-`, no dot at either end and no two in a row, and neither
    `videos` nor a name under `system.`.
    """
    if len(video_id) > 100 or not _VIDEO_ID.fullmatch(video_id) or video_id == VIDEOS or video_id.startswith("system."):
        raise ValueError(f"not a video id: {video_id[:100]!r}")


def read_facts(database: Database[dict[str, Any]], video_id: str) -> VideoFacts:
    """Return the facts of a video; those that nobody wrote down are None.

    Raises:
        SaliencyStoreError: The generation is not an integer.
    """
    facts = database[VIDEOS].find_one({"_id": video_id}) or {}
    generation = facts.get("generation", 0)
    if not isinstance(generation, int) or isinstance(generation, bool):
        raise SaliencyStoreError(f"the generation of {video_id!r} is not an integer")
    digest, fps, every = facts.get("digest"), facts.get("fps"), _positive(facts.get("every"))
    height, width = _positive(facts.get("map_height")), _positive(facts.get("map_width"))
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not (math.isfinite(fps) and fps > 0):
        fps = None
    return VideoFacts(
        generation=generation,
        digest=digest if isinstance(digest, str) else None,
        fps=None if fps is None else float(fps),
        held_every=every if facts.get("held") is True else None,
        map_count=_positive(facts.get("map_count")),
        map_size=(height, width) if height and width else None,
    )


def of_generation(generation: int) -> dict[str, Any]:
    """Return the query for a generation's documents."""
    return {"generation": generation or {"$in": [0, None]}}


def _read_map(frame_nums: tuple[int, ...], documents: Sequence[Mapping[str, Any]]) -> UsableMap | UnusableMap:
    try:
        return UsableMap(frame_nums, decode_map(documents))
    except SaliencyMapError as error:
        return UnusableMap(frame_nums, str(error))


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _is_kept(database: Database[dict[str, Any]], video_id: str, generation: int) -> bool:
    """Return whether a generation is still the one that counts, or is kept for readers amid it.

    Whoever deletes documents takes their generation from `retired` first, so what was listed before is complete.
    """
    facts = database[VIDEOS].find_one({"_id": video_id}, {"generation": 1, "retired": 1}) or {}
    retired = facts.get("retired")
    kept = [each.get("generation") for each in retired if isinstance(each, dict)] if isinstance(retired, list) else []
    return generation in (facts.get("generation", 0), *kept)


def _stretches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield rising numbers in parts that span few frames each."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] - numbers[start] >= _FRAMES_PER_LISTING:
            yield numbers[start:end]
            start = end


def _frames_by_map(stored: Sequence[int], asked: Sequence[int] | None, every: int) -> dict[int, list[int]]:
    """Return for which frames each stored map stands.

    Args:
        stored: Numbers of the frames that have a map, rising.
        asked: Numbers of the wanted frames, likewise; None means that every map stands for its own frame.
        every: A map stands for so many frames, its own included.
    """
    if asked is None:
        return {number: [number] for number in stored}
    frames: dict[int, list[int]] = {}
    for number in asked:
        position = bisect_right(stored, number) - 1
        if position >= 0 and number - stored[position] < every:
            frames.setdefault(stored[position], []).append(number)
    return frames


def _list_documents(documents: Iterable[Mapping[str, Any]], video_id: str) -> list[_ListedMap]:
    """Return where the maps are, in the order of their frame numbers.

    Maps are fetched by `_id` afterwards, since old collections may have no other index, and sorting is left to us,
    since a server may refuse to sort so much.
    """
    whole: dict[int, _ListedMap] = {}
    chunked: dict[int, _ListedMap] = {}
    for document in documents:
        frame_num = _read_frame_num(document)
        if frame_num is None:
            _log.warning("a saliency map of %r has no frame number", video_id)
        elif "chunk_index" in document:
            chunked.setdefault(frame_num, _ListedMap(frame_num)).document_ids.append(document["_id"])
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


def decode_map(documents: Sequence[Mapping[str, Any]]) -> SaliencyMap:
    """Return the map of one frame from its document in form 1 or 3 or from its documents in form 2.

    Raises:
        SaliencyMapError: It cannot be used.
    """
    return _join_chunks(documents) if "chunk_index" in documents[0] else _decode(documents[0])


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
