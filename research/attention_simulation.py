"""Does the attention score mean what it says? Viewers whose behaviour is known watch videos whose saliency is known.

`python -m research.attention_simulation` lets many simulated viewers watch many simulated videos, scores them with
the shipped code and writes the tables of `docs/attention-score.md` and its picture. A run is one video with one viewer of each
kind; its first 10, 30 and 120 s are the shorter sessions.

What the interval is meant to hold is the long-run score of this viewer with videos of this kind: what the score would
become if the viewing went on for ever. Both the viewer's choices and the video's course are chance then. It is measured
as the mean over all runs of the longest session. How often the interval holds the mean over repeated viewings of the
very same video is measured beside it.
"""

import argparse
import dataclasses
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from gaze_core.attention import (
    LAGS_S,
    Attention,
    Estimate,
    FrameValues,
    compare,
    comparison_positions,
    mean_interval,
    summarise_frames,
)
from gaze_core.saliency import SALIENT_SHARE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Maps = NDArray[np.uint8]  # shape (frames, HEIGHT, WIDTH)
Points = NDArray[np.float64]  # x and y, normalised to the video, shape (frames, 2)

HEIGHT, WIDTH = 24, 32
RATE_HZ = 20
STEP_S = 1 / RATE_HZ
DURATIONS_S = (10, 30, 120, 300)

SHOT_S = 4.5
"""Mean length of a shot; Cutting, DeLong and Nothelfer, Attention and the evolution of Hollywood film, Psychological
Science 21, 2010."""

FIXATION_S = 0.3
"""Mean duration of a fixation on scenes; Rayner, Eye movements and attention in reading, scene perception, and visual
search, Quarterly Journal of Experimental Psychology 62, 2009."""

SACCADE_LATENCY_FRAMES = round(0.2 * RATE_HZ)
"""A fixation answers the picture of 0.2 s ago."""

LOOK_S = 5.0
"""Mean length of a stretch during which the distracted viewer looks, and of one during which they look away."""

VIEWINGS = 25  # of one video, for the coverage of repeated viewings
LAG_EVERY = 20  # the lag is looked for in every 20th run: it takes longest

_STATISTICS = ("score", "lift", "nss", "auc", "shuffled_auc")
_CHANCE = {"lift": 0.0, "nss": 0.0, "auc": 0.5, "shuffled_auc": 0.5}
_COLUMNS = ("value", "low", "high", "reliable", "effective_samples", "block_s")
_BEGIN = "<!-- simulation: begin -->"
_END = "<!-- simulation: end -->"


def make_video(rng: np.random.Generator, frames: int, *, centre_bias: bool) -> Maps:
    """Return the saliency maps of a video: shots of log-normal length with five drifting, pulsing spots each.

    Args:
        rng: Where chance comes from.
        frames: How many.
        centre_bias: Whether spots appear near the centre, over a faint glow in the middle, or anywhere.
    """
    times_s = _times_s(np.arange(frames))
    lengths_s = _log_normal(rng, SHOT_S, 0.6, int(frames * STEP_S / 2) + 60)
    ends_s = np.cumsum(lengths_s) - rng.uniform(0, 2 * SHOT_S)
    shot, first = _runs(np.searchsorted(ends_s, times_s, side="right"))
    age_s = (times_s - times_s[first][shot])[:, None]
    size = (len(first), 5)
    centres = rng.normal(0.5, 0.17, (*size, 2)) if centre_bias else rng.uniform(0, 1, (*size, 2))
    centres = np.clip(centres, 0.02, 0.98)
    speeds_per_s = rng.normal(0, 0.04, (*size, 2))
    widths = _log_normal(rng, 0.075, 0.35, size)
    heights, pulses_hz, phases = rng.uniform(0.3, 1, size), rng.uniform(0.1, 0.5, size), rng.uniform(0, 2 * np.pi, size)
    positions = _reflect(centres[shot] + speeds_per_s[shot] * age_s[:, :, None])
    strength = heights[shot] * (1 + 0.4 * np.sin(2 * np.pi * pulses_hz[shot] * age_s + phases[shot]))
    columns, rows = (np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT
    across = _bell(columns, positions[..., 0, None], widths[shot][..., None]).astype(np.float32)
    down = _bell(rows, positions[..., 1, None], 1.5 * widths[shot][..., None]) * strength[..., None]
    maps = np.matmul(down.astype(np.float32).transpose(0, 2, 1), across)
    if centre_bias:
        maps += 0.25 * np.outer(_bell(rows, 0.5, 0.3), _bell(columns, 0.5, 0.22)).astype(np.float32)
    return np.asarray(maps * (255 / maps.max(axis=(1, 2), keepdims=True)), dtype=np.uint8)


def follow(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who follows the saliency: most fixations are drawn from the map, some stay near."""
    fixation, first = _fixations(rng, len(maps))
    count = len(first)
    seen = maps[np.maximum(first - SACCADE_LATENCY_FRAMES, 0)].reshape(count, -1)
    cumulated = np.cumsum(seen, axis=1, dtype=np.int64)
    pixel = (cumulated <= rng.uniform(0, 1, (count, 1)) * cumulated[:, -1:]).sum(axis=1)
    inside = rng.uniform(0, 1, (count, 2))
    targets = np.stack([(pixel % WIDTH + inside[:, 0]) / WIDTH, (pixel // WIDTH + inside[:, 1]) / HEIGHT], axis=1)
    elsewhere = rng.uniform(size=count) < 0.15
    targets[elsewhere] = rng.uniform(0, 1, (int(elsewhere.sum()), 2))
    is_new = rng.uniform(size=count) < 0.7
    is_new[0] = True
    targets = targets[np.maximum.accumulate(np.where(is_new, np.arange(count), 0))]
    targets += np.where(is_new[:, None], 0.0, rng.normal(0, 0.05, (count, 2)))
    return _measured(rng, _reflect(targets)[fixation])


def wander(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who looks anywhere, whatever the video shows."""
    fixation, first = _fixations(rng, len(maps))
    return _measured(rng, rng.uniform(0, 1, (len(first), 2))[fixation])


def stare(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who stares at the centre, whatever the video shows."""
    fixation, first = _fixations(rng, len(maps))
    return _measured(rng, rng.normal(0.5, 0.03, (len(first), 2))[fixation])


def look_away(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who follows the saliency half of the time and else looks beside the screen."""
    points = follow(rng, maps)
    frames = len(maps)
    stretches_s = _log_normal(rng, LOOK_S, 0.5, int(frames * STEP_S / 2) + 40)
    ends_s = np.cumsum(stretches_s) - rng.uniform(0, 3 * LOOK_S)
    stretch = np.searchsorted(ends_s, np.arange(frames) * STEP_S, side="right") + rng.integers(2)
    points[stretch % 2 == 1] = (1.4, 0.5)
    return points


VIEWERS: dict[str, Callable[[np.random.Generator, Maps], Points]] = {
    "follows": follow,
    "random": wander,
    "centre": stare,
    "half away": look_away,
}


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A video's maps with what all viewers need of them.

    Attributes:
        maps: Shape (frames, HEIGHT, WIDTH).
        means: Mean of each map, shape (frames,).
        deviations: Its sample standard deviation, likewise.
        pixels_below_hit: How many pixels lie below a hit on each map, likewise.
    """

    maps: Maps
    means: Floats
    deviations: Floats
    pixels_below_hit: Integers

    @classmethod
    def of(cls, maps: Maps) -> "Video":
        """Return a video, working out what `saliency.calc` would for each map alone."""
        flat = maps.reshape(len(maps), -1)
        pixels = flat.shape[1]
        # The group of equal pixels in which 70 % of all are passed hits when its middle lies at 70 % or above.
        group = np.sort(flat.astype(np.int16), axis=1)[:, int((1 - SALIENT_SHARE) * pixels)].astype(np.uint8)[:, None]
        below = np.count_nonzero(flat < group, axis=1)
        up_to = np.count_nonzero(flat <= group, axis=1)
        is_hit = (below + up_to) * 100 >= round((1 - SALIENT_SHARE) * 100) * 2 * pixels
        sums, squares = flat.sum(axis=1, dtype=np.int64), (flat.astype(np.int32) ** 2).sum(axis=1, dtype=np.int64)
        variances = (squares - sums**2 / pixels) / (pixels - 1)
        return cls(maps, sums / pixels, np.sqrt(variances), np.where(is_hit, below, up_to).astype(np.int64))


def score_viewing(video: Video, points: Points, *, with_lag: bool = False) -> FrameValues:
    """Return what each frame contributes to a viewer's score: the numbers of `SessionScore`, all frames at once."""
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    values = FrameValues.empty(frames)
    on_video = np.flatnonzero(_is_on_video(points))
    rows, columns = _pixels(points)
    flat = video.maps.reshape(frames, pixels)[on_video]
    own = video.maps[on_video, rows[on_video], columns[on_video]][:, None]
    below = np.count_nonzero(flat < own, axis=1)
    values.scored[:] = True
    values.chance[:] = 1 - video.pixels_below_hit / pixels
    values.hits[on_video] = below >= video.pixels_below_hit[on_video]
    values.ranks[on_video] = (below + np.count_nonzero(flat <= own, axis=1)) / (2 * pixels)
    values.nss[on_video] = (own[:, 0] - video.means[on_video]) / video.deviations[on_video]
    if with_lag:
        _look_up_lags(video, points, values)
    return _shuffle(video, points, values)


def _shuffle(video: Video, points: Points, values: FrameValues) -> FrameValues:
    """Return values with the shuffled comparisons of a session that ends with the last of them."""
    frames = len(values.scored)
    on_video = np.flatnonzero(~np.isnan(values.ranks))
    shuffled, beaten, compared = np.full(frames, np.nan), np.zeros(frames), np.zeros(frames)
    if on_video.size:
        times_s = _times_s(on_video)
        picks, is_used = comparison_positions(times_s, times_s, on_video)
        rows, columns = _pixels(points[:frames])
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


def _look_up_lags(video: Video, points: Points, values: FrameValues) -> None:
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    flat = video.maps.reshape(frames, pixels)
    rows, columns = _pixels(points)
    on_video = _is_on_video(points)
    for position, lag_s in enumerate(LAGS_S):
        later = np.arange(frames) + round(lag_s * RATE_HZ)
        known = np.flatnonzero((later >= 0) & (later < frames))
        known = known[on_video[later[known]]]
        value = video.maps[known, rows[later[known]], columns[later[known]]][:, None]
        below, up_to = (flat[known] < value).sum(axis=1), (flat[known] <= value).sum(axis=1)
        values.lagged_ranks[known, position] = (below + up_to) / (2 * pixels)


def simulate_run(run: int, *, centre_bias: bool, durations_s: Sequence[int]) -> tuple[Floats, Floats]:
    """Return every statistic of every viewer of one video, and the lags that were found.

    Args:
        run: Which; the same number gives the same video and viewers.
        centre_bias: Of the video.
        durations_s: Rising; the shorter sessions are the beginnings of the longest.

    Returns:
        Shape (viewers, durations, statistics, columns); NaN where there is none. The lags in seconds, shape (viewers,);
        NaN where none stood out, infinite where none was looked for.
    """
    rng = np.random.default_rng([20, run, centre_bias])
    with_lag = run % LAG_EVERY == 0
    video = Video.of(make_video(rng, durations_s[-1] * RATE_HZ, centre_bias=centre_bias))
    table = np.full((len(VIEWERS), len(durations_s), len(_STATISTICS), len(_COLUMNS)), np.nan)
    lags_s = np.full(len(VIEWERS), np.nan if with_lag else np.inf)
    for viewer, behave in enumerate(VIEWERS.values()):
        points = behave(rng, video.maps)
        values = score_viewing(video, points, with_lag=with_lag)
        for position, duration_s in enumerate(durations_s):
            kept = np.arange(duration_s * RATE_HZ)
            shorter = values if len(kept) == len(values.scored) else _shuffle(video, points, values.take(kept))
            attention = summarise_frames(_times_s(kept), shorter)
            if attention is None:
                raise RuntimeError("every frame has a map, so every session has a score")
            table[viewer, position] = _rows(attention)
            if attention.lag is not None and duration_s == durations_s[-1]:
                lags_s[viewer] = attention.lag.lag_s
    return table, lags_s


def simulate_repeats(video_number: int, *, centre_bias: bool, durations_s: Sequence[int]) -> Floats:
    """Return how often the score's interval holds the mean score of `VIEWINGS` viewings of the same video.

    Returns:
        Shape (viewers, durations).
    """
    rng = np.random.default_rng([21, video_number, centre_bias])
    video = Video.of(make_video(rng, durations_s[-1] * RATE_HZ, centre_bias=centre_bias))
    frames, pixels = len(video.maps), HEIGHT * WIDTH
    flat = video.maps.reshape(frames, pixels)
    held = np.zeros((len(VIEWERS), len(durations_s)))
    for viewer, behave in enumerate(VIEWERS.values()):
        hits = np.zeros((VIEWINGS, frames))
        for viewing in range(VIEWINGS):
            points = behave(rng, video.maps)
            rows, columns = _pixels(points)
            below = np.count_nonzero(flat < video.maps[np.arange(frames), rows, columns][:, None], axis=1)
            hits[viewing] = (below >= video.pixels_below_hit) & _is_on_video(points)
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


def _fixations(rng: np.random.Generator, frames: int) -> tuple[Integers, Integers]:
    """Return which fixation each frame belongs to and the first frame of each."""
    durations_s = _log_normal(rng, FIXATION_S, 0.45, int(frames * STEP_S * 5) + 40)
    ends_s = np.cumsum(durations_s) - rng.uniform(0, 2 * FIXATION_S)
    return _runs(np.searchsorted(ends_s, np.arange(frames) * STEP_S, side="right"))


def _times_s(frames: Integers) -> Floats:
    return frames.astype(np.float64) * STEP_S


def _is_on_video(points: Points) -> NDArray[np.bool_]:
    is_on_video: NDArray[np.bool_] = np.all((points >= 0) & (points <= 1), axis=1)
    return is_on_video


def _runs(labels: Integers) -> tuple[Integers, Integers]:
    """Return rising labels renumbered from 0 and where each begins."""
    _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
    return numbers, first


def _log_normal(rng: np.random.Generator, mean: float, sigma: float, size: int | tuple[int, ...]) -> Floats:
    return rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, size)


def _bell(at: Floats, centre: Floats | float, width: Floats | float) -> Floats:
    bell: Floats = np.exp(-0.5 * ((at - centre) / width) ** 2)
    return bell


def _measured(rng: np.random.Generator, points: Points) -> Points:
    """Return gaze with a webcam's scatter; it stays on the video, so that wandering is equally likely everywhere."""
    return _reflect(points + rng.normal(0, 0.015, points.shape))


def _reflect(points: Floats) -> Floats:
    """Return points thrown back at the edges of the video, however far they went."""
    reflected: Floats = 1 - np.abs(1 - np.mod(points, 2))
    return reflected


def _pixels(points: Points) -> tuple[Integers, Integers]:
    """Return row and column of each point; of one off the video some pixel."""
    columns = np.clip((points[:, 0] * WIDTH).astype(np.int64), 0, WIDTH - 1)
    rows = np.clip((points[:, 1] * HEIGHT).astype(np.int64), 0, HEIGHT - 1)
    return rows, columns


def simulate(runs: int, *, jobs: int, durations_s: Sequence[int] = DURATIONS_S) -> dict[bool, "Outcome"]:
    """Return what all runs gave, for videos with and without centre bias."""
    outcomes = {}
    # Fresh processes: a fork would inherit the locks of whatever threads run here.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for centre_bias in (True, False):
            one_run = partial(simulate_run, centre_bias=centre_bias, durations_s=durations_s)
            one_video = partial(simulate_repeats, centre_bias=centre_bias, durations_s=durations_s)
            videos = max(1, runs // VIEWINGS)
            done = list(tqdm(pool.imap(one_run, range(runs), chunksize=8), total=runs, disable=None))
            held = list(tqdm(pool.imap(one_video, range(videos), chunksize=2), total=videos, disable=None))
            tables, lags_s = zip(*done, strict=True)
            outcomes[centre_bias] = Outcome(np.stack(tables), np.stack(lags_s), np.mean(held, axis=0))
    return outcomes


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What all runs on one kind of video gave.

    Attributes:
        table: Shape (runs, viewers, durations, statistics, columns), as of `simulate_run`.
        lags_s: Shape (runs, viewers), likewise.
        repeats_held: As of `simulate_repeats`, mean over videos.
    """

    table: Floats
    lags_s: Floats
    repeats_held: Floats

    def values(self, statistic: str, column: str = "value") -> Floats:
        """Return one column of a statistic, shape (runs, viewers, durations)."""
        return self.table[..., _STATISTICS.index(statistic), _COLUMNS.index(column)]

    def truth(self, statistic: str) -> Floats:
        """Return the long-run value of each viewer: the mean over all runs of the longest session, shape (viewers,)."""
        truth: Floats = np.nanmean(self.values(statistic)[:, :, -1], axis=0)
        return truth

    def coverage(self, statistic: str, truth: Floats | None = None) -> Floats:
        """Return how often the interval held the truth, shape (viewers, durations); a missing interval held nothing."""
        truth = (self.truth(statistic) if truth is None else truth)[None, :, None]
        held = (self.values(statistic, "low") <= truth) & (truth <= self.values(statistic, "high"))
        return np.asarray(held.mean(axis=0), dtype=np.float64)


def render(outcomes: dict[bool, Outcome], command: str, *, durations_s: Sequence[int] = DURATIONS_S) -> str:
    """Return the generated section of the page, in Markdown."""
    runs = len(outcomes[True].table)
    longest = durations_s[-1]
    lines = [
        _BEGIN,
        f"*Made by `{command}`: {runs:,} videos of each kind, each watched by one viewer of each kind,",
        f"{RATE_HZ} frames a second. A coverage of 95 % is known to ± {200 * np.sqrt(0.95 * 0.05 / runs):.1f} points.*",
        "",
        f"**What the numbers say after {longest} s** (mean over runs ± standard deviation between runs):",
        "",
        "| video | viewer | score % | chance % | lift | NSS | AUC | shuffled AUC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for centre_bias, outcome in outcomes.items():
        for viewer, name in enumerate(VIEWERS):
            score, lift, nss, auc, shuffled = (_spread(outcome, statistic, viewer) for statistic in _STATISTICS)
            chance = float(np.mean(outcome.values("score")[:, viewer, -1] - outcome.values("lift")[:, viewer, -1]))
            lines.append(
                f"| {_kind(centre_bias)} | {name} | {score} | {chance:.1f} | {lift} | {nss} | {auc} | {shuffled} |"
            )
    columns = " | ".join(f"{duration_s} s" for duration_s in durations_s)
    rule = "---|" * (len(durations_s) + 2)
    lines += [
        "",
        "**How often the 95 % interval holds the long-run value**, % of runs, videos with / without centre bias:",
        "",
        f"| statistic | viewer | {columns} |",
        f"|{rule}",
    ]
    for statistic in _STATISTICS:
        both = [outcome.coverage(statistic) for outcome in outcomes.values()]
        lines += [f"| {_title(statistic)} | {name} | {_cells(both, row)} |" for row, name in enumerate(VIEWERS)]
    lines += [
        "",
        "**How far `interval_reliable` can be trusted**, all statistics, viewers and videos together:",
        "",
        "| session | called reliable % | of these, the interval holds % |",
        "|---|---|---|",
        *_reliability_rows(outcomes, durations_s),
        "",
        "**How often the score's interval holds the mean over repeated viewings of the same video**, likewise",
        f"({VIEWINGS} viewings each of {max(1, runs // VIEWINGS)} videos):",
        "",
        f"| | viewer | {columns} |",
        f"|{rule}",
    ]
    both = [outcome.repeats_held for outcome in outcomes.values()]
    lines += [f"| score | {name} | {_cells(both, row)} |" for row, name in enumerate(VIEWERS)]
    lines += [
        "",
        f"**The random viewer after {longest} s**: chance-corrected values straddle zero.",
        "",
        (
            "| video | statistic | mean less chance ± its error | runs above chance % "
            "| interval above / on / below chance % |"
        ),
        "|---|---|---|---|---|",
    ]
    for centre_bias, outcome in outcomes.items():
        lines += [_chance_row(outcome, statistic, level, centre_bias) for statistic, level in _CHANCE.items()]
    lines += ["", _lag_sentence(outcomes), _END]
    return "\n".join(lines)


def _reliability_rows(outcomes: dict[bool, Outcome], durations_s: Sequence[int]) -> list[str]:
    """Return how often sessions of each length are called reliable and how often these hold."""
    lines = []
    for position, duration_s in enumerate(durations_s):
        flagged, held = [], []
        for outcome in outcomes.values():
            for statistic in _STATISTICS:
                truth = outcome.truth(statistic)[None, :]
                values = {name: outcome.values(statistic, name)[:, :, position] for name in ("reliable", "low", "high")}
                is_flagged = values["reliable"] == 1
                flagged.append(is_flagged.ravel())
                held.append(((values["low"] <= truth) & (truth <= values["high"]))[is_flagged])
        share, known = 100 * np.concatenate(flagged).mean(), np.concatenate(held)
        lines.append(f"| {duration_s} s | {share:.0f} | {f'{100 * known.mean():.1f}' if known.size else '–'} |")
    return lines


def _chance_row(outcome: Outcome, statistic: str, chance: float, centre_bias: bool) -> str:
    viewer = list(VIEWERS).index("random")
    values, low, high = (outcome.values(statistic, name)[:, viewer, -1] for name in ("value", "low", "high"))
    error = values.std() / np.sqrt(len(values))
    shares = [
        100 * np.mean(low > chance),
        100 * np.mean((low <= chance) & (chance <= high)),
        100 * np.mean(high < chance),
    ]
    return (
        f"| {_kind(centre_bias)} | {_title(statistic)} | {values.mean() - chance:+.4f} ± {error:.4f} "
        f"| {100 * np.mean(values > chance):.0f} | {' / '.join(f'{share:.1f}' for share in shares)} |"
    )


def _lag_sentence(outcomes: dict[bool, Outcome]) -> str:
    parts = []
    for viewer, name in enumerate(VIEWERS):
        looked = np.concatenate([outcome.lags_s[:, viewer] for outcome in outcomes.values()])
        looked = looked[~np.isinf(looked)]
        found = looked[~np.isnan(looked)]
        where = f", median {np.median(found):.1f} s" if found.size else ""
        parts.append(f"{name}: {found.size} of {looked.size}{where}")
    return f"**A lag stood out** in so many sessions of {DURATIONS_S[-1]} s: {'; '.join(parts)}."


def _spread(outcome: Outcome, statistic: str, viewer: int) -> str:
    values = outcome.values(statistic)[:, viewer, -1]
    digits = 1 if statistic in ("score", "lift") else 2 if statistic == "nss" else 3
    return f"{np.nanmean(values):.{digits}f} ± {np.nanstd(values):.{digits}f}"


def _cells(both: Sequence[Floats], row: int) -> str:
    return " | ".join(
        " / ".join(f"{100 * share:.1f}" for share in shares)
        for shares in zip(*(table[row] for table in both), strict=True)
    )


def _kind(centre_bias: bool) -> str:
    return "centre-biased" if centre_bias else "unbiased"


def _title(statistic: str) -> str:
    return {"nss": "NSS", "auc": "AUC", "shuffled_auc": "shuffled AUC"}.get(statistic, statistic)


def draw(outcomes: dict[bool, Outcome], path: Path, *, durations_s: Sequence[int] = DURATIONS_S) -> None:
    """Draw what the viewers score and how often the intervals hold."""
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    panels = figure.add_gridspec(2, 1)
    above = panels[0].subgridspec(1, 3)
    below = panels[1].subgridspec(1, 5)
    shown = (("score", "Score, %"), ("lift", "Lift over chance, points"), ("shuffled_auc", "Shuffled AUC"))
    for position, (statistic, title) in enumerate(shown):
        axes = figure.add_subplot(above[position])
        _draw_viewers(axes, outcomes, statistic)
        axes.set_title(f"{title}, after {durations_s[-1]} s", fontsize=10)
    for position, statistic in enumerate(_STATISTICS):
        _draw_coverage(figure.add_subplot(below[position]), outcomes, statistic, durations_s)
    figure.savefig(path, dpi=110)


_COLOURS = {True: "#1f5fa8", False: "#d9822b"}
_MARKERS = ("o", "s", "^", "D")


def _draw_viewers(axes: Axes, outcomes: dict[bool, Outcome], statistic: str) -> None:
    for offset, (centre_bias, outcome) in zip((-0.18, 0.18), outcomes.items(), strict=True):
        values = outcome.values(statistic)[:, :, -1]
        middle, low, high = (np.nanpercentile(values, share, axis=0) for share in (50, 2.5, 97.5))
        places = np.arange(len(VIEWERS)) + offset
        colour = _COLOURS[centre_bias]
        axes.vlines(places, low, high, color=colour, linewidth=5, alpha=0.35)
        axes.plot(places, middle, "o", color=colour, label=f"{_kind(centre_bias)} videos: median, 95 % of the runs")
        if statistic == "score":
            chances = np.mean(outcome.values("score")[:, :, -1] - outcome.values("lift")[:, :, -1], axis=0)
            axes.hlines(chances, places - 0.15, places + 0.15, color="black", linewidth=1)
    if statistic == "score":
        axes.set_ylim(0, 130)
        axes.set_yticks(range(0, 101, 20))
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    else:
        axes.axhline(_CHANCE[statistic], color="black", linewidth=1)
    axes.set_xticks(range(len(VIEWERS)), list(VIEWERS), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_coverage(axes: Axes, outcomes: dict[bool, Outcome], statistic: str, durations_s: Sequence[int]) -> None:
    axes.axhspan(93, 97, color="#cfe8cf", zorder=0)
    for centre_bias, outcome in outcomes.items():
        for row, (name, marker) in enumerate(zip(VIEWERS, _MARKERS, strict=True)):
            axes.plot(
                durations_s,
                100 * outcome.coverage(statistic)[row],
                marker=marker,
                color=_COLOURS[centre_bias],
                markersize=4,
                linewidth=1,
                alpha=0.85,
                label=name if centre_bias else None,
            )
    axes.set_xscale("log")
    axes.set_xticks(durations_s, [f"{duration_s} s" for duration_s in durations_s], fontsize=8)
    axes.minorticks_off()
    axes.set_ylim(40, 100)
    axes.set_title(f"{_title(statistic)}: holds, %", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if statistic == _STATISTICS[0]:
        axes.legend(fontsize=8, frameon=False, loc="lower right")


def write_page(page: Path, section: str) -> None:
    """Replace the generated section of a page.

    Raises:
        ValueError: The page has no such section.
    """
    text = page.read_text(encoding="utf-8")
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"{page} has no generated section")
    before, after = text.split(_BEGIN)[0], text.split(_END)[1]
    page.write_text(before + section + after, encoding="utf-8")


def main() -> None:
    """Run the simulation and renew the page and its picture."""
    parser = argparse.ArgumentParser(description="Simulate viewers and report how far the attention score holds.")
    parser.add_argument("--runs", type=int, default=100, help="videos of each kind; the page was made with 1000")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where attention-score.md lies")
    arguments = parser.parse_args()
    outcomes = simulate(arguments.runs, jobs=arguments.jobs)
    section = render(outcomes, f"python -m research.attention_simulation --runs {arguments.runs}")
    print(section)
    write_page(arguments.out / "attention-score.md", section)
    draw(outcomes, arguments.out / "attention-score.png")


if __name__ == "__main__":
    main()
