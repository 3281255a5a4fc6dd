"""Simulated viewings, scored like real sessions."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gaze_core.attention import (
    LAGS_S,
    Attention,
    FrameValues,
    summarise_frames,
)
from gaze_core.comparisons import compare, comparison_positions
from gaze_core.intervals import Estimate, mean_interval
from gaze_core.saliency import SALIENT_SHARE
from research.attention_simulation.viewers import (
    HEIGHT,
    RATE_HZ,
    STEP_S,
    VIEWERS,
    WIDTH,
    Floats,
    Integers,
    Maps,
    Points,
    find_pixels,
    frame_times_s,
    is_on_video,
    make_video,
)
from research.command_line import make_progress, process_pool

DURATIONS_S = (10, 30, 120, 300)

VIEWINGS = 25  # per video, for the coverage of repeated viewings
LAG_EVERY = 20  # the lag is estimated in every 20th run, because it takes longest

STATISTICS = ("score", "lift", "nss", "auc", "shuffled_auc")

_COLUMNS = ("value", "low", "high", "reliable", "effective_samples", "block_s")


@dataclass(frozen=True, slots=True, eq=False)
class VideoStatistics:
    """Saliency maps of a video with statistics that all viewers share.

    Attributes:
        maps: Saliency maps, shape (frames, HEIGHT, WIDTH).
        means: Mean of each map, shape (frames,).
        deviations: Sample standard deviation of each map, shape (frames,).
        pixels_below_hit: Number of pixels of each map that are below a hit, shape (frames,).
    """

    maps: Maps
    means: Floats
    deviations: Floats
    pixels_below_hit: Integers

    @classmethod
    def of(cls, maps: Maps) -> "VideoStatistics":
        """Return a video with the statistics that `saliency.calc` computes for each map."""
        flat = maps.reshape(len(maps), -1)
        pixels = flat.shape[1]
        # Pixels equal to the 70th percentile are hits if the middle of their ranks is at 70 % or above.
        group = np.sort(flat.astype(np.int16), axis=1)[:, int((1 - SALIENT_SHARE) * pixels)].astype(np.uint8)[:, None]
        below = np.count_nonzero(flat < group, axis=1)
        up_to = np.count_nonzero(flat <= group, axis=1)
        is_hit = (below + up_to) * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * pixels
        sums, squares = flat.sum(axis=1, dtype=np.int64), (flat.astype(np.int32) ** 2).sum(axis=1, dtype=np.int64)
        variances = (squares - sums**2 / pixels) / (pixels - 1)
        return cls(maps, sums / pixels, np.sqrt(variances), np.where(is_hit, below, up_to).astype(np.int64))


def score_viewing(video: VideoStatistics, points: Points, *, with_lag: bool = False) -> FrameValues:
    """Return each frame's contribution to a viewer's score, as `SessionScore` computes it, for all frames at once."""
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    values = FrameValues.empty(frames)
    on_video = np.flatnonzero(is_on_video(points))
    rows, columns = find_pixels(points)
    flat = video.maps.reshape(frames, pixels)[on_video]
    own = video.maps[on_video, rows[on_video], columns[on_video]][:, None]
    below = np.count_nonzero(flat < own, axis=1)
    values.scored[:] = True
    values.chance[:] = 1 - video.pixels_below_hit / pixels
    values.hits[on_video] = below >= video.pixels_below_hit[on_video]
    values.ranks[on_video] = (below + np.count_nonzero(flat <= own, axis=1)) / (2 * pixels)
    values.nss[on_video] = (own[:, 0] - video.means[on_video]) / video.deviations[on_video]
    if with_lag:
        _rank_lagged(video, points, values)
    return _shuffle(video, points, values)


def _shuffle(video: VideoStatistics, points: Points, values: FrameValues) -> FrameValues:
    """Return the values with the shuffled comparisons of a session of this length."""
    frames = len(values.scored)
    on_video = np.flatnonzero(~np.isnan(values.ranks))
    shuffled, beaten, compared = np.full(frames, np.nan), np.zeros(frames), np.zeros(frames)
    if on_video.size:
        times_s = frame_times_s(on_video)
        picks, is_used = comparison_positions(times_s, times_s, on_video)
        rows, columns = find_pixels(points[:frames])
        own = video.maps[on_video, rows[on_video], columns[on_video]][:, None]
        others = video.maps[on_video[:, None], rows[on_video][picks], columns[on_video][picks]]
        wins = compare(own, others)
        counts = is_used.sum(axis=1)
        has_any = counts > 0
        shuffled[on_video[has_any]] = (wins * is_used).sum(axis=1)[has_any] / counts[has_any]
        used = picks[is_used]
        beaten[on_video] = np.bincount(used, weights=wins[is_used], minlength=on_video.size)
        compared[on_video] = np.bincount(used, minlength=on_video.size)
    return dataclasses.replace(values, shuffled=shuffled, beaten=beaten, compared=compared)


def _rank_lagged(video: VideoStatistics, points: Points, values: FrameValues) -> None:
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    flat = video.maps.reshape(frames, pixels)
    rows, columns = find_pixels(points)
    on_video = is_on_video(points)
    for position, lag_s in enumerate(LAGS_S):
        later = np.arange(frames) + round(lag_s * RATE_HZ)
        known = np.flatnonzero((later >= 0) & (later < frames))
        known = known[on_video[later[known]]]
        value = video.maps[known, rows[later[known]], columns[later[known]]][:, None]
        below, up_to = (flat[known] < value).sum(axis=1), (flat[known] <= value).sum(axis=1)
        values.lagged_ranks[known, position] = (below + up_to) / (2 * pixels)


def simulate_run(run: int, *, centre_bias: bool, durations_s: Sequence[int]) -> tuple[Floats, Floats]:
    """Return every statistic of every viewer of one video, and the estimated lags.

    Args:
        run: Number of the run, which determines video and viewers.
        centre_bias: Whether the video is centre-biased.
        durations_s: Ascending durations; shorter sessions are the beginnings of the longest.

    Returns:
        Statistics, shape (viewers, durations, statistics, columns), NaN where undefined. Lags in seconds, shape
        (viewers,), NaN where none was significant, infinite where none was estimated.
    """
    rng = np.random.default_rng([20, run, centre_bias])
    with_lag = run % LAG_EVERY == 0
    video = VideoStatistics.of(make_video(rng, durations_s[-1] * RATE_HZ, centre_bias=centre_bias))
    table = np.full((len(VIEWERS), len(durations_s), len(STATISTICS), len(_COLUMNS)), np.nan)
    lags_s = np.full(len(VIEWERS), np.nan if with_lag else np.inf)
    for viewer, behave in enumerate(VIEWERS.values()):
        points = behave(rng, video.maps)
        values = score_viewing(video, points, with_lag=with_lag)
        for position, duration_s in enumerate(durations_s):
            kept = np.arange(duration_s * RATE_HZ)
            shorter = values if len(kept) == len(values.scored) else _shuffle(video, points, values.take(kept))
            attention = summarise_frames(frame_times_s(kept), shorter)
            if attention is None:
                raise RuntimeError("a session whose frames all have maps must have a score")
            table[viewer, position] = _rows(attention)
            if attention.lag is not None and duration_s == durations_s[-1]:
                lags_s[viewer] = attention.lag.lag_s
    return table, lags_s


def simulate_repeats(video_number: int, *, centre_bias: bool, durations_s: Sequence[int]) -> Floats:
    """Return the coverage of the mean score over `VIEWINGS` viewings of one video.

    Returns:
        Shape (viewers, durations).
    """
    rng = np.random.default_rng([21, video_number, centre_bias])
    video = VideoStatistics.of(make_video(rng, durations_s[-1] * RATE_HZ, centre_bias=centre_bias))
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    flat = video.maps.reshape(frames, pixels)
    held = np.zeros((len(VIEWERS), len(durations_s)))
    for viewer, behave in enumerate(VIEWERS.values()):
        hits = np.zeros((VIEWINGS, frames))
        for viewing in range(VIEWINGS):
            points = behave(rng, video.maps)
            rows, columns = find_pixels(points)
            below = np.count_nonzero(flat < video.maps[np.arange(frames), rows, columns][:, None], axis=1)
            hits[viewing] = (below >= video.pixels_below_hit) & is_on_video(points)
        for position, duration_s in enumerate(durations_s):
            seen = hits[:, : duration_s * RATE_HZ]
            held[viewer, position] = np.mean(
                [
                    _holds(mean_interval(session, STEP_S, proportion=float(session.mean())), float(seen.mean()))
                    for session in seen
                ]
            )
    return held


def _holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high


def _rows(attention: Attention) -> list[list[float]]:
    estimates = (
        attention.final_score_percent,
        attention.lift_points,
        attention.nss,
        attention.auc,
        attention.shuffled_auc,
    )
    return [[np.nan] * len(_COLUMNS) if estimate is None else _row(estimate) for estimate in estimates]


def _row(estimate: Estimate) -> list[float]:
    values = (
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.interval_reliable,
        estimate.effective_samples,
        estimate.block_s,
    )
    return [np.nan if value is None else float(value) for value in values]


def simulate(runs: int, *, jobs: int, durations_s: Sequence[int] = DURATIONS_S) -> dict[bool, "SimulationOutcome"]:
    """Return the outcomes of all runs, for videos with and without centre bias."""
    outcomes = {}
    with make_progress() as progress, process_pool(jobs) as pool:
        for centre_bias in (True, False):
            one_run = partial(simulate_run, centre_bias=centre_bias, durations_s=durations_s)
            one_video = partial(simulate_repeats, centre_bias=centre_bias, durations_s=durations_s)
            videos = max(1, runs // VIEWINGS)
            done = list(progress.track(pool.map(one_run, range(runs), chunksize=8), runs, description="runs"))
            repeats = pool.map(one_video, range(videos), chunksize=2)
            held = list(progress.track(repeats, videos, description="repeated viewings"))
            tables, lags_s = zip(*done, strict=True)
            outcomes[centre_bias] = SimulationOutcome(np.stack(tables), np.stack(lags_s), np.mean(held, axis=0))
    return outcomes


@dataclass(frozen=True, slots=True, eq=False)
class SimulationOutcome:
    """Outcome of all runs with one kind of video.

    Attributes:
        table: Statistics of `simulate_run`, shape (runs, viewers, durations, statistics, columns).
        lags_s: Lags of `simulate_run`, shape (runs, viewers).
        repeats_held: Coverage of `simulate_repeats`, mean over videos, shape (viewers, durations).
    """

    table: Floats
    lags_s: Floats
    repeats_held: Floats

    def values(self, statistic: str, column: str = "value") -> Floats:
        """Return one column of a statistic, shape (runs, viewers, durations)."""
        return self.table[..., STATISTICS.index(statistic), _COLUMNS.index(column)]

    def truth(self, statistic: str) -> Floats:
        """Return the long-run value of each viewer: the mean over all runs of the longest session, shape (viewers,)."""
        truth: Floats = np.nanmean(self.values(statistic)[:, :, -1], axis=0)
        return truth

    def coverage(self, statistic: str, truth: Floats | None = None) -> Floats:
        """Return the coverage of the intervals, shape (viewers, durations); a missing interval counts as a miss."""
        truth = (self.truth(statistic) if truth is None else truth)[None, :, None]
        held = (self.values(statistic, "low") <= truth) & (truth <= self.values(statistic, "high"))
        return np.asarray(held.mean(axis=0), dtype=np.float64)
