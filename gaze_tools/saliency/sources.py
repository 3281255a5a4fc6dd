"""Saliency maps from elsewhere and to elsewhere: arrays, pictures, videos of maps, dumps of old collections."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from gaze_tools.command_line import TIMEOUT_S
from gaze_tools.saliency.compute import open_video, probe_video

_COLLECTION = "collection:"
VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

NumberedMap = tuple[int, SaliencyMap | SaliencyMapError]


def read_source(path: Path, *, first_frame: int = 1) -> Iterator[NumberedMap]:
    """Yield the maps of a file or folder by rising frame number, one by one; one that cannot be used as its error.

    Args:
        path: `.npy` (shape (frames, rows, columns)), a folder of pictures or `.npy` files whose names end in the
            frame's number, a video of grey maps, `.bson` (mongodump) or `.json` (mongoexport) of a collection in any
            form.
        first_frame: Number of the first map, where the source does not number them itself.

    Raises:
        ValueError: It is none of these, or its frames are not numbered as they should be.
        OSError: It cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    if suffix == ".npy":
        return _read_array(path, first_frame)
    if suffix in VIDEO_SUFFIXES:
        return _read_video(path, first_frame)
    if suffix == ".bson":
        return _read_bson(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _read_json(path)
    raise ValueError(f"{path.name} is neither .npy, .bson, .json, a video ({', '.join(VIDEO_SUFFIXES)}) nor a folder")


def write_target(path: Path, maps: Iterable[tuple[int, SaliencyMap]], *, count: int, fps: float) -> list[int]:
    """Write maps to a file or folder and return the numbers of their frames.

    Args:
        path: `.npy` (the first axis in the order of the frames), `.mkv` (FFV1, without loss), `.mp4` (with loss) or
            anything else: a folder of PNGs named by frame.
        maps: Of one size, uint8 or floats from 0 to 1.
        count: How many there are.
        fps: Of a video.

    Raises:
        ValueError: There is no map, or they differ in size.
        OSError: It cannot be written.
    """
    iterator = iter(maps)
    head = next(iterator, None)
    if head is None:
        raise ValueError("there is no map to write")
    size = head[1].shape
    numbers: list[int] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_target(path, count, size, fps) as put:
        for number, saliency_map in itertools.chain([head], iterator):
            if saliency_map.shape != size:
                raise ValueError(f"the map of frame {number} has another size than those before")
            put(number, _as_bytes(saliency_map))
            numbers.append(number)
    return numbers


@contextlib.contextmanager
def _open_target(
    path: Path, count: int, size: tuple[int, ...], fps: float
) -> Iterator[Callable[[int, SaliencyMap], object]]:
    """Yield what takes a frame's number and its map, uint8."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *size))
        places = iter(range(count))
        yield lambda _number, pixels: array.__setitem__(next(places), pixels)
        array.flush()
    elif suffix in (".mkv", ".mp4"):
        codec = cv2.VideoWriter.fourcc(*("FFV1" if suffix == ".mkv" else "mp4v"))
        writer = cv2.VideoWriter(str(path), codec, fps, (size[1], size[0]), isColor=False)
        try:
            if not writer.isOpened():
                raise OSError(f"cannot write a video to {path}")
            yield lambda _number, pixels: writer.write(pixels)
        finally:
            writer.release()
    else:
        path.mkdir(exist_ok=True)
        yield lambda number, pixels: _write_picture(path / f"{number:06d}.png", pixels)


def _write_picture(path: Path, pixels: SaliencyMap) -> None:
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


def _read_folder(path: Path) -> Iterator[NumberedMap]:
    files: dict[int, Path] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in (*PICTURE_SUFFIXES, ".npy"):
            continue
        digits = re.search(r"(\d+)\D*$", file.stem)
        if digits is None:
            raise ValueError(f"the name of {file.name} holds no frame number")
        number = int(digits[1])
        if number in files:
            raise ValueError(f"{files[number].name} and {file.name} are both frame {number}")
        files[number] = file
    if not files:
        raise ValueError(f"{path} holds no picture and no .npy file")
    for number, file in sorted(files.items()):
        yield number, _read_picture(file)


def _read_picture(file: Path) -> SaliencyMap | SaliencyMapError:
    if file.suffix.lower() == ".npy":
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except (ValueError, OSError, EOFError):
            return SaliencyMapError(f"{file.name} cannot be read as an array")
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if picture is None:
        return SaliencyMapError(f"{file.name} cannot be read as a picture")
    return picture / 65535.0 if picture.dtype == np.uint16 else np.asarray(picture)


def _read_video(path: Path, first_frame: int) -> Iterator[NumberedMap]:
    with open_video(path) as capture:
        for number in itertools.count(first_frame):
            ok, frame = capture.read()
            if not ok:
                return
            yield number, frame if frame.ndim == 2 else np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))


def _read_bson(path: Path) -> Iterator[NumberedMap]:
    """Read a dump in two passes: where each document is, then frame by frame, so that one frame is in memory."""
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
        raise ValueError("the dump is cut off or is no BSON")
    return content


def _read_json(path: Path) -> Iterator[NumberedMap]:
    """Read an export: a document a line, or one array of them, which is held in memory as a whole."""
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
        raise ValueError(f"a line of the export is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("a line of the export is no document")  # noqa: TRY004  the file's fault
    return document


def _note(places: dict[int, list[Any]], document: Mapping[str, Any], place: object) -> None:
    number = document.get("frame_num")
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        raise ValueError(f"a document of the dump has no frame number: {number!r}")
    if "chunk_index" not in document and int(number) in places:
        raise ValueError(f"frame {int(number)} has several maps in the dump; was it made of several generations?")
    places.setdefault(int(number), []).append(place)


def _decode(documents: list[Mapping[str, Any]]) -> SaliencyMap | SaliencyMapError:
    try:
        return decode_map(documents)
    except SaliencyMapError as error:
        return error
    except BSONError:
        return SaliencyMapError("the document is no BSON")


def open_source(
    source: str, maps: Database[dict[str, Any]], mongo_uri: str, first_frame: int, every: int | None
) -> tuple[Iterator[NumberedMap], dict[str, Any]]:
    """Return the maps of a source and what it knows of the video."""
    if source.startswith(_COLLECTION):
        name = source.removeprefix(_COLLECTION)
        store = MongoSaliencyMaps(mongo_uri, database=maps.name, timeout_s=TIMEOUT_S)
        stored = maps[VIDEOS].find_one({"_id": name}) or {}
        known: dict[str, Any] = {
            key: stored[key] for key in ("fps", "width", "height", "how", "held", "every") if key in stored
        }
        return _number_maps(store.extract_saliencyMap(name).stored), known
    path = Path(source)
    facts: dict[str, Any] = {}
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    if is_video:
        facts = {"fps": probe_video(path).fps / (every or 1)}
    numbered = read_source(path, first_frame=first_frame)
    if every and (is_video or path.suffix.lower() == ".npy"):
        numbered = ((first_frame + (number - first_frame) * every, found) for number, found in numbered)
        facts = {}
    return numbered, facts


def normalise_map(found: SaliencyMap | SaliencyMapError) -> SaliencyMap | SaliencyMapError:
    """Return a map divided by its largest value; one that cannot be used stays what it is."""
    if isinstance(found, Exception):
        return found
    floats = found.astype(np.float64)
    highest = float(floats.max(initial=0))
    scaled: SaliencyMap = floats / highest if np.isfinite(highest) and highest > 0 else floats
    return scaled


def _number_maps(stored: Iterable[UsableMap | UnusableMap]) -> Iterator[NumberedMap]:
    """Yield the maps of a store as a source does, each under the number of its own frame."""
    for each in stored:
        (number,) = each.frame_nums
        yield number, SaliencyMapError(each.reason) if isinstance(each, UnusableMap) else each.saliency_map
