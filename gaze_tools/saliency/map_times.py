"""Presentation times of maps that were made elsewhere, and of exported ones."""

import csv
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.video_times import VideoTimes
from gaze_tools.film_times import FilmTimes, make_times

UNITS = {"time_s": 1.0, "times_s": 1.0, "time_ms": 1000.0, "times_ms": 1000.0}
"""Names of a column or list of times, and how many of its units make a second."""

_DEFAULT_STEP_S = 0.04
_FPS_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class MapTimes:
    """Presentation times to store with imported maps.

    Attributes:
        fps: Frame rate; the mean one if it varies; None if unknown.
        starts_s: Presentation time of each frame from frame 1 on; None if the frame rate is constant.
        duration_s: Position at which the video ends; None if unknown.
        frame_count: Number of frames of the video; None if unknown.
        warnings: What is wrong with the video, stored with the maps.
        notes: Remarks for the user.
    """

    fps: float | None
    starts_s: NDArray[np.float64] | None = None
    duration_s: float | None = None
    frame_count: int | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_times_file(path: Path) -> list[float]:
    """Return the times in a file, in seconds.

    Args:
        path: A CSV file whose header names the column `time_s` or `time_ms`, or a JSON object with the list `times_s`
            or `times_ms`, such as the file that an export writes next to its maps.

    Raises:
        ValueError: The file is malformed or does not state the unit; or the times are negative or do not rise.
        OSError: The file cannot be read.
    """
    text = path.read_text(encoding="utf-8-sig")
    named = _parse_json(path, text) if text.lstrip()[:1] in ("{", "[") else _parse_csv(path, text)
    found = [name for name in UNITS if name in named]
    if len(found) != 1:
        raise ValueError(
            f"{path.name} must state the unit of its times: a CSV file by the column name time_s or time_ms, a JSON "
            "file by the key times_s or times_ms"
        )
    try:
        times_s = [float(value) / UNITS[found[0]] for value in named[found[0]]]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} contains a time that is not a number: {error}") from error
    for number, time_s in enumerate(times_s, start=1):
        if not 0 <= time_s < 1e9:
            raise ValueError(f"{path.name}: time {number} is {time_s:g} s; times count from 0, the start of the video")
    for number, (before, after) in enumerate(itertools.pairwise(times_s), start=2):
        if after <= before:
            raise ValueError(f"{path.name}: time {number} ({after:g} s) does not come after {before:g} s")
    return times_s


def _parse_json(path: Path, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    return {name: each for name, each in found.items() if isinstance(each, list)} if isinstance(found, dict) else {}


def _parse_csv(path: Path, text: str) -> Mapping[str, list[str]]:
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path.name} is empty")
    header, *values = rows
    columns: dict[str, list[str]] = {}
    for place, name in enumerate(header):
        columns[name.strip()] = [row[place].strip() if place < len(row) else "" for row in values]
    return columns


def spread_times(times_s: Mapping[int, float], *, frame_count: int) -> NDArray[np.float64]:
    """Return the start of each frame from the times of some, shape (frame_count,).

    Frames between two of them are spread evenly, frames before the first one from 0 on, and frames after the last one
    follow with the step of the last two.

    Args:
        times_s: Rising presentation times by frame number, from 1, at least one.
        frame_count: Number of frames, at least the largest number.
    """
    known = dict(sorted(times_s.items()))
    numbers = list(known)
    if numbers[0] > 1:
        known = {1: 0.0, **known}
    if frame_count > numbers[-1]:
        step_s = _last_step_s(numbers, [times_s[number] for number in numbers])
        known[frame_count] = times_s[numbers[-1]] + (frame_count - numbers[-1]) * step_s
    starts_s = np.interp(np.arange(1, frame_count + 1), list(known), list(known.values()))
    return np.asarray(starts_s, dtype=np.float64)


def choose_times(
    numbers: Sequence[int],
    *,
    listed_s: Sequence[float] | None,
    film: FilmTimes | None,
    fps: float | None,
    own: FilmTimes | None,
    facts: Mapping[str, Any],
    frames_per_map: int = 1,
) -> MapTimes:
    """Return the times of imported maps: those listed, else the film's, else `fps`, else the source's own.

    Args:
        numbers: Frame number of each map of the source, rising.
        listed_s: Presentation time of each map.
        film: Timeline of the film that the maps belong to.
        fps: Constant frame rate of the video.
        own: Timeline of a map video that starts with frame 1 and has a map for every frame.
        facts: What the source knows: `fps`, `starts_s`, `duration_s`, `frame_count`.
        frames_per_map: Number of frames that a map is held for.

    Raises:
        ValueError: The number of listed times is wrong, or the times do not fit the numbers, or nothing is known.
    """
    if not numbers:
        raise ValueError("the source contains no maps")
    last = max(numbers)
    if listed_s is not None:
        if len(listed_s) != len(numbers):
            raise ValueError(f"there are {len(listed_s)} times for {len(numbers)} maps; every map needs one")
        count = last + frames_per_map - 1
        starts_s = spread_times(dict(zip(numbers, listed_s, strict=True)), frame_count=count)
        return _from_film(make_times(starts_s, stated_fps=[] if fps is None else [fps]), count)
    if film is not None:
        step = numbers[-1] - numbers[-2] if len(numbers) > 1 else 1
        return _fit_film(film, last, fps, covered=last + max(step, frames_per_map) - 1)
    if fps is not None:
        notes: tuple[str, ...] = ()
        if own is not None and not own.is_constant:
            kept = f"The map video has its own times: {own.describe()}."
            notes = (f"{kept} --fps {fps:g} is used. Without it, its times are kept.",)
        return MapTimes(fps, notes=notes)
    if own is not None:
        if not own.is_constant and numbers[0] != 1:
            raise ValueError(
                f"the map video has a variable frame rate and starts at frame {numbers[0]}, so the times of the frames "
                "are unknown: add --video or --times"
            )
        return _fit_film(own, last, None, covered=last) if numbers[0] == 1 else MapTimes(own.fps, warnings=own.warnings)
    if "fps" not in facts and "starts_s" not in facts:
        raise ValueError("the frame rate of the video is unknown: add --fps, --video or --times")
    stored_s: NDArray[np.float64] | None = facts.get("starts_s")
    if stored_s is not None and stored_s.size < last:
        stored_s = spread_times(dict(enumerate(stored_s.tolist(), start=1)), frame_count=last)
    warnings = tuple(facts.get("warnings", ()))
    return MapTimes(facts.get("fps"), stored_s, facts.get("duration_s"), facts.get("frame_count"), warnings)


def _fit_film(film: FilmTimes, last: int, fps: float | None, *, covered: int) -> MapTimes:
    """Return the times of a film, for at least as many frames as have maps.

    Args:
        film: Timeline of the film.
        last: Largest number of a frame with a map.
        fps: Frame rate that the user states.
        covered: Number of the last frame before the next map would come.
    """
    count, notes = film.starts_s.size, []
    if last > count:
        notes.append(f"The film has {count} frames, but the maps go up to frame {last}. Do they belong together?")
        starts_s = spread_times(dict(enumerate(film.starts_s.tolist(), start=1)), frame_count=last)
        film = make_times(starts_s, stated_fps=[film.fps], warnings=film.warnings)
    elif covered < count:
        notes.append(f"The film has {count} frames, but the maps end with frame {last}: the last frames have no map.")
    if fps is not None and not (film.is_constant and math.isclose(fps, film.fps, rel_tol=_FPS_TOLERANCE)):
        notes.append(f"--fps {fps:g} is not used, because the film has its own times: {film.describe()}.")
    return _from_film(film, max(count, last), tuple(notes))


def _from_film(film: FilmTimes, frame_count: int, notes: tuple[str, ...] = ()) -> MapTimes:
    return MapTimes(film.fps, film.table_s, film.duration_s, frame_count, film.warnings, notes)


def frame_times_of(numbers: Sequence[int], times: VideoTimes) -> list[float] | None:
    """Return the presentation times of some frames; None if unknown."""
    if times.starts_s is not None:
        last = times.starts_s.size
        return [round(float(times.starts_s[min(max(number, 1), last) - 1]), 6) for number in numbers]
    return None if times.fps is None else [round((number - 1) / times.fps, 6) for number in numbers]


def _last_step_s(numbers: Sequence[int], times_s: Sequence[float]) -> float:
    if len(numbers) < 2:
        return _DEFAULT_STEP_S
    return (times_s[-1] - times_s[-2]) / (numbers[-1] - numbers[-2])
