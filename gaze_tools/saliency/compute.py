"""Makes the saliency maps of a video file with a model and stores them, restartable."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pymongo.database import Database

from gaze_tools.saliency.models.model import Frame, SaliencyModel
from gaze_tools.saliency.writer import GRACE_S, VideoDescription, open_generation, prune

DEFAULT_WIDTH_PX = 480


@dataclass(frozen=True, slots=True)
class Video:
    """A video file.

    Attributes:
        path: Of the file.
        fps: Frames a second, as the file says.
        width: In pixels, as it is shown.
        height: Likewise.
        stated_frames: How many frames the file says it has, which may be wrong.
        sha256: Of the file, in hexadecimal.
    """

    path: Path
    fps: float
    width: int
    height: int
    stated_frames: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Computed:
    """What came of it.

    Attributes:
        frames: Of the video.
        maps: There are now.
        made: This time; 0 when all were there.
        digest: Of the maps; None when all were there.
        decode_s: Time spent on decoding the video.
        model_s: On the model.
        store_s: On storing.
    """

    frames: int
    maps: int
    made: int
    digest: str | None
    decode_s: float
    model_s: float
    store_s: float


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video file.

    Raises:
        OSError: It is not there or is no video.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        if not path.is_file() or not capture.isOpened():
            raise OSError(f"cannot read a video from {path}")
        yield capture
    finally:
        capture.release()


def probe_video(path: Path) -> Video:
    """Return what a file says of itself.

    Raises:
        OSError: It is not there, is no video or has not one frame.
    """
    with open_video(path) as capture:
        ok, frame = capture.read()
        if not ok:
            raise OSError(f"{path} has no frame that can be decoded")
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        stated = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if not 0 < fps < 1000:
        raise OSError(f"{path} does not say how many frames a second it has")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Video(path, fps, frame.shape[1], frame.shape[0], max(stated, 1), sha256)


def default_size(video: Video) -> tuple[int, int]:
    """Return height and width of the maps when nobody asks for another size: the video's shape, 480 wide at most."""
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
    on_frame: Callable[[int, int], None] = lambda _number, _made: None,
) -> Computed:
    """Make a map of every n-th frame, beginning with the first, and let readers see them when all are there.

    A run that was killed is gone on with: finished frames are not computed again, and the maps are the same as those of
    an uninterrupted run.

    Args:
        database: Usually `saliency_db`.
        video_id: Under which the maps are stored.
        video: The file.
        model: That makes the maps.
        every: Distance of the frames that get a map, which is held in between.
        size: Height and width of the maps; None means `default_size`.
        again: Make them even if they are there.
        grace_s: How long older maps are kept for readers amid them.
        on_frame: Told after each frame its number and how many maps have been made this time.

    Raises:
        ValueError: `video_id` cannot name a collection, or `every` or `size` is not positive.
        OSError: The video cannot be decoded.
        ReplacedError: Somebody removed the new maps meanwhile.
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

    with open_video(video.path) as capture:
        while True:
            with _timed(spent, "decode"):
                if not capture.grab():
                    break
                number += 1
                wanted = is_due(number)
                remembered = any(is_due(number + ahead) for ahead in range(1, model.memory_frames + 1))
                frame = _retrieve(capture, number, video.path) if wanted or remembered else None
            if frame is not None and wanted:
                with _timed(spent, "model"):
                    saliency_map = model.map_frame(frame)
                with _timed(spent, "store"):
                    generation.write(number, saliency_map)
                made += 1
            elif frame is not None:
                with _timed(spent, "model"):
                    model.see(frame)
            on_frame(number, made)
    with _timed(spent, "store"):
        description = VideoDescription(
            fps=video.fps,
            width=video.width,
            height=video.height,
            how=f"{model.name} ({model.source})",
            frame_count=number,
            held=every > 1,
            every=every,
        )
        digest = generation.finish(description)
        prune(database, video_id, grace_s=grace_s)
    return Computed(number, len(generation.done), made, digest, spent["decode"], spent["model"], spent["store"])


@contextlib.contextmanager
def _timed(spent: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        spent[what] += time.perf_counter() - started


def _retrieve(capture: cv2.VideoCapture, number: int, path: Path) -> Frame:
    ok, frame = capture.retrieve()
    if not ok:
        raise OSError(f"frame {number} of {path} cannot be decoded")
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_video_frames(video: Path, numbers: Collection[int]) -> dict[int, Frame]:
    """Return some frames of a video file, RGB, by their numbers from 1 on."""
    frames: dict[int, Frame] = {}
    with open_video(video) as capture:
        for number in range(1, max(numbers) + 1):
            if not capture.grab():
                break
            if number in numbers:
                ok, frame = capture.retrieve()
                if ok:
                    frames[number] = np.asarray(frame[..., ::-1], dtype=np.uint8)
    return frames
