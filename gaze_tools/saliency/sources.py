"""Import and export of saliency maps: arrays, images, videos of maps, dumps of old collections."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import bson
import cv2
import numpy as np
from bson import json_util
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from func.adapters.saliency_documents import decode_map
from func.adapters.saliency_store import VIDEOS, MongoSaliencyMaps
from gaze_core.errors import SaliencyMapError
from gaze_core.ports import UnusableMap, UsableMap
from gaze_core.types import SaliencyMap
from gaze_core.video_times import VideoTimes
from gaze_tools.command_line import TIMEOUT_S
from gaze_tools.film import FilmFrame, open_film
from gaze_tools.film_times import FilmTimes
from gaze_tools.saliency.colour import to_grey
from gaze_tools.saliency.map_times import frame_times_of
from gaze_tools.saliency.map_video import open_map_video

COLLECTION_PREFIX = "collection:"
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
TARGET_SUFFIXES = (".npy", ".mkv", ".mp4")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_DEFAULT_FPS = 25.0  # of an exported video without a frame rate

NumberedMap = tuple[int, SaliencyMap | SaliencyMapError]


@dataclass(slots=True, eq=False)
class Source:
    """Maps that were made elsewhere.

    Attributes:
        maps: Maps by rising frame number; to be read once.
        facts: What the source reveals about the video.
        own_times: Presentation times of the maps of a map video; None for other sources and before all maps were read.
        notes: Remarks for the user.
    """

    maps: Iterator[NumberedMap]
    facts: dict[str, Any]
    own_times: FilmTimes | None = None
    notes: list[str] = field(default_factory=list)


def read_source(
    path: Path,
    *,
    first_frame: int = 1,
    allow_colour: bool = False,
    on_times: Callable[[FilmTimes], None] = lambda _times: None,
) -> Iterator[NumberedMap]:
    """Yield the maps of a file or directory by rising frame number; an unusable map is yielded as its error.

    Args:
        path: `.npy` of shape (frames, rows, columns), a directory of images or `.npy` files whose names end with the
            frame number, a video of greyscale maps, or a `.bson` (mongodump) or `.json` file (mongoexport) of a
            collection in any form.
        first_frame: Frame number of the first map, if the source has no numbers.
        allow_colour: Take the brightness of images in colour instead of refusing them.
        on_times: Called with the presentation times of a map video after its last map.

    Raises:
        ValueError: The format is unknown, the frame numbers are malformed, or an image is in colour.
        OSError: The path cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path, allow_colour)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if suffix == ".npy":
        return _read_array(path, first_frame)
    if suffix in VIDEO_SUFFIXES:
        return _read_video(path, first_frame, allow_colour, on_times)
    if suffix == ".bson":
        return _read_bson(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _read_json(path)
    raise ValueError(f"{path.name} is not .npy, .bson, .json, a video ({', '.join(VIDEO_SUFFIXES)}) or a directory")


def check_target(path: Path) -> None:
    """Raise `ValueError` if a target has a suffix that is not a known format and is not a directory."""
    if path.suffix and path.suffix.lower() not in TARGET_SUFFIXES and not path.is_dir():
        raise ValueError(
            f"{path.name}: maps are written to {', '.join(TARGET_SUFFIXES)}, or to a directory of PNG files if the "
            "name has no suffix or the directory exists"
        )


def write_target(
    path: Path,
    maps: Iterable[tuple[int, SaliencyMap]],
    *,
    count: int,
    fps: float,
    times: VideoTimes | None = None,
) -> list[int]:
    """Write maps to a file or directory and return their frame numbers.

    Args:
        path: `.npy` (first axis: frames), `.mkv` (FFV1, lossless), `.mp4` (lossy), or a name without suffix or an
            existing directory for PNG files named by frame number.
        maps: Frame numbers and maps of the same size, uint8 or floats from 0 to 1.
        count: Number of maps.
        fps: Frame rate of a video.
        times: Presentation times, which a video keeps; None means those of a constant frame rate.

    Raises:
        ValueError: There are no maps, they differ in size, or the suffix is unknown.
        OSError: The target cannot be written.
    """
    check_target(path)
    iterator = iter(maps)
    head = next(iterator, None)
    if head is None:
        raise ValueError("there are no maps to write")
    size = head[1].shape
    numbers: list[int] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_target(path, count, size, times or VideoTimes(fps)) as put:
        for number, saliency_map in itertools.chain([head], iterator):
            if saliency_map.shape != size:
                raise ValueError(f"the map of frame {number} differs in size from those before")
            put(number, _as_bytes(saliency_map))
            numbers.append(number)
    return numbers


@contextlib.contextmanager
def _open_target(
    path: Path, count: int, size: tuple[int, ...], times: VideoTimes
) -> Iterator[Callable[[int, SaliencyMap], object]]:
    """Yield a function that writes the uint8 map of a frame."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *size))
        places = iter(range(count))
        yield lambda _number, pixels: array.__setitem__(next(places), pixels)
        array.flush()
    elif suffix in (".mkv", ".mp4"):
        with open_map_video(path, (size[0], size[1]), times.fps or _DEFAULT_FPS) as write:
            yield lambda number, pixels: write(pixels, _time_s(number, times))
    else:
        path.mkdir(exist_ok=True)
        yield lambda number, pixels: _write_image(path / f"{number:06d}.png", pixels)


def _time_s(number: int, times: VideoTimes) -> float:
    found = frame_times_of([number], times)
    return (number - 1) / _DEFAULT_FPS if found is None else found[0]


def _write_image(path: Path, pixels: SaliencyMap) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"cannot write to {path}")


def _as_bytes(saliency_map: SaliencyMap) -> SaliencyMap:
    if saliency_map.dtype == np.uint8:
        return saliency_map
    return np.round(np.clip(saliency_map, 0, 1) * 255).astype(np.uint8)


def _read_array(path: Path, first_frame: int) -> Iterator[NumberedMap]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim != 3:
        raise ValueError(f"{path.name} must have the shape (frames, rows, columns), not {array.shape}")
    for number, saliency_map in enumerate(array, start=first_frame):
        yield number, np.array(saliency_map)


def _read_folder(path: Path, allow_colour: bool) -> Iterator[NumberedMap]:
    files: dict[int, Path] = {}
    for file in sorted(path.iterdir()):
        # macOS adds a hidden `._0001.png` to every file that it copies to a foreign disk or archive.
        if file.name.startswith(".") or file.suffix.lower() not in (*IMAGE_SUFFIXES, ".npy") or not file.is_file():
            continue
        digits = re.search(r"(\d+)\D*$", file.stem)
        if digits is None:
            raise ValueError(f"the file name {file.name} contains no frame number")
        number = int(digits[1])
        if number in files:
            raise ValueError(f"{files[number].name} and {file.name} are both frame {number}")
        files[number] = file
    if not files:
        raise ValueError(f"{path} contains no images and no .npy files")
    for number, file in sorted(files.items()):
        yield number, _read_image(file, allow_colour)


def _read_image(file: Path, allow_colour: bool) -> SaliencyMap | SaliencyMapError:
    if file.suffix.lower() == ".npy":
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except (ValueError, OSError, EOFError):
            return SaliencyMapError(f"{file.name} cannot be read as an array")
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None:
        return SaliencyMapError(f"{file.name} cannot be read as an image")
    grey = to_grey(image, name=file.name, allow_colour=allow_colour)
    return grey / 65535.0 if grey.dtype == np.uint16 else grey


def _read_video(
    path: Path, first_frame: int, allow_colour: bool, on_times: Callable[[FilmTimes], None]
) -> Iterator[NumberedMap]:
    with open_film(path) as film:
        for number, frame in enumerate(film, start=first_frame):
            yield number, _read_frame(frame, f"frame {number} of {path.name}", allow_colour)
        on_times(film.times())


def _read_frame(frame: FilmFrame, name: str, allow_colour: bool) -> SaliencyMap:
    if frame.is_grey:
        return frame.grey()
    return to_grey(frame.rgb()[..., ::-1], name=name, allow_colour=allow_colour)


def _read_bson(path: Path) -> Iterator[NumberedMap]:
    """Read a dump in two passes, offsets and then frames, so that only one frame is in memory."""
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        places: dict[int, list[tuple[int, int]]] = {}
        position = 0
        while position < size_bytes:
            document = RawBSONDocument(_read_at(file, position))
            _note(places, document, (position, len(document.raw)))
            position += len(document.raw)
        for number, found in sorted(places.items()):
            yield number, _decode([bson.decode(_read_at(file, start)) for start, _length in found])


def _read_at(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    head = file.read(4)
    length = int.from_bytes(head, "little")
    content = head + file.read(max(0, length - 4))
    if len(head) < 4 or len(content) != length:
        raise ValueError("the dump is truncated or is not BSON")
    return content


def _read_json(path: Path) -> Iterator[NumberedMap]:
    """Read an export: one document per line, or one array, which is loaded into memory completely."""
    with path.open("rb") as file:
        is_array = file.read(1) == b"["
    if is_array:
        everything: dict[int, list[Mapping[str, Any]]] = {}
        for document in json_util.loads(path.read_text()):
            _note(everything, document, document)
        for number, documents in sorted(everything.items()):
            yield number, _decode(documents)
        return
    with path.open("rb") as file:
        places: dict[int, list[int]] = {}
        while True:
            position = file.tell()
            line = file.readline()
            if not line:
                break
            if line.strip():
                _note(places, _parse(line), position)
        for number, positions in sorted(places.items()):
            documents = []
            for position in positions:
                file.seek(position)
                documents.append(_parse(file.readline()))
            yield number, _decode(documents)


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        document = json_util.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"a line of the export is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("a line of the export is not a document")  # noqa: TRY004  malformed file
    return document


def _note(places: dict[int, list[Any]], document: Mapping[str, Any], place: object) -> None:
    number = document.get("frame_num")
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        raise ValueError(f"a document of the dump has no frame number: {number!r}")
    if "chunk_index" not in document and int(number) in places:
        raise ValueError(f"frame {int(number)} has several maps in the dump; does it contain several generations?")
    places.setdefault(int(number), []).append(place)


def _decode(documents: list[Mapping[str, Any]]) -> SaliencyMap | SaliencyMapError:
    try:
        return decode_map(documents)
    except SaliencyMapError as error:
        return error
    except BSONError:
        return SaliencyMapError("the document is not BSON")


def open_source(
    source: str,
    *,
    first_frame: int | None,
    every: int | None,
    database: Database[dict[str, Any]] | None,
    mongo_uri: str | None,
    allow_colour: bool = False,
) -> Source:
    """Return the maps of a source by rising frame number, and what the source reveals about the video.

    Args:
        source: File or directory as in `read_source`, or `collection:NAME`.
        first_frame: Frame number of the first map. A source with its own numbers is renumbered, so that the distances
            between them remain. None means the source's own numbers, or 1 if it has none.
        every: Frames from one map to the next, if the source has no numbers; None means 1.
        database: Database with the collections; None if there is none.
        mongo_uri: Address of this database.
        allow_colour: Take the brightness of images in colour instead of refusing them.

    Raises:
        ValueError: The source is malformed or in colour, or a collection without a database.
        OSError: The source cannot be read.
        SaliencyMapNotFoundError: The collection has no maps.
    """
    if source.startswith(COLLECTION_PREFIX):
        if database is None or mongo_uri is None:
            raise ValueError(f"{source} needs the address of MongoDB: set MONGO_URI")
        name = source.removeprefix(COLLECTION_PREFIX)
        store = MongoSaliencyMaps(mongo_uri, database=database.name, timeout_s=TIMEOUT_S)
        stored = database[VIDEOS].find_one({"_id": name}) or {}
        kept = ("fps", "width", "height", "how", "held", "every", "frame_count", "duration_s", "warnings", "faces")
        known: dict[str, Any] = {key: stored[key] for key in kept if key in stored}
        video = store.extract_saliencyMap(name)
        if video.times.starts_s is not None:
            known["starts_s"] = video.times.starts_s
        found = Source(iter(()), known)
        found.maps = _renumber(_number_maps(video.stored), first_frame, found)
        return found
    path = Path(source)
    found = Source(iter(()), {})
    has_numbers = not (path.is_file() and path.suffix.lower() in (".npy", *VIDEO_SUFFIXES))
    first = 1 if first_frame is None or has_numbers else first_frame
    numbered = read_source(
        path, first_frame=first, allow_colour=allow_colour, on_times=partial(setattr, found, "own_times")
    )
    if has_numbers:
        found.maps = _renumber(numbered, first_frame, found)
    else:
        step = every or 1
        found.maps = ((first + (number - first) * step, each) for number, each in numbered)
    return found


def _renumber(numbered: Iterator[NumberedMap], first_frame: int | None, source: Source) -> Iterator[NumberedMap]:
    """Yield maps with numbers shifted so that the first one is `first_frame`; None shifts nothing."""
    shift = None
    for number, each in numbered:
        if shift is None:
            shift = 0 if first_frame is None else first_frame - number
            if shift:
                source.notes.append(
                    f"The first map is frame {number} in the source; all numbers were shifted by {shift:+}."
                )
                # Times of a variable rate do not fit shifted numbers, and its mean rate is wrong for nearly all frames.
                lost = ("starts_s", "fps") if "starts_s" in source.facts else ()
                for key in (*lost, "frame_count", "duration_s"):
                    source.facts.pop(key, None)
        yield number + shift, each


def _number_maps(stored: Iterable[UsableMap | UnusableMap]) -> Iterator[NumberedMap]:
    """Yield the maps of a store like those of a source, with the frame number of each."""
    for each in stored:
        (number,) = each.frame_nums
        yield number, SaliencyMapError(each.reason) if isinstance(each, UnusableMap) else each.saliency_map
