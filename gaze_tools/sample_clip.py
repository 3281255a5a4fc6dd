"""The sample: a rendered person who watches a video, with the true gaze of every frame; and frames of other videos."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pymongo import MongoClient
from pymongo.database import Database

from gaze_tools.film import open_film
from gaze_tools.saliency.models.spectral_residual import spectral_residual
from gaze_tools.saliency.seed import seed_saliency_maps
from gaze_tools.stack.launcher import UpstreamServices

SAMPLE = Path(__file__).with_name("sample")
SAMPLE_VIDEO_ID = "sample"
SAMPLE_FPS = 20.0
SAMPLE_WIDTH_PX, SAMPLE_HEIGHT_PX = 480, 270
MAP_WIDTH_PX, MAP_HEIGHT_PX = 240, 135
"""Size of the sample's saliency maps; the model itself works at a width of 64 pixels."""


def read_truth() -> dict[str, Any]:
    """Return what is known of the sample clip: screen, camera and the true gaze of each frame."""
    truth: dict[str, Any] = json.loads((SAMPLE / "truth.json").read_text())
    return truth


def count_frames(path: str) -> int:
    """Return the number of frames of a video file.

    Raises:
        OSError: It cannot be opened.
    """
    with open_film(Path(path)) as film:
        return sum(1 for _ in film)


MAX_CAMERA = 99
"""Largest number of a webcam: OpenCV takes its hundreds as the interface through which to open it."""


@contextlib.contextmanager
def open_capture(source: int) -> Iterator[cv2.VideoCapture]:
    """Open the webcam with a number.

    Raises:
        OSError: It cannot be opened.
    """
    level = cv2.utils.logging.getLogLevel()
    # OpenCV prints warnings of its own when it finds no camera.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(source)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise OSError(f"cannot open webcam {source}")
        yield capture
    finally:
        capture.release()


def read_frames(source: str | int, limit: int) -> Iterator[NDArray[np.uint8]]:
    """Yield at most `limit` frames of a video file or a webcam, RGB, shape (height, width, 3).

    Raises:
        OSError: The source cannot be opened.
    """
    if isinstance(source, str):
        with open_film(Path(source)) as film:
            for film_frame in itertools.islice(film, limit):
                yield film_frame.rgb()
        return
    with open_capture(source) as capture:
        for _ in range(limit):
            ok, frame = capture.read()
            if not ok:
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def seed_sample_maps(upstream: UpstreamServices, frame_count: int) -> None:
    """Store saliency maps for the sample video, which is repeated if a clip is longer than the video.

    Args:
        upstream: Running services, with the MongoDB to write to.
        frame_count: Number of frames that get a map.
    """
    client: MongoClient[dict[str, Any]]
    with MongoClient(upstream.mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        store_sample_maps(client["saliency_db"], frame_count)


def store_sample_maps(database: Database[dict[str, Any]], frame_count: int) -> None:
    """Store saliency maps for the sample video in an open database; see `seed_sample_maps`."""
    maps = [
        cv2.resize(spectral_residual(frame), (MAP_WIDTH_PX, MAP_HEIGHT_PX), interpolation=cv2.INTER_AREA)
        for frame in read_frames(str(SAMPLE / "video.mp4"), frame_count)
    ]
    numbered = enumerate(itertools.islice(itertools.cycle(maps), frame_count), start=1)
    seed_saliency_maps(
        database,
        SAMPLE_VIDEO_ID,
        dict(numbered),
        fps=SAMPLE_FPS,
        width=SAMPLE_WIDTH_PX,
        height=SAMPLE_HEIGHT_PX,
        how="spectral residual (Hou and Zhang 2007)",
    )
