"""Compare the gaze of a session with the saliency maps of its video."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from func.log_lines import Event
from func.session.frame_record import FrameRecord
from func.session.result import AccuracyStatistics, GazeTrace, Statistics, round_finite
from func.session.result_codes import InvalidReason
from gaze_core.attention import Attention, FrameValues, SessionScore
from gaze_core.blur import BlurredMap, blur_sigma_px, smooth_map
from gaze_core.calibration import Calibration
from gaze_core.comparisons import MapLookup
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.gaze import screen_to_video
from gaze_core.ports import SaliencyMaps, UnusableMap, UsableMap, VideoMaps
from gaze_core.types import GazePoint, SaliencyMap, Screen, Viewport
from gaze_core.video_times import VideoTimes

DEFAULT_FPS = 20.0
"""Assumed frame rate of a video whose frame rate is not stored: that of the gateway's webcam frames."""

DEFAULT_DISTANCE_MM = 600.0
"""Assumed viewing distance of a session whose records do not contain it."""

_MAX_SIGMA = 1000.0
"""Limit of the blur in map sizes; the map is uniform long before."""

_LOOKED_UP = 256
"""Frames for which the comparisons are looked up at once."""

_OFF_VIDEO = GazePoint(-1.0, -1.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GazeAccuracy:
    """Accuracy of a viewer's gaze, to which the maps are blurred.

    Attributes:
        accuracy_deg: Mean angular error of one frame.
        source: Source of the accuracy.
    """

    accuracy_deg: float
    source: Literal["calibration", "setting"]


@dataclass(frozen=True, slots=True)
class SessionNumbers:
    """Comparison of a session with the saliency maps of its video.

    Attributes:
        statistics: Rounded statistics for the result.
        maps_digest: Identifier of the maps; None if unknown.
        at_accuracy: Statistics on the blurred maps; None if the accuracy of the gaze is unknown.
        trace: Values of each frame; None without a gaze or without maps.
        lost: Number of frames with a gaze but without a score, by reason.
        reason: Why the score is invalid; None if it is valid.
        attention: Statistics before rounding; None without a scored frame.
        attention_at_accuracy: Statistics on the blurred maps before rounding; None without them.
        bad_maps: Numbers of the frames whose map is unusable.
        maps_without_faces: Share of the video's frames that show a face, if the maps ignore faces; None otherwise.
        untimed: Numbers of the frames that are left out because only others have a position in the video.
        ignored_times: Number of positions in the video that are not used, because its frame rate is unknown.
        duration_s: Duration of the video; None if unknown.
    """

    statistics: Statistics
    maps_digest: str | None = None
    at_accuracy: AccuracyStatistics | None = None
    trace: GazeTrace | None = None
    lost: Counter[str] = field(default_factory=Counter)
    reason: InvalidReason | None = None
    attention: Attention | None = None
    attention_at_accuracy: Attention | None = None
    bad_maps: frozenset[int] = frozenset()
    maps_without_faces: float | None = None
    untimed: frozenset[int] = frozenset()
    ignored_times: int = 0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """Frames with a gaze in order of number, and the video frames on screen; arrays of shape (n,).

    Attributes:
        numbers: Frame numbers of the webcam.
        video_frames: Frame numbers of the video.
        times_s: Positions in the video.
        points: Points of gaze, normalised to the video, shape (n, 2); off the video outside 0 to 1.
    """

    numbers: NDArray[np.int64]
    video_frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    points: NDArray[np.float64]


def find_accuracy(calibration: Calibration | None, usual_deg: float | None) -> GazeAccuracy | None:
    """Return the accuracy of a viewer's gaze: that of their calibration, else the usual one; None if unknown."""
    known = None if calibration is None or calibration.correction is None else calibration.accuracy
    if known is not None and math.isfinite(known.frame_accuracy_deg) and known.frame_accuracy_deg > 0:
        return GazeAccuracy(known.frame_accuracy_deg, "calibration")
    return None if usual_deg is None else GazeAccuracy(usual_deg, "setting")


def score_gazes(
    maps: SaliencyMaps,
    video_id: str,
    gazes: Mapping[int, GazePoint],
    records: Mapping[int, FrameRecord | None],
    *,
    screen: Screen,
    viewport: Viewport,
    accuracy: GazeAccuracy | None = None,
) -> SessionNumbers:
    """Compare the gaze of a viewer with the saliency maps of a video.

    A gaze is compared with the map of the video frame on screen: the frame at `video_time_ms` of its record if that and
    the times of the video's frames are known, otherwise the frame with its own number. If only some frames have a
    position in the video, the others are left out.

    Args:
        maps: Store of the saliency maps.
        video_id: Video id.
        gazes: Points of gaze, normalised to the screen, by frame number.
        records: Records of the frames, by frame number.
        screen: Screen of the viewer, for frames without their own.
        viewport: Position of the video on the screen, for frames without their own.
        accuracy: Accuracy of the gaze, to score on blurred maps too; None to skip that.

    Raises:
        SaliencyStoreError: The saliency store failed.
        SaliencyStoreTimeoutError: The saliency store did not answer in time.
    """
    if not gazes:
        return SessionNumbers(Statistics.from_attention(None), reason="no_valid_gaze")
    try:
        times = maps.extract_saliencyMap(video_id).times
        with_time = {number for number, each in records.items() if each is not None and each.video_time_ms is not None}
        untimed = gazes.keys() - with_time if with_time and times.is_known else frozenset()
        kept = {number: gaze for number, gaze in gazes.items() if number not in untimed}
        if not kept:
            return SessionNumbers(
                Statistics.from_attention(None),
                lost=Counter(no_time=len(untimed)),
                reason="nothing_scored",
                untimed=frozenset(untimed),
                duration_s=times.end_s,
            )
        shown = _find_shown(kept, records, viewport, times)
        video = maps.extract_saliencyMap(video_id, frame_nums=np.unique(shown.video_frames).tolist())
        blur = None if accuracy is None else _Blur(accuracy, records, shown.numbers.tolist(), screen, viewport)
        numbers = _score(video, shown, blur)
        return replace(
            numbers,
            lost=numbers.lost + Counter(no_time=len(untimed)),
            untimed=frozenset(untimed),
            ignored_times=0 if times.is_known else len(with_time & gazes.keys()),
            duration_s=times.end_s,
        )
    except SaliencyMapNotFoundError:
        return SessionNumbers(Statistics.from_attention(None), lost=Counter(no_map=len(gazes)), reason="no_maps")


class _Blur:
    """Blurs saliency maps to the accuracy of a viewer's gaze, for the screen and viewport of each frame."""

    def __init__(
        self,
        accuracy: GazeAccuracy,
        records: Mapping[int, FrameRecord | None],
        numbers: Sequence[int],
        screen: Screen,
        viewport: Viewport,
    ) -> None:
        self.accuracy = accuracy
        self._distance_mm = _median_distance_mm(records)
        setups: dict[tuple[Screen, Viewport], int] = {}
        self._setup_of = np.zeros(len(numbers), dtype=np.int64)
        for place, number in enumerate(numbers):
            record = records.get(number)
            own = (None, None) if record is None else (record.screen, record.viewport)
            self._setup_of[place] = setups.setdefault((own[0] or screen, own[1] or viewport), len(setups))
        self._setups = list(setups)
        self._sigmas_px: dict[tuple[int, int, int], tuple[float, float]] = {}

    def __call__(
        self, saliency_map: SaliencyMap, places: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], SaliencyMap | BlurredMap]]:
        """Yield the map blurred for each setup, and the places that it is for."""
        if len(self._setups) == 1:
            yield places, self._blur(saliency_map, 0)
            return
        setups = self._setup_of[places]
        for setup in np.unique(setups).tolist():
            yield places[setups == setup], self._blur(saliency_map, setup)

    def _blur(self, saliency_map: SaliencyMap, setup: int) -> SaliencyMap | BlurredMap:
        height, width = np.shape(saliency_map)
        sigmas_px = self._sigmas_px.get((setup, height, width))
        if sigmas_px is None:
            screen, viewport = self._setups[setup]
            degrees, size = self.accuracy.accuracy_deg, (height, width)
            sigmas = blur_sigma_px(degrees, self._distance_mm, size, screen=screen, viewport=viewport)
            # A viewport of almost no size makes the blur infinitely wide.
            sigmas_px = (min(sigmas[0], _MAX_SIGMA * height), min(sigmas[1], _MAX_SIGMA * width))
            self._sigmas_px[setup, height, width] = sigmas_px
        return smooth_map(saliency_map, *sigmas_px)


class _Lookups:
    """Looks up where the maps of a video are evaluated, for many frames at once: one by one that takes longer."""

    def __init__(self, score: SessionScore, video_frames: NDArray[np.int64]) -> None:
        self._score = score
        self._order = np.argsort(video_frames, kind="stable")
        self._video_frames = video_frames[self._order]
        self._start = self._end = 0
        self._block: MapLookup | None = None

    def find(self, video_frames: Sequence[int]) -> tuple[NDArray[np.int64], MapLookup]:
        """Return the places of the frames that show some video frames, and where to evaluate their map."""
        starts = self._video_frames.searchsorted(video_frames, "left").tolist()
        ends = self._video_frames.searchsorted(video_frames, "right").tolist()
        if starts[1:] != ends[:-1]:
            parts = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
            places = np.concatenate(parts)
            return places, self._score.look_up(places)
        start, end = starts[0], ends[-1]
        if self._block is None or not self._start <= start <= end <= self._end:
            self._start, self._end = start, max(end, min(start + _LOOKED_UP, self._order.size))
            self._block = self._score.look_up(self._order[self._start : self._end])
        return self._order[start:end], self._block.take(slice(start - self._start, end - self._start))


def _score(video: VideoMaps, shown: _Shown, blur: _Blur | None) -> SessionNumbers:
    plain = SessionScore(shown.times_s, shown.points)
    blurred = None if blur is None else plain.restart()
    lookups = _Lookups(plain, shown.video_frames)
    lost: Counter[str] = Counter(no_map=shown.video_frames.size)
    bad_maps: list[int] = []
    for stored in video.stored:
        places, lookup = lookups.find(stored.frame_nums)
        lost["no_map"] -= places.size
        reason = stored.reason if isinstance(stored, UnusableMap) else None
        if isinstance(stored, UsableMap):
            try:
                plain.add_map(places, stored.saliency_map, lookup)
                if blur is not None and blurred is not None:
                    for members, blurred_map in blur(stored.saliency_map, places):
                        blurred.add_map(members, blurred_map, lookup if members.size == places.size else None)
            except SaliencyMapError as error:
                reason = str(error)
        if reason is not None:
            bad_maps += shown.numbers[places].tolist()
            _log.warning(Event("saliency map unusable", video_frame=stored.frame_nums[0], reason=reason))
    lost["bad_map"] = len(bad_maps)
    attention = plain.summarise()
    attention_at_accuracy = None if blurred is None else blurred.summarise()
    at_accuracy = None
    if blur is not None:
        at_accuracy = AccuracyStatistics(
            **dict(Statistics.from_attention(attention_at_accuracy)),
            accuracy_deg=round(blur.accuracy.accuracy_deg, 3),
            source=blur.accuracy.source,
        )
    return SessionNumbers(
        statistics=Statistics.from_attention(attention),
        maps_digest=video.digest,
        at_accuracy=at_accuracy,
        trace=_describe_trace(plain.trace(), shown),
        lost=lost,
        reason="nothing_scored" if attention is None else None,
        attention=attention,
        attention_at_accuracy=attention_at_accuracy,
        bad_maps=frozenset(bad_maps),
        maps_without_faces=video.faces.share if video.faces is not None and video.faces.are_ignored else None,
    )


def _find_shown(
    gazes: Mapping[int, GazePoint], records: Mapping[int, FrameRecord | None], viewport: Viewport, times: VideoTimes
) -> _Shown:
    """Return the frames with a gaze in order of number, and the video frames on screen."""
    known = {number: records.get(number) for number in gazes}
    sent_ms = {number: None if record is None else record.video_time_ms for number, record in known.items()}
    # Frames that were taken while the video was paused share a position. A clock that never runs is no clock.
    has_times = None not in sent_ms.values() and (len(gazes) == 1 or len(set(sent_ms.values())) > 1)
    numbers = np.array(sorted(gazes), dtype=np.int64)
    shown = _Shown(numbers, numbers.copy(), numbers / (times.fps or DEFAULT_FPS), np.empty((len(numbers), 2)))
    for position, number in enumerate(numbers.tolist()):
        time_ms, gaze, record = sent_ms[number], gazes[number], known[number]
        own_viewport = viewport if record is None else record.viewport or viewport
        # A gaze off the screen is off the video, even if the video extends beyond the screen.
        point = screen_to_video(gaze, own_viewport) if gaze.on_screen else _OFF_VIDEO
        if not (math.isfinite(point.x) and math.isfinite(point.y)):  # the viewport is almost infinitely small
            point = _OFF_VIDEO
        shown.points[position] = point.x, point.y
        if time_ms is not None:
            if times.is_known:
                shown.video_frames[position] = times.find_frame(time_ms)
            if has_times:
                shown.times_s[position] = time_ms / 1000
    return shown


def _median_distance_mm(records: Mapping[int, FrameRecord | None]) -> float:
    distances = [
        float(np.linalg.norm(record.measured.origin_mm))
        for record in records.values()
        if record is not None and record.measured is not None
    ]
    return median(distances) if distances else DEFAULT_DISTANCE_MM


def _describe_trace(trace: FrameValues, shown: _Shown) -> GazeTrace:
    """Return the values of each frame with a gaze."""
    hits = zip(trace.hits.tolist(), trace.scored.tolist(), strict=True)
    return GazeTrace(
        frame_number=shown.numbers.tolist(),
        video_frame=shown.video_frames.tolist(),
        hit=[int(is_hit) if is_scored else None for is_hit, is_scored in hits],
        rank=_rounded(trace.ranks),
        nss=_rounded(trace.nss),
        chance=_rounded(trace.chance),
        shuffled=_rounded(trace.shuffled),
    )


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [round_finite(value, 4) for value in values.tolist()]
