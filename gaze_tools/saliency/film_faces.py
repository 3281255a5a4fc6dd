"""Whether a film shows people: for the warning about maps that ignore faces."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from gaze_core.errors import LandmarkerError
from gaze_core.ports import FaceFacts
from gaze_core.types import Frame
from gaze_tools.command_line import console
from gaze_tools.saliency.face_search import FaceSearch, open_face_search, share_with_faces

MAX_SAMPLES = 300
"""Frames of a long film in which faces are searched: a share of 5 % is then known to ± 2.5 percentage points."""


def look_for_faces() -> FaceSearch | None:
    """Return a search for faces; None, and a line for the user, if there is none on this machine."""
    try:
        return open_face_search()
    except LandmarkerError as error:
        console.print(f"[yellow]No search for faces: {error}", highlight=False)
        return None


@contextlib.contextmanager
def explained_landmarker() -> Iterator[None]:
    """Name the option that needs no face landmarker if it cannot be created."""
    try:
        yield
    except LandmarkerError as error:
        raise click.ClickException(f"{error}; --no-faces makes maps that ignore faces") from error


def find_share_of_faces(film: Path | None) -> float | None:
    """Return the share of a film's frames that show a face; None without film or landmarker."""
    search = None if film is None else look_for_faces()
    if search is None or film is None:
        return None
    console.print(f"Searching {film.name} for faces …", highlight=False)
    return share_with_faces(search, sample_frames(film))


def report_faces(faces: Mapping[str, Any]) -> None:
    """Print what maps know of faces, in one line."""
    facts = FaceFacts(faces["channel"], faces["share"])
    share = "" if facts.share is None else f"{facts.share:.0%} of the searched frames show a face"
    if facts.are_ignored:
        console.print(
            f"[yellow]{share}, but the maps ignore faces: results will warn about that.",
            highlight=False,
        )
    elif share:
        console.print(f"{share}.", highlight=False)


def sample_frames(film: Path, limit: int = MAX_SAMPLES) -> Iterator[Frame]:
    """Yield one frame a second of a film, at most about `limit`, RGB; none if it cannot be decoded."""
    capture = cv2.VideoCapture(str(film))
    try:
        per_second, stated = (capture.get(each) for each in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        step = max(1, round(per_second), math.ceil(stated / limit))
        number = 0
        while capture.grab():
            if number % step == 0:
                ok, frame = capture.retrieve()
                if ok:
                    yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            number += 1
    finally:
        capture.release()
