"""From a session's gazes and its video's saliency maps to the numbers of the result."""

import itertools
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.records import FrameRecord
from gaze_core.attention import Attention, Estimate, FrameValues, SessionScore
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.gaze import screen_to_video
from gaze_core.ports import SaliencyMaps, VideoMaps
from gaze_core.saliency import blur_map, blur_sigma_px
from gaze_core.types import GazePoint, SaliencyMap, Screen, Viewport

DEFAULT_FPS = 20.0
"""Nominal rate of the gateway's frames, for a video of which nobody wrote down the rate."""

_OFF_VIDEO = GazePoint(-1.0, -1.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far off a viewer's gaze usually is, for scoring with maps blurred to it.

    Attributes:
        accuracy_deg: Mean error at the eyes.
        source: Who says so.
    """

    accuracy_deg: float
    source: str


@dataclass(frozen=True, slots=True)
class SessionNumbers:
    """What the maps say of a session.

    Attributes:
        result: Keys of the session's result.
        lost: Frames with a gaze that could not be scored, by reason.
        reason: Why there is no valid score; None when there is one.
        scored: How many frames were scored.
        hits: In how many of them the gaze hit a salient place.
        off_video: In how many of them it was off the video.
    """

    result: dict[str, Any]
    lost: Counter[str] = field(default_factory=Counter)
    reason: str | None = None
    scored: int = 0
    hits: int = 0
    off_video: int = 0


@dataclass(frozen=True, slots=True)
class _Shown:
    """A frame with a gaze, and what was shown then.

    Attributes:
        number: Of the webcam's frame.
        video_frame: Number of the video's frame.
        time_s: Position in the video.
        point: Normalised to the video; outside 0..1 is off it.
    """

    number: int
    video_frame: int
    time_s: float
    point: tuple[float, float]


def score_gazes(
    maps: SaliencyMaps,
    video_id: str,
    gazes: Mapping[int, GazePoint],
    records: Mapping[int, FrameRecord | None],
    *,
    screen: Screen,
    viewport: Viewport,
    accuracy: Accuracy | None = None,
) -> SessionNumbers:
    """Return what a video's maps say of a viewer's gazes.

    A gaze belongs to the video's frame that was shown then: the one at its record's `video_time_ms` when that and the
    video's frame rate are known, otherwise the one of its own number.

    Args:
        maps: Where the maps are.
        video_id: Of the video.
        gazes: Points of regard by frame number.
        records: The frames' records.
        screen: The viewer's.
        viewport: Where the video lies on it.
        accuracy: When known, everything is scored on blurred maps as well.

    Raises:
        SaliencyStoreError: The store failed; its timeout likewise.
    """
    if not gazes:
        return SessionNumbers(_describe(None), reason="no_valid_gaze")
    try:
        fps = maps.extract_saliencyMap(video_id).fps
        frames = _find_shown(gazes, records, viewport, fps)
        video = maps.extract_saliencyMap(video_id, frame_nums=sorted({frame.video_frame for frame in frames}))
        if accuracy is None:
            return _score(video, frames, None)
        distance_mm = _median_distance_mm(records)

        def blur(saliency_map: SaliencyMap) -> SaliencyMap:
            height, width = np.shape(saliency_map)
            degrees = accuracy.accuracy_deg
            sigmas = blur_sigma_px(degrees, distance_mm, (height, width), screen=screen, viewport=viewport)
            return blur_map(saliency_map, *sigmas)

        numbers = _score(video, frames, blur)
    except SaliencyMapNotFoundError:
        return SessionNumbers(_describe(None), Counter(no_map=len(gazes)), reason="no_maps")
    numbers.result["at_accuracy"] |= {"accuracy_deg": round(accuracy.accuracy_deg, 3), "source": accuracy.source}
    return numbers


def _score(video: VideoMaps, frames: list[_Shown], blur: Callable[[SaliencyMap], SaliencyMap] | None) -> SessionNumbers:
    times_s, points = [frame.time_s for frame in frames], [frame.point for frame in frames]
    plain = SessionScore(times_s, points)
    blurred = None if blur is None else SessionScore(times_s, points)
    positions: dict[int, list[int]] = {}
    for position, frame in enumerate(frames):
        positions.setdefault(frame.video_frame, []).append(position)
    lost: Counter[str] = Counter(no_map=len(frames))
    # Frames during which one map is held come one after the other with the very same array: it is looked up once.
    for _, group in itertools.groupby(video.maps, key=lambda entry: id(entry[1])):
        held = list(group)
        first, saliency_map = held[0]
        places = [position for video_frame, _ in held for position in positions[video_frame]]
        lost["no_map"] -= len(places)
        try:
            if isinstance(saliency_map, Exception):
                raise saliency_map
            plain.add_map(places, saliency_map)
            if blur is not None and blurred is not None:
                blurred.add_map(places, blur(saliency_map))
        except SaliencyMapError as error:
            lost["bad_map"] += len(places)
            _log.warning("saliency map of frame %d of a video left out: %s", first, error)
    attention = plain.summarise()
    result = _describe(attention) | {
        "maps_digest": video.digest,
        "at_accuracy": None if blurred is None else _describe_statistics(blurred.summarise()),
        "trace": _describe_trace(plain.trace(), frames),
    }
    if attention is None:
        return SessionNumbers(result, lost, reason="nothing_scored")
    return SessionNumbers(result, lost, None, attention.frames, attention.hits, attention.off_video)


def _find_shown(
    gazes: Mapping[int, GazePoint], records: Mapping[int, FrameRecord | None], viewport: Viewport, fps: float | None
) -> list[_Shown]:
    """Return the frames with a gaze in order, and what was shown in each."""
    told_ms = {number: None if (record := records.get(number)) is None else record.video_time_ms for number in gazes}
    known_ms = [time_ms for time_ms in told_ms.values() if time_ms is not None]
    is_told = len(set(known_ms)) == len(gazes)
    shown = []
    for number in sorted(gazes):
        time_ms, gaze = told_ms[number], gazes[number]
        # Off the screen is off the video, wherever the video may lie.
        point = screen_to_video(gaze, viewport) if gaze.on_screen else _OFF_VIDEO
        shown.append(
            _Shown(
                number=number,
                video_frame=number if fps is None or time_ms is None else _find_video_frame(time_ms, fps),
                time_s=time_ms / 1000 if is_told and time_ms is not None else number / (fps or DEFAULT_FPS),
                point=(point.x, point.y),
            )
        )
    return shown


def _find_video_frame(time_ms: float, fps: float) -> int:
    """Return the number of the frame that is shown at a position in the video; the first one is 1."""
    # Positions are often rounded to milliseconds: half of one later still is the same frame.
    return 1 + math.floor((time_ms + 0.5) / 1000 * fps)


def _median_distance_mm(records: Mapping[int, FrameRecord | None]) -> float:
    distances = [
        float(np.linalg.norm(record.measured.origin_mm))
        for record in records.values()
        if record is not None and record.measured is not None
    ]
    return median(distances) if distances else 600.0


def _describe(attention: Attention | None) -> dict[str, Any]:
    """Return the result's keys for what the maps say."""
    return _describe_statistics(attention) | {"maps_digest": None, "at_accuracy": None, "trace": None}


def _describe_statistics(attention: Attention | None) -> dict[str, Any]:
    if attention is None:
        names = ("chance_level", "lift_points", "interval_95", "block_length_s", "effective_samples")
        empty: dict[str, Any] = dict.fromkeys((*names, "lift", "nss", "auc", "shuffled_auc", "lag"))
        return {"final_score": 0.0, "interval_reliable": False, **empty}
    score, lag = attention.final_score_percent, attention.lag
    return {
        "final_score": round(score.value, 2),
        "chance_level": round(attention.chance_level_percent, 2),
        "lift_points": round(attention.lift_points.value, 2),
        "interval_95": _interval(score, 2),
        "interval_reliable": score.interval_reliable,
        "block_length_s": _round(score.block_s, 3),
        "effective_samples": _round(score.effective_samples, 1),
        "lift": _describe_estimate(attention.lift_points, 2),
        "nss": _describe_estimate(attention.nss, 4),
        "auc": _describe_estimate(attention.auc, 4),
        "shuffled_auc": _describe_estimate(attention.shuffled_auc, 4),
        "lag": lag and {name: round(getattr(lag, name), 4) for name in ("lag_s", "auc", "auc_at_zero")},
    }


def _describe_estimate(estimate: Estimate | None, digits: int) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "value": round(estimate.value, digits),
        "interval_95": _interval(estimate, digits),
        "interval_reliable": estimate.interval_reliable,
        "frames": estimate.frames,
    }


def _interval(estimate: Estimate, digits: int) -> list[float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return [round(estimate.low, digits), round(estimate.high, digits)]


def _describe_trace(trace: FrameValues, frames: list[_Shown]) -> dict[str, list[Any]]:
    """Return what each frame with a gaze contributes, one list for each column; None where it has no value."""
    columns: dict[str, Callable[[int], Any]] = {
        "frame_number": lambda position: frames[position].number,
        "video_frame": lambda position: frames[position].video_frame,
        "hit": lambda position: int(trace.hits[position]) if trace.scored[position] else None,
        "rank": _rounded(trace.ranks),
        "nss": _rounded(trace.nss),
        "chance": _rounded(trace.chance),
        "shuffled": _rounded(trace.shuffled),
    }
    return {name: [value(position) for position in range(len(frames))] for name, value in columns.items()}


def _rounded(values: NDArray[np.float64]) -> Callable[[int], float | None]:
    as_floats = values.tolist()
    return lambda position: _round(as_floats[position], 4)


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
