"""What a whole session says: how often a viewer looks where a video is salient, against chance, and how surely.

`SessionScore` sees every saliency map once, in any order, and keeps only numbers. Every statistic is a mean over
frames, so all intervals come from one method, `mean_interval`; `docs/attention-score.md` says what each number means
and shows by simulation how often its interval holds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.saliency import MapScore, calc

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NOMINAL_STEP_S = 0.05
"""Time between frames when there are too few to tell: 20 frames a second."""

SHUFFLE_GAP_S = 2.0
"""The gazes that a moment is compared with lie at least so far away in time: beyond a fixation and its neighbours."""

COMPARISONS = 64
"""How many of these gazes are looked up on each map at most."""

LAGS_S: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(-10, 11))
"""The lags among which the best one is looked for."""

BLOCK_FACTOR = 6.0
"""Blocks are so many times longer than Politis and White's, which minimise the error of the variance: coverage wants
longer ones (Sun, Phillips and Jin, Econometrica 76, 2008), and the simulation agrees."""

MIN_INTERVAL_FRAMES = 20
"""With fewer frames there is no interval."""

RELIABLE_FROM_S = 120.0
"""Scored time from which the simulation finds the intervals right."""

RELIABLE_FROM_S_NEAR_LIMITS = 300.0
"""The same for score and lift with under 10 % hits or under 10 % misses, which come in few bouts."""

RELIABLE_EFFECTIVE_SAMPLES = 10.0
"""Below, the session changes too rarely to say how often. No stricter: of sessions whose frames are much alike, a high
limit would pick those that look less so by luck, and whose intervals are too narrow."""

_LAG_STANDARD_ERRORS = 3.0
_LAG_TOLERANCE_S = 0.049  # just under half of the distance between lags
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over a session's frames with its 95 % interval.

    Attributes:
        value: The mean.
        low: Lower end of the interval; None when there are too few frames or they do not vary.
        high: Its upper end, likewise.
        frames: How many frames the mean is taken over.
        effective_samples: How many independent frames would tell as much; None without an interval.
        block_s: Length of the blocks that were taken as independent; None without an interval.
        interval_reliable: Whether the session is long enough for the interval to hold its 95 % in simulation.
    """

    value: float
    low: float | None
    high: float | None
    frames: int
    effective_samples: float | None
    block_s: float | None
    interval_reliable: bool


@dataclass(frozen=True, slots=True)
class Lag:
    """By how much the gaze comes after the picture, as far as the session tells.

    Attributes:
        lag_s: The gaze this much later fits a frame's map best; positive when the gaze comes after the picture.
        auc: Tie-averaged AUC at that lag.
        auc_at_zero: The same without a lag.
    """

    lag_s: float
    auc: float
    auc_at_zero: float


@dataclass(frozen=True, slots=True)
class Attention:
    """A session's statistics over its scored frames.

    Attributes:
        frames: How many frames were scored.
        hits: In how many of them the gaze hit a salient place.
        off_video: In how many of them it was off the video: a miss, and left out of NSS and both AUCs.
        final_score_percent: Hits among the scored frames.
        chance_level_percent: Hits to expect from a gaze that is equally likely everywhere on these maps.
        lift_points: Score minus chance level, frame by frame, in percentage points; chance is 0.
        nss: Normalised scanpath saliency, chance 0; None without a gaze on a map that is not flat.
        auc: Tie-averaged AUC against all pixels, chance 0.5; None without a gaze on the video.
        shuffled_auc: AUC of the map at this moment's gaze against the same map at this viewer's gazes at other moments,
            chance 0.5 wherever the viewer tends to look; None when no two gazes lie far enough apart in time.
        lag: None when no lag stands out.
    """

    frames: int
    hits: int
    off_video: int
    final_score_percent: Estimate
    chance_level_percent: float
    lift_points: Estimate
    nss: Estimate | None
    auc: Estimate | None
    shuffled_auc: Estimate | None
    lag: Lag | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameValues:
    """What each frame contributes, each array of shape (n,) unless it says otherwise.

    Attributes:
        scored: Whether the frame's map was seen.
        hits: Whether its gaze hit a salient place.
        ranks: Share of the map below the gaze, ties half; NaN where not scored or off the video.
        nss: NaN likewise and on a flat map.
        chance: Share of the map that would be a hit; NaN where not scored.
        shuffled: Share of this viewer's other gazes below this one on the frame's map, ties half; NaN without any.
        beaten: How often this gaze was below as somebody else's comparison, ties half.
        compared: How often it was somebody else's comparison.
        lagged_ranks: Rank of the gaze at each of `LAGS_S` on the frame's map, NaN without one, shape (n, lags).
    """

    scored: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    ranks: Floats
    nss: Floats
    chance: Floats
    shuffled: Floats
    beaten: Floats
    compared: Floats
    lagged_ranks: NDArray[np.float32]

    @classmethod
    def empty(cls, count: int) -> "FrameValues":
        """Return the values of frames whose maps have not been seen."""
        return cls(
            scored=np.zeros(count, dtype=np.bool_),
            hits=np.zeros(count, dtype=np.bool_),
            ranks=np.full(count, math.nan),
            nss=np.full(count, math.nan),
            chance=np.full(count, math.nan),
            shuffled=np.full(count, math.nan),
            beaten=np.zeros(count),
            compared=np.zeros(count),
            lagged_ranks=np.full((count, len(LAGS_S)), math.nan, dtype=np.float32),
        )

    def take(self, positions: Integers) -> "FrameValues":
        """Return the values of some frames, in the order of their positions."""
        return FrameValues(**{item.name: getattr(self, item.name)[positions] for item in fields(self)})


class SessionScore:
    """Scores the gazes of a session against the maps of their frames, each seen once.

    The gazes must be known before the first map, because every map is also looked up at the viewer's other gazes.
    Memory grows with the number of gazes (under 500 bytes each), not with the maps. The same gazes and maps give the
    same numbers in every process. Not safe for several threads at once.
    """

    def __init__(self, times_s: ArrayLike, gaze_points: ArrayLike) -> None:
        """Take a session's gazes.

        Args:
            times_s: Position in the video of each gaze, in any order, shape (n,).
            gaze_points: Normalised to the video: x, y with the origin top-left, shape (n, 2); outside 0..1 is off it.

        Raises:
            ValueError: The shapes do not fit, there is no gaze, or a value is not finite.
        """
        times, points = np.asarray(times_s, dtype=np.float64), np.asarray(gaze_points, dtype=np.float64)
        if times.ndim != 1 or points.shape != (times.size, 2):
            raise ValueError(f"times_s {times.shape} and gaze_points {points.shape} must be (n,) and (n, 2)")
        if times.size == 0:
            raise ValueError("there is no gaze to score")
        if not (np.isfinite(times).all() and np.isfinite(points).all()):
            raise ValueError("times and gaze points must be finite")
        order = np.argsort(times, kind="stable")
        self._place: Integers = np.argsort(order, kind="stable")
        self._times = times[order]
        self._points = points[order]
        self._is_on_video = np.all((self._points >= 0) & (self._points <= 1), axis=1)
        self._on_video: Integers = np.flatnonzero(self._is_on_video)
        self._values = FrameValues.empty(times.size)

    def add_map(self, frames: int | Sequence[int] | Integers, saliency_map: ArrayLike) -> MapScore:
        """Score the gazes of one frame, or of all frames during which a map is held, and return what the map says.

        Args:
            frames: Which of the gazes, as their positions in what the constructor took.
            saliency_map: Non-negative, shape (height, width).

        Raises:
            ValueError: There is no such gaze, or it has been scored.
            SaliencyMapError: The map cannot be used; the session stays as it was.
        """
        given = np.atleast_1d(np.asarray(frames, dtype=np.int64))
        if given.size == 0 or (given < 0).any() or (given >= self._times.size).any():
            raise ValueError("frames must be positions of gazes")
        places = self._place[given]
        values = self._values
        if values.scored[places].any() or np.unique(places).size != places.size:
            raise ValueError("a frame has been scored already")
        others, is_used = self._comparisons(places)
        lagged, has_lagged = self._lagged(places)
        looked_up = np.concatenate([places, others.ravel(), lagged.ravel()])
        score = calc(self._points[looked_up], saliency_map)
        count = len(places)
        own = MapScore(score.hits[:count], score.ranks[:count], score.nss[:count], score.chance)
        values.scored[places] = True
        values.hits[places], values.ranks[places], values.nss[places] = own.hits, own.ranks, own.nss
        values.chance[places] = score.chance
        other_ranks = score.ranks[count : count + others.size].reshape(others.shape)
        wins = compare(own.ranks[:, None], other_ranks)
        has_others = is_used.any(axis=1) & self._is_on_video[places]
        is_used &= has_others[:, None]
        values.shuffled[places[has_others]] = (wins * is_used).sum(axis=1)[has_others] / is_used.sum(axis=1)[has_others]
        np.add.at(values.beaten, others[is_used], wins[is_used])
        np.add.at(values.compared, others[is_used], 1.0)
        lagged_ranks = score.ranks[count + others.size :].reshape(lagged.shape)
        values.lagged_ranks[places] = np.where(has_lagged, lagged_ranks, math.nan)
        return own

    def trace(self) -> FrameValues:
        """Return what each frame contributes, in the order of the constructor's arguments."""
        return self._values.take(self._place)

    def summarise(self) -> Attention | None:
        """Return the session's statistics over the frames scored so far; None when there is none."""
        return summarise_frames(self._times, self._values)

    def _comparisons(self, places: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Return the gazes that frames are compared with and which of them are used, both of shape (frames, k)."""
        if self._on_video.size == 0:
            return np.zeros((len(places), 0), dtype=np.int64), np.zeros((len(places), 0), dtype=np.bool_)
        picks, is_used = comparison_positions(self._times[self._on_video], self._times[places], places)
        return self._on_video[picks], is_used

    def _lagged(self, places: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Return the gaze nearest to each lag of each frame and whether it is near enough, both (frames, lags)."""
        wanted = self._times[places][:, None] + np.asarray(LAGS_S)
        right = np.clip(np.searchsorted(self._times, wanted), 1, max(1, self._times.size - 1))
        left = right - 1
        right = np.minimum(right, self._times.size - 1)
        is_left = wanted - self._times[left] <= self._times[right] - wanted
        nearest = np.where(is_left, left, right)
        return nearest, np.abs(self._times[nearest] - wanted) < _LAG_TOLERANCE_S


def summarise_frames(times_s: Floats, values: FrameValues) -> Attention | None:
    """Return the statistics over all frames that were scored; None when there is none.

    Args:
        times_s: Rising, shape (n,).
        values: Of the same frames.
    """
    scored = values.scored
    frames = int(scored.sum())
    if frames == 0:
        return None
    step_s = median_step_s(times_s[scored])
    hits, chance = values.hits[scored].astype(np.float64), values.chance[scored]
    share = float(hits.mean())
    return Attention(
        frames=frames,
        hits=int(hits.sum()),
        off_video=int((scored & np.isnan(values.ranks)).sum()),
        final_score_percent=mean_interval(hits, step_s, proportion=share, unit=100.0),
        chance_level_percent=100 * float(chance.mean()),
        lift_points=mean_interval(hits - chance, step_s, proportion=share, unit=100.0),
        nss=_mean_of_present(values.nss, step_s),
        auc=_mean_of_present(values.ranks, step_s, limits=(0.0, 1.0)),
        shuffled_auc=_mean_of_present(shuffled_influence(values), step_s, limits=(0.0, 1.0)),
        lag=_find_lag(values.lagged_ranks[scored]),
    )


def compare(own: NDArray[Any], others: NDArray[Any]) -> Floats:
    """Return 1 where one's own value is the higher one, 0.5 at ties and 0 elsewhere."""
    shares: Floats = (own > others) + 0.5 * (own == others)
    return shares


def comparison_positions(
    candidate_times_s: Floats, moments_s: Floats, seeds: Integers, *, count: int = COMPARISONS
) -> tuple[Integers, NDArray[np.bool_]]:
    """Return which candidates each moment is compared with: evenly spaced ones among those at least 2 s away.

    Where they begin moves from moment to moment by the golden ratio, so that together they use all candidates alike and
    nothing is left to a random generator.

    Args:
        candidate_times_s: Rising, shape (n,).
        moments_s: Shape (m,).
        seeds: A whole number for each moment, from which the beginning follows, shape (m,).
        count: At most so many for each moment.

    Returns:
        Positions among the candidates and which of them are to be used, both of shape (m, count).
    """
    # So that two frames exactly 2 s apart do not depend on the last bit of their difference.
    tolerance_s = 1e-6
    before = np.searchsorted(candidate_times_s, moments_s - SHUFFLE_GAP_S + tolerance_s, side="right")
    after = np.searchsorted(candidate_times_s, moments_s + SHUFFLE_GAP_S - tolerance_s, side="left")
    available = (before + candidate_times_s.size - after)[:, None]
    slots = np.arange(count)[None, :]
    phase = (seeds * _GOLDEN_RATIO % 1.0)[:, None]
    spaced = np.floor((slots + phase) * available / count).astype(np.int64)
    picks = np.where(available <= count, slots, spaced)
    is_used = np.broadcast_to(slots < available, picks.shape)
    picks = np.where(picks < before[:, None], picks, picks + (after - before)[:, None])
    return np.minimum(picks, candidate_times_s.size - 1), is_used.copy()


def shuffled_influence(values: FrameValues) -> Floats:
    """Return what each frame adds to the shuffled AUC, as a positive and as a comparison; its mean is the AUC.

    A gaze at a place that is salient on most maps wins as a positive and wins as a comparison too, and these cancel.
    The interval must see both, as in the projection of a two-sample statistic (Hoeffding, Annals of Mathematical
    Statistics 19, 1948).

    Returns:
        Shape (n,); NaN where there is no comparison.
    """
    is_present = ~np.isnan(values.shuffled)
    influence = np.full(values.shuffled.size, math.nan)
    if is_present.any():
        positive = values.shuffled[is_present]
        compared = values.compared[is_present]
        comparison = np.where(compared > 0, values.beaten[is_present] / np.maximum(compared, 1), positive.mean())
        influence[is_present] = positive + comparison - comparison.mean()
    return influence


def median_step_s(times_s: Floats) -> float:
    """Return the usual time between frames whose times rise."""
    steps = np.diff(times_s)
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else NOMINAL_STEP_S


def mean_interval(
    values: Floats,
    step_s: float,
    *,
    unit: float = 1.0,
    proportion: float | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the mean of a series whose neighbours resemble each other, with a 95 % interval by block bootstrap.

    Circular blocks (Politis and Romano, 1992); their length is `block_length` times `BLOCK_FACTOR`, at most a quarter
    of the series. The bootstrap variance of a mean has a closed form, so nothing is drawn: it is the variance over all
    n circular blocks, divided by 1 - length / n because they share their mean with the series. The interval is
    Student's with 1.5 n / length - 1 degrees of freedom, those of overlapping blocks; for a proportion on the logit
    scale, so that it stays within 0 and 1 and leans away from the nearer of them.

    Args:
        values: In the order of time, at least one, shape (n,).
        step_s: Time between them.
        unit: What the results are multiplied by.
        proportion: The share of hits on which the values depend, for the logit scale; without hits or misses there is
            no interval.
        limits: Where the interval ends at the latest, in the unit of the values.
    """
    count = values.size
    mean = float(values.mean())
    variance = float(((values - mean) ** 2).mean())
    if count < MIN_INTERVAL_FRAMES or float(np.ptp(values)) < 1e-9 or proportion in (0.0, 1.0):
        return Estimate(unit * mean, None, None, count, None, None, interval_reliable=False)
    length = min(math.ceil(BLOCK_FACTOR * block_length(values)), count // 4)
    standard_error = _block_standard_error(values, length)
    half_width = student_quantile_975(1.5 * count / length - 1) * standard_error
    if proportion is not None:
        odds = proportion / (1 - proportion)
        stretch = math.exp(min(half_width / (proportion * (1 - proportion)), 500.0))
        low = mean - proportion + odds / stretch / (1 + odds / stretch)
        high = mean - proportion + odds * stretch / (1 + odds * stretch)
    else:
        low, high = max(mean - half_width, limits[0]), min(mean + half_width, limits[1])
    is_near_limit = proportion is not None and not 0.1 <= proportion <= 0.9
    reliable_from_s = RELIABLE_FROM_S_NEAR_LIMITS if is_near_limit else RELIABLE_FROM_S
    effective = min(variance / standard_error**2, float(count)) if standard_error > 0 else float(count)
    return Estimate(
        value=unit * mean,
        low=unit * low,
        high=unit * high,
        frames=count,
        effective_samples=effective,
        block_s=length * step_s,
        interval_reliable=count * step_s >= reliable_from_s - step_s and effective >= RELIABLE_EFFECTIVE_SAMPLES,
    )


def block_length(values: Floats) -> float:
    """Return the block length, in frames, with which the circular block bootstrap estimates a variance best.

    Politis and White, Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23, 2004, as
    corrected by Patton, Politis and White, 28, 2009: from the autocovariances up to twice the lag after which the
    correlations stay insignificant.

    Args:
        values: In the order of time, not all equal, shape (n,).
    """
    count = values.size
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    longest_lag = min(math.ceil(math.sqrt(count)) + run, count - 1)
    covariances = _autocovariances(values, min(2 * longest_lag, count - 1))
    is_small = np.abs(covariances[1 : longest_lag + 1]) < 2 * math.sqrt(math.log10(count) / count) * covariances[0]
    # The lag before the first run of small correlations; without a run, the last one that is not small.
    is_run = np.convolve(is_small, np.ones(run), mode="valid") > run - 0.5 if longest_lag >= run else is_small[:0]
    last_lag = int(is_run.argmax()) if is_run.any() else int(np.flatnonzero(~is_small).max(initial=0)) + 1
    last_lag = max(1, last_lag)
    lags = np.arange(1, min(2 * last_lag, covariances.size - 1) + 1)
    # The flat-top window of Politis and Romano, 1995.
    window = np.minimum(1.0, 2 * (1 - lags / (2 * last_lag)))
    spectrum = covariances[0] + 2 * float((window * covariances[lags]).sum())
    slope = 2 * float((window * lags * covariances[lags]).sum())
    if spectrum <= 0:
        return float(last_lag)
    return max(1.0, math.cbrt(1.5 * (slope / spectrum) ** 2 * count))


def student_quantile_975(degrees_of_freedom: float) -> float:
    """Return the 97.5 % quantile of Student's distribution; within 0.2 % from 3 degrees of freedom on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, v = _NORMAL_975, degrees_of_freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def _autocovariances(values: Floats, longest_lag: int) -> Floats:
    deviations = values - values.mean()
    size = 1 << (2 * values.size - 1).bit_length()
    transform = np.fft.rfft(deviations, size)
    products: Floats = np.fft.irfft(transform * transform.conj(), size)[: longest_lag + 1]
    return products / values.size


def _block_standard_error(values: Floats, length: int) -> float:
    """Return the standard error of the mean from all circular blocks of a length below that of the series."""
    count = values.size
    deviations = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([deviations, deviations[:length]]))])
    blocks = sums[length : length + count] - sums[:count]
    return math.sqrt(float((blocks**2).mean()) / (length * count * (1 - length / count)))


def _mean_of_present(
    values: Floats,
    step_s: float,
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate | None:
    present = values[~np.isnan(values)]
    if present.size == 0:
        return None
    return mean_interval(present, step_s, limits=limits)


def _find_lag(lagged_ranks: NDArray[np.float32]) -> Lag | None:
    """Return the lag with the highest AUC if it stands out from the mean of all lags by three standard errors."""
    complete = lagged_ranks[~np.isnan(lagged_ranks).any(axis=1)].astype(np.float64)
    if len(complete) < MIN_INTERVAL_FRAMES:
        return None
    by_lag = complete.mean(axis=0)
    # Of equal ones the one nearest to zero.
    best = min(range(len(LAGS_S)), key=lambda position: (-by_lag[position], abs(LAGS_S[position])))
    gain = mean_interval(complete[:, best] - complete.mean(axis=1), NOMINAL_STEP_S)
    if gain.high is None or gain.value <= _LAG_STANDARD_ERRORS / _NORMAL_975 * (gain.high - gain.value):
        return None
    return Lag(LAGS_S[best], float(by_lag[best]), float(by_lag[LAGS_S.index(0.0)]))
