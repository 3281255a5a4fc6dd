"""A recording of a person who fixates known targets, as a folder of files; docs/recordings.md describes it."""

import codecs
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from func.errors import BadRequestError
from func.web.request import parse_json, parse_json_request
from func.web.schemas import CameraPart, FrameMetadata, ScreenPart
from gaze_core.types import Camera, GazePoint, Screen

DESCRIPTION, TARGETS, FRAMES = "recording.json", "targets.csv", "frames"
COLUMNS = ("frame", "x", "y", "phase")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

DISTANCE_LIMITS_MM = (100.0, 5000.0)

MAX_PROBLEMS = 20
"""Maximum number of problems listed one by one."""

# Required fields of a request besides screen and camera.
_REQUEST = {
    "session_id": "recording",
    "video_id": "recording",
    "ip_address": "recording",
    "frame_number": 1,
    "last_frame": True,
}


class RecordingPhase(StrEnum):
    """Use of a frame."""

    CALIBRATION = "calibration"
    TEST = "test"


class RecordingError(ValueError):
    """The folder is not a valid recording; each problem names the file and its line or field."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = [*problems[:MAX_PROBLEMS]]
        if len(problems) > MAX_PROBLEMS:
            shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `targets.csv`.

    Attributes:
        frame: File name of the image.
        target: Fixated target, normalised to the screen.
        phase: Use of the frame.
    """

    frame: str
    target: GazePoint
    phase: RecordingPhase


@dataclass(frozen=True, slots=True)
class Recording:
    """Images of a person who fixates known targets.

    Attributes:
        folder: Folder of the recording.
        screen: The person's screen; fields that were not given have their default.
        camera: The person's camera; fields that were not given have their default.
        given: Names of the given fields, for example `camera.tilt_deg`.
        distance_mm: Measured distance from the camera to the midpoint between the eyes; None if unknown.
        rows: Rows of `targets.csv` in order.
        files_without_row: Images that are not in `targets.csv`.
        ignored_fields: Unknown fields of `recording.json`.
    """

    folder: Path
    screen: Screen
    camera: Camera
    given: frozenset[str]
    distance_mm: float | None
    rows: tuple[Row, ...]
    files_without_row: tuple[str, ...]
    ignored_fields: tuple[str, ...]


def load_recording(folder: Path) -> Recording:
    """Return the recording in a folder; its images are listed, not read.

    Raises:
        RecordingError: The recording is incomplete or malformed; lists all problems.
    """
    if not folder.is_dir():
        raise RecordingError([f"{folder} is not a directory"])
    problems: list[str] = []
    description = _read_description(folder, problems)
    metadata = _validate_parts(description, problems)
    distance_mm = _validate_distance(description, problems)
    images = _list_images(folder)
    if images is None:
        problems.append(f"{FRAMES}/ is missing: the folder with the images")
    rows = _read_rows(folder, images, problems)
    if problems or metadata is None:
        raise RecordingError(problems)
    screen, camera = metadata.screen or ScreenPart(), metadata.camera or CameraPart()
    named = {row.frame for row in rows}
    return Recording(
        folder=folder,
        screen=screen.to_screen(),
        camera=camera.to_camera(),
        given=frozenset(
            f"{name}.{key}" for name, part in (("screen", screen), ("camera", camera)) for key in part.as_sent()
        ),
        distance_mm=distance_mm,
        rows=tuple(rows),
        files_without_row=tuple(
            name for name in sorted(images or ()) if name not in named and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ),
        ignored_fields=_find_ignored(description),
    )


def _read_description(folder: Path, problems: list[str]) -> dict[str, Any]:
    """Return the content of `recording.json`; append problems."""
    try:
        text = (folder / DESCRIPTION).read_bytes()
        described = parse_json(text.removeprefix(codecs.BOM_UTF8), DESCRIPTION)
    except OSError as error:
        problems.append(f"{DESCRIPTION} cannot be read: {error.strerror}; an empty object {{}} stands for the defaults")
        return {}
    except BadRequestError as error:
        problems.append(str(error))
        return {}
    if not isinstance(described, dict):
        problems.append(f"{DESCRIPTION} must be a JSON object")
        return {}
    return described


def _validate_parts(description: Mapping[str, Any], problems: list[str]) -> FrameMetadata | None:
    """Return screen and camera, validated like a request to the service; None if it would refuse them."""
    parts = {name: description[name] for name in ("screen", "camera") if name in description}
    try:
        return parse_json_request(json.dumps(_REQUEST | parts).encode()).metadata
    except BadRequestError as error:
        problems += [f"{DESCRIPTION}: {problem.field} {problem.detail}" for problem in error.fields]
        return None


def _validate_distance(description: Mapping[str, Any], problems: list[str]) -> float | None:
    value = description.get("distance_mm")
    if value is None:
        return None
    low, high = DISTANCE_LIMITS_MM
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        problems.append(f"{DESCRIPTION}: distance_mm must be a number from {low:g} to {high:g}")
        return None
    return float(value)


def _find_ignored(description: Mapping[str, Any]) -> tuple[str, ...]:
    ignored = sorted(set(description) - {"screen", "camera", "distance_mm"})
    for name, part in (("screen", ScreenPart), ("camera", CameraPart)):
        ignored += [f"{name}.{key}" for key in sorted(set(description.get(name) or ()) - set(part.model_fields))]
    return tuple(ignored)


def _list_images(folder: Path) -> frozenset[str] | None:
    """Return the names of the files in `frames/`; None if the folder is missing."""
    if not (folder / FRAMES).is_dir():
        return None
    return frozenset(path.name for path in (folder / FRAMES).iterdir() if path.is_file())


def _read_rows(folder: Path, images: frozenset[str] | None, problems: list[str]) -> list[Row]:
    """Return the rows of `targets.csv`; append problems.

    Args:
        folder: Folder of the recording.
        images: Files in `frames/`; None if the folder is missing.
        problems: List to append to.
    """
    try:
        lines = csv.reader(io.StringIO((folder / TARGETS).read_text("utf-8-sig"), newline=""), strict=True)
    except OSError as error:
        problems.append(f"{TARGETS} cannot be read: {error.strerror}")
        return []
    except UnicodeDecodeError:
        problems.append(f"{TARGETS} is not UTF-8")
        return []
    rows: list[Row] = []
    seen_at: dict[str, int] = {}
    columns: list[str] = []
    try:
        columns = [name.strip() for name in next(lines, [])]
        wrong = [name for name in COLUMNS if columns.count(name) != 1]
        if wrong:
            problems.append(
                f"{TARGETS}, line 1: needs the columns {','.join(COLUMNS)}; missing or duplicate: {', '.join(wrong)}"
            )
            return []
        for values in lines:
            if not any(value.strip() for value in values):
                continue
            where = f"{TARGETS}, line {lines.line_num}"
            if len(values) != len(columns):
                problems.append(f"{where}: has {len(values)} values, line 1 has {len(columns)}")
                continue
            named = dict(zip(columns, (value.strip() for value in values), strict=True))
            row, wrong = _read_row(named, images)
            name = named["frame"]
            if name in seen_at:
                wrong.append(f"frame {name} is already in line {seen_at[name]}")
            seen_at.setdefault(name, lines.line_num)
            problems += [f"{where}: {each}" for each in wrong]
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        problems.append(f"{TARGETS}, line {lines.line_num}: {error}")
        return rows
    if not seen_at and not problems:
        problems.append(f"{TARGETS} has no rows")
    return rows


def _read_row(named: Mapping[str, str], images: frozenset[str] | None) -> tuple[Row | None, list[str]]:
    """Return a row from its named values, or None and the problems."""
    wrong: list[str] = []
    name = named["frame"]
    if not name or "/" in name or "\\" in name:
        wrong.append(f"frame must be a file name in {FRAMES}/")
    elif images is not None and name not in images:
        wrong.append(f"frame {name} is not in {FRAMES}/")
    place = [_read_coordinate(named[axis]) for axis in ("x", "y")]
    wrong += [
        f"{axis} must be a number from 0 to 1, a share of the screen, not pixels; got {named[axis]!r}"
        for axis, value in zip(("x", "y"), place, strict=True)
        if value is None
    ]
    if named["phase"] not in set(RecordingPhase):
        wrong.append(f"phase must be {' or '.join(RecordingPhase)}; got {named['phase']!r}")
    x, y = place
    if wrong or x is None or y is None:
        return None, wrong
    return Row(name, GazePoint(x, y), RecordingPhase(named["phase"])), wrong


def _read_coordinate(text: str) -> float | None:
    """Return a coordinate from 0 to 1, the range of calibration targets; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None  # excludes NaN
