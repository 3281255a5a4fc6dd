"""Saliency maps in MongoDB: one collection for each video, with documents in one of three forms.

1. `{frame_num, saliency_map: [[float]*width]*height}`
2. `{frame_num, chunk_index, data: Binary}`: the joined chunks of a frame are form 1 as BSON.
3. `{frame_num, height, width, dtype: "uint8", encoding: "zlib", saliency_map: Binary}`

A document may have an integer `generation`; the default is 0. The collection `videos` has facts about each video under
`_id = video_id`, all of them optional:

- `generation`: the current generation; the default is 0
- `retired`: earlier generations that are kept until their last reader has finished
- `digest`, `fps`, `frame_count`, `first_frame`, `map_count`, `map_height`, `map_width`
- `duration_s`, and `frame_times` if frame n does not start at (n - 1) / fps; see `frame_times.py`
- `held` and `every`: if `held` is true, each map is valid for `every` frames, starting with its own
- `faces`: `channel`, whether faces are salient in the maps, and `share`, the share of the frames that show a face
"""

import logging
import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pymongo.database import Database

from func.adapters.frame_times import decode_times
from func.adapters.mongo_reader import MongoReader, describe_request
from func.adapters.saliency_documents import read_frame_num, read_map
from func.adapters.saliency_floats import RAW_DOCUMENTS, decode_document
from func.adapters.upstream_observer import UpstreamObserver
from func.log_lines import Event
from gaze_core.errors import SaliencyMapNotFoundError, SaliencyStoreError
from gaze_core.ports import FaceFacts, UnusableMap, UsableMap, VideoMaps
from gaze_core.video_times import VideoTimes

VIDEOS = "videos"

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_DOCUMENTS_PER_BATCH = 32
_FRAMES_PER_LISTING = 1000
_REPLACED = "the maps of {!r} were replaced while they were read"

_log = logging.getLogger(__name__)


class MongoSaliencyMaps:
    """Reads saliency maps from MongoDB; thread-safe, and may be created before a fork."""

    def __init__(
        self,
        uri: str,
        *,
        database: str = "saliency_db",
        timeout_s: float,
        ca_bundle: Path | None = None,
        observer: UpstreamObserver | None = None,
    ) -> None:
        """Prepare to read, without connecting.

        Args:
            uri: URI of MongoDB.
            database: Database with a collection for each video.
            timeout_s: Timeout of one exchange with the server, including its selection. The deadline of the current
                request (`func.deadline`) limits all exchanges together.
            ca_bundle: PEM file of the certificate authorities to trust, unless `uri` has one; None for the system's.
            observer: Counts and times the calls; None for nobody.

        Raises:
            ValueError: `timeout_s` is not positive.
        """
        self._mongo = MongoReader(uri, database=database, timeout_s=timeout_s, ca_bundle=ca_bundle, observer=observer)

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in order of frame number.

        If a frame has several whole maps, the first one that the server lists is used. A map is unusable if its size
        differs from the facts; without a size there, the first usable map determines it.

        Args:
            video_id: Video id; see `check_video_id`.
            frame_nums: Frames to return; None returns every map under its own frame number. If maps are held, a frame
                gets the latest map among the `every` frames that end with it. Frames without a map are left out.

        Raises:
            ValueError: `video_id` is not a valid name of a collection.
            SaliencyMapNotFoundError: The video has no map.
            SaliencyStoreError: The store failed, possibly while the maps are read.
            SaliencyStoreTimeoutError: The store did not answer in time, possibly while the maps are read.
        """
        check_video_id(video_id)
        facts = self._mongo.read(lambda database: self._find_facts(database, video_id))
        asked = None if frame_nums is None else sorted({int(number) for number in frame_nums})
        return VideoMaps(
            self._read_maps(video_id, facts, asked),
            facts.digest,
            fps=facts.fps,
            held_every=facts.held_every,
            times=facts.times,
            faces=facts.faces,
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
        """Yield the locations of maps and the frames that each map is valid for, one stretch of the video at a time."""
        every = facts.held_every or 1
        stretches: list[Sequence[int] | None] = [None]
        if asked is not None:
            # Old collections may have no index, so they are scanned once as a whole.
            stretches = [asked] if asked and facts.generation == 0 else list(_stretches(asked))
        for stretch in stretches:
            wanted = of_generation(facts.generation)
            if stretch is not None:
                # One extra frame on each side, because some servers exclude the bounds. Filtered below.
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
        listing = _list_documents(
            self._mongo.iterate(database[video_id].find(wanted, fields, comment=describe_request())), video_id
        )
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
                # Freed right after decoding: nested lists that are not all doubles take eight times the memory.
                found = documents.pop(listed.frame_num)
                if len(found) < len(listed.document_ids):
                    raise SaliencyStoreError(_REPLACED.format(video_id))
                yield read_map(tuple(frames[listed.frame_num]), found)
                del found

    def _read_batch(
        self, video_id: str, batch: "Sequence[_ListedMap]", database: Database[dict[str, Any]]
    ) -> dict[Any, list[Mapping[str, Any]]]:
        """Return the documents of a batch by frame number."""
        ids = [document_id for listed in batch for document_id in listed.document_ids]
        documents: dict[Any, list[Mapping[str, Any]]] = {listed.frame_num: [] for listed in batch}
        collection = database.get_collection(video_id, codec_options=RAW_DOCUMENTS)
        found: Iterator[Any] = self._mongo.iterate(collection.find({"_id": {"$in": ids}}, comment=describe_request()))
        for document in (decode_document(each.raw) for each in found):
            documents.setdefault(document.get("frame_num"), []).append(document)
        return documents


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Facts about a video from the collection `videos`; None for facts that are missing or malformed.

    Attributes:
        generation: Current generation.
        digest: Digest of the maps.
        fps: Frame rate of the video in frames per second.
        held_every: Number of frames that a map is valid for, starting with its own; None if for its own alone.
        map_count: Number of maps.
        map_size: Height and width of the maps in pixels.
        times: Presentation times of the frames.
        faces: What the maps know of faces.
    """

    generation: int = 0
    digest: str | None = None
    fps: float | None = None
    held_every: int | None = None
    map_count: int | None = None
    map_size: tuple[int, int] | None = None
    times: VideoTimes = field(default_factory=VideoTimes)
    faces: FaceFacts | None = None


@dataclass(frozen=True, slots=True)
class _ListedMap:
    """Location of the map of one frame.

    Attributes:
        frame_num: Frame number.
        document_ids: The `_id` of the document, or of each chunk.
        size_bytes: Upper limit of the size of the documents.
    """

    frame_num: int
    document_ids: list[Any] = field(default_factory=list)
    size_bytes: int = _MAX_DOCUMENT_BYTES


def check_video_id(video_id: str) -> None:
    """Raise `ValueError` unless a video id is a valid name for its collection.

    A valid name has 1 to 100 letters, digits, `.`, `_` and `-`, does not start or end with a dot, has no two dots in a
    row, is not `videos`, and does not start with `system.`.
    """
    if len(video_id) > 100 or not _VIDEO_ID.fullmatch(video_id) or video_id == VIDEOS or video_id.startswith("system."):
        raise ValueError(f"not a video id: {video_id[:100]!r}")


def read_facts(database: Database[dict[str, Any]], video_id: str) -> VideoFacts:
    """Return the facts about a video.

    Raises:
        SaliencyStoreError: The generation is not an integer, or the frame times are malformed: a score without them
            would be wrong.
    """
    facts = database[VIDEOS].find_one({"_id": video_id}) or {}
    generation = facts.get("generation", 0)
    if not isinstance(generation, int) or isinstance(generation, bool):
        raise SaliencyStoreError(f"the generation of {video_id!r} is not an integer")
    digest, every = facts.get("digest"), _positive(facts.get("every"))
    held_every = every if facts.get("held") is True else None
    height, width = _positive(facts.get("map_height")), _positive(facts.get("map_width"))
    try:
        times = _read_times(facts, held_every)
    except ValueError as error:
        raise SaliencyStoreError(f"the frame times of {video_id!r} are malformed: {error}") from error
    return VideoFacts(
        generation=generation,
        digest=digest if isinstance(digest, str) else None,
        fps=times.fps,
        held_every=held_every,
        map_count=_positive(facts.get("map_count")),
        map_size=(height, width) if height and width else None,
        times=times,
        faces=_read_faces(facts.get("faces")),
    )


def of_generation(generation: int) -> dict[str, Any]:
    """Return the query for the documents of a generation."""
    return {"generation": generation or {"$in": [0, None]}}


def _read_faces(stored: object) -> FaceFacts | None:
    if not isinstance(stored, dict) or not isinstance(stored.get("channel"), bool):
        return None
    share = stored.get("share")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        return FaceFacts(stored["channel"])
    return FaceFacts(stored["channel"], float(share))


def _read_times(facts: Mapping[str, Any], held_every: int | None) -> VideoTimes:
    """Return the presentation times that the facts state.

    Raises:
        ValueError: The frame times are malformed.
    """
    frame_count = _positive(facts.get("frame_count"))
    first, maps, every = (_positive(facts.get(key)) for key in ("first_frame", "map_count", "every"))
    if frame_count and first and maps and every:
        # Importers used to believe a file that states fewer frames than it has.
        frame_count = max(frame_count, first + (maps - 1) * every)
    return VideoTimes(
        fps=_positive_float(facts.get("fps")),
        frame_count=frame_count,
        duration_s=_positive_float(facts.get("duration_s")),
        starts_s=None if facts.get("frame_times") is None else decode_times(facts["frame_times"]),
        held_every=held_every or 1,
    )


def _positive_float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        return None
    return float(value)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _is_kept(database: Database[dict[str, Any]], video_id: str, generation: int) -> bool:
    """Return whether a generation is the current one, or is kept until its last reader has finished.

    Writers remove a generation from `retired` before they delete its documents, so an earlier listing is complete.
    """
    facts = database[VIDEOS].find_one({"_id": video_id}, {"generation": 1, "retired": 1}) or {}
    retired = facts.get("retired")
    kept = [each.get("generation") for each in retired if isinstance(each, dict)] if isinstance(retired, list) else []
    return generation in (facts.get("generation", 0), *kept)


def _stretches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ascending numbers in parts that each span few frames."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] - numbers[start] >= _FRAMES_PER_LISTING:
            yield numbers[start:end]
            start = end


def _frames_by_map(stored: Sequence[int], asked: Sequence[int] | None, every: int) -> dict[int, list[int]]:
    """Return the frames that each stored map is valid for.

    Args:
        stored: Numbers of the frames with a map, ascending.
        asked: Numbers of the requested frames, ascending; None if each map is valid for its own frame alone.
        every: Number of frames that a map is valid for, starting with its own.
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
    """Return the locations of the maps in order of frame number.

    Maps are fetched by `_id` later, because old collections may have no other index. They are sorted here, because a
    server may refuse to sort so many.
    """
    whole: dict[int, _ListedMap] = {}
    chunked: dict[int, _ListedMap] = {}
    for document in documents:
        frame_num = read_frame_num(document)
        if frame_num is None:
            _log.warning(Event("saliency map without frame number", video=video_id))
        elif "chunk_index" in document:
            chunked.setdefault(frame_num, _ListedMap(frame_num)).document_ids.append(document["_id"])
        elif frame_num in whole:
            _log.warning(Event("several saliency maps of a frame", video=video_id, video_frame=frame_num))
        else:
            whole[frame_num] = _ListedMap(frame_num, [document["_id"]], size_bytes=_size_bytes(document))
    return [listed for _, listed in sorted({**chunked, **whole}.items())]


def _size_bytes(document: Mapping[str, Any]) -> int:
    """Return an upper limit of the size of a document with a whole map."""
    height, width = document.get("height"), document.get("width")
    if "encoding" in document and isinstance(height, int) and isinstance(width, int):
        return min(max(0, height * width), _MAX_DOCUMENT_BYTES)
    return _MAX_DOCUMENT_BYTES


def _split(listing: Sequence[_ListedMap]) -> Iterator[list[_ListedMap]]:
    """Yield batches that fit into little memory."""
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
