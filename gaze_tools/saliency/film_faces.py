"""Whether a film shows people: for the warning about maps that ignore faces."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gaze_core.errors import LandmarkerError
from gaze_core.ports import FaceFacts
from gaze_core.types import Frame
from gaze_tools.command_line import console
from gaze_tools.film import open_film
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


def find_face_facts(film: Path | None, *, with_faces: bool, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what imported maps know of faces, as it is stored.

    Args:
        film: Film of the maps; None keeps the known share of frames with a face.
        with_faces: Whether the user says that faces are salient in the maps.
        known: The same facts about the source of the maps; empty without any.
    """
    share = known.get("share") if film is None else find_share_of_faces(film)
    return {"channel": with_faces or known.get("channel") is True, "share": share}


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
    try:
        with open_film(film) as frames:
            step = max(1, round(frames.fps or 1), math.ceil(frames.stated_frames / limit))
            for frame in frames:
                if (frame.number - 1) % step == 0:
                    yield frame.rgb()
    except OSError as error:
        console.print(f"[yellow]No search for faces: {error}", highlight=False)
