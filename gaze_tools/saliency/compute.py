"""Make the saliency maps of a video file with a model and store them; resumable."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo.database import Database

from gaze_core.video_times import VideoTimes
from gaze_tools.film import open_film
from gaze_tools.film_seek import seek_frames
from gaze_tools.film_times import FilmTimes
from gaze_tools.saliency.face_search import FaceSearch
from gaze_tools.saliency.models.faces import CHANNEL_VERSION, FaceAwareModel
from gaze_tools.saliency.models.model import Frame, SaliencyModel
from gaze_tools.saliency.writer import GRACE_S, Generation, VideoDescription, open_generation, prune

DEFAULT_WIDTH_PX = 480


@dataclass(frozen=True, slots=True)
class Video:
    """A video file.

    Attributes:
        path: Path of the file.
        fps: Frame rate according to the file; None if it states none.
        width: Displayed width in pixels.
        height: Displayed height in pixels.
        stated_frames: Number of frames according to the file, which may be wrong.
        sha256: SHA-256 of the file, hexadecimal.
    """

    path: Path
    fps: float | None
    width: int
    height: int
    stated_frames: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Computed:
    """Result of a run.

    Attributes:
        frames: Number of frames of the video.
        maps: Number of stored maps.
        made: Number of maps made in this run; 0 if all were stored already.
        digest: Digest of the maps; None if all were stored already.
        flat: Numbers of the frames with a flat map.
        faces: Share of the frames with a face among those that were searched; None if none was.
        decode_s: Time spent decoding the video.
        model_s: Time spent in the model.
        store_s: Time spent storing.
        times: Presentation times of the frames; None if all maps were stored already.
    """

    frames: int
    maps: int
    made: int
    digest: str | None
    decode_s: float
    model_s: float
    store_s: float
    times: FilmTimes | None = None
    flat: tuple[int, ...] = ()
    faces: float | None = None


def probe_video(path: Path) -> Video:
    """Return the properties of a video file.

    Raises:
        OSError: The file does not exist, is not a video, or has no frames.
    """
    with open_film(path) as film, path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Video(path, film.fps, film.width, film.height, film.stated_frames, sha256)


def default_size(video: Video) -> tuple[int, int]:
    """Return the default height and width of maps: the aspect ratio of the video, at most 480 pixels wide."""
    width = min(DEFAULT_WIDTH_PX, video.width)
    return max(1, round(width * video.height / video.width)), width


def compute_maps(
    database: Database[dict[str, Any]],
    video_id: str,
    video: Video,
    model: SaliencyModel,
    *,
    every: int = 1,
    size: tuple[int, int] | None = None,
    again: bool = False,
    grace_s: float = GRACE_S,
    face_search: FaceSearch | None = None,
    on_frame: Callable[[int, int], None] = lambda _number, _made: None,
) -> Computed:
    """Make a map of every n-th frame, starting with the first, and publish them once all are stored.

    Resumes an interrupted run: finished frames are not computed again, and the maps equal those of an uninterrupted
    run.

    Args:
        database: Database with the maps, usually `saliency_db`.
        video_id: Video id that the maps are stored under.
        video: Video file.
        model: Saliency model.
        every: Frames from one map to the next; a map is held in between.
        size: Height and width of the maps; None means `default_size`.
        again: Make the maps even if they are stored.
        grace_s: Time for which replaced maps are kept for running readers.
        face_search: Search for faces, once a second, if the model does not do it itself; None does not look for them.
        on_frame: Called after each frame with its number and the number of maps made so far.

    Raises:
        ValueError: `video_id` is not a valid collection name, or `every` or `size` is not positive.
        OSError: The video cannot be decoded.
        ReplacedError: The new maps were removed meanwhile.
    """
    height, width = size or default_size(video)
    if every < 1 or height < 1 or width < 1:
        raise ValueError("every, width and height must be at least 1")
    recipe = {
        "model": model.name,
        "model_version": model.version,
        "every": every,
        "map_height": height,
        "map_width": width,
        "video_sha256": video.sha256,
        "faces": CHANNEL_VERSION if isinstance(model, FaceAwareModel) else 0,
        "frame_times": 1,  # earlier versions stored none
    }
    generation = open_generation(database, video_id, recipe, again=again)
    if generation is None:
        facts = database["videos"].find_one({"_id": video_id}) or {}
        return Computed(facts["frame_count"], facts["map_count"], 0, None, 0.0, 0.0, 0.0)
    model.start(height=height, width=width)
    spent = {"decode": 0.0, "model": 0.0, "store": 0.0}
    number, made = 0, 0

    def is_due(frame_num: int) -> bool:
        return frame_num >= 1 and (frame_num - 1) % every == 0 and frame_num not in generation.done

    with open_film(video.path) as film, _kept_on_ctrl_c(generation):
        frames = iter(film)
        while True:
            with _timed(spent, "decode"):
                film_frame = next(frames, None)
                if film_frame is None:
                    break
                number = film_frame.number
                wanted = is_due(number)
                remembered = any(is_due(number + ahead) for ahead in range(1, model.memory_frames + 1))
                frame = film_frame.rgb() if wanted or remembered else None
            if frame is not None and wanted:
                with _timed(spent, "model"):
                    saliency_map = model.map_frame(frame)
                    is_searched = (number - 1) % max(1, round(video.fps or 25)) < every
                    faces = _count_faces(model, face_search if is_searched else None, frame)
                with _timed(spent, "store"):
                    generation.write(number, saliency_map, faces=faces)
                made += 1
            elif frame is not None:
                with _timed(spent, "model"):
                    model.see(frame)
            on_frame(number, made)
        times = film.times()
    with _timed(spent, "store"):
        share = generation.share_of_faces()
        description = VideoDescription(
            fps=times.fps,
            width=video.width,
            height=video.height,
            how=f"{model.name} ({model.source})",
            frame_count=number,
            held=every > 1,
            every=every,
            starts_s=times.table_s,
            duration_s=times.duration_s,
            warnings=times.warnings,
            faces={"channel": isinstance(model, FaceAwareModel), "share": share},
        )
        digest = generation.finish(description)
        prune(database, video_id, grace_s=grace_s)
    return Computed(
        number,
        len(generation.done),
        made,
        digest,
        spent["decode"],
        spent["model"],
        spent["store"],
        times=times,
        flat=tuple(generation.flat),
        faces=share,
    )


@contextlib.contextmanager
def _kept_on_ctrl_c(generation: Generation) -> Iterator[None]:
    """Store the maps that are still in memory before an interrupt ends the run."""
    try:
        yield
    except KeyboardInterrupt:
        generation.flush()
        raise


def _count_faces(model: SaliencyModel, search: FaceSearch | None, frame: Frame) -> int | None:
    """Return the number of faces in a frame that was just mapped; None if nobody has looked."""
    if isinstance(model, FaceAwareModel):
        return model.faces_found
    return None if search is None else len(search.find(frame))


@contextlib.contextmanager
def _timed(spent: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        spent[what] += time.perf_counter() - started


def read_video_frames(video: Path, numbers: Collection[int], times: VideoTimes | None = None) -> dict[int, Frame]:
    """Return some frames of a video file, RGB, by frame number (from 1).

    Args:
        video: Video file.
        numbers: Frame numbers.
        times: Presentation times that are stored with its maps; with them, frames late in a long film are found fast.
    """
    starts_s = None if times is None else _list_starts(times)
    found = None if starts_s is None else seek_frames(video, numbers, starts_s)
    if found is not None:
        return found
    frames: dict[int, Frame] = {}
    last = max(numbers, default=0)
    with open_film(video) as film:
        for frame in film:
            if frame.number in numbers:
                frames[frame.number] = frame.rgb()
            if frame.number >= last:
                break
    return frames


def _list_starts(times: VideoTimes) -> NDArray[np.float64] | None:
    """Return the presentation time of each frame; None if unknown."""
    if times.starts_s is not None:
        return times.starts_s
    if not times.fps or not times.frame_count:
        return None
    return np.arange(times.frame_count) / times.fps
