"""Checks of a viewer's clip before anything is started: it must show a face."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from gaze_core.ports import FaceLandmarker
from gaze_tools.command_line import without_native_output
from gaze_tools.run.clip import ViewerClip, probe_clip, read_clip
from models import FACE_LANDMARKER_PATH

SAMPLES = 24
"""Frames, spread over the clip, in which a face is searched for until one is found."""

BLACK_LEVEL = 16
"""A frame whose 99th percentile is not above this is black: 16 is the black of television."""


class NoFaceError(OSError):
    """The clip shows no face."""


def check_clip(path: Path, landmarker: FaceLandmarker | None = None) -> ViewerClip:
    """Return the properties of a clip that shows a face.

    Args:
        path: Video file of a person.
        landmarker: Finds faces; None makes one.

    Raises:
        OSError: The file is not a video, or has a single frame.
        NoFaceError: No face was found.
    """
    clip = probe_clip(path)
    if clip.frames < 2:
        raise OSError(f"{path} contains a single frame; record at least a second")
    with without_native_output():
        finder = landmarker or MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
        require_face(_spread(clip), finder, str(path))
    return clip


def require_face(images: Iterable[NDArray[np.uint8]], landmarker: FaceLandmarker, name: str) -> None:
    """Check that one of the images shows a face.

    Raises:
        NoFaceError: None does; the message says if they are black.
    """
    count = black = 0
    for image in images:
        count += 1
        if is_black(image):
            black += 1
        elif landmarker.detect(image):
            return
    if black == count:
        raise NoFaceError(f"{name} is black in all {count} frames that were checked: was the camera covered?")
    also = f"; {black} of them are black" if black else ""
    raise NoFaceError(
        f"{name} shows no face in any of the {count} frames that were checked{also}. It must show the viewer's face "
        "from the front, upright and lit."
    )


def is_black(image: NDArray[np.uint8]) -> bool:
    """Return whether nearly all of a frame is black."""
    return bool(np.percentile(image[::4, ::4], 99) <= BLACK_LEVEL)


def _spread(clip: ViewerClip) -> Iterator[NDArray[np.uint8]]:
    step = max(1, clip.frames // SAMPLES)
    for number, frame in enumerate(read_clip(clip.path)):
        if number % step == step // 2:
            yield frame.image
